"""The shape of the package, as a test. Change a rule here before you break it there."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "bot").rglob("*.py"))
}
FAMILIES = ("hosts", "models", "standards", "engines", "checks", "tools")
# A module may import from its own layer and from the layers above it in this list.
LAYERS = (
    {"bot.errors"},
    {"bot.review"},
    {"bot.webhook"},
    {"bot.job"},
    {"bot.interfaces", "bot.journal", "bot.retry"},
    {"bot.tables"},
    {"bot.database"},
    {"bot.git", "bot.findings", "bot.ledger", "bot.correspondence", "bot.checks.jail"},
    {
        "bot.reading",
        "bot.keeping",
        "bot.checking",
        "bot.citing",
        "bot.collecting",
        "bot.heard",
        "bot.lookups",
        "bot.passes",
        "bot.words",
        "bot.dialogue",
        "bot.endpoint",
    },
    {f"bot.{family}" for family in FAMILIES},
    {"bot.asking", "bot.continuing", "bot.reverifying", "bot.spending"},
    {"bot.answering"},
    {"bot.gate", "bot.gathered", "bot.summarising"},
    {"bot.reviewer", "bot.answerer", "bot.caretaker", "bot.router"},
    {"bot.settings"},
    {"bot.app_openai"},
    {"bot.wiring"},
    {"bot.app"},
    {"bot.server", "bot.sandbox"},
    {"bot.bookshelf", "bot.client", "bot.logs", "bot.running", "bot.stats", "bot.streaming", "bot.terminal"},
    {"bot.demo", "bot.inquiry", "bot.steering"},
    {"bot.cli", "bot.cli_standards"},
    {"bot.__main__"},
    {"bot"},
)
# Members of one layer that may not know each other.
STRANGERS = {"bot.reviewer", "bot.answerer", "bot.caretaker", "bot.router", *(f"bot.{family}" for family in FAMILIES)}
# One sibling may need several files; their names begin alike.
SIBLINGS = {
    "bot.hosts.github",
    "bot.hosts.local",
    "bot.engines.durable",
    "bot.standards.folder",
    "bot.standards.vector_store",
    "bot.models.responses",
    "bot.checks.jail",
    "bot.cli",
}
# An outside package has one home.
HOMES = {
    "alembic": ("bot.database", "bot.migrations"),
    "dbos": ("bot.engines.durable",),
    "fastapi": ("bot.server", "bot.sandbox"),
    "githubkit": ("bot.hosts.github",),
    "jinja2": ("bot.words", "bot.sandbox"),
    "markdown_it": (
        "bot.review.sanitize",
        "bot.review.command",
        "bot.review.section",
        "bot.review.layout_markdown",
        "bot.sandbox",
    ),
    "mdformat": ("bot.review.sanitize",),
    "openai": ("bot.endpoint", "bot.models", "bot.standards.vector_store"),
    "prometheus_client": ("bot.server",),
    "pydantic_settings": ("bot.settings",),
    "sqlalchemy": (
        "bot.findings",
        "bot.tables",
        "bot.database",
        "bot.ledger",
        "bot.correspondence",
        "bot.migrations",
        "bot.engines.durable",
    ),
    "starlette": ("bot.server", "bot.sandbox"),
    "subprocess": ("bot.checks.jail", "bot.git"),
    "tree_sitter": ("bot.review.syntax",),
    "typer": ("bot.cli",),
    "unidiff": ("bot.review.diff",),
    "uvicorn": ("bot.running",),
    "yaml": ("bot.review.policy",),
}
PURE = {"urllib.parse"} | set(sys.stdlib_module_names) - {
    "asyncio", "datetime", "http", "io", "logging", "multiprocessing", "os", "random", "secrets", "shutil",
    "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
CORE_PACKAGES = {"pydantic", "unidiff", "markdown_it", "mdformat", "wcmatch", "yaml", "bot", "jinja2"}
BANNED_NAMES = {"utils", "helpers", "common", "misc", "manager", "service", "base"}


def within(module, place):
    return f"{module}.".startswith(f"{place}.") or (place in SIBLINGS and module.startswith(f"{place}_"))


def member(module):
    """The layer member a module belongs to: bot.hosts.local -> bot.hosts; the longest name wins."""
    found = [m for layer in LAYERS for m in layer if within(module, m)]
    return max(found, key=len)


def rank(module):
    return next(i for i, layer in enumerate(LAYERS) if member(module) in layer)


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def sibling(module):
    """A member of a family by its first name: bot.hosts.github_client -> bot.hosts.github."""
    parts = module.split(".")
    if len(parts) < 3 or parts[1] not in FAMILIES:
        return None
    whole = ".".join(parts[:3])
    return next((name for name in SIBLINGS if whole.startswith(name)), whole)


def violations(name, tree):
    """Each import of a module that goes against the house."""
    for other in imported(tree):
        top = other.partition(".")[0]
        if top == "bot" and other != "bot":
            yield from against_the_direction(name, other)
        if any(belongs(top, package) and not any(within(name, home) for home in HOMES[package]) for package in HOMES):
            yield f"{top} has another home than {name}"
        if within(name, "bot.review") and not pure(other, top):
            yield f"the core must not touch {other}"


def against_the_direction(name, other):
    if rank(other) > rank(name):
        yield f"{name} must not know {other}"
    if member(other) != member(name) and {member(other), member(name)} <= STRANGERS:
        yield f"{name} and {other} are strangers"
    mine, theirs = sibling(name), sibling(other)
    if mine and theirs and theirs not in {mine, "bot.checks.jail"}:
        yield f"{name} and {other} are siblings"


def belongs(top, package):
    return top == package or (package == "tree_sitter" and top.startswith("tree_sitter_"))


def pure(other, top):
    return other in PURE or top in PURE - {"urllib"} or top in CORE_PACKAGES or top.startswith("tree_sitter")


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name):
    assert not list(violations(name, ast.parse(MODULES[name].read_text())))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name):
    assert ast.get_docstring(ast.parse(MODULES[name].read_text()))
    assert MODULES[name].stem not in BANNED_NAMES


@pytest.mark.parametrize("name", MODULES)
def test_only_what_must_start_fast_imports_inside_functions(name):
    if name in {"bot.cli", "bot.cli_standards", "bot.wiring"}:
        pytest.skip("loads what a command, or a setting, asks for")
    tree = ast.parse(MODULES[name].read_text())
    inside = [
        ast.unparse(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert not inside


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, "bot.review")])
def test_the_core_knows_paths_only_as_names(name):
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "pathlib":
            assert {alias.name for alias in node.names} <= {"PurePath", "PurePosixPath"}
        assert not isinstance(node, ast.Import) or "pathlib" not in {alias.name for alias in node.names}
        assert not isinstance(node, ast.Call) or ast.unparse(node.func) not in {
            "open",
            "print",
            "input",
            "eval",
            "exec",
        }


@pytest.mark.parametrize("name", [name for name in MODULES if name != "bot.settings"])
def test_nobody_but_settings_reads_the_environment(name):
    source = MODULES[name].read_text()
    allowed = {"bot.cli", "bot.git", "bot.checks.jail"}
    assert name in allowed or ("os.environ" not in source and "getenv" not in source)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("bot.review.diff", "import bot.hosts.github"),
        ("bot.hosts.local", "from bot.models import offline"),
        ("bot.hosts.local", "from bot.hosts.github import GitHubHost"),
        ("bot.webhook", "import githubkit"),
        ("bot.review.triage", "import asyncio"),
        ("bot.review.triage", "import httpx"),
        ("bot.app", "from bot.server import serve"),
        ("bot.checks.ruff", "import subprocess"),
    ],
)
def test_the_rules_can_fail(name, source):
    assert list(violations(name, ast.parse(source)))

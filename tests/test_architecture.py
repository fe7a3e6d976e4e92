"""The shape of the package, as a test. Change a rule here before you break it there."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "bot").rglob("*.py"))
MODULES = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in FILES}
TREES = {name: ast.parse(file.read_text()) for name, file in MODULES.items()}

# A place may import from places to its left and from itself; places between commas do not know each other.
DIRECTION = """
errors, credentials < deadline, settings, webhook, core.policy < core.command < core.code < core.costs < core.findings < core.claims
       < core.comments < core.story < job < interfaces < telemetry.metrics < hosts, checks, engine, server < storage < model < standards < handlers
       < telemetry < sandbox < app_openai < app < web < cli < __main__
"""
FLOORS = [[f"bot.{place.strip()}" for place in floor.split(",")] for floor in DIRECTION.split("<")]
FLOOR = {place: number for number, floor in enumerate(FLOORS) for place in floor}
# The sandbox stands in for GitHub, so it may know nothing of the product but these.
SANDBOX_KNOWS = {"bot.sandbox", "bot.hosts.git", "bot.errors"}
# Members of a family do not know each other; what they share has the name that stands here.
FAMILIES = {
    "bot.hosts": {"bot.hosts.git", "bot.hosts.working_tree", "bot.hosts.clone"},
    "bot.checks": {
        "bot.checks.jail",
        "bot.checks.bounds",
        "bot.checks.jail_cell",
        "bot.checks.pack",
        "bot.checks.scan",
    },
    "bot.model.tools": {"bot.model.tools.bounds", "bot.model.tools.grep"},
}
# An outside package has one home.
HOMES = {
    "alembic": ("bot.storage",),
    "dbos": ("bot.engine",),
    "docx": ("bot.standards.archives",),
    "lxml": ("bot.standards.archives",),
    "fastapi": ("bot.server", "bot.sandbox"),
    "genai_prices": ("bot.app_openai",),
    "githubkit": ("bot.hosts.github",),
    "graphql": ("bot.sandbox",),
    "jinja2": ("bot.model.prompts", "bot.sandbox", "bot.web"),
    "markdown_it": (
        "bot.core.comments.sanitize",
        "bot.standards.formats",
        "bot.standards.sections",
        "bot.sandbox",
    ),
    "mdformat": ("bot.core.comments.sanitize",),
    "openai": ("bot.model", "bot.standards.vector_store", "bot.standards.vector_store_api"),
    "opentelemetry": ("bot.telemetry.traces",),
    "prometheus_client": ("bot.telemetry.metrics",),
    "pydantic_settings": ("bot.settings",),
    "pypdf": ("bot.standards.archives",),
    "snowballstemmer": ("bot.standards.query",),
    "sqlalchemy": ("bot.storage", "bot.engine"),
    "starlette": ("bot.server", "bot.sandbox", "bot.web"),
    "subprocess": ("bot.checks.jail", "bot.hosts.git"),
    "tree_sitter": ("bot.core.code.syntax",),
    "typer": ("bot.cli",),
    "unidiff": ("bot.core.code.diff",),
    "uvicorn": ("bot.cli.serve", "bot.server"),
    "yaml": ("bot.core.policy", "bot.core.findings.executable_rules", "bot.checks.pack", "bot.web.setup_app"),
}
PURE = {"urllib.parse"} | set(sys.stdlib_module_names) - {
    "asyncio", "datetime", "http", "io", "logging", "multiprocessing", "os", "random", "secrets", "shutil",
    "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
CORE_PACKAGES = {
    "pydantic", "unidiff", "markdown_it", "mdformat", "wcmatch", "bracex", "yaml", "jinja2", "bot",
}  # fmt: skip


def within(module, place):
    return f"{module}.".startswith(f"{place}.")


def place_of(module):
    """The place of the direction that a module belongs to: bot.hosts.local -> bot.hosts; the longest name wins."""
    return max((place for place in FLOOR if within(module, place)), key=len, default=None)


def imported(tree):
    """Every module that a tree imports, with `from package import module` resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in inner)


def violations(name, tree):
    """Each import of a module that goes against the house."""
    for other in imported(tree):
        top = other.partition(".")[0]
        if top == "bot" and other != "bot":
            yield from against_the_direction(name, other)
        if any(belongs(top, package) and not any(within(name, home) for home in HOMES[package]) for package in HOMES):
            yield f"{top} has another home than {name}"
        if within(name, "bot.core") and not pure(other, top):
            yield f"the core must not touch {other}"


def against_the_direction(name, other):
    mine, theirs = place_of(name), place_of(other)
    if within(name, "bot.sandbox"):
        if not any(within(other, known) for known in SANDBOX_KNOWS):
            yield f"the sandbox must not know {other}"
        return
    if theirs is None or other == "bot.core":
        return
    if mine is None:
        yield f"{name} has no place in the direction"
    elif mine != theirs and FLOOR[theirs] >= FLOOR[mine]:
        yield f"{name} must not know {other}"
    for family, shared in FAMILIES.items():
        if within(name, family) and within(other, family) and are_siblings(name, other, family, shared):
            yield f"{name} and {other} are siblings"


def are_siblings(name, other, family, shared):
    first, second = (".".join(module.split(".")[: family.count(".") + 2]) for module in (name, other))
    return family not in {name, other} and first != second and second not in shared


def belongs(top, package):
    return top == package or (package == "tree_sitter" and top.startswith("tree_sitter_"))


def pure(other, top):
    return other in PURE or top in PURE or top in CORE_PACKAGES or top.startswith("tree_sitter")


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name):
    assert not list(violations(name, TREES[name]))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("bot.core.code.diff", "import bot.hosts.github"),
        ("bot.core.code.diff", "from bot.core.findings.triage import triage"),
        ("bot.hosts.local", "from bot.model import offline"),
        ("bot.hosts.local", "from bot.hosts.github.host import GitHubHost"),
        ("bot.checks.ruff", "from bot.checks.hygiene import check"),
        ("bot.model.tools.read_file", "from bot.model.tools.list_files import offer"),
        ("bot.webhook", "from bot.settings import Settings"),
        ("bot.webhook", "import githubkit"),
        ("bot.core.findings.triage", "import asyncio"),
        ("bot.core.findings.triage", "import httpx"),
        ("bot.app", "from bot.cli.serve import serve"),
        ("bot.sandbox.pages", "from bot.handlers import review"),
        ("bot.checks.ruff", "import subprocess"),
    ],
)
def test_the_direction_can_be_broken(name, source):
    assert list(violations(name, ast.parse(source)))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name):
    assert ast.get_docstring(TREES[name])


# Modules that load a package only where a command, or a setting, asks for it.
LAZY = {"bot.app", "bot.cli.jobs", "bot.app_openai", "bot.cli.commands", "bot.model.client", "bot.standards.archives"}


def imports_inside_functions(tree):
    return [
        ast.unparse(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]


@pytest.mark.parametrize("name", [name for name in MODULES if name not in LAZY])
def test_only_what_must_start_fast_imports_inside_functions(name):
    assert not imports_inside_functions(TREES[name])


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, "bot.core")])
def test_the_core_knows_paths_only_as_names(name):
    for node in ast.walk(TREES[name]):
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


# The environment is read by the settings; git and the jail build the one of their children, the command line asks for colour,
# and the server takes its secrets out.
READS_ENVIRONMENT = {"bot.settings", "bot.cli.serve", "bot.cli.commands", "bot.hosts.git", "bot.checks.jail"}


@pytest.mark.parametrize("name", [name for name in MODULES if name not in READS_ENVIRONMENT])
def test_only_the_settings_read_the_environment(name):
    read = {node.attr for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute)}
    named = {alias.name for node in ast.walk(TREES[name]) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not {"environ", "environb", "getenv"} & (read | named)


# --- Rooms, names and sizes. Each rule is a function that returns what breaks it, so that a test can break it on purpose.

MOST_ROOMS, MOST_FLAT, MOST_IN_A_ROOM, MOST_MODULES, LONGEST, SHORTEST = 12, 12, 14, 250, 500, 60
MOST_IN = {"bot": MOST_FLAT}
BANNED_NAMES = {
    "utils",
    "helpers",
    "common",
    "misc",
    "manager",
    "service",
    "base",
    "words",
    "lookups",
    "correspondence",
}
NOUNS = {
    "bot.core.findings.finding",
    "bot.core.findings.muting",
    "bot.core.code.generated",
}  # they end like a verb's form
# Files of a family stay apart however short they are.
FAMILY_ROOMS = (
    "bot.checks",
    "bot.model.offline",
    "bot.model.task_models",
    "bot.model.tools",
    "bot.storage.migrations",
    "bot.sandbox",
)
# Class names that still mean two things. This list may only shrink.
SHARED_CLASS_NAMES: set[str] = set()
# Siblings behind an interface; only the composition root and the command line name them.
CONCRETE = {
    "GitHubHost": "bot.hosts.github",
    "GitHubPublisher": "bot.hosts.github",
    "GitHubClient": "bot.hosts.github",
    "LocalHost": "bot.hosts.local",
    "OfflineModel": "bot.model",
    "ChatModel": "bot.model",
    "ResponsesModel": "bot.model",
    "FolderStandards": "bot.standards",
    "VectorStoreStandards": "bot.standards",
    "DurableEngine": "bot.engine",
}
COMPOSERS = ("bot.app", "bot.app_openai", "bot.cli")


def own_modules(names):
    """Rooms (dotted, without the sandbox's) to the modules that stand directly in them."""
    rooms = Counter(name.rpartition(".")[0] for name in names if MODULES[name].stem != "__init__")
    return {room: count for room, count in rooms.items() if not within(room, "bot.sandbox")}


def crowded(rooms):
    """Rooms with too many modules of their own, rooms counted by name -> number of modules."""
    return [room for room, count in rooms.items() if count > MOST_IN.get(room, MOST_IN_A_ROOM)]


def misnamed(names):
    """Modules whose last name says nothing, or is a verb's form."""
    stems = {name: name.rpartition(".")[2] for name in names}
    formed = {name for name, stem in stems.items() if re.search(r"(ing|ed)$", stem)} - NOUNS
    return sorted(formed | {name for name, stem in stems.items() if stem in BANNED_NAMES})


def importers(trees):
    """Each module to the modules that import it."""
    found = {name: set() for name in trees}
    for name, tree in trees.items():
        for other in imported(tree):
            if other in found and other != name:
                found[other].add(name)
    return found


def missized(lines, imported_by):
    """Modules that are too long, and short ones that belong into their only importer."""
    for name, count in lines.items():
        if count > LONGEST:
            yield f"{name} has {count} lines: is this one thing?"
        family = any(within(name, room) for room in FAMILY_ROOMS)
        if count < SHORTEST and not family and len(imported_by.get(name, ())) == 1:
            yield f"{name} has {count} lines: merge it into {', '.join(imported_by[name])}"


def public_classes(trees):
    """Each public class name outside the sandbox to the modules that define it."""
    found = {}
    for name, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not within(name, "bot.sandbox"):
                found.setdefault(node.name, []).append(name)
    return found


def concrete_outside_composers(name, tree):
    """Concrete classes that a module imports although it neither composes nor lives in their room."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not any(within(name, composer) for composer in COMPOSERS):
            names = (alias.name for alias in node.names)
            yield from (one for one in names if one in CONCRETE and not within(name, CONCRETE[one]))


def without_a_place(names):
    """Modules that the direction does not mention."""
    packages = {"bot", "bot.core"}
    return [name for name in names if place_of(name) is None and name not in packages]


def test_the_house_has_few_rooms_and_no_crowded_one():
    rooms = {file.parent.name for file in FILES if file.parent.parent == ROOT / "bot"}
    assert len(rooms) <= MOST_ROOMS
    assert len(MODULES) <= MOST_MODULES
    assert crowded(own_modules(MODULES)) == []


def test_every_module_has_a_place_in_the_direction():
    assert without_a_place(MODULES) == []


def test_module_names_are_nouns_that_say_something():
    assert misnamed(MODULES) == []


def test_a_module_is_neither_a_splinter_nor_a_heap():
    lines = {
        name: len(file.read_text().splitlines())
        for name, file in MODULES.items()
        if file.stem not in {"__init__", "__main__"}
    }
    assert list(missized(lines, importers(TREES))) == []


def test_a_public_class_name_means_one_thing():
    shared = {name for name, places in public_classes(TREES).items() if len(places) > 1}
    assert shared == SHARED_CLASS_NAMES


@pytest.mark.parametrize("name", MODULES)
def test_concrete_classes_are_named_only_where_things_are_composed(name):
    assert list(concrete_outside_composers(name, TREES[name])) == []


def test_the_rules_of_the_house_can_be_broken():
    assert crowded({"bot": 13, "bot.core.code": 15, "bot.engine": 14}) == ["bot", "bot.core.code"]
    assert without_a_place(["bot.somewhere.new"]) == ["bot.somewhere.new"]
    assert misnamed(["bot.core.utils", "bot.handlers.asking", "bot.handlers.gathered", "bot.job"]) == [
        "bot.core.utils",
        "bot.handlers.asking",
        "bot.handlers.gathered",
    ]
    sizes = {"bot.core.heap": 501, "bot.core.splinter": 59, "bot.checks.tiny": 20, "bot.core.shared": 59}
    users = {"bot.core.splinter": {"bot.job"}, "bot.core.shared": {"bot.job", "bot.app"}}
    broken = list(missized(sizes, users))
    assert [line.partition(" ")[0] for line in broken] == ["bot.core.heap", "bot.core.splinter"]
    twice = ast.parse("class Change: ...")
    assert public_classes({"bot.a": twice, "bot.b": twice, "bot.sandbox.c": twice}) == {"Change": ["bot.a", "bot.b"]}
    named = ast.parse("from bot.hosts.github.host import GitHubHost")
    assert list(concrete_outside_composers("bot.handlers.review", named)) == ["GitHubHost"]
    assert importers({"bot.job": ast.parse("import bot.errors"), "bot.errors": ast.parse("")})["bot.errors"] == {
        "bot.job"
    }


def test_tests_share_what_they_need_through_support():
    """A module of tests imports no other one: what both need is in tests/support."""
    pattern = re.compile(r"^(?:from|import) tests\.(?!support\b)\S+", re.MULTILINE)
    files = sorted((ROOT / "tests").rglob("*.py"))

    assert {str(file.relative_to(ROOT)): found for file in files if (found := pattern.findall(file.read_text()))} == {}

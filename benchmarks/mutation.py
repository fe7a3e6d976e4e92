"""Changes security code in small ways and counts the changes that its tests notice: at least 90 % must be.

`rules` breaks each of the rules R1 to R11 once, on purpose. Works on a copy of the project. Each change that no test notices is printed with its line. Exits with 1 below 90 %.

    python benchmarks/mutation.py [--most 40] [rules signature gate sanitiser anchor budget marker]
"""

import argparse
import ast
import copy
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FEWEST = 0.9
CPU_SECONDS, SECONDS, TIMES = 25, 30.0, 5
"""A change is noticed too if the tests use so much CPU, or wait so much longer than TIMES the time without it."""
OPTIONS = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--hypothesis-seed=0",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A module, the functions and classes in it that are changed (all if empty), and the tests that must notice.

    `without` are words in the names of tests that are slow and look at something else, like CPU.
    """

    module: str
    names: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """What pytest is called with."""
        left_out = " and ".join(f"not {word}" for word in self.without)
        return (*(("-k", left_out) if left_out else ()), *self.tests)


TARGETS: dict[str, Target] = {
    "signature": Target(
        "bot/webhook.py",
        ("signed_digest", "verify", "parse", "_read"),
        (
            "tests/corpus/test_corpus.py::test_a_delivery_gets_its_status_and_is_stored_or_not",
            "tests/test_server.py",
        ),
        ("closed_in_time", "stays_away", "bodies_in_flight", "hangs_up"),
    ),
    "gate": Target("bot/handlers/permissions.py", ("Gate",), ("tests/handlers/test_permissions.py",)),
    "sanitiser": Target(
        "bot/core/comments/sanitize.py",
        (),
        ("tests/comments/test_sanitize.py",),
        ("is_fast", "take_no_longer", "never_parsed", "cleaning_twice", "hidden_classes"),
    ),
    "anchor": Target(
        "bot/core/findings/anchor.py", (), ("tests/findings/test_anchor.py",), ("standard_library", "this_repositorys")
    ),
    "budget": Target("bot/model/account.py", ("LedgerAccount", "person_of", "_cost"), ("tests/model/test_account.py",)),
    "marker": Target("bot/core/comments/marker.py", (), ("tests/comments/test_marker.py",)),
}

RULES: dict[str, tuple[str, str, str, str]] = {
    "R1": (
        "bot/hosts/github/auth.py",
        'READ = (("contents", "read")',
        'READ = (("contents", "write")',
        "tests/hosts/test_github_host.py::test_reading_never_uses_a_token_that_can_write",
    ),
    "R2": (
        "bot/core/claims/prompt.py",
        '"additionalProperties": False',
        '"additionalProperties": True',
        "tests/claims/test_prompt_schema.py::test_every_answer_is_within_the_strict_subset",
    ),
    "R3": (
        "bot/model/tools/get_github_issue.py",
        'raise PydanticCustomError("denied", "denied: issues of this repository only, by number")',
        "return 1",
        "tests/tools/test_tools.py::test_an_issue_of_another_repository_is_denied_before_anybody_is_asked",
    ),
    "R4": (
        "bot/standards/documents.py",
        'document.visibility == "public"',
        "document.visibility",
        "tests/standards/test_documents.py::test_on_a_public_pull_request_another_repositorys_documents_need_the_label_public",
    ),
    "R5": (
        "bot/core/claims/prompt.py",
        "text.replace(name, '⟦nonce⟧')",
        "text",
        "tests/corpus/test_corpus.py::test_a_strangers_text_stays_inside_its_fence",
    ),
    "R6": (
        "bot/core/comments/sanitize.py",
        'if token.type == "image":',
        'if token.type == "picture":',
        "tests/comments/test_sanitize.py::test_nothing_hostile_survives",
    ),
    "R7": (
        "bot/core/findings/suggestion.py",
        '(_GOVERNING.search(path), "the file governs',
        '(None, "the file governs',
        "tests/findings/test_suggestion.py::test_what_is_not_offered_has_a_reason",
    ),
    "R8": (
        "bot/handlers/read.py",
        "entries = await host.tree(pull.ref, pull.base_sha)\n    entry =",
        "entries = await host.tree(pull.ref, pull.head_sha)\n    entry =",
        "tests/handlers/test_head_cannot_change_the_policy.py::test_the_head_cannot_change_the_policy",
    ),
    "R9": (
        "bot/handlers/permissions.py",
        "return permission >= Permission[policy.minimum_permission.upper()]",
        "return True",
        "tests/handlers/test_permissions_all.py::test_what_somebody_asks_for_takes_the_permission_that_the_policy_names",
    ),
    "R10": (
        "bot/hosts/github/transport.py",
        "if not same_origin(request.url, self._url):",
        "if False:",
        "tests/hosts/test_github_client.py::test_nothing_is_sent_to_another_host_than_the_configured_one",
    ),
    "R11": (
        "bot/storage/migrations/versions/0003_audit.py",
        'for change in ("UPDATE", "DELETE"):',
        "for change in ():",
        "tests/storage/test_audit.py::test_no_entry_is_changed_or_deleted",
    ),
}
"""For each rule of docs/explanation/security.md: how it is broken once (module, text, new text), and the test that must notice."""

EQUAL: dict[str, dict[tuple[str, str], str]] = {
    "signature": {
        ("include_url", "False -> (True)"): "only place and message of an error are shown",
        (
            "where or",
            "where or 'body' -> (where and",
        ): "pydantic names a place in every error but that of the whole body",
        ("raise", "raise -> pass"): "the second reading of the same bytes raises the same error",
    },
    "anchor": {
        ("near is not None and", "near is not None -> "): "a shortcut: the search that follows finds the same line",
        ("initial=0", "0 -> (1)"): "only differences of these sums are read",
        ("is other.file", "self.file is other.file -> "): "a cache that never hits",
    },
    "sanitiser": {
        ("while at <", "at < len(said) -> "): "one step past the end adds nothing",
        ("2 * limit", "2 -> (3)"): "a bound on work: the result is cut again",
        ("default=0", "0 -> (1)"): "the widest of no paragraphs is below every bound",
    },
    "budget": {
        ("_settled: int = 0", "0 -> (1)"): "only differences of this count are read",
        ("self._settled += 1", "1 -> (2)"): "only differences of this count are read",
        ("uuid4", "8 -> (9)"): "the length of a random name",
    },
}
"""For each target, changes without an effect that a test could notice: a piece of the line and the beginning of the change, with the reason.

They are printed and do not count.
"""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
CALLS = {"any": "all", "all": "any", "min": "max", "max": "min"}


def changed(node: ast.AST) -> ast.AST | None:
    """The node with one small change; None if this kind is left alone."""
    new = copy.deepcopy(node)
    match new:
        case ast.Raise():
            return ast.Pass()
        case ast.UnaryOp(op=ast.Not()):
            return new.operand
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            new.value = ast.Constant(None)
        case ast.IfExp():
            new.body, new.orelse = new.orelse, new.body
        case _:
            return new if _operation(new) else None
    return new


def _operation(new: ast.AST) -> bool:
    """Changes an operator, a number, a truth value or a call in place; returns whether it did."""
    match new:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new.ops = [COMPARISONS[type(op)]()]
        case ast.BoolOp():
            new.op = ast.Or() if isinstance(new.op, ast.And) else ast.And()
        case ast.Constant(value=bool() | int() | float()):
            new.value = not new.value if isinstance(new.value, bool) else new.value + 1
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            new.op = ARITHMETIC[type(op)]()
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            new.func = ast.Name(CALLS[name])
        case _:
            return False
    return True


def chosen(tree: ast.Module, names: tuple[str, ...]) -> Iterator[ast.AST]:
    """The functions and classes with these names, or all of them."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
            not names or node.name in names
        ):
            yield node


def mutants(source: str, names: tuple[str, ...]) -> Iterator[tuple[int, str, str]]:
    """(line, what changes, the changed source) for every small change of the code."""
    lines = source.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()) + 1)
    raw = source.encode()
    hints = set()
    for top in chosen(ast.parse(source), names):
        for node in ast.walk(top):
            hinted = (
                getattr(node, "annotation", None),
                getattr(node, "returns", None),
                *getattr(node, "decorator_list", ()),
            )
            hints |= {id(inner) for hint in hinted if hint for inner in ast.walk(hint)}
        for node in ast.walk(top):
            new = None if id(node) in hints else changed(node)
            if new is None or not hasattr(node, "lineno"):
                continue
            first = starts[node.lineno - 1] + node.col_offset
            last = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
            text = ast.unparse(ast.fix_missing_locations(new))
            text = text if isinstance(node, ast.stmt) else f"({text})"
            made = (raw[:first] + text.encode() + raw[last:]).decode()
            try:
                compile(made, "mutant", "exec")
            except SyntaxError:
                continue  # inside of an f-string, whose parts have no places of their own
            yield node.lineno, f"{raw[first:last].decode()} -> {text}".replace("\n", " ")[:160], made


def noticed(folder: Path, tests: tuple[str, ...], seconds: float = 600.0) -> bool:
    """Whether the tests fail, or take too long, in a process of their own that has everything but our code loaded."""
    loaded = folder / "loaded.json"
    if (child := os.fork()) == 0:
        _run_tests(folder, tests, loaded)
    end, status = time.monotonic() + seconds, None
    while status is None and time.monotonic() < end:
        pid, ended = os.waitpid(child, os.WNOHANG)
        status = ended if pid else None
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # also what it started
    if status is None:
        os.waitpid(child, 0)
    return status is None or os.waitstatus_to_exitcode(status) != 0


def _run_tests(folder: Path, tests: tuple[str, ...], loaded: Path) -> None:
    """Runs the tests in this process, which is a child of its own, writes down what it loaded, and ends it."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, 1)
    os.dup2(void, 2)
    status = 1
    try:
        status = int(pytest.main([*OPTIONS, *tests]))
        if not loaded.exists():
            loaded.write_text(json.dumps([name for name in sys.modules if not _is_ours(name)]))
    finally:
        os._exit(status)  # the blocks of the parent are not this process's to end


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in {"bot", "tests", "conftest", "__main__", "__mp_main__"} or "tests." in name


def load_what_tests_need(folder: Path) -> None:
    """Imports once, for all processes, what the first run of the tests imported from elsewhere."""
    for name in json.loads((folder / "loaded.json").read_text()):
        with suppress(Exception):
            importlib.import_module(name)


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the project in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "copy")
        left_out = shutil.ignore_patterns(".git", ".venv", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, folder, ignore=left_out)
        yield folder


def run(name: str, most: int) -> tuple[int, int]:
    """Prints the survivors of one target; returns how many changes were noticed, and how many were made."""
    target = TARGETS[name]
    source = (ROOT / target.module).read_text()
    made = list(mutants(source, target.names))
    if most and len(made) > most:
        made = sorted(random.Random(0).sample(made, most))
    rows, known = source.split("\n"), EQUAL.get(name, {})
    for change in list(made):
        line, what, _ = change
        if any(piece in rows[line - 1] and what.startswith(begins) for piece, begins in known):
            made.remove(change)
            print(f"  {target.module}:{line}: nothing can be seen of: {what}", flush=True)
    killed, begun = 0, time.monotonic()
    with copied() as folder:
        if noticed(folder, target.arguments):
            sys.exit(f"{name}: the tests fail without a change")
        load_what_tests_need(folder)
        allowed = SECONDS + TIMES * (time.monotonic() - begun)
        for count, (line, what, changed_source) in enumerate(made, 1):
            (folder / target.module).write_text(changed_source)
            if noticed(folder, target.arguments, allowed):
                killed += 1
            else:
                print(f"  {target.module}:{line}: {what}", flush=True)
            if count % 10 == 0:
                seconds = time.monotonic() - begun
                print(f"  ... {name}: {killed} of {count} of {len(made)}, {seconds:.0f} s", file=sys.stderr, flush=True)
    print(f"{name:10} {killed} of {len(made)} changes noticed ({killed / max(len(made), 1):.0%})", flush=True)
    return killed, len(made)


def rules() -> tuple[int, int]:
    """Breaks each rule once; returns how many breaks were noticed, and how many there are."""
    held = 0
    with copied() as folder:
        for rule, (module, old, new, test) in RULES.items():
            source = (ROOT / module).read_text()
            if source.count(old) != 1:
                sys.exit(f"{rule}: {module} has {source.count(old)} times: {old}")
            before = noticed(folder, (test,))
            (folder / module).write_text(source.replace(old, new))
            after = noticed(folder, (test,))
            (folder / module).write_text(source)
            held += after and not before
            print(f"  {rule:4} {'broken and noticed' if after and not before else 'NOT NOTICED'}: {test}", flush=True)
    print(f"{'rules':10} {held} of {len(RULES)} breaks noticed", flush=True)
    return held, len(RULES)


def main() -> None:
    """Run the targets."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--most", type=int, default=0, help="changes of each module, chosen at random; 0: all")
    options.add_argument("targets", nargs="*", default=["rules", *TARGETS])
    arguments = options.parse_args()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    results = [rules() if name == "rules" else run(name, arguments.most) for name in arguments.targets]
    killed, made = (sum(column) for column in zip(*results, strict=True))
    print(f"{'all':10} {killed} of {made} changes noticed ({killed / made:.0%})")
    sys.exit(any(good < FEWEST * all_of for good, all_of in results))


if __name__ == "__main__":
    main()

"""An operator's own analyser: any command that writes SARIF, read carefully."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest
from ruff import find_ruff_bin

from bot.checks import jail_cell
from bot.checks.jail import FILES, Jail
from bot.checks.sarif import Sarif
from bot.interfaces import Checked, Source
from bot.review.finding import Category, Severity
from bot.review.problem import Problem

pytestmark = pytest.mark.skipif(
    bool(jail_cell.obstacle()), reason=f"nothing can be confined here: {jail_cell.obstacle()}"
)
PYTHON = os.path.realpath(sys.executable)


def run(output: object, *, exit_code: int = 0, files: int = 2) -> Checked:
    """What comes of an analyser that prints `output`."""
    text = output if isinstance(output, str) else json.dumps(output)
    code = f"import sys; print({text!r}); sys.exit({exit_code})"
    check = Sarif("own", (PYTHON, "-I", "-S", "-c", code, FILES), Jail(), readable=(sys.base_prefix,))
    return asyncio.run(check.run([Source(f"src/{number}.go", "a\nb\nc\n") for number in range(files)]))


def log(*results: object, rules: object = ()) -> dict[str, object]:
    """A SARIF log of one run."""
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x", "rules": rules}}, "results": results}]}


def result(uri: str, line: int = 2, **more: object) -> dict[str, object]:
    """A result on `line` of the file at `uri`."""
    place = {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": line, "endLine": line}}}
    return {"ruleId": "R1", "message": {"text": "It is\n wrong"}, "locations": [place], **more}


@pytest.mark.parametrize(
    "uri", ["1.go", "./1.go", "/tmp/check-x/1.go", "file:///tmp/check-x/1.go", "file:///a%20b/1.go"]
)
def test_an_address_of_any_kind_leads_back_to_the_file(uri: str) -> None:
    rule = {"id": "R1", "helpUri": "https://own/R1", "shortDescription": {"text": "Because."}}

    assert run(log(result(uri), rules=[rule])).problems == (
        Problem(
            path="src/1.go",
            line=2,
            end=2,
            rule="R1",
            title="It is wrong",
            why="Because.",
            severity=Severity.WARNING,
            category=Category.CORRECTNESS,
            source="own",
            url="https://own/R1",
        ),
    )


def test_a_missing_level_is_the_rules() -> None:
    rule = {"id": "R1", "defaultConfiguration": {"level": "error"}, "properties": {"tags": ["security"]}}

    own, given = run(log(result("0.go"), result("0.go", level="note"), rules=[rule])).problems

    assert (own.severity, given.severity, own.category) == (Severity.ERROR, Severity.NOTE, Category.SECURITY)


def test_lines_that_do_not_exist_are_drawn_in() -> None:
    (low, high) = run(log(result("0.go", -3), result("0.go", 99))).problems

    assert (low.line, low.end, high.line, high.end) == (1, 1, 4, 4)


@pytest.mark.parametrize("exit_code", [0, 1, 13])
def test_the_exit_code_says_nothing(exit_code: int) -> None:
    assert len(run(log(result("0.go")), exit_code=exit_code).problems) == 1


@pytest.mark.parametrize(
    "output", ["", "not JSON", "[]", {"runs": 1}, log(result("7.go")), log(result("x.go")), log(result("-1.go"))]
)
def test_output_that_cannot_be_right_is_a_failure_that_is_said(output: object) -> None:
    checked = run(output)

    assert checked.problems == ()
    assert [path for path, _ in checked.failed] == ["src/0.go", "src/1.go"]
    assert all("gave no output that can be read" in reason for _, reason in checked.failed)


def test_a_crash_on_one_file_is_said_of_that_file() -> None:
    code = """
        import os, sys
        for name in sys.argv[1:]:
            if "crash" in open(name).read():
                os.abort()
        print('{"runs": []}')
    """
    command = (PYTHON, "-I", "-S", "-c", "\n".join(line[8:] for line in code.split("\n")), FILES)
    check = Sarif("own", command, Jail(), readable=(sys.base_prefix,))
    files = [Source(f"{number}.c", "crash" if number == 5 else "fine") for number in range(8)]

    assert asyncio.run(check.run(files)) == Checked(failed=(("5.c", "died of SIGABRT"),))


def test_a_real_analyser_can_be_configured() -> None:
    argv = (find_ruff_bin(), "check", "--isolated", "--no-cache", "--output-format", "sarif", FILES)
    check = Sarif("second-ruff", argv, Jail(), suffixes=(".py",))

    (problem,) = asyncio.run(check.run([Source("a/b.py", "import os\n")])).problems

    assert (problem.path, problem.line, problem.rule, problem.source) == ("a/b.py", 1, "F401", "second-ruff")
    assert problem.url == "https://docs.astral.sh/ruff/rules/unused-import"
    assert [path for path in ("a.py", "a.go") if check.reads(path)] == ["a.py"]

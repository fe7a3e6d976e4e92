"""An external analyser: what it says is read, and a file that breaks it costs the others nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from bot.checks import jail_cell
from bot.checks.jail import FILES, Analyser, Jail
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import CheckResult, Source

pytestmark = pytest.mark.skipif(
    bool(jail_cell.obstacle()), reason=f"nothing can be confined here: {jail_cell.obstacle()}"
)


def parse(output: bytes, files: Sequence[Source]) -> tuple[Problem, ...]:
    """A problem for each number in the output. Raises ValueError."""
    return tuple(
        Problem(files[int(n)].path, 1, 1, "R1", "It is wrong", "", Severity.NOTE, Category.HYGIENE, "own")
        for n in output.split()
    )


def run(script: str, texts: Sequence[str] = ("fine", "fine")) -> CheckResult:
    """What comes of a shell script over such files."""
    files = [Source(f"src/{number}.go", text) for number, text in enumerate(texts)]
    return asyncio.run(Analyser(("/bin/sh", "-c", script, "own", FILES), Jail(), parse).run(files))


@pytest.mark.parametrize("exit_code", [0, 1, 13])
def test_the_exit_code_says_nothing(exit_code: int) -> None:
    assert [problem.path for problem in run(f"echo 1; exit {exit_code}").problems] == ["src/1.go"]


def test_output_that_cannot_be_right_is_a_failure_that_is_said() -> None:
    checked = run("echo nonsense; echo 'what a pity' >&2")

    reason = "gave no output that can be read: what a pity"
    assert checked == CheckResult(failed=(("src/0.go", reason), ("src/1.go", reason)))


def test_a_crash_on_one_file_is_said_of_that_file() -> None:
    script = 'for file in "$@"; do read -r line < "$file"; [ "$line" = crash ] && kill -ABRT $$; done'
    texts = [("crash" if number == 5 else "fine") + "\n" for number in range(8)]

    assert run(script, texts) == CheckResult(failed=(("src/5.go", "died of SIGABRT"),))


def test_a_slow_program_has_one_clock_for_all_its_runs() -> None:
    files = [Source(f"src/{number}.go", "fine") for number in range(16)]
    began = time.monotonic()

    checked = asyncio.run(
        Analyser(("/bin/sh", "-c", "while :; do :; done", "own", FILES), Jail(seconds=1), parse).run(files)
    )

    assert time.monotonic() - began < 5
    assert sorted(path for path, _ in checked.failed) == sorted(file.path for file in files)
    assert {"was not analysed: the program took 2 s for the files before"} & {reason for _, reason in checked.failed}

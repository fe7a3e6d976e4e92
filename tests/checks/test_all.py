"""All checks together: what is planted is found, what is ordinary is not, and nothing makes them slow."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.checks import every, jail_cell
from bot.checks.bounds import BoundedCheck, excess
from bot.core.code.diff import Status, parse_patch
from bot.core.findings.problem import drafts
from bot.interfaces import Check, CheckResult, Source

CHECKS = every()
needs_ruff = pytest.mark.skipif(bool(jail_cell.obstacle()), reason=f"nothing can be confined: {jail_cell.obstacle()}")


async def run_all(files: list[Source], checks: tuple[Check, ...] = CHECKS) -> list[CheckResult]:
    """Every check over the files that are its business."""
    return [await check.run([file for file in files if check.reads(file.path)]) for check in checks]


def test_the_checks_and_their_names() -> None:
    assert [check.name for check in CHECKS] == [
        "ast-grep",
        "hygiene",
        "invisible",
        "line-rules",
        "oxlint",
        "ruff",
        "secrets",
        "zizmor",
    ]


@needs_ruff
def test_what_is_planted_is_found_and_what_was_there_is_not_news() -> None:
    before = "import os\n\n\ndef load(path):\n    return open(path)\n"
    planted = (
        "    print(missing)",
        "    key = 'ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5'",
        "    breakpoint()",
        "    # TODO tidy up",
        "    name = 'a\u202eb'",
    )
    after = before + "".join(f"{line}\n" for line in planted)
    file = parse_patch(
        "app.py",
        Status.MODIFIED,
        "@@ -4,2 +4,7 @@\n def load(path):\n     return open(path)\n" + "".join(f"+{line}\n" for line in planted),
    )

    async def both() -> tuple[list[CheckResult], list[CheckResult]]:
        return await run_all([Source("app.py", before)]), await run_all([Source("app.py", after)])

    old, new = asyncio.run(both())
    found = drafts(
        [problem for checked in old for problem in checked.problems],
        [problem for checked in new for problem in checked.problems],
        file,
        before,
        after,
    )

    rules = {(draft.quoted, draft.rule) for draft in found}
    assert rules == {
        (planted[0], "F821"),
        (planted[1], "F841"),
        (planted[1], "github-token"),
        (planted[2], "T100"),
        (planted[3], "unowned-todo"),
        (planted[4], "F841"),
        (planted[4], "invisible-characters"),
    }


@needs_ruff
def test_an_ordinary_file_yields_nothing() -> None:
    text = 'def add(one: int, other: int) -> int:\n    """The sum."""\n    return one + other\n'

    assert asyncio.run(run_all([Source("a.py", text), Source("b.md", "# Words\n")])) == [CheckResult()] * 8


@dataclass(frozen=True)
class Recorder:
    """A check that remembers nothing and says what it was given."""

    name: str = "recorder"
    whole: bool = True

    def reads(self, path: str) -> bool:
        return path.endswith(".x")

    async def run(self, files: list[Source]) -> CheckResult:
        return CheckResult(failed=tuple((file.path, "was given") for file in files))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a" * 100_000 + "\n" + "b\n" * 19_998, ""),
        ("a\n" * 20_000, "has over 20,000 lines"),
        ("äääää\n" * 50_000, "is over 512 KB"),
        (("ä" * 4_000 + "\n") * 64, ""),
        (("ä" * 4_000 + "\n") * 66, "is over 512 KB"),
        ("", ""),
    ],
)
def test_no_check_sees_a_file_over_the_bounds(text: str, reason: str) -> None:
    check = BoundedCheck(Recorder())

    checked = asyncio.run(check.run([Source("good.x", "a"), Source("other.x", text)]))

    assert excess(text) == reason
    assert checked.failed == (("good.x", "was given"), ("other.x", reason or "was given"))
    assert (check.name, check.reads("a.x"), check.reads("a.y")) == ("recorder", True, False)


HOSTILE = {
    "deep parentheses": "(" * 2_000 + ")" * 2_000,
    "very deep parentheses": "(\n" * 9_000 + ")\n" * 9_000,
    "very deep blocks": "".join(f"{' ' * min(i, 4_000)}if x:\n" for i in range(120)),
    "the same import": "import os\n" * 19_999,
    "one long list": "x = [\n" + ("1," * 2_400 + "\n") * 100 + "]\n",
    "nested f-strings": "x = " + 'f"{' * 800 + "1" + '}"' * 800,
    "operators": "x = " + "-" * 4_900 + "1\n",
    "decorators": "@a\n" * 5_000 + "def f(): ...\n",
    "nul bytes": "x = 1\0\n" * 1_000,
    "unclosed string": '"""' + "a\n" * 10_000,
    "a surrogate": "x = '\udc80'\n",
    "not code at all": "\x89PNG\r\n\x1a\n" * 1_000,
}


@needs_ruff
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_bounded_in_time(name: str) -> None:
    began = time.monotonic()

    results = asyncio.run(run_all([Source("hostile.py", HOSTILE[name]), Source("good.py", "import os\n")]))

    assert time.monotonic() - began < 25
    found = [problem for checked in results for problem in checked.problems if problem.path == "good.py"]
    assert [problem.rule for problem in found] == ["F401"]
    assert all(path == "hostile.py" and reason for checked in results for path, reason in checked.failed)


PIECES = st.sampled_from(
    ["import os", "x = eval('1')", "breakpoint()", "# TODO later", "y = 2", "", "a\u200bb = 1", "<<<<<<< HEAD", "@skip"]
)


@given(st.lists(st.tuples(st.sampled_from("+- "), PIECES), min_size=1, max_size=15))
@settings(max_examples=60)
def test_nothing_is_reported_on_lines_that_were_not_added(marks: list[tuple[str, str]]) -> None:
    before = "".join(f"{text}\n" for mark, text in marks if mark != "+")
    after = "".join(f"{text}\n" for mark, text in marks if mark != "-")
    counts = before.count("\n"), after.count("\n")
    header = f"@@ -{min(1, counts[0])},{counts[0]} +{min(1, counts[1])},{counts[1]} @@\n"
    file = parse_patch("a.py", Status.MODIFIED, header + "".join(f"{mark}{text}\n" for mark, text in marks))

    async def both() -> tuple[list[CheckResult], list[CheckResult]]:
        python_only = tuple(check for check in CHECKS if check.name in {"hygiene", "invisible", "secrets"})
        return await run_all([Source("a.py", before)], python_only), await run_all([Source("a.py", after)], python_only)

    old, new = asyncio.run(both())
    problems = [problem for checked in new for problem in checked.problems]
    for draft in drafts([one for checked in old for one in checked.problems], problems, file, before, after):
        assert draft.near in file.added_lines
        assert after.split("\n")[draft.near - 1] == draft.quoted

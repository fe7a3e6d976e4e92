"""What a new head does to known findings: only code that was looked at can be found fixed."""

from dataclasses import replace

import pytest

from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.findings.finding import Category, Severity, fingerprint, sketch
from bot.core.findings.known import FindingState, KnownFinding
from bot.core.findings.lifecycle import View, carry

GONE = "    charge(order, twice=True)"
KNOWN = KnownFinding(
    "a" * 16, "correctness", "pay", fingerprint(GONE), 1, "a.py", Category.CORRECTNESS, Severity.WARNING,
    title="It charges twice", line=2, words=sketch(GONE), weight=24, head="1" * 40,
)  # fmt: skip


def view(**values):
    text = "def pay(order):\n    return order\n"
    rows = text.removesuffix("\n").split("\n")
    file = FileDiff("a.py", Status.ADDED, (Hunk(tuple(Line(row, None, n) for n, row in enumerate(rows, 1))),))
    return View("2" * 40, Diff((file,)), {"a.py": text}, **values)


@pytest.mark.parametrize(
    ("read", "state", "head"),
    [
        ((), FindingState.OPEN, "1" * 40),
        (("b.py",), FindingState.OPEN, "1" * 40),
        (("a.py",), FindingState.FIXED, "2" * 40),
    ],
)
def test_code_that_is_gone_from_a_file_is_fixed_only_if_the_model_read_the_file(read, state, head):
    (known,) = carry([KNOWN], [], view(read=read)).known

    assert (known.state, known.head) == (state, head)


@pytest.mark.parametrize(("checked", "state"), [({}, FindingState.OPEN), ({"a.py": ("lint",)}, FindingState.FIXED)])
def test_a_finding_of_a_check_is_fixed_only_if_the_check_read_the_file(checked, state):
    (known,) = carry([replace(KNOWN, check="lint")], [], view(checked=checked)).known

    assert known.state is state

"""What is kept of a finding is read back as it was, also what earlier versions wrote."""

import json
from dataclasses import replace

import pytest

from bot.core.findings.finding import Category, Severity
from bot.core.findings.known import DismissedBy, FindingState, KnownFinding, pack, restore, unpack

OPEN = KnownFinding("a" * 16, "L1", "pay", "b" * 16, 1, "a.py", Category.CORRECTNESS, Severity.WARNING)


def dismissed(**values):
    return replace(OPEN, state=FindingState.DISMISSED, shown=FindingState.DISMISSED, by="alice", **values)


def old_marker(finding):
    """The marker of a version that did not keep how a dismissal came."""
    return json.dumps(json.loads(pack(finding))[:-1])


@pytest.mark.parametrize("how", [DismissedBy.COMMAND, DismissedBy.REACTION, DismissedBy.THREAD])
def test_a_marker_keeps_how_a_dismissal_came(how):
    finding = dismissed(reason="thumbs down", dismissed_by=how)

    assert unpack(finding.identity, pack(finding)) == finding


@pytest.mark.parametrize(
    ("reason", "resolved", "how"),
    [
        ("thumbs down", "", DismissedBy.COMMAND),
        ("too noisy here", "", DismissedBy.COMMAND),
        ("resolved without a change", "alice", DismissedBy.THREAD),
    ],
)
def test_a_dismissal_that_an_earlier_version_wrote_gets_the_way_it_came(reason, resolved, how):
    old = dismissed(reason=reason, resolved=resolved)

    assert unpack(old.identity, old_marker(old)) == replace(old, dismissed_by=how)
    assert restore(old) == replace(old, dismissed_by=how)


def test_the_words_of_a_command_are_no_reaction():
    finding = dismissed(reason="thumbs down", dismissed_by=DismissedBy.COMMAND)

    assert restore(finding) == finding


def test_an_open_finding_of_an_earlier_version_is_as_it_was():
    assert unpack(OPEN.identity, old_marker(OPEN)) == OPEN
    assert restore(OPEN) == OPEN

"""What had become of a finding when its pull request was merged: addressed, fixed, dismissed or ignored.

Strict, from what can be seen: a finding is addressed if its suggestion was committed, or if a person resolved its thread
and its code changed after the remark. That our own second look finds it fixed is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bot.core.code.diff import Diff
from bot.core.findings.finding import normal
from bot.core.findings.known import Known, Outcome, State
from bot.core.findings.match import follow, spots


def merged(known: Iterable[Known], diff: Diff, heads: Mapping[str, str]) -> tuple[Known, ...]:
    """Each finding with its outcome at the head that was merged."""
    known = tuple(known)
    standing = spots(known, diff, heads)
    return tuple(
        replace(one, outcome=_outcome(one, _suggested(one, diff, heads), changed=one.identity not in standing))
        for one in known
    )


def _outcome(one: Known, suggested: bool, *, changed: bool) -> Outcome:  # noqa: FBT001 - two facts about one finding
    if changed and (suggested or one.resolved):
        return Outcome.ADDRESSED
    if one.state in {State.DISMISSED, State.SUPERSEDED}:
        return Outcome.DISMISSED
    return Outcome.FIXED if one.state is State.FIXED else Outcome.IGNORED


def _suggested(one: Known, diff: Diff, heads: Mapping[str, str]) -> bool:
    """Whether the lines of its suggestion stand in its file."""
    file = follow(one.path, diff)
    text = heads.get(file.path, "") if file else ""
    return bool(one.suggestion) and f"\n{normal(one.suggestion)}\n" in f"\n{normal(text)}\n"

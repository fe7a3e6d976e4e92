"""What a new head does to the findings that are known, and which findings are new. Nothing is asked of anybody.

open ── gone, or a model sees it dealt with ─▶ fixed ── back ─▶ open        open ── elsewhere ─▶ moved (still open)
 └─ dismissed ── worse, once ─▶ superseded    open ── not part of the change ─▶ outdated

What had become of a finding when its pull request was merged: addressed, fixed, dismissed or ignored.

Strict, from what can be seen: a finding is addressed if its suggestion was committed, or if a person resolved its thread
and its code changed after the remark. That our own second look finds it fixed is counted apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.core.code.diff import Diff, FileDiff, Side, Status
from bot.core.findings.finding import Finding, fingerprint, normal
from bot.core.findings.known import FindingState, KnownFinding, Outcome, first
from bot.core.findings.match import FoundPlace, follow, pair, spots


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """What asking again came to: `fixed` says whether the finding is; None if that could not be told."""

    identity: str
    fixed: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The head as this round saw it.

    `checked` names for each file the checks that read it to its end, `read` the files of which the model saw every
    hunk that is new, `weighed` what it says of findings around whose lines the code changed. What nobody looked at cannot
    have been fixed.
    """

    head: str
    diff: Diff
    heads: Mapping[str, str] = field(default_factory=dict)
    checked: Mapping[str, Collection[str]] = field(default_factory=dict)
    read: Collection[str] = ()
    weighed: Mapping[str, RecheckResult] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CarriedFindings:
    """`known` as it is at this head, in its order. `again` holds the positions in what was found of what is known:
    it is not said twice. `worse` gives the position of a dismissed finding's successor the words that introduce it.
    """

    known: tuple[KnownFinding, ...] = ()
    again: frozenset[int] = frozenset()
    worse: Mapping[int, str] = field(default_factory=dict)


def carry(known: Sequence[KnownFinding], found: Sequence[Finding], view: View) -> CarriedFindings:
    """Match, then re-verify what was not found again."""
    living = [one for one in known if one.state is not FindingState.SUPERSEDED]
    standing = spots(living, view.diff, view.heads)
    pairs = dict(pair(living, found, standing, view.diff))
    after: list[KnownFinding] = []
    worse: dict[int, str] = {}
    for one in known:
        n = pairs.get(one)
        if n is None:
            after.append(_unmatched(one, standing.get(one.identity), view))
        elif words := _worse(one, found[n]):
            worse[n] = words
            after.append(replace(one, state=FindingState.SUPERSEDED, head=view.head, reason=found[n].identity))
        else:
            after.append(_found_again(one, found[n], view.head))
    return CarriedFindings(tuple(after), frozenset(pairs.values()) - worse.keys(), worse)


def _worse(one: KnownFinding, finding: Finding) -> str:
    """The new evidence against a dismissed finding, in words; none if there is none, or if it was raised once before."""
    if one.state is not FindingState.DISMISSED or one.raised or one.print == fingerprint(finding.code):
        return ""
    was, now = one.severity, finding.draft.severity
    if now <= was:
        return ""
    by = f" by {one.by}" if one.by else ""
    return f"Dismissed{by} before; said once more because the code changed: {was.name.lower()} then, {now.name.lower()} now."


def _found_again(one: KnownFinding, finding: Finding, head: str) -> KnownFinding:
    """The same finding where it is now: still open, open again, or still dismissed."""
    now = first(finding, head)
    there = replace(one, path=now.path, line=now.line, symbol=now.symbol, print=now.print, size=now.size)
    there = replace(there, words=now.words, weight=now.weight, guarded=False)
    return there if one.state is FindingState.DISMISSED else _open(there, one, head)


def _unmatched(one: KnownFinding, spot: FoundPlace | None, view: View) -> KnownFinding:
    """A finding that nobody found again: gone, out of the change, or merely not looked for."""
    if one.state is FindingState.SUPERSEDED or (one.state is FindingState.DISMISSED and not one.resolved):
        return one
    file = follow(one.path, view.diff)
    if (file is None or not (file.hunks or file.unread)) and (one.check or spot is None):
        return _gone(one, FindingState.OUTDATED, view)
    if file is not None and file.status is Status.REMOVED and one.side is Side.RIGHT:
        return _gone(one, FindingState.FIXED, view)
    return _by_check(one, file, spot, view) if one.check else _by_model(one, file, spot, view)


def _by_check(one: KnownFinding, file: FileDiff | None, spot: FoundPlace | None, view: View) -> KnownFinding:
    """A check that read the file and is silent has nothing to say any more."""
    if file is None or one.check not in view.checked.get(file.path, ()):
        return one
    still = spot is not None and file.added_lines.isdisjoint(range(spot.start, spot.line + 1))
    return _gone(one, FindingState.OUTDATED if still else FindingState.FIXED, view)


def _by_model(one: KnownFinding, file: FileDiff | None, spot: FoundPlace | None, view: View) -> KnownFinding:
    """A model finds nothing new in code that did not change: while it stands, so does the finding, unless it was weighed."""
    if spot is None:
        one = replace(one, guarded=False)
        if one.line is None or file is None or file.path not in view.heads:
            return one
        return _gone(one, FindingState.FIXED if file.path in view.read else FindingState.OUTDATED, view)
    there = replace(one, path=spot.path, line=one.line and spot.line)
    if one.state is FindingState.DISMISSED:
        return there
    if one.line and not _in_change(spot, one.side, view.diff):
        return _gone(there, FindingState.OUTDATED, view)
    return _weighed(there, one, view)


def _weighed(there: KnownFinding, before: KnownFinding, view: View) -> KnownFinding:
    """A finding whose lines stand: open, unless something else has dealt with it and nothing says that this is over."""
    look = view.weighed.get(before.identity)
    now = replace(there, weighed=view.head) if look else there
    fixed = before.guarded if look is None or look.fixed is None else look.fixed
    if not fixed:
        return _open(replace(now, guarded=False), before, view.head)
    if before.guarded:
        return now
    return replace(
        now, state=FindingState.FIXED, head=view.head, by="", reason=look.reason if look else "", guarded=True
    )


def _in_change(spot: FoundPlace, side: Side, diff: Diff) -> bool:
    file = diff.file(spot.path)
    lines = [line.number(side) for hunk in file.hunks for line in hunk.on(side)] if file else []
    return any(spot.start <= (number or 0) <= spot.line for number in lines)


def _open(there: KnownFinding, before: KnownFinding, head: str) -> KnownFinding:
    moved = there.path != before.path or before.state is FindingState.MOVED
    state = FindingState.MOVED if moved else FindingState.OPEN
    if state is before.state and there.path == before.path:
        return there
    return replace(there, state=state, head=head, by="", reason="")


def _gone(one: KnownFinding, state: FindingState, view: View) -> KnownFinding:
    already = one.state in {FindingState.FIXED, FindingState.OUTDATED}
    return one if already or state is one.state else replace(one, state=state, head=view.head, reason="")


def merged(known: Iterable[KnownFinding], diff: Diff, heads: Mapping[str, str]) -> tuple[KnownFinding, ...]:
    """Each finding with its outcome at the head that was merged."""
    known = tuple(known)
    standing = spots(known, diff, heads)
    return tuple(
        replace(one, outcome=_outcome(one, _suggested(one, diff, heads), changed=one.identity not in standing))
        for one in known
    )


def _outcome(one: KnownFinding, suggested: bool, *, changed: bool) -> Outcome:  # noqa: FBT001 - two facts about one finding
    if changed and (suggested or one.resolved):
        return Outcome.ADDRESSED
    if one.state in {FindingState.DISMISSED, FindingState.SUPERSEDED}:
        return Outcome.DISMISSED
    return Outcome.FIXED if one.state is FindingState.FIXED else Outcome.IGNORED


def _suggested(one: KnownFinding, diff: Diff, heads: Mapping[str, str]) -> bool:
    """Whether the lines of its suggestion stand in its file."""
    file = follow(one.path, diff)
    text = heads.get(file.path, "") if file else ""
    return bool(one.suggestion) and f"\n{normal(one.suggestion)}\n" in f"\n{normal(text)}\n"

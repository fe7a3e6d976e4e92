"""What becomes of the known findings at a new head, and at the merge. Pure: asks neither GitHub nor a model.

open ── gone, or a model finds it fixed ─▶ fixed ── back ─▶ open        open ── elsewhere ─▶ moved (still open)
 └─ dismissed ── more severe, once ─▶ superseded    open ── not part of the change ─▶ outdated

At the merge each finding is addressed, fixed, dismissed or ignored. Addressed is strict: its suggestion was committed,
or a person resolved its thread and its code changed after the comment. A fix that only a later review saw is counted
separately, as fixed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.core.code.diff import Diff, FileDiff, Side, Status
from bot.core.findings.finding import Finding, fingerprint, normalize
from bot.core.findings.known import FindingState, KnownFinding, Outcome, new_known_finding
from bot.core.findings.match import FoundPlace, current_file, find_places, pair


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """The result of asking a model again about a finding: whether it is fixed; None if that is not known."""

    identity: str
    fixed: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The head as this review saw it.

    `checked` names for each file the checks that read all of it; `read` are the files of which the model read every new
    hunk; `weighed` has the model's results on findings around whose lines the code changed, by identity. A finding in
    code that was not looked at keeps its state.
    """

    head: str
    diff: Diff
    heads: Mapping[str, str] = field(default_factory=dict)
    checked: Mapping[str, Collection[str]] = field(default_factory=dict)
    read: Collection[str] = ()
    weighed: Mapping[str, RecheckResult] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CarriedFindings:
    """The known findings at this head, in the same order.

    `again` are the positions in the new findings of those that are known already and are not posted twice. `worse` maps
    the position of a finding that supersedes a dismissed one to the sentence that introduces it.
    """

    known: tuple[KnownFinding, ...] = ()
    again: frozenset[int] = frozenset()
    worse: Mapping[int, str] = field(default_factory=dict)


def carry(known: Sequence[KnownFinding], found: Sequence[Finding], view: View) -> CarriedFindings:
    """Matches known findings with what was found now, and updates the state of those that were not found again."""
    living = [before for before in known if before.state is not FindingState.SUPERSEDED]
    standing = find_places(living, view.diff, view.heads)
    pairs = dict(pair(living, found, standing, view.diff, view.heads))
    after: list[KnownFinding] = []
    worse: dict[int, str] = {}
    for before in known:
        n = pairs.get(before)
        if n is None:
            after.append(_update_unmatched(before, standing.get(before.identity), view))
        elif words := _escalation(before, found[n]):
            worse[n] = words
            after.append(replace(before, state=FindingState.SUPERSEDED, head=view.head, reason=found[n].identity))
        else:
            after.append(_update_place(before, found[n], view.head))
    return CarriedFindings(tuple(after), frozenset(pairs.values()) - worse.keys(), worse)


def _escalation(before: KnownFinding, finding: Finding) -> str:
    """Returns the sentence for a dismissed finding that is more severe now; empty if it is not or was raised before."""
    if before.state is not FindingState.DISMISSED or before.raised or before.print == fingerprint(finding.code):
        return ""
    was, now = before.severity, finding.draft.severity
    if now <= was:
        return ""
    by = f" by {before.by}" if before.by else ""
    return (
        f"Dismissed{by} before; posted again because the code changed: {was.name.lower()} then, {now.name.lower()} now."
    )


def _update_place(before: KnownFinding, finding: Finding, head: str) -> KnownFinding:
    """Returns the same finding at its current place: still open, open again, or still dismissed."""
    now = new_known_finding(finding, head)
    there = replace(before, path=now.path, line=now.line, symbol=now.symbol, print=now.print, size=now.size)
    there = replace(there, words=now.words, weight=now.weight, guarded=False)
    return there if before.state is FindingState.DISMISSED else _reopen(there, before, head)


def _update_unmatched(before: KnownFinding, spot: FoundPlace | None, view: View) -> KnownFinding:
    """Returns a finding that was not found again: gone, out of the change, or unchanged because it was not looked for."""
    if before.state is FindingState.SUPERSEDED or (before.state is FindingState.DISMISSED and not before.resolved):
        return before
    file = current_file(before.path, view.diff)
    if (file is None or not (file.hunks or file.unread)) and (before.check or spot is None):
        return _close(before, FindingState.OUTDATED, view)
    if file is not None and file.status is Status.REMOVED and before.side is Side.RIGHT:
        return _close(before, FindingState.FIXED, view)
    return _by_check(before, file, spot, view) if before.check else _by_model(before, file, spot, view)


def _by_check(before: KnownFinding, file: FileDiff | None, spot: FoundPlace | None, view: View) -> KnownFinding:
    """Returns the finding of a check: fixed or outdated if the check read the file and does not report it."""
    if file is None or before.check not in view.checked.get(file.path, ()):
        return before
    still = spot is not None and file.added_lines.isdisjoint(range(spot.start, spot.line + 1))
    return _close(before, FindingState.OUTDATED if still else FindingState.FIXED, view)


def _by_model(before: KnownFinding, file: FileDiff | None, spot: FoundPlace | None, view: View) -> KnownFinding:
    """Returns the finding of a model. While its code exists it stays open, unless a recheck says that it is fixed.

    Gone code counts as fixed only if the model read every new hunk of the file.
    """
    if spot is None:
        before = replace(before, guarded=False)
        if before.line is None or file is None or file.path not in view.heads or file.path not in view.read:
            return before
        return _close(before, FindingState.FIXED, view)
    there = replace(before, path=spot.path, line=before.line and spot.line)
    if before.state is FindingState.DISMISSED:
        return there
    if before.line and not _in_change(spot, before.side, view.diff):
        return _close(there, FindingState.OUTDATED, view)
    return _apply_recheck(there, before, view)


def _apply_recheck(there: KnownFinding, before: KnownFinding, view: View) -> KnownFinding:
    """Returns a finding whose lines still exist: open, unless a recheck found it fixed and none has revoked that."""
    look = view.weighed.get(before.identity)
    now = replace(there, weighed=view.head) if look else there
    fixed = before.guarded if look is None or look.fixed is None else look.fixed
    if not fixed:
        return _reopen(replace(now, guarded=False), before, view.head)
    if before.guarded:
        return now
    return replace(
        now,
        state=FindingState.FIXED,
        head=view.head,
        by="",
        reason=look.reason if look else "",
        guarded=True,
    )


def _in_change(spot: FoundPlace, side: Side, diff: Diff) -> bool:
    file = diff.file(spot.path)
    lines = [line.number(side) for hunk in file.hunks for line in hunk.on(side)] if file else []
    return any(spot.start <= (number or 0) <= spot.line for number in lines)


def _reopen(there: KnownFinding, before: KnownFinding, head: str) -> KnownFinding:
    """Returns the finding open at its place; dismissed again if a person had dismissed it before its code went away."""
    if before.dismissed_by is not None:
        return replace(there, state=FindingState.DISMISSED, head=head)
    moved = there.path != before.path or before.state is FindingState.MOVED
    state = FindingState.MOVED if moved else FindingState.OPEN
    if state is before.state and there.path == before.path:
        return there
    return replace(there, state=state, head=head, by="", reason="", dismissed_by=None)


def _close(before: KnownFinding, state: FindingState, view: View) -> KnownFinding:
    """Returns the finding in a state that is not open. It keeps how it was dismissed, for the day its code returns."""
    already = before.state in {FindingState.FIXED, FindingState.OUTDATED}
    return before if already or state is before.state else replace(before, state=state, head=view.head, reason="")


def with_outcomes(known: Iterable[KnownFinding], diff: Diff, heads: Mapping[str, str]) -> tuple[KnownFinding, ...]:
    """Returns each finding with its outcome at the merged head."""
    known = tuple(known)
    standing = find_places(known, diff, heads)
    return tuple(
        replace(
            finding,
            outcome=_outcome(finding, _suggested(finding, diff, heads), changed=finding.identity not in standing),
        )
        for finding in known
    )


def _outcome(finding: KnownFinding, suggested: bool, *, changed: bool) -> Outcome:  # noqa: FBT001 - two facts about one finding
    if changed and (suggested or finding.resolved):
        return Outcome.ADDRESSED
    if finding.state in {FindingState.DISMISSED, FindingState.SUPERSEDED}:
        return Outcome.DISMISSED
    return Outcome.FIXED if finding.state is FindingState.FIXED else Outcome.IGNORED


def _suggested(finding: KnownFinding, diff: Diff, heads: Mapping[str, str]) -> bool:
    """Whether the lines of its suggestion are in its file."""
    file = current_file(finding.path, diff)
    text = heads.get(file.path, "") if file else ""
    return bool(finding.suggestion) and f"\n{normalize(finding.suggestion)}\n" in f"\n{normalize(text)}\n"

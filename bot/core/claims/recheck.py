"""Asks a model again about known findings whose lines are unchanged while the code around them changed.

A guard at another place can fix a finding. The model is asked about a few findings, once for each head, and a "refuted"
counts only if its evidence is found in a file that changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.core.claims.drafts import batch_of
from bot.core.claims.evidence import find_lines
from bot.core.claims.refute import HeadFacts
from bot.core.claims.schemas import Verdict, Verdicts
from bot.core.code.compare import Blocks, changed_paths, new_hunks
from bot.core.code.diff import Diff, Hunk, Side
from bot.core.code.plan import Batch, BatchPart
from bot.core.findings.finding import Draft
from bot.core.findings.known import FindingState, KnownFinding
from bot.core.findings.lifecycle import RecheckResult
from bot.core.findings.match import FoundPlace, find_places

MOST = 12  # most findings that one review asks about again, by severity
ROOM = 12_000  # characters of new code around one finding


@dataclass(frozen=True, slots=True)
class RecheckCandidate:
    """A known finding as a draft at this head. `news` are the new hunks of `changed`, the files that it depends on."""

    identity: str
    draft: Draft
    changed: frozenset[str]
    news: tuple[BatchPart, ...] = ()


@dataclass(frozen=True, slots=True)
class _Now:
    """The head, and what is new since a model last read the change."""

    head: str
    diff: Diff
    heads: Mapping[str, str]
    changed_paths: frozenset[str]
    news: Diff
    standing: Mapping[str, FoundPlace] = field(default_factory=dict)


def recheck_candidates(
    known: Iterable[KnownFinding], diff: Diff, heads: Mapping[str, str], seen: Blocks, head: str
) -> tuple[RecheckCandidate, ...]:
    """Returns the findings to ask about again at `head`. `diff` has the files under review, `seen` what a model has read.

    A finding depends on its own file and on those that its evidence names. A finding that an earlier recheck found fixed
    is asked about too, because its guard may be gone.
    """
    changed = changed_paths(diff, seen) if seen else frozenset()
    asked = [finding for finding in known if _may_have_changed(finding, head)] if changed else []
    now = _Now(head, diff, heads, changed, new_hunks(diff, seen), find_places(asked, diff, heads))
    found = [
        candidate
        for finding in sorted(asked, key=lambda finding: -finding.severity)
        if (candidate := _to_candidate(finding, now))
    ]
    return tuple(found[:MOST])


def recheck_batch(group: Sequence[RecheckCandidate], diff: Diff) -> Batch:
    """Returns the hunks that are shown for a group of candidates: their own, and what is new around them."""
    own = batch_of([candidate.draft for candidate in group], diff).parts
    hunks: dict[str, dict[Hunk, None]] = {}
    for part in (*own, *(part for candidate in group for part in candidate.news)):
        hunks.setdefault(part.path, {}).update(dict.fromkeys(part.hunks))
    return Batch(tuple(BatchPart(path, tuple(each)) for path, each in hunks.items()))


def recheck_results(group: Sequence[RecheckCandidate], answer: Verdicts, facts: HeadFacts) -> tuple[RecheckResult, ...]:
    """Returns the result for each candidate. A refutation counts if its evidence is found in a file that changed."""
    verdicts = {verdict.finding: verdict for verdict in answer.verdicts}
    return tuple(_to_result(candidate, verdicts.get(number), facts) for number, candidate in enumerate(group, 1))


def _may_have_changed(finding: KnownFinding, head: str) -> bool:
    """Whether the finding is a model's, is open or guarded, has a title, and was not asked about at this head."""
    alive = finding.standing or (finding.state is FindingState.FIXED and finding.guarded)
    return alive and bool(finding.title) and not finding.check and finding.weighed != head


def _to_candidate(finding: KnownFinding, now: _Now) -> RecheckCandidate | None:
    spot = now.standing.get(finding.identity)
    if spot is None:
        return None
    changed = now.changed_paths & {spot.path, *finding.named}
    quoted = _code_at(spot, finding.side, now)
    if not changed or not quoted:
        return None
    draft = Draft(
        path=spot.path,
        quoted=quoted,
        title=finding.title,
        why=finding.why,
        severity=finding.severity,
        category=finding.category,
        source="",
        side=finding.side,
        near=spot.start,
        symbol=finding.symbol,
    )
    return RecheckCandidate(finding.identity, draft, changed, tuple(_new_parts(changed, now.news)))


def _code_at(spot: FoundPlace, side: Side, now: _Now) -> str:
    """Returns the finding's code at the head."""
    text = now.heads.get(spot.path)
    if side is Side.RIGHT and text is not None:
        return "\n".join(text.split("\n")[spot.start - 1 : spot.line])
    file = now.diff.file(spot.path)
    lines = [line for hunk in file.hunks for line in hunk.on(side)] if file else []
    return "\n".join(line.text for line in lines if spot.start <= (line.number(side) or 0) <= spot.line)


def _new_parts(changed: Iterable[str], news: Diff) -> Iterable[BatchPart]:
    room = ROOM
    for path in sorted(changed):
        file = news.file(path)
        for hunk in file.hunks if file else ():
            size = sum(len(line.text) for line in hunk.lines)
            if size <= room:
                room -= size
                yield BatchPart(path, (hunk,))


def _to_result(candidate: RecheckCandidate, verdict: Verdict | None, facts: HeadFacts) -> RecheckResult:
    found = [] if verdict is None else list(find_lines(verdict.evidence, facts))
    if verdict is None or verdict.verdict == "unsure" or not found:
        return RecheckResult(candidate.identity, None)
    if verdict.verdict == "holds":
        return RecheckResult(candidate.identity, fixed=False)
    shown = any(line.path in candidate.changed for line in found)
    return RecheckResult(candidate.identity, True if shown else None, verdict.reason if shown else "")

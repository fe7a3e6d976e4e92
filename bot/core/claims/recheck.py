"""Known findings whose own lines stand while the code around them changed: is each still true at this head?

A guard elsewhere fixes a finding without touching it. Only a model can tell, so it is asked again: about a few findings,
once for each head, and believed only where it points to what changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.core.claims.schemas import Verdict, Verdicts
from bot.core.claims.verify import scene
from bot.core.code.compare import Blocks, fresh, touched
from bot.core.code.diff import Diff, Hunk, Side
from bot.core.code.plan import Batch, Part
from bot.core.findings.finding import Draft
from bot.core.findings.known import FindingState, KnownFinding
from bot.core.findings.lifecycle import RecheckResult
from bot.core.findings.match import FoundPlace, spots

MOST = 12  # findings that one review asks about again, the worst first
ROOM = 12_000  # characters of what is new around one of them


@dataclass(frozen=True, slots=True)
class RecheckCandidate:
    """A known finding as a claim about this head. `news` are the hunks that are new in `changed`, the files it hangs on."""

    identity: str
    draft: Draft
    changed: frozenset[str]
    news: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class _Now:
    """The head, and what of it is new since a model last read the change."""

    head: str
    diff: Diff
    heads: Mapping[str, str]
    touched: frozenset[str]
    news: Diff
    standing: Mapping[str, FoundPlace] = field(default_factory=dict)


def doubts(
    known: Iterable[KnownFinding], diff: Diff, heads: Mapping[str, str], seen: Blocks, head: str
) -> tuple[RecheckCandidate, ...]:
    """What to ask again about at `head`; `diff` are the files under review, `seen` is what a model has read of them.

    Files a finding hangs on are its own and those its evidence names. A finding that such a look found fixed is asked
    about too: its guard may be gone again.
    """
    changed = touched(diff, seen) if seen else frozenset()
    asked = [one for one in known if _may_have_changed(one, head)] if changed else []
    now = _Now(head, diff, heads, changed, fresh(diff, seen), spots(asked, diff, heads))
    found = [doubt for one in sorted(asked, key=lambda one: -one.severity) if (doubt := _doubt(one, now))]
    return tuple(found[:MOST])


def setting(group: Sequence[RecheckCandidate], diff: Diff) -> Batch:
    """What is shown to whoever judges a few of them: their own hunks, and what is new around them."""
    own = scene([doubt.draft for doubt in group], diff).parts
    hunks: dict[str, dict[Hunk, None]] = {}
    for part in (*own, *(part for doubt in group for part in doubt.news)):
        hunks.setdefault(part.path, {}).update(dict.fromkeys(part.hunks))
    return Batch(tuple(Part(path, tuple(each)) for path, each in hunks.items()))


def recheck_results(group: Sequence[RecheckCandidate], answer: Verdicts) -> tuple[RecheckResult, ...]:
    """What the verdicts say of each. A refutation counts if its evidence names a file that changed."""
    verdicts = {verdict.finding: verdict for verdict in answer.verdicts}
    return tuple(_weighed(doubt, verdicts.get(number)) for number, doubt in enumerate(group, 1))


def _may_have_changed(one: KnownFinding, head: str) -> bool:
    """Whether the finding is a model's, alive, known in words, and was not asked about at this head."""
    alive = one.standing or (one.state is FindingState.FIXED and one.guarded)
    return alive and bool(one.title) and not one.check and one.weighed != head


def _doubt(one: KnownFinding, now: _Now) -> RecheckCandidate | None:
    spot = now.standing.get(one.identity)
    if spot is None:
        return None
    changed = now.touched & {spot.path, *one.named}
    quoted = _lines(spot, one.side, now)
    if not changed or not quoted:
        return None
    draft = Draft(
        path=spot.path,
        quoted=quoted,
        title=one.title,
        why=one.why,
        severity=one.severity,
        category=one.category,
        source="",
        side=one.side,
        near=spot.start,
        symbol=one.symbol,
    )
    return RecheckCandidate(one.identity, draft, changed, tuple(_news(changed, now.news)))


def _lines(spot: FoundPlace, side: Side, now: _Now) -> str:
    """The finding's code as it stands at the head."""
    text = now.heads.get(spot.path)
    if side is Side.RIGHT and text is not None:
        return "\n".join(text.split("\n")[spot.start - 1 : spot.line])
    file = now.diff.file(spot.path)
    lines = [line for hunk in file.hunks for line in hunk.on(side)] if file else []
    return "\n".join(line.text for line in lines if spot.start <= (line.number(side) or 0) <= spot.line)


def _news(changed: Iterable[str], news: Diff) -> Iterable[Part]:
    room = ROOM
    for path in sorted(changed):
        file = news.file(path)
        for hunk in file.hunks if file else ():
            size = sum(len(line.text) for line in hunk.lines)
            if size <= room:
                room -= size
                yield Part(path, (hunk,))


def _weighed(doubt: RecheckCandidate, verdict: Verdict | None) -> RecheckResult:
    if verdict is None or verdict.verdict == "unsure" or not verdict.evidence:
        return RecheckResult(doubt.identity, None)
    if verdict.verdict == "holds":
        return RecheckResult(doubt.identity, fixed=False)
    changed = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, doubt.changed))})(?![\w/-]|\.\w)")
    shown = any(map(changed.search, verdict.evidence))
    return RecheckResult(doubt.identity, True if shown else None, verdict.reason if shown else "")

"""The drafts of the passes on their way to triage: merged, shown to the model again, and confirmed or dropped.

A draft that two passes found becomes one with higher confidence. A draft that is not confirmed is held back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bot.core.claims.evidence import find_lines, with_found_evidence
from bot.core.claims.material import FencedText
from bot.core.claims.refute import HeadFacts
from bot.core.claims.schemas import Verdict, Verdicts
from bot.core.code.diff import Diff, Hunk
from bot.core.code.plan import Batch, BatchPart
from bot.core.findings.anchor import anchor
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.topic import same_claim

GROUP = 8  # drafts of one batch that are verified together
NEAR = 5  # lines apart at which two equal quotes are still the same place
HUNKS = 3  # hunks that are shown if a draft has no place in the diff

Dropped = tuple[Draft, str]


def merge(passes: Iterable[Iterable[Draft]]) -> tuple[tuple[Draft, ...], tuple[Dropped, ...]]:
    """Returns the drafts of all passes, the best founded first, and those that were merged into another one.

    Two drafts of different passes are merged if their place and their claim are the same; two drafts of one pass only if
    they say the same word for word. The one with more evidence is kept, with the evidence and citations of both.
    """
    merged: list[Draft] = []
    absorbed: list[Dropped] = []
    for drafts in passes:
        before = len(merged)
        for draft in drafts:
            at = next((i for i, other in enumerate(merged) if _same(draft, other, repeated=i >= before)), None)
            if at is None:
                merged.append(draft)
            else:
                kept = _join(merged[at], draft)
                left = draft if kept.title == merged[at].title else merged[at]
                absorbed.append((left, f"merged with: {kept.title}"))
                merged[at] = kept
    ranked = sorted(merged, key=lambda draft: (-agreeing(draft), -draft.severity, -draft.confidence))
    return tuple(ranked), tuple(absorbed)


def agreeing(draft: Draft) -> int:
    """Returns the number of passes that found it."""
    return draft.source.count("+") + 1


def _same(draft: Draft, other: Draft, *, repeated: bool) -> bool:
    """Whether two drafts are about the same problem. Within one pass only repeated drafts are."""
    if draft.path != other.path or draft.side is not other.side or not _same_place(draft, other):
        return False
    if repeated:
        return (draft.title, draft.claim, draft.why) == (other.title, other.claim, other.why)
    return _same_topic(draft, other)


def _same_place(draft: Draft, other: Draft) -> bool:
    far = draft.near is not None and other.near is not None and abs(draft.near - other.near) > NEAR
    mine, theirs = _lines(draft), _lines(other)
    return not far and bool(mine & theirs)


def _same_topic(draft: Draft, other: Draft) -> bool:
    if draft.claim and other.claim:
        return draft.claim == other.claim
    if draft.rule and other.rule and draft.rule != other.rule:
        return False
    return same_claim(draft.title, other.title)


def _join(draft: Draft, other: Draft) -> Draft:
    """Returns the draft with more evidence, with the evidence and citations of both."""
    first, second = sorted((draft, other), key=_weight, reverse=True)
    return replace(
        first,
        severity=max(draft.severity, other.severity),
        source="+".join(dict.fromkeys((*draft.source.split("+"), *other.source.split("+")))),
        confidence=1 - (1 - draft.confidence) * (1 - other.confidence)
        if draft.source != other.source
        else first.confidence,
        claim=first.claim or second.claim,
        evidence=tuple(dict.fromkeys((*first.evidence, *second.evidence))),
        standard_refs=tuple(dict.fromkeys((*first.standard_refs, *second.standard_refs))),
        standard_quote=first.standard_quote or second.standard_quote,
    )


def _weight(draft: Draft) -> tuple[int, int, float]:
    return len(draft.evidence), len(draft.standard_refs), draft.confidence


def _lines(draft: Draft) -> set[str]:
    """Returns the lines of a quote without white space and without trivial lines."""
    lines = {"".join(line.split()) for line in draft.quoted.splitlines()}
    telling = {line for line in lines if len(line) > len("else:")}
    return telling or lines


def groups(drafts: Sequence[Draft], batches: Sequence[Batch]) -> Iterator[tuple[Draft, ...]]:
    """Yields groups of at most GROUP drafts of one batch, those of one file together; drafts of no batch are a batch too."""
    batch_numbers = {path: number for number, batch in enumerate(batches) for path in batch.paths}
    files = list(dict.fromkeys(draft.path for draft in drafts))
    ordered = sorted(drafts, key=lambda draft: files.index(draft.path))
    for number in dict.fromkeys(batch_numbers.get(path, -1) for path in files):
        mine = [draft for draft in ordered if batch_numbers.get(draft.path, -1) == number]
        yield from (tuple(mine[at : at + GROUP]) for at in range(0, len(mine), GROUP))


def numbered_claims(drafts: Sequence[Draft]) -> FencedText:
    """Returns the drafts as claims numbered from 1, without evidence, severity and source, which could persuade."""
    rows = [
        {
            "finding": number,
            "path": draft.path,
            "side": draft.side.value,
            "quoted_code": draft.quoted,
            "title": draft.title,
            "why": draft.why,
            "standard_refs": draft.standard_refs,
            "standard_quote": draft.standard_quote,
        }
        for number, draft in enumerate(drafts, 1)
    ]
    return FencedText("claims", "other reviewers", json.dumps(rows, ensure_ascii=False, indent=1))


def batch_of(drafts: Sequence[Draft], diff: Diff) -> Batch:
    """Returns the hunks of the drafts; the first hunks of the file if a quote is not in the diff."""
    anchors = [anchor(draft.path, draft.quoted, diff, draft.side, draft.near) for draft in drafts]
    hunks: dict[str, list[Hunk]] = {}
    for found in anchors:
        file = diff.file(found.path)
        for hunk in file.hunks if file else ():
            if any(line.number(found.side) == found.line for line in hunk.lines):
                hunks.setdefault(found.path, []).append(hunk)
        if file and found.line is None:
            hunks.setdefault(found.path, []).extend(file.hunks[:HUNKS])
    return Batch(tuple(BatchPart(path, tuple(dict.fromkeys(many))) for path, many in hunks.items()))


@dataclass(frozen=True, slots=True)
class VerifiedDrafts:
    """The `kept` drafts, and the `dropped` ones with the reason. `uncertain` are the grave ones of those that were unsure."""

    kept: tuple[Draft, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    uncertain: tuple[Dropped, ...] = ()


def apply_verdicts(
    drafts: Sequence[Draft], answer: Verdicts | None, facts: HeadFacts, reason: str = ""
) -> VerifiedDrafts:
    """Returns the confirmed drafts with the evidence of both passes that is found, and the others.

    A draft that got no verdict, an unsure one, or one whose evidence is not found is held back. That a claim is tied to
    changed lines was proven before (evidence.prove).
    """
    verdicts = {verdict.finding: verdict for verdict in answer.verdicts} if answer else {}
    kept: list[Draft] = []
    dropped: list[Dropped] = []
    uncertain: list[Dropped] = []
    for number, draft in enumerate(drafts, 1):
        verdict = verdicts.get(number)
        if why := _drop_reason(verdict, facts, reason):
            dropped.append((draft, why))
            if verdict and verdict.verdict == "unsure" and is_grave(draft):
                uncertain.append((draft, verdict.reason))
        else:
            seen = dict.fromkeys((*draft.evidence, *(verdict.evidence if verdict else ())))
            kept.append(with_found_evidence(replace(draft, evidence=tuple(seen)), facts))
    return VerifiedDrafts(tuple(kept), tuple(dropped), tuple(uncertain))


def is_grave(draft: Draft) -> bool:
    """Whether a claim is too grave to be forgotten if it can neither be confirmed nor refuted: a hole, or lost data."""
    if draft.category is Category.SECURITY:
        return draft.severity >= Severity.WARNING
    return draft.category is Category.CORRECTNESS and draft.severity >= Severity.ERROR


def _drop_reason(verdict: Verdict | None, facts: HeadFacts, reason: str) -> str:
    if verdict is None:
        return f"held: not verified ({reason or 'no verdict was given'})"
    if verdict.verdict == "refuted":
        return f"refuted: {verdict.reason}"
    if verdict.verdict == "unsure":
        return f"held: not verified ({verdict.reason})"
    if not verdict.evidence:
        return "held: not verified (no evidence was given)"
    found = any(True for _ in find_lines(verdict.evidence, facts))
    return "" if found else "held: not verified (its evidence was not found in the files)"

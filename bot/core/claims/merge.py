"""Merges the drafts of several passes; a draft that two passes found becomes one with higher confidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.core.claims.verify import Dropped
from bot.core.findings.finding import Draft
from bot.core.findings.topic import same_claim

NEAR = 5  # lines apart at which two equal quotes are still the same place


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

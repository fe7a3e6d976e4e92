"""Merges the drafts of several passes; a draft that two passes found becomes one with higher confidence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bot.core.findings.finding import Draft

NEAR = 5  # lines apart at which two equal quotes are still the same place
ALIKE = 0.5  # share of words that two titles about the same thing have in common

_word = re.compile(r"[^\W_]{3,}")


def merge(passes: Iterable[Iterable[Draft]]) -> tuple[Draft, ...]:
    """Returns the drafts of all passes: those that several passes found first, then by severity and confidence.

    Two drafts of different passes are merged if their place and topic are the same. The one with more evidence is kept,
    with the evidence and citations of both; its confidence rises.
    """
    merged: list[Draft] = []
    for drafts in passes:
        before = len(merged)
        for draft in drafts:
            at = next((i for i, other in enumerate(merged) if _same(draft, other, repeated=i >= before)), None)
            if at is None:
                merged.append(draft)
            else:
                merged[at] = _join(merged[at], draft)
    return tuple(sorted(merged, key=lambda draft: (-agreeing(draft), -draft.severity, -draft.confidence)))


def agreeing(draft: Draft) -> int:
    """Returns the number of passes that found it."""
    return draft.source.count("+") + 1


def _same(draft: Draft, other: Draft, *, repeated: bool) -> bool:
    """Whether two drafts are about the same problem. Within one pass only repeated drafts are."""
    if draft.path != other.path or draft.side is not other.side or not _same_place(draft, other):
        return False
    return (draft.title, draft.claim) == (other.title, other.claim) if repeated else _same_topic(draft, other)


def _same_place(draft: Draft, other: Draft) -> bool:
    far = draft.near is not None and other.near is not None and abs(draft.near - other.near) > NEAR
    mine, theirs = _lines(draft), _lines(other)
    return not far and bool(mine & theirs)


def _same_topic(draft: Draft, other: Draft) -> bool:
    if draft.claim and other.claim:
        return draft.claim == other.claim
    if draft.rule and other.rule:
        return draft.rule == other.rule
    mine, theirs = _words(draft.title), _words(other.title)
    return bool(mine and theirs) and len(mine & theirs) >= ALIKE * min(len(mine), len(theirs))


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


def _words(title: str) -> set[str]:
    return {word.lower() for word in _word.findall(title)}

"""Drafts of several passes -> one list: what two of them saw is one draft that weighs more."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bot.core.findings.finding import Draft

NEAR = 5  # lines apart at which two equal quotes are still the same place
ALIKE = 0.5  # share of words that two titles about the same thing have in common

_word = re.compile(r"[^\W_]{3,}")


def merge(passes: Iterable[Iterable[Draft]]) -> tuple[Draft, ...]:
    """The union of what the passes claim, those that several agree on first, then by severity and confidence.

    Two drafts of different passes are one when they stand at the same place and are about the same. The better founded
    one speaks, with the evidence and the citations of both; two independent looks raise its confidence.
    """
    merged: list[Draft] = []
    for drafts in passes:
        before = len(merged)
        for draft in drafts:
            at = next((i for i, other in enumerate(merged) if _same(draft, other, repeated=i >= before)), None)
            if at is None:
                merged.append(draft)
            else:
                merged[at] = _joined(merged[at], draft)
    return tuple(sorted(merged, key=lambda draft: (-agreeing(draft), -draft.severity, -draft.confidence)))


def agreeing(draft: Draft) -> int:
    """How many passes claim it."""
    return draft.source.count("+") + 1


def _same(one: Draft, other: Draft, *, repeated: bool) -> bool:
    """Whether two drafts are about the same; of one pass, only those that repeat each other are."""
    if one.path != other.path or one.side is not other.side or not _same_place(one, other):
        return False
    return (one.title, one.claim) == (other.title, other.claim) if repeated else _same_topic(one, other)


def _same_place(one: Draft, other: Draft) -> bool:
    far = one.near is not None and other.near is not None and abs(one.near - other.near) > NEAR
    mine, theirs = _lines(one), _lines(other)
    return not far and bool(mine & theirs)


def _same_topic(one: Draft, other: Draft) -> bool:
    if one.claim and other.claim:
        return one.claim == other.claim
    if one.rule and other.rule:
        return one.rule == other.rule
    mine, theirs = _words(one.title), _words(other.title)
    return bool(mine and theirs) and len(mine & theirs) >= ALIKE * min(len(mine), len(theirs))


def _joined(one: Draft, other: Draft) -> Draft:
    """The better founded of two drafts, speaking for both."""
    first, second = sorted((one, other), key=_weight, reverse=True)
    return replace(
        first,
        severity=max(one.severity, other.severity),
        source="+".join(dict.fromkeys((*one.source.split("+"), *other.source.split("+")))),
        confidence=1 - (1 - one.confidence) * (1 - other.confidence)
        if one.source != other.source
        else first.confidence,
        claim=first.claim or second.claim,
        evidence=tuple(dict.fromkeys((*first.evidence, *second.evidence))),
        standard_refs=tuple(dict.fromkeys((*first.standard_refs, *second.standard_refs))),
        standard_quote=first.standard_quote or second.standard_quote,
    )


def _weight(draft: Draft) -> tuple[int, int, float]:
    return len(draft.evidence), len(draft.standard_refs), draft.confidence


def _lines(draft: Draft) -> set[str]:
    """The telling lines of a quote, without white space."""
    lines = {"".join(line.split()) for line in draft.quoted.splitlines()}
    telling = {line for line in lines if len(line) > len("else:")}
    return telling or lines


def _words(title: str) -> set[str]:
    return {word.lower() for word in _word.findall(title)}

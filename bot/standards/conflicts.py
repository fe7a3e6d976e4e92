"""Finds sections of two documents that may contradict each other: the same heading, the opposite advice.

It compares words only, so that the same documents always give the same answer; a person decides. Documents for
different code or for different languages cannot contradict each other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from bot.core.findings.standard import Standard

MOST, MOST_STATEMENTS = 20, 300
"""Most conflicts that are reported, and most statements under one heading that are compared."""

_ALIKE = 0.6  # the share of the shorter statement's words that the other has
_FEWEST = 2  # words two statements have in common, beside the words of their heading
_FENCE = re.compile(r"^(```|~~~).*?^\1[`~]*\s*$", re.MULTILINE | re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n\s*\n|\n\s*(?:[-*+]|\d+\.)\s+|\n(?=#)")
_NOT = re.compile(
    r"\b(?:never|avoid|forbidden|prohibited|disallowed|cannot|can't|not allowed|no"
    r"|(?:must|do|does|should|shall|may)(?: not|n't))\b",
    re.IGNORECASE,
)
_YES = re.compile(r"\b(?:always|must|should|shall|prefer|required|do|use|allowed|may)\b", re.IGNORECASE)
_EITHER = (
    ("tabs", "spaces"),
    ("single quotes", "double quotes"),
    ("snake_case", "camelcase"),
    ("relative imports", "absolute imports"),
    ("merge commits", "rebase"),
)
_IDLE = frozenset(
    re.findall(
        r"\w+",
        """
        a all an and any are as at be but by each every for from if in into is it its on or that the their them this to we
        when with you your of only
        always must should shall may can do does use used using prefer required allowed
        never no not don avoid forbidden prohibited disallowed cannot
        """,
    )
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """The ids of two sections, and the sentence of each."""

    one: str
    other: str
    says: str
    against: str


@dataclass(frozen=True, slots=True)
class _Statement:
    """A sentence of a section: the words of its subject, and whether it forbids it."""

    section: Standard
    text: str
    words: frozenset[str]
    negative: bool


def conflicts(sections: Iterable[Standard]) -> tuple[Conflict, ...]:
    """Returns possible conflicts, in the order of the documents; at most one between two sections."""
    topics: dict[frozenset[str], list[_Statement]] = defaultdict(list)
    for section in sections:
        topic = _words(section.heading[-1]) if section.heading else frozenset[str]()
        if topic:
            topics[topic] += islice(_statements(section), MOST_STATEMENTS - len(topics[topic]))
    found: dict[tuple[str, str], Conflict] = {}
    for topic, statements in topics.items():
        for conflict in _among(statements, topic):
            found.setdefault((conflict.one, conflict.other), conflict)
    return tuple(found.values())[:MOST]


def _among(statements: Sequence[_Statement], topic: frozenset[str]) -> Iterator[Conflict]:
    for one, other in combinations(statements, 2):
        if _meet(one.section, other.section) and (_opposite(one, other, topic) or _exclusive(one, other)):
            yield Conflict(one.section.id, other.section.id, one.text, other.text)


def _meet(one: Standard, other: Standard) -> bool:
    """Whether two sections of different documents apply to the same code; a nested document may differ on purpose."""
    languages = not one.languages or not other.languages or bool({*one.languages} & {*other.languages})
    return (one.repo, one.document) != (other.repo, other.document) and one.scope == other.scope and languages


def _opposite(one: _Statement, other: _Statement, topic: frozenset[str]) -> bool:
    if one.negative == other.negative:
        return False
    shared = one.words & other.words
    enough = len(shared) >= _ALIKE * min(len(one.words), len(other.words))
    return enough and (len(shared - topic) >= _FEWEST or len(shared) > _FEWEST)


def _exclusive(one: _Statement, other: _Statement) -> bool:
    """Whether one asks for tabs and the other for spaces. A sentence that names both is not counted."""
    if one.negative or other.negative:
        return False
    left, right = one.text.lower(), other.text.lower()
    return any(
        (a in left and b not in left and b in right and a not in right)
        or (b in left and a not in left and a in right and b not in right)
        for a, b in _EITHER
    )


def _statements(section: Standard) -> Iterator[_Statement]:
    """Yields the sentences of a section that demand or forbid something."""
    prose = _FENCE.sub("\n\n", section.text)
    for sentence in _SENTENCE.split(prose):
        text = " ".join(sentence.replace("\u2019", "'").split())
        negative = bool(_NOT.search(text))
        if text and not text.startswith("#") and (negative or _YES.search(text)):
            yield _Statement(section, text, _words(text), negative)


def _words(text: str) -> frozenset[str]:
    """Returns the words of the subject, without the plural s."""
    found = (word.removesuffix("s") for word in re.findall(r"[a-z_]{2,}", text.lower()) if word not in _IDLE)
    return frozenset(found)

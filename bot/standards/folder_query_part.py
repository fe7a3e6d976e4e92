"""A question, a finding or a few lines of code -> the words to look for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.standards.query import CONCEPTS, STOP_WORDS

LONGEST = 4_000
"""Characters that are looked at."""
MOST = 40
"""Words of the text, and as many again of its concepts."""

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_RULE = re.compile(r"^(?:[A-Z]{1,8}\d{2,4}|[a-z0-9]+(?:[-/:]+[a-z0-9_]+)+)\s")  # E722, no-console, react/prop-types


@dataclass(frozen=True, slots=True)
class Query:
    """All words to look for, those of the first sentence, and those of each concept that it touches.

    The first sentence says what a text is about; an analyser's rule code is no part of it.
    """

    every: tuple[str, ...]
    said: tuple[str, ...]
    meant: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, text: str) -> Query:
        """Read `text`. Concepts are those of its first sentence, or else of all of it."""
        text = text[:LONGEST].strip()
        first = _SENTENCE.split(text, maxsplit=1)[0]
        meant = _concepts(first) or _concepts(text)
        added = dict.fromkeys(word for concept in meant for word in concept)
        every = dict.fromkeys((*words(text)[:MOST], *tuple(added)[:MOST]))
        return cls(tuple(every), words(_RULE.sub("", first))[:MOST], meant)

    @property
    def judged(self) -> tuple[str, ...]:
        """The words by which a section is judged."""
        return tuple(dict.fromkeys((*self.said, *(word for concept in self.meant for word in concept))))


def words(text: str) -> tuple[str, ...]:
    """The words that carry meaning, in lower case, each once."""
    found = (word for word in spread(text).lower().split() if word not in STOP_WORDS and len(word) > 1)
    return tuple(dict.fromkeys(found))


def spread(text: str) -> str:
    """The words of `text`, and beside each camelCase name the words inside of it."""
    return " ".join(f"{word} {_CAMEL.sub(' ', word)}" if _CAMEL.search(word) else word for word in _WORD.findall(text))


def _concepts(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(words(concept) for pattern, concept in CONCEPTS if pattern.search(text))

"""A conversation that fits: the last exchanges whole, earlier ones that the question is about, a line for each other.

Exchanges are kept or left whole, never cut in the middle; what is left out of the front is summarised, not lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import TypeVar

from bot.core.costs import estimate

_WORD = re.compile(r"[^\W_][\w.\-/]*[^\W_]|[^\W_]")
_LENGTHS = (160, 80, 40, 20)  # characters of a question or an answer in the summary
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """Somebody's question and our answer, in their words and ours."""

    asker: str
    question: str
    answer: str

    def __str__(self) -> str:
        return f"{self.asker}: {self.question}\nassistant: {self.answer}"


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """Tokens for the memory of a conversation: its newest exchanges, recalled older ones, and the summary."""

    recent: int = 6_000
    recalled: int = 3_000
    summary: int = 3_000


@dataclass(frozen=True, slots=True)
class Memory:
    """What is shown of a conversation, each part oldest first. Every exchange is in exactly one of the parts."""

    summary: tuple[str, ...] = ()
    recalled: tuple[Exchange, ...] = ()
    recent: tuple[Exchange, ...] = ()

    @property
    def tokens(self) -> int:
        """About how many tokens it is."""
        return sum(map(estimate, self.summary)) + sum(estimate(str(one)) for one in (*self.recalled, *self.recent))


def recall(exchanges: Sequence[Exchange], question: str, room: MemoryBudget | None = None) -> Memory:
    """The memory with which to answer `question`, within `room`."""
    room = room or MemoryBudget()
    recent = _newest(exchanges, room.recent)
    older = exchanges[: len(exchanges) - len(recent)]
    chosen = _about(older, question, room.recalled)
    rest = [(n, exchange) for n, exchange in enumerate(older, 1) if n - 1 not in chosen]
    return Memory(_summary(rest, room.summary), tuple(older[n] for n in sorted(chosen)), tuple(recent))


def _newest(said: Sequence[T], room: int) -> Sequence[T]:
    for count, one in enumerate(reversed(said)):
        room -= estimate(str(one))
        if room < 0:
            return said[len(said) - count :]
    return said


def _about(exchanges: Sequence[Exchange], question: str, room: int) -> frozenset[int]:
    """The exchanges that have most to do with `question`: words count for more the fewer exchanges have them."""
    words = [_words(str(exchange)) for exchange in exchanges]
    having = Counter(word for found in words for word in found)
    asked = _words(question)

    def weight(n: int) -> float:
        return sum(log(1 + len(exchanges) / having[word]) for word in asked & words[n])

    chosen: set[int] = set()
    for n in sorted(range(len(exchanges)), key=lambda n: (-weight(n), -n)):
        cost = estimate(str(exchanges[n]))
        if weight(n) > 0 and cost <= room:
            chosen.add(n)
            room -= cost
    return frozenset(chosen)


def _summary(numbered: Sequence[tuple[int, Exchange]], room: int) -> tuple[str, ...]:
    """A line an exchange: how each question and each answer begins. The more there are, the shorter the lines."""
    lines: list[str] = []
    for length in _LENGTHS:
        lines = [f"{n}. {_begin(one.question, length)} -> {_begin(one.answer, length)}" for n, one in numbered]
        if sum(map(estimate, lines)) <= room:
            break
    return tuple(_newest(lines, room))  # without the oldest of more than a hundred


def _begin(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1].rstrip() + "…"


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in map(str.lower, _WORD.findall(text)) if len(word) > 2)  # noqa: PLR2004 - "is", "to", …


def cut(exchange: Exchange, limit: int) -> Exchange:
    """An exchange whose question and answer have at most `limit` characters: what is worth remembering of it."""
    return replace(exchange, question=exchange.question[:limit], answer=exchange.answer[:limit])

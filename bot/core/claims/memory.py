"""Selects from a conversation what fits: the newest exchanges, related older ones, and one line for each other.

An exchange is shown whole or as one line of the summary.
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
    """A person's question and our answer."""

    asker: str
    question: str
    answer: str

    def __str__(self) -> str:
        return f"{self.asker}: {self.question}\nassistant: {self.answer}"


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """Token limits for the memory of a conversation: newest exchanges, recalled older ones, and the summary."""

    recent: int = 6_000
    recalled: int = 3_000
    summary: int = 3_000


@dataclass(frozen=True, slots=True)
class Memory:
    """The parts of a conversation that are shown, each oldest first. Every exchange is in one part."""

    summary: tuple[str, ...] = ()
    recalled: tuple[Exchange, ...] = ()
    recent: tuple[Exchange, ...] = ()

    @property
    def tokens(self) -> int:
        """The estimated number of tokens."""
        return sum(map(estimate, self.summary)) + sum(
            estimate(str(exchange)) for exchange in (*self.recalled, *self.recent)
        )


def recall(exchanges: Sequence[Exchange], question: str, room: MemoryBudget | None = None) -> Memory:
    """Returns the memory for answering `question`, within `room`."""
    room = room or MemoryBudget()
    recent = _newest(exchanges, room.recent)
    older = exchanges[: len(exchanges) - len(recent)]
    chosen = _about(older, question, room.recalled)
    rest = [(n, exchange) for n, exchange in enumerate(older, 1) if n - 1 not in chosen]
    return Memory(_summary(rest, room.summary), tuple(older[n] for n in sorted(chosen)), tuple(recent))


def _newest(said: Sequence[T], room: int) -> Sequence[T]:
    for count, entry in enumerate(reversed(said)):
        room -= estimate(str(entry))
        if room < 0:
            return said[len(said) - count :]
    return said


def _about(exchanges: Sequence[Exchange], question: str, room: int) -> frozenset[int]:
    """Returns the exchanges most related to `question`. A word counts for more if fewer exchanges contain it."""
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
    """Returns one line for each exchange: the beginnings of question and answer, shorter if there are many."""
    lines: list[str] = []
    for length in _LENGTHS:
        lines = [
            f"{n}. {_begin(exchange.question, length)} -> {_begin(exchange.answer, length)}" for n, exchange in numbered
        ]
        if sum(map(estimate, lines)) <= room:
            break
    return tuple(_newest(lines, room))  # without the oldest of more than a hundred


def _begin(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1].rstrip() + "…"


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in map(str.lower, _WORD.findall(text)) if len(word) > 2)  # noqa: PLR2004 - "is", "to", …


def cut(exchange: Exchange, limit: int) -> Exchange:
    """Returns the exchange with its question and answer cut to `limit` characters."""
    return replace(exchange, question=exchange.question[:limit], answer=exchange.answer[:limit])

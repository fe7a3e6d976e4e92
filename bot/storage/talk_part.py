"""Talk: a conversation that the model's server keeps for one thread, and how much of what we would say it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

GROWTH = 12_000
"""Tokens by which a conversation may grow over what opened it: as many as our own memory of a thread is shown with."""


@dataclass(frozen=True, slots=True)
class Talk:
    """`opening` are the tokens of what began it, `tokens` those it holds by now; `told` are fingerprints of what it was
    shown. One that ended badly is `broken`: a call of a tool may stand in it without its answer.
    """

    id: str = ""
    opening: int = 0
    tokens: int = 0
    told: tuple[str, ...] = ()
    broken: bool = False

    @property
    def over(self) -> str:
        """Why it cannot go on, in words; empty if it can."""
        if not self.id:
            return "the thread has none yet"
        if self.broken:
            return "the last one ended without an answer"
        grown = self.tokens - self.opening
        return f"the last one has grown by {grown} tokens" if grown > GROWTH else ""

    def knows(self, text: str) -> bool:
        """Whether it was shown exactly this."""
        return _fingerprint(text) in self.told

    def after(self, texts: Iterable[str], opening: int, tokens: int) -> Talk:
        """The talk once it was shown `texts` and holds `tokens`; `opening` counts if it began with them."""
        told = dict.fromkeys((*self.told, *map(_fingerprint, texts)))
        return replace(self, opening=self.opening or opening, tokens=tokens, told=tuple(told))


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""A model that has lost the thread says the same thing over and over: keep the beginning, drop the rest."""

from __future__ import annotations

import re
from collections import Counter

_MOST_TIMES = 12
_LONGEST_PHRASE = 6
_KEPT = 3
_RUN = re.compile(r"([^\s])\1{99,}")


def without_repetition(text: str) -> str:
    """`text` with runs of one character, and phrases of a few words said over and over, cut to their beginning."""
    shorter = _RUN.sub(lambda run: run[0][:_KEPT] + "…", text)
    words = re.split(r"(\s+)", shorter)
    often = Counter(words[::2]).most_common(1)[0][1]
    if often < _MOST_TIMES:
        return shorter
    for length in range(1, _LONGEST_PHRASE + 1):
        words = _collapsed(words, length)
    return "".join(words)


def _collapsed(words: list[str], length: int) -> list[str]:
    """Words stand at even places, the white space behind them at odd ones."""
    said = words[::2]
    kept: list[str] = []
    at = 0
    while at < len(said):
        end = at + length
        while end < len(said) and said[end] == said[end - length]:
            end += 1
        if end - at >= length * _MOST_TIMES:
            kept += words[2 * at : 2 * (at + length * _KEPT)]
            kept += ["…", "\n"]
            at = end
        else:
            kept += words[2 * at : 2 * at + 2]
            at += 1
    return kept

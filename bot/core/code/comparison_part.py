"""Two versions of a file -> the hunks between them, as git and GitHub print them; within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import takewhile

LINES = 20_000
CELLS = 25_000_000  # old lines times new lines, without what begins and ends alike: beyond, difflib takes too long
SNIFFED = 8000  # bytes in which git, too, looks for a NUL
CONTEXT = 3


def binary(content: bytes) -> bool:
    """Whether git would call it binary."""
    return b"\0" in content[:SNIFFED]


def patch(old: bytes, new: bytes) -> str:
    """The hunks from `old` to `new` as GitHub would print them; empty if they are alike or over the bounds."""
    before, after = _lines(old), _lines(new)
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    rows, columns = len(before) - start - end, len(after) - start - end
    if max(len(before), len(after)) > LINES or rows * columns > CELLS:
        return ""
    start, end = max(0, start - CONTEXT), max(0, end - CONTEXT)
    return "".join(_hunks(before[start : len(before) - end], after[start : len(after) - end], start))


def _lines(content: bytes) -> list[str]:
    """Lines with their ends; only a line feed ends one, as in git."""
    *whole, rest = content.decode(errors="replace").split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def _alike(one: list[str], other: list[str]) -> int:
    """How many lines both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _hunks(before: list[str], after: list[str], offset: int) -> Iterator[str]:
    """Hunks between two excerpts that begin after `offset` common lines."""
    for group in SequenceMatcher(None, before, after).get_grouped_opcodes(CONTEXT):
        old = _range(group[0][1] + offset, group[-1][2] + offset)
        new = _range(group[0][3] + offset, group[-1][4] + offset)
        yield f"@@ -{old} +{new} @@\n"
        for kind, old_start, old_end, new_start, new_end in group:
            if kind == "equal":
                yield from (_line(" ", text) for text in before[old_start:old_end])
                continue
            yield from (_line("-", text) for text in before[old_start:old_end])
            yield from (_line("+", text) for text in after[new_start:new_end])


def _range(start: int, end: int) -> str:
    """Lines `start`..`end` (0-based, half-open) as a hunk header counts them."""
    return f"{start + 1 if end > start else start},{end - start}"


def _line(kind: str, text: str) -> str:
    return kind + text if text.endswith("\n") else f"{kind}{text}\n\\ No newline at end of file\n"

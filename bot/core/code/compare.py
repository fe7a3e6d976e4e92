"""Compares two diffs, to find what is new in the later one, and two versions of a file, to make its patch.

Diffs are compared by blocks: unbroken runs of added and removed lines. Context and line numbers do not count, so a
rebase or a merge of the base changes no block. A hunk is reviewed again if it holds a block that was not read before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import groupby, takewhile

from bot.core.code.diff import Diff, FileDiff, Hunk

Blocks = Mapping[str, tuple[str, ...]]
"""Path -> the fingerprints of its blocks, in order."""


def blocks(files: Iterable[FileDiff]) -> dict[str, tuple[str, ...]]:
    """The blocks of `files`, by path."""
    return {file.path: tuple(name for hunk in file.hunks for name in _blocks(hunk)) for file in files}


def new_hunks(diff: Diff, seen: Blocks) -> Diff:
    """`diff` with only the hunks that hold a block not in `seen`; files without such a hunk are left out.

    A renamed file is compared with its old path; if git reports no rename, with the blocks of all paths that are gone
    from the change. Equal blocks are counted, so a second copy of a block is new.
    """
    files = []
    gone = [name for path, names in seen.items() if diff.file(path) is None for name in names]
    for file in diff:
        before = seen.get(file.path) or seen.get(file.base_path)
        known = Counter(gone if before is None else before)
        hunks = tuple(hunk for hunk in file.hunks if _has_new_block(hunk, known))
        if hunks:
            files.append(replace(file, hunks=hunks))
    return replace(diff, files=tuple(files))


def blocks_read(files: Iterable[FileDiff], unread: Diff) -> dict[str, tuple[str, ...]]:
    """The blocks of `files` that were read, now or before: all but the blocks in the hunks of `unread`."""
    missing = {file.path: file.hunks for file in unread}
    return blocks(
        replace(file, hunks=tuple(hunk for hunk in file.hunks if hunk not in missing.get(file.path, ())))
        for file in files
    )


def changed_paths(files: Iterable[FileDiff], seen: Blocks) -> frozenset[str]:
    """The paths whose blocks differ from those in `seen`: blocks were added or removed, or the file is gone."""
    files = tuple(files)
    now = blocks(files)
    changed = {
        file.path
        for file in files
        if Counter(now[file.path]) != Counter(seen.get(file.path) or seen.get(file.base_path, ()))
    }
    known = now.keys() | {file.base_path for file in files}
    return frozenset(changed | {path for path, names in seen.items() if names and path not in known})


def _has_new_block(hunk: Hunk, known: Counter[str]) -> bool:
    """Whether a block of `hunk` is not in `known`. Removes the hunk's blocks from `known`."""
    names = Counter(_blocks(hunk))
    has_new = bool(names - known)
    known.subtract(names & known)
    return has_new


def _blocks(hunk: Hunk) -> Iterator[str]:
    for context, run in groupby(hunk.lines, key=lambda line: line.old is not None and line.new is not None):
        if not context:
            text = "\n".join(("+" if line.added else "-") + line.text for line in run)
            yield hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]


LINES = 20_000
CELLS = 25_000_000  # old lines times new lines, without common first and last lines: more takes difflib too long
SNIFFED = 8000  # bytes in which git looks for a NUL
CONTEXT = 3


def is_binary(content: bytes) -> bool:
    """Whether git treats the content as binary."""
    return b"\0" in content[:SNIFFED]


def make_patch(old: bytes, new: bytes) -> str:
    """The hunks from `old` to `new` as GitHub prints them; empty if both are equal or over the bounds."""
    before, after = _lines(old), _lines(new)
    start = _common_lines(before, after)
    end = _common_lines(before[start:][::-1], after[start:][::-1])
    rows, columns = len(before) - start - end, len(after) - start - end
    if max(len(before), len(after)) > LINES or rows * columns > CELLS:
        return ""
    start, end = max(0, start - CONTEXT), max(0, end - CONTEXT)
    return "".join(_hunks(before[start : len(before) - end], after[start : len(after) - end], start))


def _lines(content: bytes) -> list[str]:
    """Lines with their endings; only a line feed ends a line, as in git."""
    *whole, rest = content.decode(errors="replace").split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def _common_lines(first: list[str], second: list[str]) -> int:
    """How many lines both have in common at their start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


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

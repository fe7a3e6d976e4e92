"""Two diffs -> what is new in the later one, by content: a rebase or a merge of the base costs nothing.

The unit is a block, an unbroken run of added and removed lines. Context and line numbers do not count, so that a block
is the same wherever it lands; a hunk is read again if it holds a block that was not read before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from bot.core.code.diff import Diff, FileDiff, Hunk

Blocks = Mapping[str, tuple[str, ...]]
"""Path -> the fingerprints of its blocks, in order."""


def blocks(files: Iterable[FileDiff]) -> dict[str, tuple[str, ...]]:
    """What a review has read when it has read these files."""
    return {file.path: tuple(name for hunk in file.hunks for name in _blocks(hunk)) for file in files}


def fresh(diff: Diff, seen: Blocks) -> Diff:
    """`diff` with only the hunks that hold something not in `seen`; files without such a hunk are left out.

    A file that was renamed, by git's account or because its old path is gone from the change, is compared with what
    it was. Equal blocks are counted: the second one is news.
    """
    files = []
    lost = [name for path, names in seen.items() if diff.file(path) is None for name in names]
    for file in diff:
        before = seen.get(file.path) or seen.get(file.base_path)
        known = Counter(lost if before is None else before)
        hunks = tuple(hunk for hunk in file.hunks if _news(hunk, known))
        if hunks:
            files.append(replace(file, hunks=hunks))
    return replace(diff, files=tuple(files))


def read(files: Iterable[FileDiff], unread: Diff) -> dict[str, tuple[str, ...]]:
    """The blocks of `files` that were read, now or before, when the hunks of `unread` could not be."""
    missing = {file.path: file.hunks for file in unread}
    return blocks(
        replace(file, hunks=tuple(hunk for hunk in file.hunks if hunk not in missing.get(file.path, ())))
        for file in files
    )


def touched(files: Iterable[FileDiff], seen: Blocks) -> frozenset[str]:
    """The paths whose blocks are not those in `seen`: something came, or something went, or the file did."""
    files = tuple(files)
    now = blocks(files)
    changed = {
        file.path
        for file in files
        if Counter(now[file.path]) != Counter(seen.get(file.path) or seen.get(file.base_path, ()))
    }
    known = now.keys() | {file.base_path for file in files}
    return frozenset(changed | {path for path, names in seen.items() if names and path not in known})


def _news(hunk: Hunk, known: Counter[str]) -> bool:
    """Whether a block of `hunk` is not in `known`; the others are used up."""
    names = Counter(_blocks(hunk))
    news = bool(names - known)
    known.subtract(names & known)
    return news


def _blocks(hunk: Hunk) -> Iterator[str]:
    for context, run in groupby(hunk.lines, key=lambda line: line.old is not None and line.new is not None):
        if not context:
            text = "\n".join(("+" if line.added else "-") + line.text for line in run)
            yield hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]

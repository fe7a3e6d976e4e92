"""Entries of the files API -> FileDiff: a patch that GitHub omits is made from the contents, or marked as missing.

https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bot.core.code.compare import is_binary, make_patch
from bot.core.code.diff import EMPTY_BLOB, Diff, FileDiff, Status, parse_patch
from bot.errors import NotFound, TooLarge
from bot.hosts.github.payloads import ChangedFile
from bot.interfaces import TreeFile

LISTED = 3000  # GitHub names no more
COMPARED = 20  # files of one pull request that are compared by content

Read = Callable[[str], Awaitable[bytes]]
Base = Mapping[str, TreeFile]


def needs_base(files: Sequence[ChangedFile]) -> bool:
    """Whether a file without a patch needs its version at the merge base."""
    return any(file.patch is None and file.status not in {Status.ADDED, Status.REMOVED} for file in files)


async def complete(files: Sequence[ChangedFile], base: Base, read: Read) -> Diff:
    """Returns the whole diff. `base` has the known files of the merge base; `read` reads a blob within a bound."""
    diffs: list[FileDiff] = []
    compared = 0
    for file in files:
        large = file.patch is None and bool(file.additions or file.deletions)
        compared += large
        if large and compared <= COMPARED:
            diffs.append(await _compare(file, base.get(file.base_path), read))
        else:
            diffs.append(_listed(file, base.get(file.base_path)))
    truncated = f"GitHub lists only the first {LISTED:,} files" if len(files) >= LISTED else ""
    return Diff(tuple(diffs), truncated)


def _listed(file: ChangedFile, old: TreeFile | None) -> FileDiff:
    """Converts an entry with its patch, or with the reason why it has none."""
    if file.patch is not None or file.additions or file.deletions:
        return _parsed(file, file.patch or "", file.additions, file.deletions)
    if file.sha == EMPTY_BLOB or file.status is Status.UNCHANGED or (old and old.blob == file.sha):
        return _without_hunks(file)
    if old or file.status in {Status.ADDED, Status.REMOVED}:
        return _without_hunks(file, binary=True)
    return _parsed(file, "")


async def _compare(file: ChangedFile, old: TreeFile | None, read: Read) -> FileDiff:
    """Compares the two versions of an entry whose patch GitHub omits as too large, if both are small enough."""
    if old is None and file.status is not Status.ADDED:
        return _listed(file, old)
    try:
        before = await read(old.blob) if old else b""
        after = b"" if file.status is Status.REMOVED else await read(file.sha or "")
    except (NotFound, TooLarge):
        return _listed(file, old)
    if is_binary(before) or is_binary(after):
        return _without_hunks(file, binary=True)
    made = await asyncio.to_thread(make_patch, before, after)
    return _parsed(file, made) if made else _listed(file, old)


def _parsed(file: ChangedFile, text: str, additions: int = 0, deletions: int = 0) -> FileDiff:
    return parse_patch(
        file.filename,
        file.status,
        text,
        previous_path=file.previous_filename,
        blob=file.blob,
        additions=additions,
        deletions=deletions,
    )


def _without_hunks(file: ChangedFile, *, binary: bool = False) -> FileDiff:
    return FileDiff(
        file.filename,
        file.status,
        previous_path=file.previous_filename,
        blob=file.blob,
        unread="binary" if binary else "",
        binary=binary,
    )

"""The changes of a working tree since a commit, for hosts/local.py, read without running git on the files.

Git would read each file as the repository's own configuration says, and run the programs named there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISLNK, S_ISREG

from bot.core.code.compare import is_binary, make_patch
from bot.core.code.diff import FileDiff, Status, base_text, blob_id, head_text, parse_patch
from bot.errors import NotFound, TooLarge
from bot.hosts.git import MEGABYTE, Git
from bot.interfaces import TreeFile

SUBMODULE_MODE = "160000"


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """Every tracked file that exists, and by git object id the content of those that differ from the commit.

    `unfollowed` are files, and whole folders, that git neither tracks nor ignores.
    """

    entries: tuple[TreeFile, ...]
    changed: Mapping[str, bytes]
    files: tuple[FileDiff, ...]
    unfollowed: tuple[str, ...]


async def read(git: Git, base: str) -> WorkingTree:
    """Compares the tracked files below `git.directory` with the commit or tree `base`.

    Ignores modes, renames and submodules; files that a sparse checkout leaves out count as unchanged.
    """
    old_files = [entry for entry in await git.tree(base) if entry.mode != SUBMODULE_MODE]
    committed = {entry.path: TreeFile(entry.path, entry.blob, entry.size) for entry in old_files}
    followed = await _followed(git)
    paths = sorted({*committed, *followed})
    found = await asyncio.to_thread(_scan, git.directory, paths, committed)
    present = {path: entry for path, entry in committed.items() if not followed.get(path, True)}
    present |= {entry.path: entry for entry, _ in found}
    changed = {entry.blob: content for entry, content in found if content is not None}
    pairs = ((path, committed.get(path), present.get(path)) for path in paths)
    files = [await _compare(git, readable(path), old, new, changed) for path, old, new in pairs if old != new]
    entries = (replace(entry, path=readable(path)) for path, entry in present.items())
    return WorkingTree(tuple(entries), changed, tuple(files), await _unfollowed(git))


async def patched(git: Git, base: str, changes: Iterable[FileDiff]) -> dict[str, bytes]:
    """Returns the changed files as they are after a patch that fits `base` or that is already applied here."""
    blobs = {readable(entry.path): entry.blob for entry in await git.tree(base)}
    followed = {readable(path): path for path in await _followed(git)}
    found = {}
    for file in changes:
        name = file.previous_path or file.path
        old = await _blob(git, blobs[name]) if name in blobs else None
        here = _content(git.directory.resolve(), followed[file.path]) if file.path in followed else None
        text = None if old is None else head_text(old.decode(errors="replace"), file)
        if text is None and here is not None and base_text(here.decode(errors="replace"), file) is not None:
            text = here.decode(errors="replace")
        if text is not None and file.status not in {Status.ADDED, Status.REMOVED}:
            found[file.path] = text.encode()
    return found


async def _followed(git: Git) -> dict[str, bool]:
    """Returns the tracked paths, and whether each is checked out: a sparse checkout leaves some out."""
    return {line[2:]: not line.startswith("S") for line in await _listed(git, "-t")}


async def _unfollowed(git: Git) -> tuple[str, ...]:
    """Returns the files, and whole folders, that git neither tracks nor ignores."""
    found = await _listed(git, "--others", "--exclude-standard", "--directory", "--no-empty-directory")
    return tuple(map(readable, found))


async def _listed(git: Git, *options: str) -> list[str]:
    out = await git.run(("ls-files", "-z", *options))
    return [line for line in out.decode(errors="surrogateescape").split("\0") if line]


async def _blob(git: Git, sha: str) -> bytes | None:
    try:
        return await replace(git, limit=MEGABYTE).blob(sha)
    except (NotFound, TooLarge):  # a submodule, or too large
        return None


def readable(path: str) -> str:
    """Returns a path as it is shown and stored: bytes that are not UTF-8 become U+FFFD."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _scan(root: Path, paths: Iterable[str], before: Mapping[str, TreeFile]) -> list[tuple[TreeFile, bytes | None]]:
    """Returns the files that exist, each with its content if it differs from `before`."""
    found: list[tuple[TreeFile, bytes | None]] = []
    real = root.resolve()
    for path in paths:
        content = _content(real, path)
        if content is not None:
            entry = TreeFile(path, blob_id(content), len(content))
            found.append((entry, None if before.get(path) == entry else content))
    return found


def _content(root: Path, path: str) -> bytes | None:
    """Returns a file's bytes or a link's target; None if it does not exist or a folder of its path is a link."""
    place = root / path
    try:
        if place.parent.resolve() != place.parent:
            return None
        mode = place.lstat().st_mode
        if S_ISLNK(mode):
            return os.fsencode(place.readlink())
        return place.read_bytes() if S_ISREG(mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None


async def _compare(
    git: Git, path: str, old: TreeFile | None, new: TreeFile | None, changed: Mapping[str, bytes]
) -> FileDiff:
    before = await git.blob(old.blob) if old else b""
    after = changed[new.blob] if new else b""
    status = Status.MODIFIED if old and new else Status.ADDED if new else Status.REMOVED
    blob = new.blob if new else ""
    if is_binary(before) or is_binary(after):
        return FileDiff(path, status, blob=blob, unread="binary", binary=True)
    made = await asyncio.to_thread(make_patch, before, after)
    if not made and (before or after):
        return FileDiff(path, status, blob=blob, unread="too large to compare")
    file = parse_patch(path, status, made, blob=blob)
    return replace(file, link=file.may_be_link and (git.directory / path).is_symlink())

"""A partial copy of the two commits of a large change, fetched with git: the folders, and the files that changed.

GitHub lists 100 changed files in an answer; git brings thousands with four requests.
https://git-scm.com/docs/partial-clone
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from bot.core.code.diff import Diff, FileDiff, Status, parse_diff
from bot.errors import TooLarge
from bot.hosts.git import NO_OBJECT, Git, GitChange
from bot.interfaces import Remote

MOST = 256 * 1024 * 1024
"""Bytes of the changed files, both versions together."""
LETTERS = {"A": Status.ADDED, "D": Status.REMOVED}
_SUBMODULE = "160000"


@dataclass(slots=True, weakref_slot=True)
class PartialClone:
    """The commits `base` and `head` in a temporary directory that is deleted with this object.

    `sizes` has the sizes in bytes of both versions' files by object id. Files over `largest` bytes are not fetched.
    """

    base: str
    head: str
    sizes: Mapping[str, int]
    largest: int
    _git: Git | None = None
    _held: frozenset[str] = frozenset()

    async def fetch(self, remote: Remote) -> Diff:
        """Fetches what changed; returns the diff. Raises TooLarge over the bounds, and what git raises."""
        self._git = git = await Git.temporary(self)
        await git.fetch(remote, (self.base, self.head), blobs=False)
        changes = await git.changed_entries(self.base, self.head)
        large = [change for change in changes if any(self._size(sha) > self.largest for sha in _blobs(change))]
        wanted = {sha for change in changes if change not in large for sha in _blobs(change)}
        if sum(map(self._size, wanted)) > MOST:
            raise TooLarge(f"the changed files have more than {MOST:,} bytes")
        if wanted:
            await git.fetch(remote, wanted, blobs=False)
        self._held = frozenset(wanted)
        paths = [change.path for change in changes if change not in large] if large else []
        text = await git.diff(self.base, self.head, paths) if wanted else b""
        diff = parse_diff(text.decode(errors="replace"))
        return replace(diff, files=tuple(sorted((*diff, *map(_unread, large)), key=lambda file: file.path)))

    async def blobs(self, shas: Collection[str]) -> dict[str, bytes]:
        """The contents of those files that were fetched, by object id."""
        held = self._held.intersection(shas)
        return await self._git.blobs(held, self.largest) if self._git and held else {}

    def _size(self, sha: str) -> int:
        return self.sizes.get(sha, self.largest + 1)


def _blobs(change: GitChange) -> list[str]:
    """The object ids of both versions of a file; a submodule has none."""
    sides = ((change.old_blob, change.old_mode), (change.new_blob, change.new_mode))
    return [sha for sha, mode in sides if sha != NO_OBJECT and mode != _SUBMODULE]


def _unread(change: GitChange) -> FileDiff:
    path = change.path.encode(errors="surrogateescape").decode(errors="replace")
    status = LETTERS.get(change.status, Status.MODIFIED)
    blob = "" if status is Status.REMOVED else change.new_blob
    return FileDiff(path, status, blob=blob, unread="its patch was left out: too large")

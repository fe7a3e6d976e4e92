"""Three ways to search the repository: read every file through the host, use git on this disk, or fetch a copy first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bot.errors import AssistantError, Refused, TooLarge
from bot.hosts.git import Git
from bot.interfaces import Remote
from bot.model.tools import MATCHES, Files, Searcher, TextMatch, Version

MENTIONS = 40  # files
MEGABYTE = 1024 * 1024
GREP_OPTIONS = ("-z", "-n", "-I", "-F", "--full-name", "--no-color", "--no-column", "--no-textconv")
"""Fixed strings, text files only, no external programs, no colours."""


@dataclass(frozen=True, slots=True)
class ScanSearch:
    """Reads every file through the host, within bounds; refuses a larger set instead of searching a part of it."""

    files: Files
    most_files: int = 400
    most_bytes: int = 4 * 1024 * 1024

    async def grep(self, text: str, version: Version, *, word: bool = False, under: str = "") -> tuple[TextMatch, ...]:
        """Returns matching lines by path. Raises TooLarge over the bounds."""
        prefix = f"{under}/" if under else ""
        chosen = [
            entry for path, entry in sorted((await self.files.entries(version)).items()) if path.startswith(prefix)
        ]
        if len(chosen) > self.most_files or sum(entry.size for entry in chosen) > self.most_bytes:
            raise TooLarge("search unavailable: too many files; name a smaller folder")
        pattern = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)" if word else re.escape(text))
        texts = await self.files.texts([entry.path for entry in chosen], version)
        return tuple(match for path, text in texts.items() for match in _found(path, text, pattern))[:MATCHES]


@dataclass(frozen=True, slots=True)
class GitGrep:
    """Searches the commits of `git`, by version; `fallback` searches a version without a commit."""

    git: Git
    commits: Mapping[Version, str]
    fallback: Searcher

    async def grep(self, text: str, version: Version, *, word: bool = False, under: str = "") -> tuple[TextMatch, ...]:
        """Returns matching lines by path."""
        commit = self.commits.get(version)
        if commit is None:
            return await self.fallback.grep(text, version, word=word, under=under)
        where = ("--", under) if under else ("--",)
        out = await self.git.run(
            ("grep", *GREP_OPTIONS, *(("-w",) if word else ()), "-e", text, commit, *where), fine=(0, 1)
        )
        return tuple(_match(row) for row in out.split(b"\n")[:MATCHES] if row)


@dataclass(slots=True, weakref_slot=True)
class FetchedGrep:
    """Searches a copy fetched from `remote` at the first search, and deletes the copy at the end of its own life.

    If the repository has over `most` bytes at the head, or the fetch fails, `fallback` searches.
    """

    files: Files
    remote: Callable[[], Awaitable[Remote]]
    fallback: Searcher
    most: int = 200 * MEGABYTE
    _fetching: asyncio.Task[Searcher] | None = field(default=None, init=False)

    async def grep(self, text: str, version: Version, *, word: bool = False, under: str = "") -> tuple[TextMatch, ...]:
        """Returns matching lines by path. A cancelled caller does not stop the fetch, which later callers use."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        searcher = await asyncio.shield(self._fetching)
        return await searcher.grep(text, version, word=word, under=under)

    async def _fetch(self) -> Searcher:
        pull = self.files.pull
        try:
            if sum(entry.size for entry in (await self.files.entries("head")).values()) > self.most:
                return self.fallback
            git = await Git.temporary(self)
            await git.fetch(await self.remote(), (pull.head_sha, pull.base_sha))
        except AssistantError:  # the fetch is not possible or too slow
            return self.fallback
        return GitGrep(git, {"head": pull.head_sha, "base": pull.base_sha}, self.fallback)


async def texts_with_word(searcher: Searcher, files: Files, word: str) -> Mapping[str, str]:
    """Returns the texts of the files at the head that contain a word; none if the search is not possible."""
    try:
        matches = await searcher.grep(word, "head", word=True)
        return await files.texts(list(dict.fromkeys(match.path for match in matches))[:MENTIONS], "head")
    except Refused:
        return {}


def _found(path: str, text: str, pattern: re.Pattern[str]) -> list[TextMatch]:
    if not pattern.search(text):
        return []
    lines = enumerate(text.split("\n"), 1)
    return [TextMatch(path, number, line) for number, line in lines if pattern.search(line)]


def _match(row: bytes) -> TextMatch:
    """Reads a row `commit:path NUL line NUL text`."""
    place, line, text = row.split(b"\0", 2)
    path = place.partition(b":")[2].decode(errors="replace")
    return TextMatch(path, int(line), text.decode(errors="replace").removesuffix("\r"))

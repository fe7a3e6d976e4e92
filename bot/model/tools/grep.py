"""Searchers that let git do it: over a repository on this disk, or over a copy of two commits that is fetched when needed.

A searcher that reads every file through the host: for repositories of a size at which that is no trouble.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bot.errors import AssistantError, Refused, TooLarge, UserError
from bot.hosts.git import Git
from bot.interfaces import Remote, TreeFile
from bot.model.tools import MATCHES, Files, Searcher, TextMatch, Version

MENTIONS = 40  # files


@dataclass(frozen=True, slots=True)
class ScanSearch:
    """Searches up to so many `files` and `bytes`; a larger set is refused whole rather than searched in part."""

    files: Files
    most_files: int = 400
    most_bytes: int = 4 * 1024 * 1024
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def grep(self, text: str, version: Version, *, word: bool = False, under: str = "") -> tuple[TextMatch, ...]:
        """Matching lines by path. Raises TooLarge over the bounds."""
        prefix = f"{under}/" if under else ""
        chosen = [e for path, e in sorted((await self.files.entries(version)).items()) if path.startswith(prefix)]
        if len(chosen) > self.most_files or sum(entry.size for entry in chosen) > self.most_bytes:
            raise TooLarge("search unavailable: too many files; name a smaller folder")
        pattern = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)" if word else re.escape(text))
        found = await asyncio.gather(*(self._search(entry, version, pattern) for entry in chosen))
        return tuple(match for matches in found for match in matches)[:MATCHES]

    async def _search(self, entry: TreeFile, version: Version, pattern: re.Pattern[str]) -> list[TextMatch]:
        async with self._gate:
            try:
                text = await self.files.text(entry.path, version)
            except (UserError, TooLarge):  # binary, or larger than anybody reads
                return []
        if not pattern.search(text):
            return []
        lines = enumerate(text.split("\n"), 1)
        return [TextMatch(entry.path, number, line) for number, line in lines if pattern.search(line)]


async def mentions(searcher: Searcher, files: Files, word: str) -> Mapping[str, str]:
    """The texts of files at the head in which a word stands, for looking a claim up; none where nobody can search."""
    try:
        matches = await searcher.grep(word, "head", word=True)
    except Refused:
        return {}
    found: dict[str, str] = {}
    for path in list(dict.fromkeys(match.path for match in matches))[:MENTIONS]:
        with suppress(UserError, Refused):  # binary, or larger than anybody reads
            found[path] = await files.text(path, "head")
    return found


MEGABYTE = 1024 * 1024
HOW = ("-z", "-n", "-I", "-F", "--full-name", "--no-color", "--no-column", "--no-textconv")
"""How git is to search: for text as it stands, in files that are text, without programs or colours of its own."""
SHALLOW = (
    "--quiet",
    "--depth=1",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
)


@dataclass(frozen=True, slots=True)
class GitGrep:
    """Searches the commits of `git`, by version; a version without a commit is looked for by `instead`."""

    git: Git
    commits: Mapping[Version, str]
    instead: Searcher

    async def grep(self, text: str, version: Version, *, word: bool = False, under: str = "") -> tuple[TextMatch, ...]:
        """Matching lines by path."""
        commit = self.commits.get(version)
        if commit is None:
            return await self.instead.grep(text, version, word=word, under=under)
        where = ("--", under) if under else ("--",)
        out = await self.git.run(("grep", *HOW, *(("-w",) if word else ()), "-e", text, commit, *where), fine=(0, 1))
        return tuple(_match(row) for row in out.split(b"\n")[:MATCHES] if row)


@dataclass(slots=True, weakref_slot=True)
class FetchedGrep:
    """Searches a copy that is fetched from `remote` at the first search, and is gone when this is.

    A repository over `most` bytes at the head is not fetched; then, or where fetching fails, `instead` searches.
    """

    files: Files
    remote: Callable[[], Awaitable[Remote]]
    instead: Searcher
    most: int = 200 * MEGABYTE
    _fetching: asyncio.Task[Searcher] | None = field(default=None, init=False)

    async def grep(self, text: str, version: Version, *, word: bool = False, under: str = "") -> tuple[TextMatch, ...]:
        """Matching lines by path. A caller that gives up does not stop the fetch: the next one finds it further on."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        searcher = await asyncio.shield(self._fetching)
        return await searcher.grep(text, version, word=word, under=under)

    async def _fetch(self) -> Searcher:
        pull = self.files.pull
        try:
            if sum(entry.size for entry in (await self.files.entries("head")).values()) > self.most:
                return self.instead
            git = Git(Path(tempfile.mkdtemp(prefix="assistant-")))
            weakref.finalize(self, shutil.rmtree, git.directory, ignore_errors=True)
            await fetch(git, await self.remote(), (pull.head_sha, pull.base_sha))
        except AssistantError:  # no such door, no way through it, or too slow: the other way is there for that
            return self.instead
        return GitGrep(git, {"head": pull.head_sha, "base": pull.base_sha}, self.instead)


async def fetch(git: Git, remote: Remote, commits: Sequence[str]) -> None:
    """Make the directory of `git` a bare repository that has `commits` and their files, but no history.

    The credential goes to git in its environment: no file and no list of processes shows it. Redirects are not followed.
    """
    settings = [("http.followRedirects", "false"), ("http.extraHeader", f"Authorization: {remote.authorization}")]
    more = [("GIT_ALLOW_PROTOCOL", "http:https"), ("GIT_CONFIG_COUNT", str(len(settings)))]
    for number, (name, value) in enumerate(settings):
        more += [(f"GIT_CONFIG_KEY_{number}", name), (f"GIT_CONFIG_VALUE_{number}", value)]
    await git.run(("init", "--quiet", "--bare", "--template=", "."))
    await git.run(("fetch", *SHALLOW, "--", remote.url, *commits), more=more)


def _match(row: bytes) -> TextMatch:
    """A row `commit:path NUL line NUL text`."""
    place, line, text = row.split(b"\0", 2)
    path = place.partition(b":")[2].decode(errors="replace")
    return TextMatch(path, int(line), text.decode(errors="replace").removesuffix("\r"))

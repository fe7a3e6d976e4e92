"""A searcher that reads every file through the host: for repositories of a size at which that is no trouble."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from bot.errors import Refused, TooLarge, UserError
from bot.interfaces import Entry
from bot.model.tools import MATCHES, Files, Match, Searcher, Version

MENTIONS = 40  # files


@dataclass(frozen=True, slots=True)
class Scan:
    """Searches up to so many `files` and `bytes`; a larger set is refused whole rather than searched in part."""

    files: Files
    most_files: int = 400
    most_bytes: int = 4 * 1024 * 1024
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def grep(self, text: str, version: Version, *, word: bool = False, under: str = "") -> tuple[Match, ...]:
        """Matching lines by path. Raises TooLarge over the bounds."""
        prefix = f"{under}/" if under else ""
        chosen = [e for path, e in sorted((await self.files.entries(version)).items()) if path.startswith(prefix)]
        if len(chosen) > self.most_files or sum(entry.size for entry in chosen) > self.most_bytes:
            raise TooLarge("search unavailable: too many files; name a smaller folder")
        pattern = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)" if word else re.escape(text))
        found = await asyncio.gather(*(self._search(entry, version, pattern) for entry in chosen))
        return tuple(match for matches in found for match in matches)[:MATCHES]

    async def _search(self, entry: Entry, version: Version, pattern: re.Pattern[str]) -> list[Match]:
        async with self._gate:
            try:
                text = await self.files.text(entry.path, version)
            except (UserError, TooLarge):  # binary, or larger than anybody reads
                return []
        if not pattern.search(text):
            return []
        lines = enumerate(text.split("\n"), 1)
        return [Match(entry.path, number, line) for number, line in lines if pattern.search(line)]


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

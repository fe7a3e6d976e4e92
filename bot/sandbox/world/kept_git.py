"""Git with a memory: what full object ids say never changes, so that git is asked once for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cachetools import Cache, LRUCache

from bot.hosts.git import MEGABYTE, Git, Pairs

VERBS = frozenset({"cat-file", "diff", "log", "ls-tree", "merge-base", "rev-parse"})
_FIXED = re.compile(r"-.*|blob|\^?[0-9a-f]{40}(\^\{\w+\})?")
_NAMED = re.compile(r"\^?[0-9a-f]{40}")
_ENTRY = 200  # bytes beside the answer


@dataclass(frozen=True, slots=True)
class KeptGit(Git):
    """A Git that keeps answers, 32 MB of them."""

    kept: Cache[tuple[str, ...], bytes] = field(
        default_factory=lambda: LRUCache(32 * MEGABYTE, lambda out: len(out) + _ENTRY), repr=False, compare=False
    )

    async def _git(self, arguments: Sequence[str], stdin: bytes = b"", more: Pairs = ()) -> tuple[int, bytes, bytes]:
        key = tuple(arguments)
        if stdin or more or not _never_changes(key):
            return await Git._git(self, arguments, stdin, more)  # noqa: SLF001 - super() does not work with slots
        if (out := self.kept.get(key)) is not None:
            return 0, out, b""
        code, out, error = await Git._git(self, arguments)  # noqa: SLF001 - as above
        if not code and len(out) < MEGABYTE:
            self.kept[key] = out
        return code, out, error


def _never_changes(arguments: tuple[str, ...]) -> bool:
    """Whether a reading command speaks of full ids alone. A failure may change: an object can still come."""
    verb, *rest = arguments
    return verb in VERBS and all(map(_FIXED.fullmatch, rest)) and any(map(_NAMED.match, rest))

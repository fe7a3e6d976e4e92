"""Globs as people write them in configuration: `*.py`, `docs/**`, `{a,b}/*.ts`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wcmatch import glob
from wcmatch._wcparse import PatternLimitException

FLAGS = glob.GLOBSTAR | glob.BRACE | glob.DOTGLOB | glob.FORCEUNIX
MOST_ALTERNATIVES = 100
MOST_GLOBSTARS = 3  # each `**` multiplies the work by the depth of the path
DEEPEST = 50  # segments of a path that is matched at all
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Globs:
    """A set of globs. `invalid` are those that are ignored: too long, too many `**` or alternatives in braces."""

    matchers: tuple[glob.WcMatcher[str], ...]
    invalid: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Globs:
        """Compile `patterns`. One without a slash is about the file's name, wherever it lies. Never raises."""
        valid: list[glob.WcMatcher[str]] = []
        invalid: list[str] = []
        for pattern in patterns:
            matcher = _compiled(pattern)
            if matcher is None:
                invalid.append(pattern)
            else:
                valid.append(matcher)
        return cls(tuple(valid), tuple(invalid))

    def match(self, path: str) -> bool:
        """Whether any of them fits `path`, which is relative to the repository's root."""
        return path.count("/") < DEEPEST and any(matcher.match(path) for matcher in self.matchers)


def _compiled(pattern: str) -> glob.WcMatcher[str] | None:
    if not pattern or len(pattern) > LONGEST:
        return None
    anywhere = pattern if "/" in pattern else f"**/{pattern}"
    whole = f"{anywhere}**" if anywhere.endswith("/") else anywhere
    if whole.count("**") > MOST_GLOBSTARS:
        return None
    try:
        return glob.compile(whole.removeprefix("/"), flags=FLAGS, limit=MOST_ALTERNATIVES)
    except PatternLimitException:
        return None

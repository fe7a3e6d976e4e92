"""Globs as people write them in configuration: `*.py`, `docs/**`, `{a,b}/*.ts`.

wcmatch compiles them, because its expressions do not backtrack: pathspec takes 18 seconds for `*a*a*a*a*ab` and a name of
200 letters, does not know braces, and matches all files below a folder that `docs/*` names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import bracex
from wcmatch import glob

FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.FORCEUNIX
MAX_ALTERNATIVES = 100
MAX_GLOBSTARS = 3  # each `**` multiplies the work by the depth of the path
MAX_DEPTH = 50  # segments of a path; a deeper path matches no glob
MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Globs:
    """A set of globs. `invalid` are those that are ignored: too long, or with too many `**` or alternatives in braces."""

    matchers: tuple[glob.WcMatcher[str], ...]
    invalid: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Globs:
        """Compile `patterns`. A pattern without a slash matches file names in every folder. Never raises."""
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
        """Whether any of the globs matches `path`, which is relative to the repository's root."""
        return path.count("/") < MAX_DEPTH and any(matcher.match(path) for matcher in self.matchers)


def _compiled(pattern: str) -> glob.WcMatcher[str] | None:
    """The matcher of one pattern; None if the pattern is empty or over a bound."""
    if not pattern or len(pattern) > MAX_LENGTH:
        return None
    anchored = pattern if "/" in pattern else f"**/{pattern}"
    complete = f"{anchored}**" if anchored.endswith("/") else anchored
    if complete.count("**") > MAX_GLOBSTARS:
        return None
    try:
        alternatives = bracex.expand(complete.removeprefix("/"), keep_escapes=True, limit=MAX_ALTERNATIVES)
    except bracex.ExpansionLimitException:
        return None
    return glob.compile(alternatives, flags=FLAGS, limit=MAX_ALTERNATIVES)

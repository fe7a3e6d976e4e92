"""Globs as people write them in configuration: `*.py`, `docs/**`, `{a,b}/*.ts`.

wcmatch compiles them, because its expressions do not backtrack: pathspec takes 18 seconds for `*a*a*a*a*ab` and a name of
200 letters, does not know braces, and matches all files below a folder that `docs/*` names.
"""

from __future__ import annotations

import re
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


@dataclass(frozen=True, slots=True)
class GlobDoubt:
    """A glob that probably does not match what its author wants: `why`, and the glob that was `meant`, if there is one.

    `never` says that it cannot match any file.
    """

    pattern: str
    why: str
    meant: str = ""
    never: bool = False

    def concerns(self, paths: Iterable[str]) -> bool:
        """Whether it matters for `paths`: it matches none at all, or the glob that was meant matches one that it misses."""
        written, meant = Globs.of((self.pattern,)), Globs.of((self.meant,) if self.meant else ())
        return self.never or any(meant.match(path) and not written.match(path) for path in paths)

    def __str__(self) -> str:
        hint = f"; write `{self.meant}`" if self.meant else ""
        return f"the glob `{self.pattern}` {self.why}{hint}"


_CLASS_OF_A_NAME = re.compile(r"(?<!\\)\[(?![!^])(\.{0,3}[A-Za-z_][\w-]+)\](?=/|$)")


def doubt(pattern: str) -> GlobDoubt | None:
    """What is probably wrong with a glob that readers of `.gitignore` write; None if it says what it seems to say."""
    bare = pattern.strip()
    if bare.startswith("!"):
        return GlobDoubt(pattern, "is no exception: name the files under `review` instead", never=True)
    if bare != pattern and bare:
        return GlobDoubt(pattern, "has spaces around it", bare, never=True)
    if pattern.startswith(("./", "../")):
        plain = re.sub(r"^(?:\.{1,2}/)+", "", pattern)
        return GlobDoubt(pattern, "matches nothing: paths begin at the root of the repository", plain, never=True)
    if re.search(r"\\[A-Za-z]", pattern):
        return GlobDoubt(
            pattern, "has backslashes, which escape the next character", pattern.replace("\\", "/"), never=True
        )
    if _CLASS_OF_A_NAME.search(pattern):
        literal = _CLASS_OF_A_NAME.sub(r"\\[\1\\]", pattern)
        return GlobDoubt(pattern, "reads brackets as one of the characters in them", literal)
    name = pattern.removeprefix("/")
    if re.fullmatch(r"[\w-]+(?:/[\w-]+)*", name):
        return GlobDoubt(pattern, "matches only a file of that name, not what is in a folder", f"{pattern}/**")
    return None


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

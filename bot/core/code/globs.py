"""Globs as people write them in configuration: `*.py`, `docs/**`, `{a,b}/*.ts`.

wcmatch compiles them, because its expressions do not backtrack: pathspec takes 18 seconds for `*a*a*a*a*ab` and a name of
200 letters, does not know braces, and matches all files below a folder that `docs/*` names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
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
_REGULAR_EXPRESSION = re.compile(r"^\^|(?<!\\)\$$|\.\*(?=[/$)\\]|$)|\\\.|\(\?")
_EXTENDED = re.compile(r"[?*+@!]?\(([^()|]*(?:\|[^()|]*)+)\)")
_GLUED = re.compile(r"(?<=/)\*\*(?=[^/*])|(?<=[^/*])\*\*(?=/|$)")


def doubt(pattern: str, paths: Collection[str] = ()) -> GlobDoubt | None:
    """What is probably wrong with a glob that readers of `.gitignore` write; None if it says what it seems to say.

    `paths` are files that it may be about: a glob that misses all of them by upper and lower case is named too.
    """
    if _compiled(pattern) is None:
        return GlobDoubt(pattern, "is ignored: it is empty, too long, or has too many `**` or alternatives", never=True)
    return next((found for judge in _JUDGES if (found := judge(pattern))), None) or _case(pattern, paths)


def _edges(pattern: str) -> GlobDoubt | None:
    """What stands before, after or between the segments of a path."""
    bare = pattern.strip()
    if bare.startswith("!"):
        return GlobDoubt(pattern, "is no exception: name the files under `review` instead", never=True)
    if bare != pattern and bare:
        return GlobDoubt(pattern, "has spaces around it", bare, never=True)
    if bare.startswith("#"):
        return GlobDoubt(pattern, "begins with #, which is no comment inside quotes", never=True)
    if re.match(r"~/|[A-Za-z]:[\\/]|/(?:home|Users|workspace|github/workspace)/", pattern):
        return GlobDoubt(pattern, "is a place on one machine: paths begin at the root of the repository", never=True)
    if pattern.startswith(("./", "../")):
        plain = re.sub(r"^(?:\.{1,2}/)+", "", pattern)
        return GlobDoubt(pattern, "matches nothing: paths begin at the root of the repository", plain, never=True)
    if re.search(r"/\.{1,2}(?:/|$)|//", pattern):
        plain = re.sub(r"/(?:\.?/)+", "/", pattern)
        meant = "" if "/.." in plain else plain
        return GlobDoubt(pattern, "matches nothing: no path has an empty segment or dots for one", meant, never=True)
    return None


def _expression(pattern: str) -> GlobDoubt | None:
    """The syntax of other tools."""
    if _REGULAR_EXPRESSION.search(pattern):
        plain = re.sub(r"^\^|\$$", "", pattern).replace("\\.", ".").replace("/.*", "/**/*").replace(".*", "*")
        meant = plain if re.fullmatch(r"[\w./*-]+", plain) else ""
        return GlobDoubt(pattern, "looks like a regular expression, and it is read as a glob", meant, never=True)
    if re.search(r"\\[A-Za-z]", pattern):
        plain = pattern.replace("\\", "/")
        return GlobDoubt(pattern, "has backslashes, which escape the next character", plain, never=True)
    if _EXTENDED.search(pattern):
        meant = _EXTENDED.sub(lambda found: "{" + found[1].replace("|", ",") + "}", pattern)
        return GlobDoubt(pattern, "has alternatives in parentheses, which are plain characters", meant, never=True)
    parts = list(filter(None, re.split(r"[,;|\s]+", re.sub(r"\{[^{}]*\}?", "", pattern))))
    if len(parts) > 1 and all(re.search(r"[*/]", part) for part in parts):
        return GlobDoubt(pattern, "holds several globs: each is an entry of the list", never=True)
    return None


def _brackets(pattern: str) -> GlobDoubt | None:
    """Brackets and braces, and `**` that is part of a name."""
    bare = re.sub(r"\\.|\[[!^]?\]?[^\]]*\]", "", pattern)
    for opened, closed, kind in (("[", "]", "bracket"), ("{", "}", "brace")):
        if bare.count(opened) > bare.count(closed):
            return GlobDoubt(
                pattern, f"has a {kind} that is never closed", pattern.replace(opened, f"\\{opened}"), never=True
            )
        if bare.count(closed) > bare.count(opened):
            return GlobDoubt(
                pattern, f"has a {kind} that is never opened", pattern.replace(closed, f"\\{closed}"), never=True
            )
    if _CLASS_OF_A_NAME.search(pattern):
        literal = _CLASS_OF_A_NAME.sub(r"\\[\1\\]", pattern)
        return GlobDoubt(pattern, "reads brackets as one of the characters in them", literal)
    if single := re.search(r"\{([^{},.]*)\}", pattern):
        return GlobDoubt(pattern, "has braces without alternatives", pattern.replace(single[0], single[1]))
    if _GLUED.search(pattern):
        meant = re.sub(r"(?<=/)\*\*(?=[^/*])", "**/*", re.sub(r"(?<=[^/*])\*\*(?=/|$)", "*/**", pattern))
        return GlobDoubt(pattern, "reads `**` beside other characters as `*`, which stays in one folder", meant)
    return None


def _folder(pattern: str) -> GlobDoubt | None:
    """A name that may be that of a folder."""
    if re.fullmatch(r"[\w-]+(?:/[\w-]+)*", pattern.removeprefix("/")):
        return GlobDoubt(pattern, "matches only a file of that name, not what is in a folder", f"{pattern}/**")
    return None


_JUDGES = (_edges, _expression, _brackets, _folder)


def _case(pattern: str, paths: Collection[str]) -> GlobDoubt | None:
    """Whether the glob matches none of `paths`, and would match one in other letters: upper and lower case count."""
    written, lower = Globs.of((pattern,)), Globs.of((pattern.lower(),))
    path = next((path for path in paths if lower.match(path.lower())), None)
    if path is None or any(map(written.match, paths)):
        return None
    segments, names = pattern.split("/"), path.split("/")
    spelled = {name.lower(): name for name in names}
    meant = "/".join(spelled.get(segment.lower(), segment) for segment in segments)
    return GlobDoubt(
        pattern,
        f"matches nothing: case counts, and `{path}` is written otherwise",
        meant if meant != pattern else "",
        never=True,
    )


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

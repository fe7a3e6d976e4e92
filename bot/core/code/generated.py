"""Recognises files that people did not write by hand: lockfiles, vendored, minified and generated code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from wcmatch.glob import escape

from bot.core.code.globs import Globs
from bot.core.code.language import language

_LOCKFILE = re.compile(
    r"(?:package-lock|npm-shrinkwrap|packages\.lock|project\.assets)\.json|pnpm-lock\.yaml|conda-lock\.yml"
    r"|(?:yarn|bun|deno|poetry|uv|pdm|pixi|pipfile|cargo|gemfile|composer|mix|pubspec|podfile|flake|chart|paket|conan"
    r"|module\.bazel)\.lock|bun\.lockb|(?:package|cartfile)\.resolved|go(?:\.work)?\.sum"
    r"|(?:buildscript-)?gradle\.lockfile|\.terraform\.lock\.hcl"
)
_VENDORED = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|site-packages|\.yarn)/"  # tools write these, wherever they are
    r"|^(?:vendor|third[_-]party|pods)/"
    r"|(?:^|/)(?:vendor|third[_-]party|external)/(?:(?:www\.)?[\w-]+\.(?:com|org|net|io|dev|in|sh)/|bundle/|composer/)"
    r"|(?:^|/)(?:static|assets|public|dist|libs?|wwwroot)/(?:vendor|third[_-]party)/|(?:^|/)(?:ios|macos|tvos)/pods/"
)
"""Folders of other people's code: by the root, by the address in the path, or among what a web server delivers."""
_MINIFIED = re.compile(r"[.-]min\.(?:js|mjs|cjs|css|html)$|\.(?:js|mjs|cjs|css)\.map$|\.(?:bundle|chunk)\.(?:js|css)$")
_GENERATED = re.compile(
    r"\.(?:pb|pb\.gw|gen|generated|g|g\.i|designer)\.(?:go|cs|dart|ts|js|py|rs|java|h|cc)$"
    r"|_pb2(?:_grpc)?\.pyi?$|_pb\.(?:js|d\.ts|rb)$|_generated\.\w+$|^zz_generated|^bindata\.go$"
    r"|\.(?:snap|ambr|tfstate)$|^(?:gradlew|mvnw)(?:\.bat|\.cmd)?$|^\.pnp\."
)


def generated_kind(path: str) -> str:
    """The kind of file, judged by its path: lockfile, minified, generated or vendored; empty for a file written by hand."""
    *folders, name = path.lower().split("/")
    if _LOCKFILE.fullmatch(name):
        return "lockfile"
    if _MINIFIED.search(name):
        return "minified"
    if _GENERATED.search(name) or "__generated__" in folders or "__snapshots__" in folders:
        return "generated"
    return "vendored" if _VENDORED.search(path.lower()) else ""


_MARKER = re.compile(
    r"\W{0,6}(?:(?:this|the|file|code|module|class|document|source|is|was|has|been|are|warning|note|automatically|auto"
    r"|machine|eslint-disable|prettier-ignore)\b\W{0,6}){0,8}"
    r"(?:@generated\b|<auto-?generated\b|(?:auto-?|machine-)?generated\b.{0,120}\bdo not (?:edit|modify|change)\b"
    r"|do not (?:edit|modify|change)\b.{0,120}\bgenerated\b)",
    re.IGNORECASE,
)
_OPENERS = {
    "hash": r"#+",
    "slash": r"//+!?|/\*+!?|\*+",
    "dashes": r"--+",
    "markup": r"<!--+",
    "other": r"#+|//+!?|/\*+!?|\*+|--+|<!--+|;+|%+|\(\*|\{-|'|rem\b|@rem\b|dnl\b|\.\.",
}
_COMMENTS = {
    "hash": "python ruby bash yaml toml perl r elixir make dockerfile terraform powershell cmake graphql jupyter",
    "slash": "c cpp csharp css dart go groovy java javascript kotlin protobuf rust scala solidity swift typescript zig",
    "dashes": "sql lua haskell",
    "markup": "html markdown xml",
}
_OPENER_OF = {
    language: re.compile(rf"[ \t\ufeff]*(?:{_OPENERS[kind]})[ \t]*", re.IGNORECASE)
    for kind, languages in _COMMENTS.items()
    for language in languages.split()
}
_ANY_OPENER = re.compile(rf"[ \t\ufeff]*(?:{_OPENERS['other']})[ \t]*", re.IGNORECASE)
_TEXT = re.compile(r"\"\"\"|'''|`")
"""Delimiters of texts over several lines: a generator keeps the header that it writes in such a text."""
_POINTERS = (
    (re.compile(r"version https://git-lfs\.github\.com/spec/v1$"), "a Git LFS pointer"),
    (re.compile(r"Subproject commit [0-9a-f]{40,64}$"), "a submodule"),
)
TOP = 20
"""The number of first lines in which a generated file says that it is one."""
_LONG_LINE = 2_000


def pointer_kind(first: str) -> str:
    """The kind of pointer, if a file with this first line only points to content elsewhere; else empty."""
    return next((kind for pattern, kind in _POINTERS if pattern.match(first)), "")


def has_generated_marker(path: str, lines: Iterable[str]) -> bool:
    """Whether a comment in the first lines of the file begins by saying that a program wrote the file."""
    opener = _OPENER_OF.get(language(path), _ANY_OPENER)
    quotes = 0
    for line in lines:
        shown = line[:_LONG_LINE]
        comment = opener.match(shown)
        if comment and quotes % 2 == 0 and _MARKER.match(shown, comment.end()):
            return True
        quotes += len(_TEXT.findall(shown))
    return False


def is_minified(lines: Iterable[str]) -> bool:
    """Whether most of the lines that are not blank are longer than people write."""
    lengths = [len(line) for line in lines if line.strip()]
    return 2 * sum(length > _LONG_LINE for length in lengths) > len(lengths)


class PathKind(StrEnum):
    """What `.gitattributes` says about a path. https://github.com/github-linguist/linguist/blob/main/docs/overrides.md"""

    GENERATED = "generated"
    VENDORED = "vendored"
    WRITTEN = "written"


class _AttributeRule(NamedTuple):
    globs: Globs
    kind: PathKind
    value: bool | None


@dataclass(frozen=True, slots=True)
class PathAttributes:
    """The linguist attributes of a commit's `.gitattributes` files. Later rules win."""

    rules: tuple[_AttributeRule, ...] = ()

    @classmethod
    def of(cls, files: Mapping[str, str]) -> PathAttributes:
        """Reads the texts of `.gitattributes` files, by path. Rules of deeper folders win over those of outer ones."""
        ordered = sorted(files, key=lambda path: (path.count("/"), path))
        rules = (rule for path in ordered for rule in _attribute_rules(path, files[path]))
        return cls(tuple(islice(rules, _MOST_RULES)))

    def kind(self, path: str) -> PathKind | None:
        """What the attributes say about `path`; WRITTEN if they only deny that it is generated or vendored."""
        values: dict[PathKind, bool | None] = {}
        for rule in self.rules:
            if rule.globs.match(path):
                values[rule.kind] = rule.value
        named = next((kind for kind, value in values.items() if value), None)
        return named or (PathKind.WRITTEN if False in values.values() else None)


_MOST_RULES = 500
_ATTRIBUTE = re.compile(r"([-!]?)linguist-(generated|vendored)(?:=(true|false|set|unset|1|0))?", re.IGNORECASE)
_PATTERN = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|(\S+)")


def _attribute_rules(path: str, text: str) -> Iterator[_AttributeRule]:
    """The rules of one file, whose patterns are relative to its folder. https://git-scm.com/docs/gitattributes"""
    folder = path.rpartition("/")[0]
    for line in text.splitlines():
        found = _PATTERN.match(line.strip())
        if found is None or line.lstrip().startswith(("#", "[attr]")):
            continue
        pattern = found[1] or found[2] or ""
        if not pattern or pattern.endswith("/"):
            continue  # git matches no file with it
        if not (attributes := _ATTRIBUTE.findall(line.strip()[found.end() :])):
            continue
        below = pattern.removeprefix("/") if "/" in pattern else f"**/{pattern}"
        globs = Globs.of((f"/{escape(folder)}/{below}" if folder else f"/{below}",))
        for sign, name, value in attributes:
            denied = sign == "-" or value.lower() in {"false", "unset", "0"}
            yield _AttributeRule(globs, PathKind(name.lower()), None if sign == "!" else not denied)

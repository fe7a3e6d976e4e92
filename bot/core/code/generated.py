"""Whether people wrote a file by hand: lockfiles, vendored, minified and generated code are not theirs to mend."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LOCKFILE = re.compile(
    r"(?:package-lock|npm-shrinkwrap|packages\.lock|project\.assets)\.json|pnpm-lock\.yaml|conda-lock\.yml"
    r"|(?:yarn|bun|deno|poetry|uv|pdm|pixi|pipfile|cargo|gemfile|composer|mix|pubspec|podfile|flake|chart|paket|conan"
    r"|module\.bazel)\.lock|bun\.lockb|(?:package|cartfile)\.resolved|go(?:\.work)?\.sum"
    r"|(?:buildscript-)?gradle\.lockfile|\.terraform\.lock\.hcl"
)
_VENDORED = {
    "node_modules",
    "bower_components",
    "vendor",
    "third_party",
    "third-party",
    "site-packages",
    "pods",
    ".yarn",
}
_MINIFIED = re.compile(r"[.-]min\.(?:js|mjs|cjs|css|html)$|\.(?:js|mjs|cjs|css)\.map$|\.(?:bundle|chunk)\.(?:js|css)$")
_GENERATED = re.compile(
    r"\.(?:pb|pb\.gw|gen|generated|g|g\.i|designer)\.(?:go|cs|dart|ts|js|py|rs|java|h|cc)$"
    r"|_pb2(?:_grpc)?\.pyi?$|_pb\.(?:js|d\.ts|rb)$|_generated\.\w+$|^zz_generated|^bindata\.go$"
    r"|\.(?:snap|ambr|tfstate)$|^(?:gradlew|mvnw)(?:\.bat|\.cmd)?$|^\.pnp\."
)


def unwritten(path: str) -> str:
    """Why nobody wrote this file by hand, judged by its path: lockfile, minified, generated, vendored; else empty."""
    *folders, name = path.lower().split("/")
    if _LOCKFILE.fullmatch(name):
        return "lockfile"
    if _MINIFIED.search(name):
        return "minified"
    if _GENERATED.search(name) or "__generated__" in folders or "__snapshots__" in folders:
        return "generated"
    return "" if _VENDORED.isdisjoint(folders) else "vendored"


_MARKER = re.compile(
    r"@generated\b|<auto-?generated\b|\b(?:auto-?generated|generated)\b.{0,80}\bdo not (?:edit|modify|change)\b"
    r"|\bdo not edit\b.{0,80}\bgenerated\b",
    re.IGNORECASE,
)
_POINTERS = (
    (re.compile(r"version https://git-lfs\.github\.com/spec/v1$"), "a Git LFS pointer"),
    (re.compile(r"Subproject commit [0-9a-f]{40,64}$"), "a submodule"),
)
_LINK = re.compile(r"[\w./@+-]{1,1024}")
TOP = 20
"""A file that is generated says so in its first lines."""
_LONG = 2_000


def pointer(first: str) -> str:
    """What stands elsewhere, if a file with this first line is only a pointer to it; else empty."""
    return next((what for pattern, what in _POINTERS if pattern.match(first)), "")


def link(only: str) -> bool:
    """Whether a file of this one line, which no newline ends, is a symbolic link as git stores it: hosts do not say."""
    return _LINK.fullmatch(only) is not None


def says_generated(lines: Iterable[str]) -> bool:
    """Whether one of a file's first lines says that a program wrote it."""
    return any(_MARKER.search(line[:_LONG]) for line in lines)


def minified(lines: Iterable[str]) -> bool:
    """Whether most of the lines that say anything are longer than a person writes."""
    lengths = [len(line) for line in lines if line.strip()]
    return 2 * sum(length > _LONG for length in lengths) > len(lengths)

"""Recognises files that people did not write by hand: lockfiles, vendored, minified and generated code."""

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


def generated_kind(path: str) -> str:
    """The kind of file, judged by its path: lockfile, minified, generated or vendored; empty for a file written by hand."""
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
_LINK = re.compile(r"(?:\.{1,2}|/[\w.@+-]{1,255})/[\w./@+-]{1,1024}")
TOP = 20
"""The number of first lines in which a generated file says that it is one."""
_LONG_LINE = 2_000


def pointer_kind(first: str) -> str:
    """The kind of pointer, if a file with this first line only points to content elsewhere; else empty."""
    return next((kind for pattern, kind in _POINTERS if pattern.match(first)), "")


def is_symbolic_link(line: str) -> bool:
    """Whether a file with only this line, without a newline, is a path from its own folder or from the root, as git stores symbolic links."""
    return _LINK.fullmatch(line) is not None


def has_generated_marker(lines: Iterable[str]) -> bool:
    """Whether one of the first lines says that a program wrote the file."""
    return any(_MARKER.search(line[:_LONG_LINE]) for line in lines)


def is_minified(lines: Iterable[str]) -> bool:
    """Whether most of the lines that are not blank are longer than people write."""
    lengths = [len(line) for line in lines if line.strip()]
    return 2 * sum(length > _LONG_LINE for length in lengths) > len(lengths)

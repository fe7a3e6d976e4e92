"""The facts of a walkthrough that follow from the diff: areas, risks, and which changed file imports which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from bot.core.claims.schemas import Walkthrough
from bot.core.code.diff import Diff, FileDiff
from bot.core.code.plan import BatchPart, CoverageRow, is_security_relevant
from bot.core.code.pull_request import PullRequest
from bot.core.comments.comment import code
from bot.core.comments.remarks import remarks

_AREAS, _NAMED, _NODES = 12, 4, 12
_IMPORTS = re.compile(
    r"^\s*(?:from|import|#include|require|use|using|export\s.*from|const\s.*require)\b.*$", re.MULTILINE
)
_SHORTEST_STEM = 3


@dataclass(frozen=True, slots=True)
class Area:
    """The changed files of one folder."""

    name: str
    files: tuple[str, ...]
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class WalkthroughFacts:
    """`risks` are sentences; `edges` are (file, the changed file it imports); `left_out` are files that are not reviewed; `told` is the model's part."""

    areas: tuple[Area, ...] = ()
    risks: tuple[str, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    told: Walkthrough | None = field(default=None)


def tour(pull: PullRequest, diff: Diff, heads: Mapping[str, str], left_out: Sequence[CoverageRow]) -> WalkthroughFacts:
    """The facts of a change. `heads` are the texts of its files at the head, `left_out` the files that are not reviewed."""
    return WalkthroughFacts(
        areas=tuple(_areas(diff)),
        risks=(*_delicate(diff), *remarks(pull, diff)),
        edges=tuple(_edges(heads)),
        left_out=tuple(row.path for row in left_out),
    )


def _areas(diff: Diff) -> Iterator[Area]:
    folders: dict[str, list[FileDiff]] = {}
    for file in diff:
        folders.setdefault(_folder(file.path), []).append(file)
    ranked = sorted(folders.items(), key=lambda item: -sum(file.additions + file.deletions for file in item[1]))
    shown, rest = ranked[:_AREAS], [file for _, files in ranked[_AREAS:] for file in files]
    yield from (_area(name, files) for name, files in shown)
    if rest:
        yield _area(f"{len(ranked) - _AREAS} more folders", rest)


def _area(name: str, files: Sequence[FileDiff]) -> Area:
    paths = tuple(file.path for file in files)
    return Area(name, paths, sum(file.additions for file in files), sum(file.deletions for file in files))


def _folder(path: str) -> str:
    """The first two folders of a path."""
    parts = PurePosixPath(path).parts[:-1]
    return "/".join(parts[:2]) or "."


def _delicate(diff: Diff) -> Iterator[str]:
    found = [file.path for file in diff if is_security_relevant(BatchPart(file.path, file.hunks))]
    if found:
        yield "Permissions, secrets or public interfaces may depend on " + _listed(found) + "."


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(map(code, paths[:_NAMED]))
    return shown + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")


def _edges(heads: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Which changed file imports which, by its import lines; none if there are too many to draw."""
    stems = {path: PurePosixPath(path).stem for path in heads}
    found: list[tuple[str, str]] = []
    for path, text in heads.items():
        words = {word for line in _IMPORTS.findall(text) for word in re.findall(r"[\w-]+", line)}
        found += [
            (path, other)
            for other, stem in stems.items()
            if other != path and len(stem) >= _SHORTEST_STEM and stem in words
        ]
    nodes = {path for edge in found for path in edge}
    return found if len(nodes) <= _NODES else []

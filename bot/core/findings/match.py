"""Findings of now <-> findings that are known, one to one, by code, topic and symbol; never by words.

Survives rewording, moved lines, re-indentation, renames, moves to another file and small edits of the code itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bot.core.code.diff import Diff, FileDiff, Side
from bot.core.code.syntax import symbol_at
from bot.core.findings.finding import Finding, fingerprint, normal, sketch
from bot.core.findings.known import KnownFinding

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)

ALIKE = 0.6
"""Share of their words that two pieces of code must have in common to be one, edited: all else is punctuation."""
ALIKE_FAR = 0.75
"""The same, for code in another function or file."""
TELLING = 20
"""Characters beside white space from which on code is its own name, wherever it stands."""


@dataclass(frozen=True, slots=True)
class FoundPlace:
    """Where a known finding's code stands now, lines `start`..`line` of `path`."""

    path: str
    start: int
    line: int


def follow(path: str, diff: Diff) -> FileDiff | None:
    """The file that `path` was at an earlier head; None if it is no longer part of the change."""
    return diff.file(path) or next((file for file in diff if file.previous_path == path), None)


def spots(known: Iterable[KnownFinding], diff: Diff, heads: Mapping[str, str]) -> dict[str, FoundPlace]:
    """Where the code of each known finding stands at the head, by identity; those whose code is gone are not in it.

    Equal code is given out once for each topic. Another file counts only for code that is unlikely to be there by chance.
    """
    text = _Text(diff, heads)
    wanted = [
        ((other, abs(spot.line - (one.line or 0))), one, ((one.topic, spot), spot))
        for one in known
        for other, spot in text.find(one)
    ]
    best = _assigned((rank, one.identity, place) for rank, one, place in wanted)
    return {name: spot for name, (_, spot) in best}


def pair(
    known: Sequence[KnownFinding], found: Sequence[Finding], standing: Mapping[str, FoundPlace], diff: Diff
) -> tuple[tuple[KnownFinding, int], ...]:
    """Known findings and the positions in `found` of what they are now. `standing` is what `spots` said of them."""
    ranked = (
        (rank, at, n)
        for at, one in enumerate(known)
        for n, finding in enumerate(found)
        if (rank := _likeness(one, finding, standing.get(one.identity), diff)) is not None
    )
    return tuple((known[at], n) for at, n in _assigned(ranked))


def _likeness(one: KnownFinding, finding: Finding, spot: FoundPlace | None, diff: Diff) -> tuple[float, ...] | None:
    """How sure it is that `finding` is `one`: less is surer; None if it is something else."""
    place = finding.anchor
    if one.side is not place.side or not _about_the_same(one, finding):
        return None
    home = follow(one.path, diff)
    here = home is not None and home.path == place.path
    same = one.print == fingerprint(finding.code)
    line = place.line or 0
    if same and here:
        return 0, one.symbol != finding.draft.symbol, abs(line - (spot.line if spot else one.line or 0))
    if spot and spot.path == place.path and spot.start <= line and (place.start or line) <= spot.line:
        return 1, not same, abs(line - spot.line)
    if spot is None and same:
        return 2, one.symbol != finding.draft.symbol, 0
    left = diff.file(one.path) is None  # whichever file git takes for its successor
    return (
        None if spot else _edited(one, finding, here=here, near=(here or left) and one.symbol == finding.draft.symbol)
    )


def _edited(one: KnownFinding, finding: Finding, *, here: bool, near: bool) -> tuple[float, ...] | None:
    """For code that is gone: whether this is what became of it. Far away it has to be more like it."""
    likeness = _alike(one, finding)
    if near:
        return (3, not here, 1 - likeness) if likeness >= ALIKE else None
    return (4, 0, 1 - likeness) if likeness >= ALIKE_FAR and one.weight >= TELLING else None


def _about_the_same(one: KnownFinding, finding: Finding) -> bool:
    """The same topic. A model that names its claim now and not then, or the other way round, means the same."""
    if one.topic == finding.topic:
        return True
    if one.check or finding.draft.rule or one.category is not finding.draft.category:
        return False
    return one.category.value in {one.topic, finding.topic}


def _alike(one: KnownFinding, finding: Finding) -> float:
    mine, theirs = Counter(one.words), Counter(sketch(normal(finding.code)))
    return 2 * (mine & theirs).total() / ((mine + theirs).total() or 1)


def _assigned(ranked: Iterable[tuple[tuple[float, ...], A, B]]) -> Iterator[tuple[A, B]]:
    """Each left and each right at most once, the surest pairs first."""
    lefts: set[A] = set()
    rights: set[B] = set()
    for _, left, right in sorted(ranked, key=lambda one: one[0]):
        if left not in lefts and right not in rights:
            lefts.add(left)
            rights.add(right)
            yield left, right


class _Text:
    """The head, searched by the fingerprint of a few lines."""

    def __init__(self, diff: Diff, heads: Mapping[str, str]) -> None:
        self._diff = diff
        self._heads = heads
        self._indexes: dict[tuple[str, Side, int], dict[str, list[FoundPlace]]] = {}

    def find(self, one: KnownFinding) -> Iterator[tuple[bool, FoundPlace]]:
        """Where its code stands, and whether that is in another file than it was."""
        home = follow(one.path, self._diff)
        telling = one.weight >= TELLING
        at_home = [] if home is None else self._in(home, one)
        for spot in at_home:
            if telling or not one.symbol or self._symbol(spot) in {one.symbol, None}:
                yield False, spot
        if not at_home and telling:
            for file in self._diff:
                yield from ((True, spot) for spot in self._in(file, one))

    def _in(self, file: FileDiff, one: KnownFinding) -> list[FoundPlace]:
        key = file.path, one.side, one.size
        if key not in self._indexes:
            self._indexes[key] = _index(self._lines(file, one.side), *key)
        return self._indexes[key].get(one.print, [])

    def _lines(self, file: FileDiff, side: Side) -> list[tuple[int, str]]:
        text = self._heads.get(file.path)
        if side is Side.RIGHT and text is not None:
            lines: Iterable[tuple[int | None, str]] = enumerate(text.split("\n"), 1)
        else:
            lines = ((line.number(side), line.text) for hunk in file.hunks for line in hunk.on(side))
        return [(number, words) for number, line in lines if number and (words := normal(line))]

    def _symbol(self, spot: FoundPlace) -> str | None:
        text = self._heads.get(spot.path)
        return None if text is None else symbol_at(spot.path, text, spot.line)


def _index(lines: Sequence[tuple[int, str]], path: str, _side: Side, size: int) -> dict[str, list[FoundPlace]]:
    found: dict[str, list[FoundPlace]] = {}
    for at in range(len(lines) - size + 1 if size else 0):
        window = lines[at : at + size]
        name = fingerprint("\n".join(text for _, text in window))
        found.setdefault(name, []).append(FoundPlace(path, window[0][0], window[-1][0]))
    return found

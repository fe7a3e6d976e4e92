"""Matches new findings with known findings, one to one, by code, topic and symbol and not by wording.

A match survives rewording, moved lines, re-indentation, renames and small edits of the code. In another function or file
one common line is not enough, and a dismissal stays with its own function and file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bot.core.code.diff import Diff, FileDiff, Side, Status
from bot.core.code.syntax import symbol_at
from bot.core.findings.finding import Finding, fingerprint, normalize, sketch
from bot.core.findings.known import FindingState, KnownFinding
from bot.core.findings.topic import kind_of, reworded

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)

ALIKE = 0.6
"""Share of words that two pieces of code must have in common to count as one piece that was edited."""
ALIKE_FAR = 0.75
"""The same share for code in another function or file."""
TELLING = 20
"""Characters, without white space, from which code is long enough to be recognised in another file."""


SEVERAL = 2
"""Lines of code, not empty, from which it is recognised in another function or file by these lines alone."""


@dataclass(frozen=True, slots=True)
class FoundPlace:
    """The place where a known finding's code is now, lines `start`..`line` of `path`."""

    path: str
    start: int
    line: int


def current_file(path: str, diff: Diff) -> FileDiff | None:
    """Returns the file that was at `path` at an earlier head; None if it is no longer part of the change."""
    return diff.file(path) or next((file for file in diff if file.previous_path == path), None)


def find_places(known: Iterable[KnownFinding], diff: Diff, heads: Mapping[str, str]) -> dict[str, FoundPlace]:
    """Returns the place of each known finding's code at the head, by identity; without those whose code is gone.

    Each place is used once for each topic. Other files count only for code that is long enough (TELLING) and that has
    several lines or the same enclosing symbol, and never for a dismissed finding.
    """
    text = _Text(diff, heads)
    wanted = [
        ((other, abs(spot.line - (before.line or 0))), before, ((before.topic, spot), spot))
        for before in known
        for other, spot in text.find(before)
    ]
    best = _assigned((rank, before.identity, place) for rank, before, place in wanted)
    return {name: spot for name, (_, spot) in best}


def pair(
    known: Sequence[KnownFinding],
    found: Sequence[Finding],
    standing: Mapping[str, FoundPlace],
    diff: Diff,
    heads: Mapping[str, str],
) -> tuple[tuple[KnownFinding, int], ...]:
    """Returns pairs of a known finding and its position in `found`. `standing` is the result of `find_places`."""
    left = {before.identity for before in known if _left_its_symbol(before, diff, heads)}
    ranked = (
        (rank, at, n)
        for at, before in enumerate(known)
        for n, finding in enumerate(found)
        if _may_follow(before, finding, diff, left_symbol=before.identity in left)
        and (rank := _likeness(before, finding, standing.get(before.identity), diff)) is not None
    )
    return tuple((known[at], n) for at, n in _assigned(ranked))


def _is_dismissed(before: KnownFinding) -> bool:
    """Whether a person dismissed it, even if its code went away after that."""
    return before.state is FindingState.DISMISSED or before.dismissed_by is not None


def _was_renamed(before: KnownFinding, diff: Diff) -> bool:
    """Whether its whole file is gone: what has its code and its symbol now is the same file under another name."""
    file = diff.file(before.path)  # git may take any file for its successor
    return file is None or file.status is Status.REMOVED


def _may_follow(before: KnownFinding, finding: Finding, diff: Diff, *, left_symbol: bool) -> bool:
    """Whether a known finding may be the new one, by file and function.

    To another function or file it goes only with several lines or, to a file, with the same enclosing symbol; within a
    file also if the name of its function is gone, which was renamed. A dismissal goes only where its whole file went.
    """
    home = current_file(before.path, diff)
    here = home is not None and home.path == finding.anchor.path
    inside = before.symbol == finding.draft.symbol
    if here and inside:
        return True
    if _is_dismissed(before):
        return _was_renamed(before, diff) and inside and bool(before.symbol)
    several = before.size >= SEVERAL
    return several or (left_symbol or not before.symbol if here else inside and bool(before.symbol))


def _left_its_symbol(before: KnownFinding, diff: Diff, heads: Mapping[str, str]) -> bool:
    """Whether the last name of its enclosing symbol is no longer a word of its file."""
    home = current_file(before.path, diff)
    text = heads.get(home.path) if home else None
    name = re.split(r"\W+", before.symbol)[-1]
    return text is not None and bool(name) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is None


def _likeness(before: KnownFinding, finding: Finding, spot: FoundPlace | None, diff: Diff) -> tuple[float, ...] | None:
    """Returns how sure it is that `finding` is `before`, less is surer; None if it is another finding."""
    place = finding.anchor
    if before.side is not place.side or not _about_the_same(before, finding):
        return None
    home = current_file(before.path, diff)
    here = home is not None and home.path == place.path
    same = before.print == fingerprint(finding.code)
    line = place.line or 0
    if same and here:
        return 0, before.symbol != finding.draft.symbol, abs(line - (spot.line if spot else before.line or 0))
    if spot and spot.path == place.path and spot.start <= line and (place.start or line) <= spot.line:
        return 1, not same, abs(line - spot.line)
    if spot is None and same:
        return 2, before.symbol != finding.draft.symbol, 0
    left = diff.file(before.path) is None  # git may take any file for its successor
    return (
        None
        if spot
        else _edited(before, finding, here=here, near=(here or left) and before.symbol == finding.draft.symbol)
    )


def _edited(before: KnownFinding, finding: Finding, *, here: bool, near: bool) -> tuple[float, ...] | None:
    """Ranks a finding as the edited version of code that is gone; at another place it must be more alike."""
    likeness = _alike(before, finding)
    if near:
        return (3, not here, 1 - likeness) if likeness >= ALIKE else None
    return (4, 0, 1 - likeness) if likeness >= ALIKE_FAR and before.weight >= TELLING else None


def _about_the_same(before: KnownFinding, finding: Finding) -> bool:
    """Whether the topic is the same, perhaps in other words.

    A model may type its claim at one time and not at another; topics of earlier versions have no words to compare.
    """
    if before.topic == finding.topic:
        return True
    if before.check or finding.draft.rule or before.category is not finding.draft.category:
        return False
    same = reworded(before.topic, finding.topic)
    return before.category.value in {kind_of(before.topic), kind_of(finding.topic)} if same is None else same


def _alike(before: KnownFinding, finding: Finding) -> float:
    mine, theirs = Counter(before.words), Counter(sketch(normalize(finding.code)))
    return 2 * (mine & theirs).total() / ((mine + theirs).total() or 1)


def _assigned(ranked: Iterable[tuple[tuple[float, ...], A, B]]) -> Iterator[tuple[A, B]]:
    """Yields the surest pairs first; each left and each right at most once."""
    lefts: set[A] = set()
    rights: set[B] = set()
    for _, left, right in sorted(ranked, key=lambda row: row[0]):
        if left not in lefts and right not in rights:
            lefts.add(left)
            rights.add(right)
            yield left, right


class _Text:
    """Searches the head by the fingerprint of a few lines."""

    def __init__(self, diff: Diff, heads: Mapping[str, str]) -> None:
        self._diff = diff
        self._heads = heads
        self._indexes: dict[tuple[str, Side, int], dict[str, list[FoundPlace]]] = {}

    def find(self, before: KnownFinding) -> Iterator[tuple[bool, FoundPlace]]:
        """Yields the places of its code, and whether each is in another file than before."""
        home = current_file(before.path, self._diff)
        telling = before.weight >= TELLING
        at_home = [] if home is None else self._in(home, before)
        for spot in at_home:
            anywhere = telling and not _is_dismissed(before)
            if anywhere or not before.symbol or self._symbol(spot) in {before.symbol, None}:
                yield False, spot
        dismissed = _is_dismissed(before)
        if not at_home and telling and (not dismissed or _was_renamed(before, self._diff)):
            for file in self._diff:
                for spot in self._in(file, before):
                    several = before.size >= SEVERAL and not dismissed
                    if several or (before.symbol and self._symbol(spot) == before.symbol):
                        yield True, spot

    def _in(self, file: FileDiff, before: KnownFinding) -> list[FoundPlace]:
        key = file.path, before.side, before.size
        if key not in self._indexes:
            self._indexes[key] = _index(self._lines(file, before.side), *key)
        return self._indexes[key].get(before.print, [])

    def _lines(self, file: FileDiff, side: Side) -> list[tuple[int, str]]:
        text = self._heads.get(file.path)
        if side is Side.RIGHT and text is not None:
            lines: Iterable[tuple[int | None, str]] = enumerate(text.split("\n"), 1)
        else:
            lines = ((line.number(side), line.text) for hunk in file.hunks for line in hunk.on(side))
        return [(number, words) for number, line in lines if number and (words := normalize(line))]

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

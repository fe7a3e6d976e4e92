"""Finds the lines of the diff that a quote stands on: an inline anchor, else one on the file, else in the summary."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import accumulate

from bot.core.code.diff import Diff, FileDiff, Line, Side


class Place(StrEnum):
    """Where a finding stands, from the most to the least exact."""

    INLINE = "inline"
    FILE = "file"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Lines `start`..`line` (inclusive, 1-based) of `path` on `side`, all in one hunk. `text` is their code.

    `start` is None for a single line, because GitHub requires it to be before `line`. For FILE and SUMMARY both are None.
    `exact` is true if the quote is these whole lines, letter for letter; `why` explains a less exact place.
    """

    place: Place
    path: str
    side: Side = Side.RIGHT
    start: int | None = None
    line: int | None = None
    text: str = ""
    why: str = ""
    exact: bool = False


def anchor(path: str, quoted: str, diff: Diff, side: Side = Side.RIGHT, near: int | None = None) -> Anchor:
    """Returns the best place for a comment on `quoted`, code copied from the diff of `path`.

    Tries in turn: the same lines; the same lines with other white space; the lines without the marks, numbers, quotation
    marks or escapes of a view, on `side` and then on the other side; the ends of a quote with "..." in it; the longest line that occurs
    once. Of several matches it takes one on a changed line, then the one nearest to `near`, then the first.
    """
    file = _find_file(path, diff)
    if file is None:
        return Anchor(Place.SUMMARY, path, side, why="the file is not part of this change")
    if not file.hunks:
        return Anchor(Place.FILE, file.path, side, why=file.unread or "no line of the file changed")
    if near is not None and (place := _line_with_number(file, quoted, side, near)):
        return place
    other = Side.LEFT if side is Side.RIGHT else Side.RIGHT
    for steps in ((_exact_lines, _similar_lines), (_around_ellipsis, _unique_line, _unique_part)):
        for column in (side, other):
            if place := _inline(file, quoted, column, near, steps):
                return place
    return Anchor(Place.FILE, file.path, side, why="the quoted code is not in the changed part of the file")


def _find_file(path: str, diff: Diff) -> FileDiff | None:
    """Returns the changed file that a path means, which may be an old name or have too many or too few folders."""
    exact = diff.file(path) or next((file for file in diff if file.previous_path == path), None)
    if exact or not path:
        return exact
    alike = [file for file in diff if f"/{file.path}".endswith(f"/{path}") or f"/{path}".endswith(f"/{file.path}")]
    return alike[0] if len(alike) == 1 else None


def _line_with_number(file: FileDiff, quoted: str, side: Side, near: int) -> Anchor | None:
    """Returns the changed line with that number if its text is the quote. No other match can be nearer."""
    want = next(_readings(quoted, side), [])
    line = next((view.numbered[near] for view in _views(_Same(file), side) if near in view.numbered), None)
    if line is None or [line.text.rstrip()] != [text.rstrip() for text in want]:
        return None
    changed = line.added if side is Side.RIGHT else line.removed
    return Anchor(Place.INLINE, file.path, side, None, near, line.text, exact=True) if changed else None


class _Rows:
    """The lines of one side of a hunk as texts, in which runs of whole lines are found in linear time."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._joined = "\n".join(("", *texts, ""))

    def windows(self, want: Sequence[str]) -> list[int]:
        """Returns the indexes at which `want` stands, as consecutive whole lines."""
        if not want or "\n".join(("", *want, "")) not in self._joined:
            return []
        return list(_occurrences(self.texts, want))


def _occurrences(texts: Sequence[str], want: Sequence[str]) -> Iterator[int]:
    """Yields where `want` begins in `texts`, by the algorithm of Knuth, Morris and Pratt: equal lines cost no more."""
    border, length = [0], 0
    for line in want[1:]:
        while length and line != want[length]:
            length = border[length - 1]
        length += line == want[length]
        border.append(length)
    matched = 0
    for at, line in enumerate(texts):
        while matched and (matched == len(want) or line != want[matched]):
            matched = border[matched - 1]
        matched += line == want[matched]
        if matched == len(want):
            yield at + 1 - matched


class _View:
    """One side of a hunk: its lines, their texts, and the texts with normalised white space."""

    def __init__(self, lines: Sequence[Line], side: Side) -> None:
        self.lines, self.side = lines, side

    @cached_property
    def exact(self) -> _Rows:
        return _Rows([line.text.rstrip() for line in self.lines])

    @cached_property
    def normal(self) -> _Rows:
        return _Rows(_normalize(line.text for line in self.lines))

    @cached_property
    def numbered(self) -> Mapping[int | None, Line]:
        """The lines by their number on this side."""
        return {line.number(self.side): line for line in self.lines}

    @cached_property
    def _changed_before(self) -> Sequence[int]:
        """For each index, how many lines before it are changed. On the LEFT a comment needs a removed line."""
        marks = (line.added if self.side is Side.RIGHT else line.removed for line in self.lines)
        return list(accumulate(marks, initial=0))

    def has_change(self, first: int, last: int) -> bool:
        """Whether one of the lines `first`..`last` is changed."""
        return self._changed_before[last + 1] > self._changed_before[first]


class _Same:
    """A file as a key that is compared by identity: its hash is not computed from all of its lines."""

    def __init__(self, file: FileDiff) -> None:
        self.file = file

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.file is other.file

    def __hash__(self) -> int:
        return id(self.file)


@lru_cache(maxsize=64)
def _views(same: _Same, side: Side) -> Sequence[_View]:
    hunks = same.file.hunks
    return [_View([line for line in hunk.lines if line.number(side) is not None], side) for hunk in hunks]


@dataclass(frozen=True, slots=True)
class _Match:
    """Lines `first`..`last` (indexes, inclusive) of a view."""

    view: _View
    first: int
    last: int
    exact: bool = False
    why: str = ""

    @property
    def is_changed(self) -> bool:
        return self.view.has_change(self.first, self.last)


Views = Sequence[_View]
Readings = Sequence[list[str]]
_Step = Callable[[Views, Readings], list[_Match]]


def _inline(file: FileDiff, quoted: str, side: Side, near: int | None, steps: Iterable[_Step]) -> Anchor | None:
    views = _views(_Same(file), side)
    readings = list(_readings(quoted, side))
    for step in steps:
        found = [match for match in step(views, readings) if side is Side.RIGHT or match.is_changed]
        if found:
            return _to_anchor(min(found, key=lambda match: _rank(match, near)), file.path, side)
    return None


def _rank(match: _Match, near: int | None) -> tuple[bool, int, int]:
    """Sorts changed lines first, then the nearest, then the first."""
    lines, side = match.view.lines, match.view.side
    first, last = lines[match.first].number(side) or 0, lines[match.last].number(side) or 0
    distance = 0 if near is None else max(first - near, near - last, 0)
    return not match.is_changed, distance, first


def _to_anchor(match: _Match, path: str, side: Side) -> Anchor:
    """Returns the anchor of a match, narrowed to lines on which GitHub accepts a comment."""
    lines = match.view.lines
    hooks = [at for at in range(match.first, match.last + 1) if side is Side.RIGHT or lines[at].removed]
    first, last = hooks[0], hooks[-1]
    start, line = lines[first].number(side), lines[last].number(side)
    text = "\n".join(shown.text for shown in lines[first : last + 1])
    whole = match.exact and (first, last) == (match.first, match.last)
    return Anchor(Place.INLINE, path, side, start if first < last else None, line, text, match.why, whole)


_FENCE = re.compile(r"\s*(```|~~~|@@ )")
_ECHOES = tuple(
    re.compile(pattern)
    for pattern in (
        r"\d{1,7}[+\- ]",  # as a model is shown them
        r"[+\- ]",  # a diff's marks
        r"[+\-] ",
        r"\s*[LR]?\d{1,7}\s*[:|│]",  # line numbers
        r"\s*[LR]?\d{1,7}\s*[:|│] ",
        r"\s*\d{1,7}[ \t]",
        r"\s*[LR]?\d{1,7}\s*[:|│]?\s?[+\- ]",  # both
        r"\s*[LR]?\d{1,7}\s*[:|│]?\s?[+\-] ",
    )
)


def _readings(quoted: str, side: Side) -> Iterator[list[str]]:
    """Yields the possible readings of a quote: as it is, then without what a view or an answer's format did to it."""
    for text in dict.fromkeys(_without_format(quoted)):
        yield from _without_marks(text, side)


_WRAPPERS = ("`", '"')
_ESCAPED = re.compile(r'\\(["\\/nt])')
_MEANING = {"n": "\n", "t": "\t"}


def _without_format(quoted: str) -> Iterator[str]:
    """Yields the quote, then without backticks or JSON's quotation marks around it or each line, and without escapes."""
    texts = [quoted]
    whole = quoted.strip()
    rows = [row.strip() for row in whole.split("\n")]
    for mark in (mark for mark in _WRAPPERS if whole.startswith(mark)):
        texts += [_unwrapped(whole, mark), whole.removeprefix(mark)]
        if all(row.startswith(mark) or not row for row in rows):
            texts += ["\n".join(_unwrapped(row, mark) for row in rows)]
    yield from texts
    for text in texts:
        if "\\" in text:
            yield _ESCAPED.sub(lambda match: _MEANING.get(match[1], match[1]), text)


def _unwrapped(text: str, mark: str) -> str:
    """Returns a text without `mark` at its ends; a JSON string may have a comma after it."""
    text = text[:-1] if text.endswith(f"{mark},") else text
    return text.strip(mark) if mark == "`" else text.removeprefix(mark).removesuffix(mark)


def _without_marks(quoted: str, side: Side) -> Iterator[list[str]]:
    """Yields the lines of a quote without fences, then without the marks and numbers of a diff view."""
    lines = [line.removesuffix("\r") for line in quoted.split("\n")]
    while lines and (not lines[0].strip() or _FENCE.match(lines[0])):
        del lines[0]
    while lines and (not lines[-1].strip() or _FENCE.match(lines[-1])):
        del lines[-1]
    if not lines:
        return
    yield lines
    foreign = "-" if side is Side.RIGHT else "+"
    for echo in _ECHOES:
        found = [(line, echo.match(line)) for line in lines]
        if all(match or not line.strip() for line, match in found):
            bare = [line[match.end() :] if match else "" for line, match in found if not _has_mark(match, foreign)]
            if any(line.strip() for line in bare):
                yield bare


def _has_mark(match: re.Match[str] | None, mark: str) -> bool:
    return match is not None and match[0].rstrip().endswith(mark)


def _exact_lines(views: Views, readings: Readings) -> list[_Match]:
    """Matches the same lines; white space at their ends may differ."""
    for reading in readings:
        want = [line.rstrip() for line in reading]
        found = [_Match(view, at, at + len(want) - 1, exact=True) for view in views for at in view.exact.windows(want)]
        if found:
            return found
    return []


def _similar_lines(views: Views, readings: Readings) -> list[_Match]:
    """Matches the same lines; all white space may differ."""
    for reading in readings:
        want = _normalize(reading)
        found = [_Match(view, at, at + len(want) - 1) for view in views for at in view.normal.windows(want)]
        if found:
            return found
    return []


_ELISION = re.compile(r"\W*(\.\.\.|…)\W*")
_LONGEST_ELISION = 30


def _around_ellipsis(views: Views, readings: Readings) -> list[_Match]:
    """Matches from the lines above a "..." to the lines below it."""
    for reading in readings:
        want = _normalize(reading)
        gaps = [at for at, line in enumerate(want) if _ELISION.fullmatch(line)]
        if not gaps:
            continue
        head, tail = want[: gaps[0]], want[gaps[-1] + 1 :]
        found = [match for view in views for match in _around(view, head, tail)]
        if found:
            return found
    return []


def _around(view: _View, head: list[str], tail: list[str]) -> Iterator[_Match]:
    why = "the quote skips lines"
    if not (head and tail):
        rest = head or tail
        yield from (_Match(view, at, at + len(rest) - 1, why=why) for at in view.normal.windows(rest))
        return
    ends = view.normal.windows(tail)
    for at in view.normal.windows(head):
        nearest = bisect_left(ends, at + len(head))
        end = ends[nearest] if nearest < len(ends) else None
        if end is not None and end + len(tail) - at <= _LONGEST_ELISION:
            yield _Match(view, at, end + len(tail) - 1, why=why)


_SHORTEST_LINE = 4
_SHORTEST_PART = 8


def _unique_line(views: Views, readings: Readings) -> list[_Match]:
    """Matches the longest line of the quote that occurs exactly once."""
    index: dict[str, list[_Match]] = {}
    for view in views:
        for at, text in enumerate(view.normal.texts):
            index.setdefault(text, []).append(_Match(view, at, at, why="only one line of the quote was found"))
    for line in _longest_first(readings, _SHORTEST_LINE):
        if len(index.get(line, ())) == 1:
            return index[line]
    return []


def _unique_part(views: Views, readings: Readings) -> list[_Match]:
    """Matches the only line that contains a line of the quote."""
    texts = [
        (text, _Match(view, at, at, why="only a part of a line was quoted"))
        for view in views
        for at, text in enumerate(view.normal.texts)
    ]
    for line in _longest_first(readings, _SHORTEST_PART)[:10]:
        found = [match for text, match in texts if line in text]
        if len(found) == 1:
            return found
    return []


def _longest_first(readings: Readings, shortest: int) -> list[str]:
    lines = dict.fromkeys(line for reading in readings for line in _normalize(reading))
    return sorted((line for line in lines if len(line) >= shortest), key=len, reverse=True)


def _normalize(lines: Iterable[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines]

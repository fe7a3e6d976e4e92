"""Charts as values: stacked columns by day and spans on a time line. The macros of charts.html draw them as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import floor, log10
from typing import NamedTuple

WIDTH, HEIGHT = 720, 200
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 12, 24
_STEPS = (1, 2, 3, 4, 5, 6, 8, 10)
_ROW, _NAME = 18, 220
"""Pixels of a row of a time line, and of the names at its left."""


class Box(NamedTuple):
    """A rectangle of a series, and what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    series: int
    text: str


class Mark(NamedTuple):
    """A label on an axis, at a distance in pixels."""

    at: float
    text: str


class Series(NamedTuple):
    """Values by day under one name."""

    name: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Columns:
    """A chart with one column for each day. `rows` are the numbers for the table beside it: a day and its values."""

    id: str
    title: str
    names: tuple[str, ...]
    boxes: tuple[Box, ...]
    scale: tuple[Mark, ...]
    days: tuple[Mark, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class TimeLine:
    """A time line: one row for each name, with a box from its start to its end."""

    id: str
    title: str
    boxes: tuple[Box, ...]
    names: tuple[Mark, ...]
    scale: tuple[Mark, ...]
    width: int
    height: int


def days_since(first: str, today: date | None = None) -> tuple[str, ...]:
    """Returns every day (YYYY-MM-DD, UTC) from `first` to today."""
    begin, end = date.fromisoformat(first), today or datetime.now(UTC).date()
    return tuple(f"{begin + timedelta(days=number)}" for number in range((end - begin).days + 1))


def columns(id_: str, title: str, days: Sequence[str], series: Sequence[Series], unit: str = "{:.0f}") -> Columns:
    """Returns the chart of these series, stacked; `unit` formats a value."""
    top = nice_top(max((sum(one.values.get(day, 0) for one in series) for day in days), default=0))
    inner = HEIGHT - TOP - BOTTOM
    slot = (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    boxes = []
    for place, day in enumerate(days):
        base = 0.0
        for number, one in enumerate(series):
            value = one.values.get(day, 0)
            if not value:
                continue
            height = value / top * inner
            text = f"{day}: {unit.format(value)} {one.name}"
            boxes.append(
                Box(
                    LEFT + (place + 0.14) * slot,
                    TOP + inner - base - height,
                    slot * 0.72,
                    max(height, 0.5),
                    number,
                    text,
                )
            )
            base += height
    scale = tuple(Mark(TOP + inner * (1 - part / 4), _plain(top * part / 4)) for part in (0, 2, 4))
    every = max(len(days) // 6, 1)
    labels = tuple(
        Mark(LEFT + (place + 0.5) * slot, f"{date.fromisoformat(day):%-d %b}")
        for place, day in enumerate(days)
        if place % every == every // 2
    )
    rows = tuple(
        (day, tuple(unit.format(one.values.get(day, 0)) for one in series))
        for day in reversed(days)
        if any(one.values.get(day) for one in series)
    )
    return Columns(id_, title, tuple(one.name for one in series), tuple(boxes), scale, labels, rows)


def spans(id_: str, title: str, found: Sequence[tuple[str, float, float, int]]) -> TimeLine:
    """Returns the time line of (name, start, seconds, series) rows. Starts are in seconds after the first."""
    total = max((start + seconds for _, start, seconds, _ in found), default=0.0)
    top, inner = nice_top(total), WIDTH - _NAME - RIGHT - 40
    boxes = tuple(
        Box(_NAME + start / top * inner, TOP + row * _ROW + 3, max(seconds / top * inner, 1.5), _ROW - 6, series,
            f"{name}: {seconds:.1f} s")
        for row, (name, start, seconds, series) in enumerate(found)
    )  # fmt: skip
    names = tuple(Mark(TOP + row * _ROW + 13, name[:34]) for row, (name, *_) in enumerate(found))
    scale = tuple(Mark(_NAME + inner * part / 4, f"{top * part / 4:g} s") for part in range(5))
    return TimeLine(id_, title, boxes, names, scale, WIDTH, TOP + len(found) * _ROW + BOTTOM)


def nice_top(most: float) -> float:
    """Returns a round number that is at least `most`, and more than 0."""
    if most <= 0:
        return 1.0
    power = 10 ** floor(log10(most))
    return next(float(step * power) for step in _STEPS if step * power >= most * 0.999999)


def _plain(number: float) -> str:
    """A number of an axis without zeros at its end, never rounded to another one."""
    text = f"{number:,.6f}".rstrip("0")
    return text.removesuffix(".")

"""Quoted code -> the exact lines a comment may hang on. Nothing is lost: inline, else on the file, else in the summary."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.review.diff import Side


class Place(StrEnum):
    """Where a finding stands, from the most to the least exact."""

    INLINE = "inline"
    FILE = "file"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Lines `start`..`line` (inclusive, 1-based) of `path` on `side`, all in one hunk. `text` is their code.

    For FILE and SUMMARY the numbers are None. `why` says how a less exact place came about.
    """

    place: Place
    path: str
    side: Side = Side.RIGHT
    start: int | None = None
    line: int | None = None
    text: str = ""
    why: str = ""

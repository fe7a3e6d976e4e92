"""What is posted, as values in the fields of GitHub's REST API: a review with its comments, and a check run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Comment:
    """One inline comment, in the fields of GitHub's create-review call."""

    path: str
    body: str
    line: int
    side: str = "RIGHT"
    start_line: int | None = None
    start_side: str | None = None


@dataclass(frozen=True, slots=True)
class ReviewPost:
    """What is posted as one review. `key` is the signed marker its body carries; it names the review once and for all."""

    key: str
    commit: str
    body: str
    comments: tuple[Comment, ...] = ()


class Conclusion(StrEnum):
    """The conclusions of a check run that we use. Never SUCCESS for what was not reviewed."""

    SUCCESS = "success"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Annotation:
    """A line in the check run's list: for findings that the review itself does not carry inline."""

    path: str
    start: int
    end: int
    level: str  # notice | warning | failure
    title: str
    message: str


@dataclass(frozen=True, slots=True)
class CheckRun:
    """A check run as it should look now. `status` is queued, in_progress or completed."""

    key: str
    status: str
    title: str
    summary: str
    text: str = ""
    conclusion: Conclusion | None = None
    annotations: tuple[Annotation, ...] = ()
    actions: tuple[tuple[str, str, str], ...] = ()  # (label, description, identifier)

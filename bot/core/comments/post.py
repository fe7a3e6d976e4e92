"""What is posted: a review with its comments, and a check run, in the fields of GitHub's REST API."""

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
    """One review. Its body carries `key`, a signed marker that identifies the review. It may request changes."""

    key: str
    commit: str
    body: str
    comments: tuple[Comment, ...] = ()
    requests_changes: bool = False


class Conclusion(StrEnum):
    """The conclusions of a check run. SUCCESS is never used for files that were not reviewed."""

    SUCCESS = "success"
    NEUTRAL = "neutral"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation of a check run, for a finding that is not posted as an inline comment."""

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

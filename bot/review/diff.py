"""Diff > FileDiff > Hunk > Line: what changed, and where a comment may hang."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """GitHub's words for the two columns of a diff: LEFT is the base, RIGHT is the head."""

    LEFT = "LEFT"
    RIGHT = "RIGHT"


class Status(StrEnum):
    """GitHub's `status` of a changed file."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    RENAMED = "renamed"
    COPIED = "copied"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a hunk, without its line ending. `old`/`new` are its 1-based numbers on each side, if it is there."""

    text: str
    old: int | None
    new: int | None

    @property
    def added(self) -> bool:
        """Only the head has it."""
        return self.old is None

    @property
    def removed(self) -> bool:
        """Only the base has it."""
        return self.new is None

    def number(self, side: Side) -> int | None:
        """Its number on `side`."""
        return self.new if side is Side.RIGHT else self.old


@dataclass(frozen=True, slots=True)
class Hunk:
    """A contiguous change with its context. `section` is what git prints behind the second @@."""

    lines: tuple[Line, ...]
    section: str = ""

    def on(self, side: Side) -> tuple[Line, ...]:
        """The lines on which GitHub accepts a comment: RIGHT = added and context, LEFT = removed.

        https://docs.github.com/en/rest/pulls/reviews#create-a-review-for-a-pull-request
        """
        if side is Side.RIGHT:
            return tuple(line for line in self.lines if line.new is not None)
        return tuple(line for line in self.lines if line.removed)


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What changed in one file. `blob` is the git object id of the head's version.

    `unread` says why there are no hunks although the content changed ("binary", "GitHub left out the patch: …").
    """

    path: str
    status: Status
    hunks: tuple[Hunk, ...] = ()
    previous_path: str | None = None
    blob: str = ""
    additions: int = 0
    deletions: int = 0
    unread: str = ""

    @property
    def added_lines(self) -> frozenset[int]:
        """The head's numbers of the lines this change added."""
        return frozenset(line.new for hunk in self.hunks for line in hunk.lines if line.new and line.added)

    @property
    def base_path(self) -> str:
        """Where the file was before the change."""
        return self.previous_path or self.path


@dataclass(frozen=True, slots=True)
class Diff:
    """A whole change set. `truncated` says what GitHub did not list at all."""

    files: tuple[FileDiff, ...] = ()
    truncated: str = ""

    def __iter__(self) -> Iterator[FileDiff]:
        return iter(self.files)

    def file(self, path: str) -> FileDiff | None:
        """The change of `path`, if it changed."""
        return next((file for file in self.files if file.path == path), None)

    @property
    def added(self) -> int:
        """Lines added in all files."""
        return sum(file.additions for file in self.files)

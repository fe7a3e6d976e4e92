"""Parses git's patches line by line. Shares no code with the product's parser, so that tests can compare them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.hosts.git import Git, GitChange

HEADER = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
LONG_PATCH = 3000
LARGE_PATCH = 1024 * 1024
STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a hunk. `kind` is " ", "+", "-" or "\\"; `position` counts from the file's first @@ downwards."""

    kind: str
    text: str
    old: int | None
    new: int | None
    position: int


@dataclass(frozen=True, slots=True)
class Hunk:
    """A hunk with its header line and the numbers of the first line after it on each side."""

    header: str
    rows: tuple[Row, ...]
    old_end: int
    new_end: int

    def at(self, side: str, line: int) -> Row | None:
        """The row a comment may hang on: RIGHT = added or context, LEFT = removed."""
        if side == "RIGHT":
            return next((row for row in self.rows if row.new == line), None)
        return next((row for row in self.rows if row.old == line and row.kind == "-"), None)

    def until(self, row: Row) -> str:
        """GitHub's `diff_hunk`: the hunk down to the commented line."""
        return "\n".join([self.header, *(f"{r.kind}{r.text}" for r in self.rows if r.position <= row.position)])


@dataclass(frozen=True, slots=True)
class FilePatch:
    """A changed file. `text` is the patch from its first @@ on, empty where there is none (binary, rename, mode)."""

    change: GitChange
    hunks: tuple[Hunk, ...]
    text: str

    @property
    def status(self) -> str:
        """GitHub's word for what happened to the file."""
        return STATUS[self.change.status]

    @property
    def changed(self) -> int:
        """Lines added and deleted."""
        return self.added + self.deleted

    @property
    def added(self) -> int:
        """Lines added; 0 for binary files."""
        return self.change.additions or 0

    @property
    def deleted(self) -> int:
        """Lines deleted; 0 for binary files."""
        return self.change.deletions or 0

    @property
    def shown(self) -> bool:
        """Whether the files API carries `patch`: GitHub leaves long ones out."""
        return bool(self.text) and self.changed <= LONG_PATCH and len(self.text) <= LARGE_PATCH

    def at(self, side: str, line: int) -> tuple[Hunk, Row] | None:
        """The hunk and row of a line on one side of the diff."""
        found = ((hunk, hunk.at(side, line)) for hunk in self.hunks)
        return next(((hunk, row) for hunk, row in found if row), None)

    def follow(self, line: int) -> int | None:
        """Where a line of the old version is in the new one; None if it was changed or deleted."""
        offset = 0
        for hunk in self.hunks:
            for row in hunk.rows:
                if row.old == line:
                    return row.new
            if line < hunk.old_end:
                break
            offset = hunk.new_end - hunk.old_end
        return line + offset


@dataclass(frozen=True, slots=True)
class Compared:
    """What changed between two commits, and the whole patch as text."""

    files: tuple[FilePatch, ...]
    text: str

    def file(self, path: str) -> FilePatch | None:
        """The change of `path`."""
        return next((file for file in self.files if file.change.path == path), None)

    @property
    def fingerprint(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The same for two patches that differ only in line numbers and context, as git's patch-id."""
        return tuple(
            (
                file.change.path,
                tuple(f"{row.kind}{row.text}" for hunk in file.hunks for row in hunk.rows if row.kind in "+-"),
            )
            for file in self.files
        )


async def compare(git: Git, base: str, head: str) -> Compared:
    """Read the change from `base` to `head` (two commits) out of git."""
    if base == head:
        return Compared((), "")
    changes, raw = await asyncio.gather(git.changes(base, head), git.diff(base, head))
    sections = iter(_sections(raw))
    files = []
    for change in changes:
        lines = next(sections)
        if change.status == "T":  # git writes a change of type as a removal and an addition
            lines += next(sections)
        files.append(_file(change, lines))
    return Compared(tuple(files), raw.decode(errors="replace"))


def _sections(raw: bytes) -> list[list[bytes]]:
    """The lines of each file's hunks. Counts lengths, so that a line that looks like a header is read as a line."""
    sections: list[list[bytes]] = []
    old = new = 0
    for line in raw.split(b"\n"):
        if old or new:
            old -= line[:1] in b" -"
            new -= line[:1] in b" +"
            sections[-1].append(line)
        elif line.startswith(b"diff --git "):
            sections.append([])
        elif header := HEADER.match(line):
            old, new = int(header[2] or 1), int(header[4] or 1)
            sections[-1].append(line)
        elif line.startswith(b"\\"):
            sections[-1].append(line)
    return sections


def _file(change: GitChange, lines: list[bytes]) -> FilePatch:
    return FilePatch(change, tuple(_hunks(lines)), b"\n".join(lines).decode(errors="replace"))


def _hunks(lines: list[bytes]) -> Iterator[Hunk]:
    at = 0
    while at < len(lines):
        header = HEADER.match(lines[at])
        if header is None:
            raise ValueError("git's patch does not begin with @@")
        old, new = int(header[1]), int(header[3])
        old_left, new_left = (int(header[index] or 1) for index in (2, 4))
        old_end, new_end = old + old_left + (not old_left), new + new_left + (not new_left)
        start = at
        rows: list[Row] = []
        at += 1
        while at < len(lines) and (old_left or new_left or lines[at].startswith(b"\\")):
            kind, text = lines[at][:1].decode(), lines[at][1:].decode(errors="replace")
            in_old, in_new = kind in " -", kind in " +"
            rows.append(Row(kind, text, old if in_old else None, new if in_new else None, at))
            old, old_left = old + in_old, old_left - in_old
            new, new_left = new + in_new, new_left - in_new
            at += 1
        yield Hunk(lines[start].decode(errors="replace"), tuple(rows), old_end, new_end)

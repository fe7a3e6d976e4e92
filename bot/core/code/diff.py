"""Diff > FileDiff > Hunk > Line: what changed, and which lines can carry a comment."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as PatchedHunk
from unidiff.patch import PatchSet

from bot.core.code.patch import PatchSection, sections
from bot.errors import UserError

MAX_CHARACTERS = 1_000_000
MAX_LINES = 20_000
"""Bounds of one file's patch, the same as GitHub's: https://docs.github.com/en/repositories/creating-and-managing-repositories/repository-limits"""

EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


class Side(StrEnum):
    """GitHub's names for the two columns of a diff: LEFT is the base, RIGHT is the head."""

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
    """One line of a hunk. `old` and `new` are its 1-based numbers on each side; None where the line is missing.

    `text + ending` is exactly the content of the file; `ending` is empty for a last line without a newline.
    """

    text: str
    old: int | None
    new: int | None
    ending: str = "\n"

    @property
    def added(self) -> bool:
        """Whether only the head has the line."""
        return self.old is None

    @property
    def removed(self) -> bool:
        """Whether only the base has the line."""
        return self.new is None

    def number(self, side: Side) -> int | None:
        """The line's number on `side`."""
        return self.new if side is Side.RIGHT else self.old


@dataclass(frozen=True, slots=True)
class Hunk:
    """A contiguous change with its context. `section` is the text that git prints after the second @@."""

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

    `unread` says why there are no hunks although the content changed. `binary` marks a file that has no lines to read,
    as far as the host can tell. `link` marks a symbolic link, by git's file mode: its only line is the target.
    """

    path: str
    status: Status
    hunks: tuple[Hunk, ...] = ()
    previous_path: str | None = None
    blob: str = ""
    additions: int = 0
    deletions: int = 0
    unread: str = ""
    binary: bool = False
    link: bool = False

    @property
    def may_be_link(self) -> bool:
        """Whether the head's version is one line without a newline, as git stores the target of a symbolic link."""
        lines = [line for hunk in self.hunks for line in hunk.lines if line.new is not None]
        return len(lines) == 1 and lines[0].new == 1 and not lines[0].ending

    @property
    def added_lines(self) -> frozenset[int]:
        """The numbers, in the head, of the lines that the change added."""
        return frozenset(line.new for hunk in self.hunks for line in hunk.lines if line.new and line.added)

    @property
    def base_path(self) -> str:
        """The file's path before the change."""
        return self.previous_path or self.path


@dataclass(frozen=True, slots=True)
class Diff:
    """All changed files. `truncated` says which files GitHub did not list."""

    files: tuple[FileDiff, ...] = ()
    truncated: str = ""

    def __iter__(self) -> Iterator[FileDiff]:
        return iter(self.files)

    def file(self, path: str) -> FileDiff | None:
        """The change of `path`; None if it did not change."""
        return next((file for file in self.files if file.path == path), None)

    @property
    def added(self) -> int:
        """The number of lines added in all files."""
        return sum(file.additions for file in self.files)


def parse_patch(  # noqa: PLR0913 - one parameter for each field of the files API
    path: str,
    status: Status,
    patch: str,
    *,
    previous_path: str | None = None,
    blob: str = "",
    additions: int = 0,
    deletions: int = 0,
) -> FileDiff:
    """Parses one file's hunks, from the first @@ on, as the files API and git give them. Never raises.

    A patch that cannot be read in full is not read at all: `unread` says why. `additions` and `deletions`, if they are
    known, must agree with the patch.
    """
    file = FileDiff(path, status, (), previous_path, blob, additions, deletions)
    if not patch:
        return _without_patch(file)
    if len(patch) > MAX_CHARACTERS or patch.count("\n") > MAX_LINES:
        return replace(file, unread=f"its patch is over {MAX_CHARACTERS:,} characters or {MAX_LINES:,} lines")
    try:
        hunks = _hunks(patch)
    except UnidiffParseError as error:
        return replace(file, unread=f"its patch cannot be read: {str(error).partition(':')[0]}")
    added, deleted = _count(hunks)
    if (additions or deletions) and (added, deleted) != (additions, deletions):
        return replace(file, unread="its patch is cut: it does not hold every line that changed")
    return replace(file, hunks=hunks, additions=added, deletions=deleted)


def parse_diff(text: str) -> Diff:
    """Parses every file of a git diff or a patch file (`git format-patch`, `diff -u`); an empty text is an empty Diff.

    Raises UserError if the text is something else. Paths are unquoted; bytes that are not UTF-8 become U+FFFD.
    """
    found = sections(text)
    if not found and text.strip():
        raise UserError("This is not a diff: there is no file header in it (`diff --git`, or `---` and `+++`).")
    counts = Counter(section.path for section in found)
    by_path = {section.path: section for section in found}
    return Diff(tuple(_file(section, counts[path]) for path, section in by_path.items()))


def _file(section: PatchSection, times: int) -> FileDiff:
    kind = "modified" if section.body and section.kind == "changed" else section.kind
    file = FileDiff(section.path, Status(kind), (), section.previous_path, section.blob, link=section.link)
    if times > 1:
        return replace(file, unread="the patch holds it more than once")
    if section.combined:
        return replace(file, unread="a merge's combined diff")
    if section.binary or not section.body:
        return replace(file, unread="binary" if section.binary else "", binary=section.binary)
    patch = "\n".join(section.body)
    parsed = parse_patch(file.path, file.status, patch, previous_path=file.previous_path, blob=file.blob)
    return replace(parsed, link=file.link)


def blob_id(content: bytes, length: int = 40) -> str:
    """The git object id of a file's content: SHA-1, or SHA-256 in a repository whose ids have 64 digits."""
    header = b"blob %d\0" % len(content)
    name = "sha1" if length == 40 else "sha256"  # noqa: PLR2004 - git's two kinds of ids
    return hashlib.new(name, header + content, usedforsecurity=False).hexdigest()


def head_content(file: FileDiff) -> bytes:
    """The head's lines that the hunks show; of an added file that is all of it."""
    return "".join(line.text + line.ending for hunk in file.hunks for line in hunk.on(Side.RIGHT)).encode(
        errors="replace"
    )


def whole_content(file: FileDiff) -> bytes | None:
    """The head's version, if the hunks hold all of it, which git's object id proves; else None."""
    if file.unread or len(file.hunks) > 1:
        return None
    content = head_content(file)
    return content if file.blob == blob_id(content, len(file.blob)) else None


def base_text(after: str, file: FileDiff) -> str | None:
    """The file's text at the base: `after`, the text at the head, with the hunks undone. None if the hunks do not fit."""
    if file.unread:
        return None
    lines = after.split("\n")
    head = [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    base: list[str] = []
    at = 0
    for hunk in file.hunks:
        start = _start(hunk, at - len(base))
        new = [line.text + line.ending for line in hunk.lines if not line.removed]
        base += head[at:start]
        first = next((line.old for line in hunk.lines if line.old is not None), len(base) + 1)
        if head[start : start + len(new)] != new or first != len(base) + 1:
            return None
        base += [line.text + line.ending for line in hunk.lines if not line.added]
        at = start + len(new)
    return "".join(base + head[at:])


def head_text(before_text: str, file: FileDiff) -> str | None:
    """The file's text at the head: the text at the base with the hunks applied. None if the hunks do not fit."""
    hunks = (tuple(replace(line, old=line.new, new=line.old) for line in hunk.lines) for hunk in file.hunks)
    return base_text(before_text, replace(file, hunks=tuple(map(Hunk, hunks))))


def _start(hunk: Hunk, ahead: int) -> int:
    """The index in the head at which the hunk begins; up to there the head has `ahead` lines more than the base."""
    first = next((line.new for line in hunk.lines if line.new is not None), None)
    if first is not None:
        return first - 1
    return (hunk.lines[0].old or 1) - 1 + ahead


def _without_patch(file: FileDiff) -> FileDiff:
    """A file for which there is no patch, with the reason unless nothing changed in its content."""
    if file.additions or file.deletions:
        return replace(file, unread="its patch was left out: too large")
    moved = file.status in {Status.RENAMED, Status.COPIED, Status.UNCHANGED}
    if moved or file.blob == EMPTY_BLOB:
        return file
    return replace(file, unread="binary, or only its mode changed", binary=True)


_BODY = re.compile(r"[ +\-\\]|\r?$|@@ -[0-9]{1,9}(,[0-9]{1,9})? \+[0-9]{1,9}(,[0-9]{1,9})? @@")


def _hunks(patch: str) -> tuple[Hunk, ...]:
    """The hunks, parsed under a placeholder header because a real name can hold anything. Raises UnidiffParseError."""
    body = patch if patch.endswith("\n") else patch + "\n"
    if not all(map(_BODY.match, body.split("\n"))):  # also keeps unidiff's slow patterns away from hostile lines
        raise UnidiffParseError("a line outside of every hunk")
    files = PatchSet(f"--- a/file\n+++ b/file\n{body}")
    if len(files) != 1:
        raise UnidiffParseError("more than one file")
    if sum(len(hunk) + 1 for hunk in files[0]) != body.count("\n"):
        raise UnidiffParseError("a line outside of every hunk")
    hunks = tuple(_hunk(hunk) for hunk in files[0])
    for side in Side:
        numbers = [number for hunk in hunks for line in hunk.lines if (number := line.number(side)) is not None]
        if any(number >= following for number, following in pairwise([0, *numbers])):
            raise UnidiffParseError("its hunks are out of order")
    return hunks


def _hunk(hunk: PatchedHunk) -> Hunk:
    lines: list[Line] = []
    for line in hunk:
        if line.line_type == "\\" and lines:
            lines[-1] = _line(lines[-1].text + lines[-1].ending.removesuffix("\n"), lines[-1].old, lines[-1].new)
        elif line.line_type in {" ", "+", "-"}:
            lines.append(_line(line.value, line.source_line_no, line.target_line_no))
    return Hunk(tuple(lines), hunk.section_header)


def _line(raw: str, old: int | None, new: int | None) -> Line:
    text = raw.removesuffix("\n").removesuffix("\r")
    return Line(text, old, new, raw[len(text) :])


def _count(hunks: Iterable[Hunk]) -> tuple[int, int]:
    lines = [line for hunk in hunks for line in hunk.lines]
    return sum(line.added for line in lines), sum(line.removed for line in lines)

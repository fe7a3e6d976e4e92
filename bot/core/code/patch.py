"""A git diff, or a patch inside an e-mail -> one section per file, found by its headers in linear time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NOWHERE = "/dev/null"


@dataclass(slots=True)
class PatchSection:
    """The part of a patch about one file. `kind` is GitHub's status; `body` holds the hunks, from the first @@ on.

    `link` marks a symbolic link, by git's file mode.
    """

    path: str = ""
    previous_path: str | None = None
    kind: str = "modified"
    blob: str = ""
    binary: bool = False
    combined: bool = False
    link: bool = False
    prefixed: bool = True
    has_content: bool = False  # whether there was more than the header line
    body: list[str] = field(default_factory=list)


def sections(text: str) -> list[PatchSection]:
    """The files of a patch, in order. A header without content is left out."""
    lines = text.split("\n")
    found: list[PatchSection] = []
    at = 0
    while at < len(lines):
        if section := _new_section(lines, at, found[-1] if found else None):
            found.append(section)
        at = _read(found[-1], lines, at) if found else at + 1
    return [section for section in found if section.has_content and section.path]


def _new_section(lines: list[str], at: int, current: PatchSection | None) -> PatchSection | None:
    """The section that begins at this line, or None."""
    line = lines[at]
    if line.startswith("diff --git "):
        return _section_of_title(line[len("diff --git ") :].rstrip("\r"))
    if line.startswith(("diff --cc ", "diff --combined ")):
        return PatchSection(unquote(line.split(" ", 2)[2].rstrip("\r")), combined=True, has_content=True)
    if _names_a_file(lines, at) and (current is None or current.body or current.combined):
        return PatchSection()
    return None


def _names_a_file(lines: list[str], at: int) -> bool:
    return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def _read(section: PatchSection, lines: list[str], at: int) -> int:
    """Reads the line, or the whole hunk that begins there, into `section`; returns the index of the next line."""
    line = lines[at]
    if section.combined:
        return at + 1
    if counts := _HUNK.match(line):
        end = _end(lines, at + 1, int(counts[1] or 1), int(counts[2] or 1))
        section.body += lines[at:end]
        section.has_content = True
        return end
    if section.body:
        return at + 1
    if _names_a_file(lines, at):
        _name(section, line[4:], lines[at + 1][4:])
        return at + 2
    _header(section, line.rstrip("\r"))
    return at + 1


_HUNK = re.compile(r"@@ -[0-9]{1,9}(?:,([0-9]{1,9}))? \+[0-9]{1,9}(?:,([0-9]{1,9}))? @@")
_PREFIX = re.compile(r"[abciow12]/")


def _end(lines: list[str], at: int, old: int, new: int) -> int:
    """The index after the hunk whose lines begin at `at`: where its counts are used up, or its lines end."""
    while at < len(lines) and (old > 0 or new > 0):
        mark = lines[at][:1]
        if mark not in {"", " ", "+", "-", "\\", "\r"} or (not mark and at == len(lines) - 1):
            return at
        old -= mark not in {"+", "\\"}
        new -= mark not in {"-", "\\"}
        at += 1
    return at + 1 if at < len(lines) and lines[at].startswith("\\ ") else at


def _section_of_title(names: str) -> PatchSection:
    """Reads the path from `a/x b/x`, split in the middle; a rename has different names, which further lines give."""
    half = len(names) // 2
    left, right = unquote(names[:half]), unquote(names[half + 1 :])
    if left[2:] == right[2:] and left[:1] != right[:1] and _PREFIX.match(left) and _PREFIX.match(right):
        return PatchSection(right[2:])
    if left == right:
        return PatchSection(right, prefixed=False)
    return PatchSection()


def _name(section: PatchSection, source: str, target: str) -> None:
    """Reads the path from the `---` and `+++` lines, unless the title gave one already."""
    old, new = (unquote(name.rstrip("\r").partition("\t")[0]) for name in (source, target))
    if old == NOWHERE:
        section.kind = "added"
    elif new == NOWHERE:
        section.kind = "removed"
    if section.path:
        return
    name = old if new == NOWHERE else new
    prefixed = all(path == NOWHERE or _PREFIX.match(path) for path in (old, new))
    section.path = name[2:] if prefixed and section.prefixed else name


_KINDS = (
    ("new file mode ", "added"),
    ("deleted file mode ", "removed"),
    ("rename to ", "renamed"),
    ("copy to ", "copied"),
    ("new mode ", "changed"),
)
_INDEX = re.compile(r"index [0-9a-f]+\.\.([0-9a-f]{64}|[0-9a-f]{40})(?: |$)")
_LINK_MODE = re.compile(r"(?:new file mode|new mode|index [0-9a-f.]+) 120000$")


def _header(section: PatchSection, line: str) -> None:
    """Reads one line of git's extended header. https://git-scm.com/docs/git-diff#_generating_patch_text_with_p"""
    section.link |= _LINK_MODE.match(line) is not None
    for prefix, kind in _KINDS:
        if line.startswith(prefix):
            section.has_content = True
            section.kind = kind
            if kind in {"renamed", "copied"}:
                section.path = unquote(line[len(prefix) :])
    if line.startswith(("rename from ", "copy from ")):
        section.previous_path = unquote(line.split(" ", 2)[2])
    elif line.startswith(("Binary files ", "GIT binary patch")):
        section.binary = section.has_content = True
    elif (index := _INDEX.match(line)) and index[1].strip("0"):
        section.blob = index[1]


_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def unquote(name: str) -> str:
    """A path as git prints it -> the path: git quotes names with unusual bytes and writes C escapes."""
    if len(name) < len('""') or name[0] != '"' or name[-1] != '"':
        return name
    raw = name[1:-1].encode(errors="replace")
    return _ESCAPE.sub(_character, raw).decode(errors="replace")


def _character(escape: re.Match[bytes]) -> bytes:
    octal, letter = escape.groups()
    return bytes([int(octal, 8) & 0xFF]) if octal else _LETTERS.get(letter, letter)

"""A git diff, or a patch with letters around it -> one section per file, by its headers and in linear time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NOWHERE = "/dev/null"


@dataclass(slots=True)
class PatchSection:
    """What a patch says of one file. `kind` is GitHub's status word; `body` holds the hunks, from the first @@ on."""

    path: str = ""
    previous_path: str | None = None
    kind: str = "modified"
    blob: str = ""
    binary: bool = False
    combined: bool = False
    prefixed: bool = True
    said: bool = False  # whether anything but the header line was there
    body: list[str] = field(default_factory=list)


def sections(text: str) -> list[PatchSection]:
    """The files that a patch speaks of, in its order. A header that says nothing more is none."""
    lines = text.split("\n")
    found: list[PatchSection] = []
    at = 0
    while at < len(lines):
        if opened := _opened(lines, at, found[-1] if found else None):
            found.append(opened)
        at = _read(found[-1], lines, at) if found else at + 1
    return [section for section in found if section.said and section.path]


def _opened(lines: list[str], at: int, current: PatchSection | None) -> PatchSection | None:
    """A new section, if one begins at this line."""
    line = lines[at]
    if line.startswith("diff --git "):
        return _titled(line[len("diff --git ") :].rstrip("\r"))
    if line.startswith(("diff --cc ", "diff --combined ")):
        return PatchSection(unquoted(line.split(" ", 2)[2].rstrip("\r")), combined=True, said=True)
    if _names_a_file(lines, at) and (current is None or current.body or current.combined):
        return PatchSection()
    return None


def _names_a_file(lines: list[str], at: int) -> bool:
    return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def _read(section: PatchSection, lines: list[str], at: int) -> int:
    """Take in the line, or the whole hunk that begins there; the index of what follows."""
    line = lines[at]
    if section.combined:
        return at + 1
    if counts := _HUNK.match(line):
        end = _end(lines, at + 1, int(counts[1] or 1), int(counts[2] or 1))
        section.body += lines[at:end]
        section.said = True
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
    """The index behind the hunk that begins before `at`: where its counts are used up, or its lines stop."""
    while at < len(lines) and (old > 0 or new > 0):
        mark = lines[at][:1]
        if mark not in {"", " ", "+", "-", "\\", "\r"} or (not mark and at == len(lines) - 1):
            return at
        old -= mark not in {"+", "\\"}
        new -= mark not in {"-", "\\"}
        at += 1
    return at + 1 if at < len(lines) and lines[at].startswith("\\ ") else at


def _titled(names: str) -> PatchSection:
    """`a/x b/x` names one file twice, so its middle parts the names; a rename says its names further down."""
    half = len(names) // 2
    left, right = unquoted(names[:half]), unquoted(names[half + 1 :])
    if left[2:] == right[2:] and left[:1] != right[:1] and _PREFIX.match(left) and _PREFIX.match(right):
        return PatchSection(right[2:])
    if left == right:
        return PatchSection(right, prefixed=False)
    return PatchSection()


def _name(section: PatchSection, source: str, target: str) -> None:
    """Take the names of the `---` and `+++` lines, where the title did not give one already."""
    old, new = (unquoted(name.rstrip("\r").partition("\t")[0]) for name in (source, target))
    if old == NOWHERE:
        section.kind = "added"
    elif new == NOWHERE:
        section.kind = "removed"
    if section.path:
        return
    name = old if new == NOWHERE else new
    both = all(end == NOWHERE or _PREFIX.match(end) for end in (old, new))
    section.path = name[2:] if both and section.prefixed else name


_WORDS = (
    ("new file mode ", "added"),
    ("deleted file mode ", "removed"),
    ("rename to ", "renamed"),
    ("copy to ", "copied"),
    ("new mode ", "changed"),
)
_INDEX = re.compile(r"index [0-9a-f]+\.\.([0-9a-f]{64}|[0-9a-f]{40})(?: |$)")


def _header(section: PatchSection, line: str) -> None:
    """One line of git's extended header. https://git-scm.com/docs/git-diff#_generating_patch_text_with_p"""
    for word, kind in _WORDS:
        if line.startswith(word):
            section.said = True
            section.kind = kind
            if kind in {"renamed", "copied"}:
                section.path = unquoted(line[len(word) :])
    if line.startswith(("rename from ", "copy from ")):
        section.previous_path = unquoted(line.split(" ", 2)[2])
    elif line.startswith(("Binary files ", "GIT binary patch")):
        section.binary = section.said = True
    elif (index := _INDEX.match(line)) and index[1].strip("0"):
        section.blob = index[1]


_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def unquoted(name: str) -> str:
    """A path as git prints it -> the path: names with unusual bytes stand in quotes with C escapes."""
    if len(name) < len('""') or name[0] != '"' or name[-1] != '"':
        return name
    raw = name[1:-1].encode(errors="replace")
    return _ESCAPE.sub(_character, raw).decode(errors="replace")


def _character(escape: re.Match[bytes]) -> bytes:
    octal, letter = escape.groups()
    return bytes([int(octal, 8) & 0xFF]) if octal else _LETTERS.get(letter, letter)

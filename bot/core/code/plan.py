"""Diff + Policy -> what is read, in which batches, and what is not read and why. Nothing is left out in silence.

Coverage: for every file of the pull request, whether it was reviewed, and if not, why not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate, compress
from typing import NamedTuple

from bot.core.code.diff import BINARY, Diff, FileDiff, Hunk, Line, Status
from bot.core.code.generated import TOP, link, minified, pointer, says_generated, unwritten
from bot.core.code.globs import Globs
from bot.core.code.language import language
from bot.core.policy import Policy


class FileState(StrEnum):
    """What became of one file, or of one pass over the change."""

    REVIEWED = "reviewed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One row of the ledger. `by` names who looked: checks, passes. A skipped or failed row has a `reason`."""

    path: str
    state: FileState
    reason: str = ""
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """The ledger of a review. `passes` are whole-change rows: one per check or model pass that ran, or did not."""

    files: tuple[CoverageRow, ...] = ()
    passes: tuple[CoverageRow, ...] = ()

    @property
    def complete(self) -> bool:
        """Every file was reviewed or skipped for a reason that policy allows, and no pass failed."""
        return all(row.state is not FileState.FAILED for row in (*self.files, *self.passes))

    def without(self, path: str, reason: str) -> Coverage:
        """The same ledger, with one file marked as failed for `reason`."""
        rows = tuple(
            replace(row, state=FileState.FAILED, reason=reason) if row.path == path else row for row in self.files
        )
        return replace(self, files=rows)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much a model reads at once, in characters (about four to a token).

    A change of at most `together` characters is one batch. `line` is what the display of a line costs beside its text.
    """

    batch: int = 64_000
    together: int = 12_000
    line: int = 8


class Part(NamedTuple):
    """Hunks of one file; a hunk over the budget is cut between lines."""

    path: str
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is read in one go. `security` marks what is read on its own because much may depend on it."""

    parts: tuple[Part, ...]
    security: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """The files in it, each once."""
        return tuple(dict.fromkeys(part.path for part in self.parts))


@dataclass(frozen=True, slots=True)
class Plan:
    """`files` are to be read, `batches` are how; `left_out` has a row for every other file. `notes` are for people."""

    files: tuple[FileDiff, ...]
    batches: tuple[Batch, ...]
    left_out: tuple[CoverageRow, ...] = ()
    notes: tuple[str, ...] = ()


def plan(diff: Diff, policy: Policy, limits: BatchLimits | None = None) -> Plan:
    """Decide for each file of the change, in its order. Every hunk of a file that is read is in exactly one batch."""
    ignored, generated = Globs.of(policy.ignore), Globs.of(policy.generated)
    files: list[FileDiff] = []
    left_out: list[CoverageRow] = []
    for file in diff:
        row = _left_out(file, ignored, generated, policy)
        if row is None:
            files.append(file)
        else:
            left_out.append(row)
    invalid = dict.fromkeys((*ignored.invalid, *generated.invalid))
    notes = [f"The glob {glob!r} is ignored: it is too long, or has too many `**` or alternatives." for glob in invalid]
    if diff.truncated:
        notes.append(diff.truncated)
    return Plan(tuple(files), batches(files, limits), tuple(left_out), tuple(notes))


def narrowed(planned: Plan, paths: Collection[str]) -> Plan:
    """The part of a plan that somebody asked for by paths or globs; nothing changes if they named none."""
    if not paths:
        return planned
    wanted = Globs.of(glob for path in paths for glob in (path, f"{path.rstrip('/')}/**"))
    files = tuple(file for file in planned.files if wanted.match(file.path))
    rest = [CoverageRow(file.path, FileState.SKIPPED, "not asked for") for file in planned.files if file not in files]
    return Plan(files, batches(files), (*planned.left_out, *rest), planned.notes)


def _left_out(file: FileDiff, ignored: Globs, generated: Globs, policy: Policy) -> CoverageRow | None:
    """The row of a file that is not read, or None. Skipping is policy; not being able to read is a failure."""
    reason = _skipped(file, ignored, generated, policy)
    if reason:
        return CoverageRow(file.path, FileState.SKIPPED, reason)
    if file.unread:
        return CoverageRow(file.path, FileState.FAILED, file.unread)
    reason = "no change of content" if not file.hunks else _unwritten(file)
    return CoverageRow(file.path, FileState.SKIPPED, reason) if reason else None


def _skipped(file: FileDiff, ignored: Globs, generated: Globs, policy: Policy) -> str:
    """Why a file is none of our business, judged by what is known without its content."""
    if ignored.match(file.path):
        return "ignored by the policy"
    if reason := "generated, by the policy" if generated.match(file.path) else unwritten(file.path):
        return reason
    if file.status is Status.REMOVED:
        return "removed"
    if file.unread.startswith(BINARY):
        return file.unread
    wanted = {name.lower() for name in policy.languages}
    return f"its language ({language(file.path) or 'unknown'}) is not reviewed" if _foreign(file.path, wanted) else ""


def _foreign(path: str, wanted: set[str]) -> bool:
    return bool(wanted) and language(path) not in wanted


def _unwritten(file: FileDiff) -> str:
    """Why nobody wrote this by hand. A mark that a change puts into people's older file proves nothing."""
    lines = [line for hunk in file.hunks for line in hunk.lines if line.new is not None]
    if lines and lines[0].new == 1 and (what := pointer(lines[0].text)):
        return what
    if len(lines) == 1 and lines[0].new == 1 and not lines[0].ending and language(file.path) and link(lines[0].text):
        return "a symbolic link"
    new = file.status is Status.ADDED
    if says_generated(line.text for line in lines if (line.new or 0) <= TOP and (new or not line.added)):
        return "generated, as it says itself"
    return "minified" if minified(line.text for line in lines if line.added) else ""


def batches(files: Iterable[FileDiff], limits: BatchLimits | None = None) -> tuple[Batch, ...]:
    """How files are read: every hunk in exactly one batch."""
    limits = limits or BatchLimits()
    parts = [Part(file.path, (piece,)) for file in files for hunk in file.hunks for piece in _pieces(hunk, limits)]
    if not parts:
        return ()
    delicate = [is_delicate(part) for part in parts]
    if sum(_cost(part, limits) for part in parts) <= limits.together:
        return (Batch(_merged(parts), security=any(delicate)),)
    apart = compress(parts, delicate)
    together = compress(parts, (not one for one in delicate))
    return (
        *(Batch(packed, security=True) for packed in _packed(apart, limits)),
        *(Batch(packed) for packed in _packed(together, limits)),
    )


def halved(batch: Batch) -> tuple[Batch, ...]:
    """A batch as two of about the same size, cut between hunks; nothing where there is only one."""
    hunks = [Part(part.path, (hunk,)) for part in batch.parts for hunk in part.hunks]
    if len(hunks) == 1:
        return ()
    sums = list(accumulate(_cost(part, BatchLimits()) for part in hunks))
    middle = min(range(1, len(hunks)), key=lambda at: abs(2 * sums[at - 1] - sums[-1]))
    return tuple(replace(batch, parts=_merged(half)) for half in (hunks[:middle], hunks[middle:]))


def _pieces(hunk: Hunk, limits: BatchLimits) -> Iterator[Hunk]:
    """The hunk itself, or its lines in pieces small enough that one delicate line is not lost among the others."""
    if _cost(Part("", (hunk,)), limits) <= limits.batch:
        yield hunk
        return
    rows: list[Line] = []
    room = limits.together
    for line in hunk.lines:
        room -= len(line.text) + limits.line
        if rows and room < 0:
            yield replace(hunk, lines=tuple(rows))
            rows, room = [], limits.together - len(line.text) - limits.line
        rows.append(line)
    yield replace(hunk, lines=tuple(rows))


def _packed(parts: Iterable[Part], limits: BatchLimits) -> Iterator[tuple[Part, ...]]:
    """Fill batches in order, so that what stands together stays together."""
    batch: list[Part] = []
    room = limits.batch
    for part in parts:
        cost = _cost(part, limits)
        if batch and cost > room:
            yield _merged(batch)
            batch, room = [], limits.batch
        batch.append(part)
        room -= cost
    if batch:
        yield _merged(batch)


def _merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """One part per file, in the order of the files' first hunks."""
    hunks: dict[str, list[Hunk]] = {}
    for part in parts:
        hunks.setdefault(part.path, []).extend(part.hunks)
    return tuple(Part(path, tuple(many)) for path, many in hunks.items())


def _cost(part: Part, limits: BatchLimits) -> int:
    return len(part.path) + sum(len(line.text) + limits.line for hunk in part.hunks for line in hunk.lines)


_DELICATE_PATH = re.compile(
    r"(?:^|/)\.github/|(?:^|/)(?:dockerfile|compose|docker-compose|codeowners|makefile|sudoers|\.gitlab-ci|jenkinsfile)"
    r"|auth(?!or)|login|passw|secur|secret|crypt|token|session|permission|middleware|migrations?/|webhook|payment"
    r"|billing|upload|sanitiz|\.sql$|\.tf$"
)
_DELICATE_CODE = re.compile(
    r"auth(?!or(?!i[sz]))|passw|passphrase|secret|credential|api_?key|private_?key|token(?!i[sz])|jwt|oauth|saml|ldap"
    r"|crypt|cipher|hmac|\bmd5|\bsha1|certificate|\bssl|\btls\b|verify ?= ?false|insecure|csrf|\bcors\b|cookie|session"
    r"|permission|privilege|is_?admin|is_?staff|\broles?\b|\bacl\b|sudo|chmod|setuid|umask"
    r"|\bexec\w{0,3}\(|\beval\(|subprocess|system\(|popen|spawn|shell|pickle|marshal\.|deserial|unserial|yaml\.load"
    r"|readobject|\bselect\b.{1,200}\bfrom\b|\binsert\s+into\b|\bdelete\s+from\b|\bupdate\b.{1,200}\bset\b|\.raw\("
    r"|\.execute\(|innerhtml|mark_?safe|autoescape|sanitiz|redirect|\.\./|mktemp|upload"
    r"|\bunsafe\b|memcpy|strcpy|sprintf|\bmalloc\(|\bfree\("
)
_PROSE = {"markdown", "text"}
_WIDEST = 2_000


def is_delicate(part: Part) -> bool:
    """Whether who may do what, secrets, or what strangers can reach may hang on these lines, judged by their words."""
    if _DELICATE_PATH.search(part.path.lower()):
        return True
    if language(part.path) in _PROSE:
        return False
    changed = (line.text[:_WIDEST] for hunk in part.hunks for line in hunk.lines if line.added or line.removed)
    return _DELICATE_CODE.search("\n".join(changed).lower()) is not None

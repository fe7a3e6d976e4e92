"""Diff + Policy -> Plan: which files are read, in which batches, and which are not read and why.

Coverage records the result for every file of the pull request: reviewed, skipped or failed, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate, compress
from typing import NamedTuple

from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.code.generated import (
    TOP,
    PathAttributes,
    PathKind,
    generated_kind,
    has_generated_marker,
    is_minified,
    pointer_kind,
)
from bot.core.code.globs import Globs, doubt
from bot.core.code.language import language, script_language
from bot.core.policy import PATH, Policy


class FileState(StrEnum):
    """The result for one file, or for one pass over the change."""

    REVIEWED = "reviewed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """The result for one file or pass. `by` names the checks and passes that read it; `reason` says why it was not read.

    `unasked` is a file that a command left out: it says nothing about the file. `unanalysed` is the language of a file that
    no analyser reads; only checks for any text read it.
    """

    path: str
    state: FileState
    reason: str = ""
    by: tuple[str, ...] = ()
    unasked: bool = False
    unanalysed: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of a review: a row for each file, and one for each check or model pass over the whole change."""

    files: tuple[CoverageRow, ...] = ()
    passes: tuple[CoverageRow, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every file was reviewed or skipped by policy, and no pass failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[CoverageRow, ...]:
        """The rows of what was not reviewed although it should be."""
        return tuple(row for row in (*self.files, *self.passes) if row.state is FileState.FAILED)


def add_partial_look(
    look: Coverage, earlier: Sequence[CoverageRow] | None, missing: Sequence[CoverageRow] = ()
) -> Coverage:
    """The coverage of a head after a look at a part of it: never better than before, except for what the look read.

    `earlier` are the failed rows of the rounds before, None if there was none at this head; `missing` are the passes that
    the look leaves out.
    """
    if earlier is None:
        files = tuple(
            replace(row, state=FileState.FAILED, reason="no review of this head has read it") if row.unasked else row
            for row in look.files
        )
        return Coverage(files, (*look.passes, *missing))
    failed = {row.path: row for row in earlier}
    if missing:
        files = tuple(failed.get(row.path, row) for row in look.files)
    else:
        files = tuple(_carried(row, failed) if row.unasked else row for row in look.files)
    paths, names = {row.path for row in look.files}, {row.path for row in look.failed}
    return Coverage(files, (*look.passes, *(row for row in earlier if row.path not in paths | names)))


def _carried(row: CoverageRow, failed: Mapping[str, CoverageRow]) -> CoverageRow:
    return failed.get(row.path) or replace(row, state=FileState.REVIEWED, reason="", by=("an earlier round",))


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much a model reads at once, in characters (about four for each token).

    A change of at most `together` characters is one batch. `line` is the cost of displaying a line, beside its text.
    """

    batch: int = 64_000
    together: int = 12_000
    line: int = 8


class BatchPart(NamedTuple):
    """Hunks of one file; a hunk over the limit is cut between lines."""

    path: str
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """The parts that a model reads at once."""

    parts: tuple[BatchPart, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of its files, each once."""
        return tuple(dict.fromkeys(part.path for part in self.parts))


@dataclass(frozen=True, slots=True)
class Plan:
    """The `files` to read and their `batches`; `left_out` has a row for every other file. `notes` are for people.

    `skimmed` are the files among those left out in whose added lines secrets are still searched: people did not write
    them, or they are in a language that is not reviewed.
    """

    files: tuple[FileDiff, ...]
    batches: tuple[Batch, ...]
    left_out: tuple[CoverageRow, ...] = ()
    notes: tuple[str, ...] = ()
    skimmed: tuple[FileDiff, ...] = ()


@dataclass(frozen=True, slots=True)
class _PathRules:
    """What the base branch says about paths: the globs of the policy, its languages, and `.gitattributes`."""

    review: Globs
    ignore: Globs
    generated: Globs
    languages: frozenset[str]
    attributes: PathAttributes

    @classmethod
    def of(cls, policy: Policy, attributes: PathAttributes) -> _PathRules:
        return cls(
            Globs.of(policy.review),
            Globs.of(policy.ignore),
            Globs.of(policy.generated),
            frozenset(map(str.lower, policy.languages)),
            attributes,
        )

    @property
    def invalid(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.review.invalid, *self.ignore.invalid, *self.generated.invalid)))


def plan(
    diff: Diff, policy: Policy, limits: BatchLimits | None = None, attributes: PathAttributes | None = None
) -> Plan:
    """Decides for each file of the change, in order. Every hunk of a file that is read is in exactly one batch.

    `attributes` are those of the base branch. The policy's `review` wins over everything that leaves a file out, and
    the attributes win over what a path or its first lines look like.
    """
    rules = _PathRules.of(policy, attributes or PathAttributes())
    files: list[FileDiff] = []
    left_out: list[CoverageRow] = []
    skimmed: list[FileDiff] = []
    for file in diff:
        omission = _omission(file, rules)
        if omission is None:
            files.append(file)
        else:
            left_out.append(CoverageRow(file.path, omission.state, omission.reason))
            skimmed += [file] if omission.skimmed and file.hunks else []
    invalid = rules.invalid
    notes = [f"The glob {glob!r} is ignored: it is too long, or has too many `**` or alternatives." for glob in invalid]
    paths = [file.path for file in diff]
    written = dict.fromkeys((*policy.review, *policy.ignore, *policy.generated))
    doubts = filter(None, (doubt(glob, paths) for glob in written if glob not in invalid))
    notes += [f"In `{PATH}`, {doubted}." for doubted in doubts if doubted.concerns(paths)]
    if diff.truncated:
        notes.append(diff.truncated)
    return Plan(tuple(files), batches(files, limits), tuple(left_out), tuple(notes), tuple(skimmed))


def limit_to_paths(planned: Plan, paths: Collection[str]) -> Plan:
    """The part of a plan that matches `paths`, which are paths or globs; the whole plan if there are none."""
    if not paths:
        return planned
    wanted = globs_of(paths)
    files = tuple(file for file in planned.files if wanted.match(file.path))
    rest = [
        CoverageRow(file.path, FileState.SKIPPED, "not asked for", unasked=True)
        for file in planned.files
        if not wanted.match(file.path)
    ]
    skimmed = tuple(file for file in planned.skimmed if wanted.match(file.path))
    return Plan(files, batches(files), (*planned.left_out, *rest), planned.notes, skimmed)


def globs_of(paths: Iterable[str]) -> Globs:
    """The files that a command names: paths, folders or globs."""
    return Globs.of(glob for path in paths for glob in (path, f"{path.rstrip('/')}/**"))


class _Omission(NamedTuple):
    """Why a file is not read. Policy skips a file; a file that cannot be read is a failure."""

    reason: str
    skimmed: bool = False
    state: FileState = FileState.SKIPPED


def _omission(file: FileDiff, rules: _PathRules) -> _Omission | None:
    """Why the file is not read; None if it is."""
    if rules.review.match(file.path):
        kind: PathKind | None = PathKind.WRITTEN
    elif rules.ignore.match(file.path):
        return _Omission("ignored by the policy")
    elif rules.generated.match(file.path):
        return _Omission("generated, by the policy", skimmed=True)
    else:
        kind = rules.attributes.kind(file.path)
    if kind in {PathKind.GENERATED, PathKind.VENDORED}:
        return _Omission(f"{kind.value}, by .gitattributes", skimmed=True)
    if kind is None and (guessed := generated_kind(file.path)):
        return _Omission(guessed, skimmed=True)
    return _unreadable(file) or _other_language(file, rules.languages) or _unwritten(file, kind)


def _unreadable(file: FileDiff) -> _Omission | None:
    if file.status is Status.REMOVED:
        return _Omission("removed")
    if file.binary:
        return _Omission(file.unread)
    if file.unread:
        return _Omission(file.unread, state=FileState.FAILED)
    if not file.hunks:
        return _Omission("no change of content")
    first = _head_lines(file)[:1]
    if first and first[0].new == 1 and (kind := pointer_kind(first[0].text)):
        return _Omission(kind)
    return _Omission("a symbolic link") if file.link else None


def _other_language(file: FileDiff, wanted: Collection[str]) -> _Omission | None:
    first = "".join(line.text for line in _head_lines(file)[:1] if line.new == 1)
    spoken = language(file.path) or script_language(file.path, first)
    if not wanted or spoken in wanted:
        return None
    return _Omission(f"its language ({spoken or 'unknown'}) is not reviewed", skimmed=True)


def _unwritten(file: FileDiff, kind: PathKind | None) -> _Omission | None:
    """Why people did not write the file by hand, judged by its content; None if they did, or if its `kind` says so.

    A marker that the change adds to an older file proves nothing: its author may want to hide the file from review.
    """
    if kind is PathKind.WRITTEN:
        return None
    new, lines = file.status is Status.ADDED, _head_lines(file)
    top = (line.text for line in lines if (line.new or 0) <= TOP and (new or not line.added))
    if has_generated_marker(file.path, top):
        return _Omission("generated, according to its first lines", skimmed=True)
    minified = is_minified(line.text for line in lines if line.added)
    return _Omission("minified", skimmed=True) if minified else None


def _head_lines(file: FileDiff) -> list[Line]:
    return [line for hunk in file.hunks for line in hunk.lines if line.new is not None]


def batches(files: Iterable[FileDiff], limits: BatchLimits | None = None) -> tuple[Batch, ...]:
    """The batches in which `files` are read: every hunk is in exactly one of them.

    In a large change, code that is relevant to security has batches of its own, so that other code cannot hide it.
    """
    limits = limits or BatchLimits()
    parts = [BatchPart(file.path, (piece,)) for file in files for hunk in file.hunks for piece in _pieces(hunk, limits)]
    if not parts:
        return ()
    if sum(_cost(part, limits) for part in parts) <= limits.together:
        return (Batch(_merge(parts)),)
    marks = [is_security_relevant(part) for part in parts]
    relevant = compress(parts, marks)
    others = compress(parts, (not mark for mark in marks))
    return (
        *(Batch(packed) for packed in _pack(relevant, limits)),
        *(Batch(packed) for packed in _pack(others, limits)),
    )


def split_batch(batch: Batch) -> tuple[Batch, ...]:
    """Splits a batch between hunks into two of about the same size; empty if it has only one hunk."""
    hunks = [BatchPart(part.path, (hunk,)) for part in batch.parts for hunk in part.hunks]
    if len(hunks) == 1:
        return ()
    sums = list(accumulate(_cost(part, BatchLimits()) for part in hunks))
    middle = min(range(1, len(hunks)), key=lambda at: abs(2 * sums[at - 1] - sums[-1]))
    return tuple(replace(batch, parts=_merge(half)) for half in (hunks[:middle], hunks[middle:]))


def _pieces(hunk: Hunk, limits: BatchLimits) -> Iterator[Hunk]:
    """The hunk itself, or its lines in pieces small enough that one important line is not lost among the others."""
    if _cost(BatchPart("", (hunk,)), limits) <= limits.batch:
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


def _pack(parts: Iterable[BatchPart], limits: BatchLimits) -> Iterator[tuple[BatchPart, ...]]:
    """Fills batches in order, so that neighbouring code stays together."""
    batch: list[BatchPart] = []
    room = limits.batch
    for part in parts:
        cost = _cost(part, limits)
        if batch and cost > room:
            yield _merge(batch)
            batch, room = [], limits.batch
        batch.append(part)
        room -= cost
    if batch:
        yield _merge(batch)


def _merge(parts: Iterable[BatchPart]) -> tuple[BatchPart, ...]:
    """One part per file, in the order of the files' first hunks."""
    hunks: dict[str, list[Hunk]] = {}
    for part in parts:
        hunks.setdefault(part.path, []).extend(part.hunks)
    return tuple(BatchPart(path, tuple(file_hunks)) for path, file_hunks in hunks.items())


def _cost(part: BatchPart, limits: BatchLimits) -> int:
    return len(part.path) + sum(len(line.text) + limits.line for hunk in part.hunks for line in hunk.lines)


_SECURITY_PATH = re.compile(
    r"(?:^|/)\.github/|(?:^|/)(?:dockerfile|compose|docker-compose|codeowners|makefile|sudoers|\.gitlab-ci|jenkinsfile)"
    r"|auth(?!or)|login|passw|secur|secret|crypt|token|session|permission|middleware|migrations?/|webhook|payment"
    r"|billing|upload|sanitiz|\.sql$|\.tf$"
)
_SECURITY_WORDS = (
    "passw", "passphrase", "secret", "credential", "jwt", "oauth", "saml", "ldap", "crypt", "cipher", "hmac", "certificate",
    "insecure", "csrf", "cookie", "session", "permission", "privilege", "sudo", "chmod", "setuid", "umask", "subprocess",
    "system(", "popen", "spawn", "shell", "pickle", "marshal.", "deserial", "unserial", "yaml.load", "readobject", ".raw(",
    ".execute(", "innerhtml", "autoescape", "sanitiz", "redirect", "../", "mktemp", "upload", "memcpy", "strcpy", "sprintf",
)  # fmt: skip
_SECURITY_PATTERNS = {
    word: re.compile(pattern)
    for word, pattern in (
        ("auth", r"auth(?!or(?!i[sz]))"),
        ("key", r"api_?key|private_?key"),
        ("token", r"token(?!i[sz])"),
        ("md5", r"\bmd5"),
        ("sha1", r"\bsha1"),
        ("ssl", r"\bssl"),
        ("tls", r"\btls\b"),
        ("verify", r"verify ?= ?false"),
        ("cors", r"\bcors\b"),
        ("admin", r"is_?admin"),
        ("staff", r"is_?staff"),
        ("role", r"\broles?\b"),
        ("acl", r"\bacl\b"),
        ("exec", r"\bexec\w{0,3}\("),
        ("eval(", r"\beval\("),
        ("select", r"\bselect\b.{1,200}\bfrom\b"),
        ("insert", r"\binsert\s+into\b"),
        ("delete", r"\bdelete\s+from\b"),
        ("update", r"\bupdate\b.{1,200}\bset\b"),
        ("safe", r"mark_?safe|\bunsafe\b"),
        ("malloc(", r"\bmalloc\("),
        ("free(", r"\bfree\("),
    )
}
"""Patterns, each with a word that all its matches contain: only a text with the word is searched."""
_PROSE = {"markdown", "text"}
_MAX_LINE = 2_000


def is_security_relevant(part: BatchPart) -> bool:
    """Whether the path or the changed lines mention permissions, secrets or input from strangers."""
    if _SECURITY_PATH.search(part.path.lower()):
        return True
    if language(part.path) in _PROSE:
        return False
    changed = (line.text[:_MAX_LINE] for hunk in part.hunks for line in hunk.lines if line.added or line.removed)
    text = "\n".join(changed).lower()
    return any(word in text for word in _SECURITY_WORDS) or any(
        word in text and pattern.search(text) for word, pattern in _SECURITY_PATTERNS.items()
    )

"""Sources -> Drafts: every check over both versions of what changed; what was there before is not news."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.core.code.diff import FileDiff, Side, Status, base_text
from bot.core.code.plan import CoverageRow, FileState
from bot.core.findings.finding import Draft, Finding
from bot.core.findings.problem import Moves, Problem, drafts, moved_lines, without_moved
from bot.core.findings.suggestion import apply_replacement
from bot.interfaces import Check, CheckResult, Source


@dataclass(frozen=True, slots=True)
class CheckedChange:
    """What the checks claim about a change, one row a check, and per file the checks that read it.

    `unread` are (check, path) pairs of files that a check could not read; an empty path means all files. None in a journal
    of an older version, which did not record them.
    """

    drafts: tuple[Draft, ...] = ()
    rows: tuple[CoverageRow, ...] = ()
    readers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unread: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class _Versions:
    """The texts of files at the head and at the base, by path."""

    head: Mapping[str, str]
    base: Mapping[str, str]


async def run_checks(
    checks: Sequence[Check], files: Sequence[FileDiff], heads: Mapping[str, str], others: Iterable[FileDiff] = ()
) -> CheckedChange:
    """Run `checks` over `files`: `heads` are whole texts at the head, by path.

    Of a file that is not there, the lines of its hunks are known; a check that does not need whole files reads those.
    `others` are more files of the change, from which code may have moved into `files`.
    """
    elsewhere = [file for file in others if file not in files]
    moves = moved_lines((*files, *elsewhere))
    gone = {file.path: _excerpt(file, Side.LEFT) for file in elsewhere if file.status is Status.REMOVED}
    by_path = {file.path: file for file in files}
    whole = _Versions(heads, gone | {path: base_text(text, by_path[path]) or "" for path, text in heads.items()})
    known = _Versions(
        {file.path: heads.get(file.path, _excerpt(file, Side.RIGHT)) for file in files},
        {file.path: whole.base.get(file.path, _excerpt(file, Side.LEFT)) for file in (*files, *elsewhere)},
    )
    outcomes = await asyncio.gather(*(_run(check, whole if check.whole else known, moves) for check in checks))
    after = _by_path(now for now, _ in outcomes)
    then = _by_path(was for _, was in outcomes)
    before = [problem for problems in then.values() for problem in problems]
    found = [
        drafts(then[path], without_moved(after[path], before, moves), by_path[path], known.base[path], known.head[path])
        for path in known.head
        if path in after
    ]
    readers = {
        path: tuple(c.name for c in checks if c.reads(path) and (path in heads or not c.whole)) for path in by_path
    }
    counted = list(zip(checks, outcomes, strict=True))
    return CheckedChange(
        tuple(draft for of_file in found for draft in of_file),
        tuple(row for check, (now, _) in counted for row in _rows(check, now, whole if check.whole else known)),
        tuple(readers.items()),
        tuple((check.name, path) for check, (now, _) in counted for path, _ in now.failed),
    )


async def prove_suggestions(
    checks: Sequence[Check], findings: Sequence[Finding], heads: Mapping[str, str]
) -> tuple[tuple[str, ...] | None, ...]:
    """For each finding the checks that found nothing new in the head with its suggestion committed.

    None where there is no suggestion, or where a check finds what was not there before, or cannot tell.
    """
    return tuple([await _proven(checks, finding, heads) for finding in findings])


async def _proven(checks: Sequence[Check], finding: Finding, heads: Mapping[str, str]) -> tuple[str, ...] | None:
    path = finding.anchor.path
    head = heads.get(path)
    changed = (
        None
        if finding.suggestion is None or head is None
        else apply_replacement(finding.suggestion, finding.anchor, head)
    )
    if head is None or changed is None:
        return None
    readers = [check for check in checks if check.reads(path)]
    for check in readers:
        before, after = await check.run([Source(path, head)]), await check.run([Source(path, changed)])
        if after.failed or _rules(after) - _rules(before):
            return None
    return tuple(check.name for check in readers)


def _rules(checked: CheckResult) -> Counter[str]:
    return Counter(problem.rule for problem in checked.problems)


def _excerpt(file: FileDiff, side: Side) -> str:
    """The lines of one side that the hunks show, each at its number; the others are blank."""
    shown = {number: line.text for hunk in file.hunks for line in hunk.lines if (number := line.number(side))}
    return "\n".join(shown.get(number, "") for number in range(1, max(shown, default=0) + 1))


def _by_path(checked: Iterable[CheckResult]) -> defaultdict[str, list[Problem]]:
    problems: defaultdict[str, list[Problem]] = defaultdict(list)
    for one in checked:
        for problem in one.problems:
            problems[problem.path].append(problem)
    return problems


async def _run(check: Check, versions: _Versions, moves: Moves) -> tuple[CheckResult, CheckResult]:
    """One check on the new versions, and on the old ones of the files that it reported on or that their code came from."""
    wanted = [Source(path, text) for path, text in versions.head.items() if check.reads(path)]
    if not wanted:
        return CheckResult(), CheckResult()
    now = await check.run(wanted)
    spoken = dict.fromkeys(problem.path for problem in now.problems)
    came = [place for problem in now.problems for place, _ in moves.get((problem.path, problem.line), ())]
    old = [
        Source(path, text)
        for path in dict.fromkeys((*spoken, *sorted(came)))
        if check.reads(path) and (text := versions.base.get(path))
    ]
    return now, await check.run(old) if old else CheckResult()


def _rows(check: Check, now: CheckResult, versions: _Versions) -> list[CoverageRow]:
    name, count = f"check: {check.name}", sum(check.reads(path) for path in versions.head)
    failed = [CoverageRow(f"{name}: {path}" if path else name, FileState.FAILED, reason) for path, reason in now.failed]
    if not count:
        return [CoverageRow(name, FileState.SKIPPED, "no file of its kind changed")]
    return [CoverageRow(name, FileState.REVIEWED, by=(f"{count} file{'' if count == 1 else 's'}",)), *failed]

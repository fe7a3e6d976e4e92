"""Sources -> Drafts: every check over both versions of what changed; what was there before is not news."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.checks.bounds import excess
from bot.core.claims.references import SOURCE as REFERENCES
from bot.core.claims.references import HeadFiles, broken, example_paths, missing_settings, suspects
from bot.core.code.diff import Diff, FileDiff, Side, Status, base_text
from bot.core.code.language import is_code, language, script_suffix
from bot.core.code.plan import CoverageRow, FileState
from bot.core.findings.finding import Draft, Finding
from bot.core.findings.problem import Moves, Problem, drafts, moved_lines, without_moved, without_same_lines
from bot.core.findings.sarif import AnalysisReport, AnalysisReports, read_sarif
from bot.core.findings.suggestion import apply_replacement
from bot.deadline import compute
from bot.errors import Refused
from bot.interfaces import Check, CheckResult, Source
from bot.model.tools import Files, Searcher


@dataclass(frozen=True, slots=True)
class CheckedChange:
    """What the checks claim about a change, one row a check, and per file the checks that read it.

    `unread` are (check, path) pairs of files that a check could not read; an empty path means all files. None in a journal
    of an older version, which did not record them. `unanalysed` are (path, language) pairs of code that no analyser reads.
    `awaits` says that reports of other analysers have not arrived yet.
    """

    drafts: tuple[Draft, ...] = ()
    rows: tuple[CoverageRow, ...] = ()
    readers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unread: tuple[tuple[str, str], ...] | None = None
    unanalysed: tuple[tuple[str, str], ...] = ()
    awaits: bool = False


SEARCHES_SKIMMED = frozenset({"secrets"})
"""The checks that also read files that people did not write, and files in languages that are not reviewed."""


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """The files that the checks read: `files` in full, `heads` are their texts at the head, by path.

    Of a file without a text, and of those in `skimmed`, the lines of the hunks are known. `others` are more files of the
    change, from which code may have moved. `builtins` gives for a path the names that the base branch declares as defined.
    """

    files: Sequence[FileDiff]
    heads: Mapping[str, str]
    others: Sequence[FileDiff] = ()
    skimmed: Sequence[FileDiff] = ()
    builtins: Callable[[str], frozenset[str]] = lambda _: frozenset()

    def names(self) -> dict[str, str]:
        """The name under which the checks see a script without a suffix: `bin/deploy` is `bin/deploy.py`, by its first line."""
        first = {
            file.path: self.heads.get(file.path, "").partition("\n")[0] or _first_line(file) for file in self.files
        }
        found = {path: f"{path}{suffix}" for path, line in first.items() if (suffix := script_suffix(path, line))}
        return {path: name for path, name in found.items() if name not in first}


@dataclass(frozen=True, slots=True)
class _Versions:
    """The texts of files at the head and at the base, by path, and the names under which the checks see scripts."""

    head: Mapping[str, str]
    base: Mapping[str, str]
    names: Mapping[str, str]
    skimmed: frozenset[str]
    builtins: Callable[[str], frozenset[str]]

    def reads(self, check: Check, path: str) -> bool:
        wanted = path not in self.skimmed or check.name in SEARCHES_SKIMMED
        return wanted and check.reads(self.names.get(path, path))

    async def run(self, check: Check, texts: Mapping[str, str]) -> CheckResult:
        """The result of a check on the texts that it reads, with the files under their own paths."""
        wanted = [
            Source(self.names.get(path, path), text, path not in self.skimmed, self.builtins(path))
            for path, text in texts.items()
            if self.reads(check, path)
        ]
        if not wanted:
            return CheckResult()
        checked, own = await check.run(wanted), {name: path for path, name in self.names.items()}
        return CheckResult(
            tuple(replace(problem, path=own.get(problem.path, problem.path)) for problem in checked.problems),
            tuple((own.get(path, path), reason) for path, reason in checked.failed),
        )


@dataclass(frozen=True, slots=True)
class _Texts:
    """What the checks read of a change: whole files, and all that is known of the files, and the lines that moved."""

    files: Sequence[FileDiff]
    elsewhere: Sequence[FileDiff]
    heads: Mapping[str, str]
    moves: Moves
    whole: _Versions
    known: _Versions

    def seen_by(self, check: Check) -> _Versions:
        return self.whole if check.whole else self.known


async def run_checks(checks: Sequence[Check], read: ReadFiles) -> CheckedChange:
    """Run `checks` over both versions of the files. A check that does not need whole files also reads mere hunks."""
    texts = await compute(_texts, read)
    outcomes = await asyncio.gather(*(_run(check, texts.seen_by(check), texts.moves) for check in checks))
    return await compute(_news, checks, outcomes, texts, [file.path for file in read.files])


def _texts(read: ReadFiles) -> _Texts:
    files, heads = (*read.files, *read.skimmed), read.heads
    elsewhere = [file for file in read.others if file not in files]
    moves = moved_lines((*files, *elsewhere))
    gone = {file.path: _excerpt(file, Side.LEFT) for file in elsewhere if file.status is Status.REMOVED}
    by_path = {file.path: file for file in files}
    more = read.names(), frozenset(file.path for file in read.skimmed), read.builtins
    bases = {path: base_text(text, by_path[path]) or "" for path, text in heads.items()}
    whole = _Versions(heads, gone | bases, *more)
    short = {path for path, text in heads.items() if not excess(text)}  # of a longer file, the changed lines are enough
    known = _Versions(
        {file.path: heads[file.path] if file.path in short else _excerpt(file, Side.RIGHT) for file in files},
        {
            file.path: whole.base[file.path] if file.path in {*short, *gone} else _excerpt(file, Side.LEFT)
            for file in (*files, *elsewhere)
        },
        *more,
    )
    return _Texts(files, elsewhere, heads, moves, whole, known)


def _news(
    checks: Sequence[Check],
    outcomes: Sequence[tuple[CheckResult, CheckResult]],
    texts: _Texts,
    paths: Sequence[str],
) -> CheckedChange:
    """What the checks found at the head and not at the base; `paths` are those that are reviewed."""
    known, by_path = texts.known, {file.path: file for file in texts.files}
    after = _by_path(now for now, _ in outcomes)
    then = _by_path(was for _, was in outcomes)
    before = [problem for problems in then.values() for problem in problems]
    found = [
        drafts(
            then[path],
            without_moved(after[path], before, texts.moves),
            by_path[path],
            known.base[path],
            known.head[path],
        )
        for path in known.head
        if path in after
    ]
    readers = {
        path: tuple(c.name for c in checks if known.reads(c, path) and (path in texts.heads or not c.whole))
        for path in by_path
    }
    counted = list(zip(checks, outcomes, strict=True))
    return CheckedChange(
        without_same_lines((draft for of_file in found for draft in of_file), (*texts.files, *texts.elsewhere)),
        tuple(row for check, (now, _) in counted for row in _rows(check, now, texts.seen_by(check))),
        tuple(readers.items()),
        tuple((check.name, path) for check, (now, _) in counted for path, _ in now.failed),
        tuple(_unanalysed(checks, known, paths)),
    )


def _unanalysed(checks: Sequence[Check], versions: _Versions, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The code that only checks for any text read, with its language: these checks need no whole files, analysers do."""
    for path in paths:
        name = language(versions.names.get(path, path))
        if is_code(name) and not any(check.whole and versions.reads(check, path) for check in checks):
            yield path, name


async def prove_suggestions(
    checks: Sequence[Check], findings: Sequence[Finding], read: ReadFiles
) -> tuple[tuple[str, ...] | None, ...]:
    """For each finding the checks that found nothing new in the head with its suggestion committed.

    None where there is no suggestion, or where a check finds what was not there before, or cannot tell.
    """
    versions = _Versions(read.heads, {}, read.names(), frozenset(), read.builtins)
    return tuple([await _proven(checks, finding, versions) for finding in findings])


async def _proven(checks: Sequence[Check], finding: Finding, versions: _Versions) -> tuple[str, ...] | None:
    path = finding.anchor.path
    head = versions.head.get(path)
    changed = (
        None
        if finding.suggestion is None or head is None or excess(head)
        else apply_replacement(finding.suggestion, finding.anchor, head)
    )
    if head is None or changed is None:
        return None
    readers = [check for check in checks if versions.reads(check, path)]
    for check in readers:
        before, after = await versions.run(check, {path: head}), await versions.run(check, {path: changed})
        if after.failed or _rules(after) - _rules(before):
            return None
    return tuple(check.name for check in readers)


MENTIONS = 100
"""Files that mention a word; of a word with more, nothing is looked up."""


NOTHING_TO_LOOK_UP = CoverageRow(f"check: {REFERENCES}", FileState.SKIPPED, "nothing was removed or changed its form")


@dataclass(frozen=True, slots=True)
class FoundReferences:
    """What a change leaves broken elsewhere, and the row that says how much was looked up."""

    drafts: tuple[Draft, ...] = ()
    row: CoverageRow = NOTHING_TO_LOOK_UP


async def find_references(searcher: Searcher, files: Files, change: Diff, heads: Mapping[str, str]) -> FoundReferences:
    """Looks for uses at the head of what the change removes or alters, and for settings that the example lacks."""
    wanted = await compute(suspects, change, heads)
    try:
        paths = frozenset(await files.entries("head"))
        named = [(suspect, await _mentions(searcher, suspect.word)) for suspect in wanted if paths]
        rare = [(suspect, names) for suspect, names in named if len(names) <= MENTIONS]
        examples = example_paths(paths)[:EXAMPLES]
        texts = await files.texts(dict.fromkeys((*examples, *(path for _, names in rare for path in names))), "head")
    except Refused as error:
        return FoundReferences((), replace(NOTHING_TO_LOOK_UP, reason=f"the repository could not be searched: {error}"))

    def prove() -> list[Draft]:
        found = list(missing_settings(change, heads, {path: texts[path] for path in examples if path in texts}))
        for suspect, names in rare:
            mentions = {path: texts[path] for path in names if path in texts}
            draft = broken(suspect, change, HeadFiles(paths, heads, mentions, sys.stdlib_module_names))
            found += [draft] if draft else []
        return found

    found = await compute(prove)
    if not wanted:
        return FoundReferences(tuple(found))
    common = len(named) - len(rare)
    counted = f"{len(wanted) - common} names looked up", *((f"{common} are too common",) if common else ())
    return FoundReferences(tuple(found), CoverageRow(f"check: {REFERENCES}", FileState.REVIEWED, by=counted))


EXAMPLES = 5
"""Example files of settings that are read."""


async def _mentions(searcher: Searcher, word: str) -> tuple[str, ...]:
    """Returns the head's files that contain a word."""
    return tuple(dict.fromkeys(match.path for match in await searcher.grep(word, "head", word=True)))


def with_references(checked: CheckedChange, found: FoundReferences, change: Diff) -> CheckedChange:
    """Adds what was found about references to what the checks found in the files."""
    readers = dict(checked.readers)
    seen = {file.path: (*readers.get(file.path, ()), REFERENCES) for file in change}
    return replace(
        checked,
        drafts=(*checked.drafts, *found.drafts),
        rows=(*checked.rows, found.row),
        readers=tuple((readers | seen).items()) if found.row.state is FileState.REVIEWED else checked.readers,
    )


REPORTS = "check: SARIF"


def with_reports(checked: CheckedChange, found: AnalysisReports, read: ReadFiles) -> CheckedChange:
    """Adds the results of other analysers on lines that the change adds, and a row for what is missing.

    Raises UserError for a report that is not SARIF.
    """
    for report in found.reports:
        checked = _with_report(checked, report, read)
    reasons = (f"{found.missing}; the review is repeated when it arrives" if found.missing else "", found.problem)
    rows = [CoverageRow(REPORTS, FileState.FAILED, reason) for reason in reasons if reason]
    return replace(checked, rows=(*checked.rows, *rows), awaits=bool(found.missing))


def _with_report(checked: CheckedChange, report: AnalysisReport, read: ReadFiles) -> CheckedChange:
    by_path = {file.path: file for file in read.files if file.path not in report.elsewhere}
    sarif = read_sarif(report.text, by_path)
    found = _by_path([CheckResult(sarif.problems)])
    texts = {path: read.heads.get(path, _excerpt(by_path[path], Side.RIGHT)) for path in found}
    news = [draft for path in found for draft in drafts((), found[path], by_path[path], "", texts[path])]
    tools = ", ".join(source.removeprefix("sarif:") for source in sarif.sources) or "no tool"
    counted = f"{tools}: {len(sarif.problems)} results about changed files, {len(news)} on changed lines"
    skewed = sum(file.path in report.elsewhere for file in read.files)
    notes = (counted, *((f"{skewed} files were analysed in another version",) if skewed else ()))
    return replace(
        checked,
        drafts=(*checked.drafts, *news),
        rows=(*checked.rows, CoverageRow(REPORTS, FileState.REVIEWED, by=notes)),
        readers=tuple((path, (*names, *sarif.sources)) for path, names in checked.readers),
    )


def _rules(checked: CheckResult) -> Counter[str]:
    return Counter(problem.rule for problem in checked.problems)


def _excerpt(file: FileDiff, side: Side) -> str:
    """The lines of one side that the hunks show, each at its number; the others are blank."""
    shown = {number: line.text for hunk in file.hunks for line in hunk.lines if (number := line.number(side))}
    return "\n".join(shown.get(number, "") for number in range(1, max(shown, default=0) + 1))


def _first_line(file: FileDiff) -> str:
    """The first line of the head's version, if a hunk shows it."""
    return next((line.text for hunk in file.hunks[:1] for line in hunk.lines if line.new == 1), "")


def _by_path(checked: Iterable[CheckResult]) -> defaultdict[str, list[Problem]]:
    problems: defaultdict[str, list[Problem]] = defaultdict(list)
    for one in checked:
        for problem in one.problems:
            problems[problem.path].append(problem)
    return problems


async def _run(check: Check, versions: _Versions, moves: Moves) -> tuple[CheckResult, CheckResult]:
    """One check on the new versions, and on the old ones of the files that it reported on or that their code came from."""
    now = await versions.run(check, versions.head)
    reported = dict.fromkeys(problem.path for problem in now.problems)
    came = [place for problem in now.problems for place, _ in moves.get((problem.path, problem.line), ())]
    paths = dict.fromkeys((*reported, *sorted(came)))
    return now, await versions.run(check, {path: text for path in paths if (text := versions.base.get(path))})


def _rows(check: Check, now: CheckResult, versions: _Versions) -> list[CoverageRow]:
    name, count = f"check: {check.name}", sum(versions.reads(check, path) for path in versions.head)
    failed = [CoverageRow(f"{name}: {path}" if path else name, FileState.FAILED, reason) for path, reason in now.failed]
    if not count:
        return [CoverageRow(name, FileState.SKIPPED, "no file of its kind changed")]
    return [CoverageRow(name, FileState.REVIEWED, by=(f"{count} file{'' if count == 1 else 's'}",)), *failed]

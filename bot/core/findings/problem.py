"""Problem: a diagnostic of an analyser on one version of a file. `drafts` keeps those that the change introduces.

Code that moves from one file to another brings nothing new: `moved_lines` finds it, `without_moved` leaves its problems out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from bot.core.code.diff import FileDiff, Hunk, Side
from bot.core.findings.finding import Category, Draft, Severity

Moves = Mapping[tuple[str, int], frozenset[tuple[str, int]]]
"""Path and number of an added line -> the removed lines of other files that it may have been."""

MOVED_LINES, MOVED_CHARACTERS = 2, 25
"""Lines that are not empty, and their characters without white space, from which a block is known to have moved."""
_COMMON = 20  # places of two consecutive lines; with more they say nothing about where a block comes from
_LONGEST_QUOTE = 10
_WORD = re.compile(r"\w+")
_SAME = {
    "T100": "debug-statement",
    "no-debugger": "debug-statement",
    "PLE2502": "invisible-characters",
    "S608": "sql-from-values",
    "template-injection": "workflow-injection",
    "dangerous-triggers": "untrusted-checkout",
}
"""Rules of different tools with the same meaning."""
_ALL_LANGUAGES = "ast-grep"


@dataclass(frozen=True, slots=True)
class Problem:
    """A diagnostic as in reviewdog: lines `line`..`end` (1-based, inclusive) of one version of `path`.

    `replacement` holds the whole new lines for exactly that range, if the tool calls its fix safe.
    """

    path: str
    line: int
    end: int
    rule: str
    title: str
    why: str
    severity: Severity
    category: Category
    source: str
    url: str = ""
    replacement: str | None = None


def drafts(
    before: Iterable[Problem], after: Iterable[Problem], file: FileDiff, text_before: str, text_after: str
) -> tuple[Draft, ...]:
    """Returns a draft for each problem in `after`, the problems of the head, that the change to `file` introduces.

    Such a problem is on an added line and not in `before` (the same rule on a line with the same text, or with more words,
    counted). Several problems with the same meaning on one line give one draft.
    """
    said: set[tuple[int, str]] = set()
    news = []
    for problem in _new(before, after, file.added_lines, (text_before.split("\n"), text_after.split("\n"))):
        meaning = problem.line, _SAME.get(problem.rule, problem.rule)
        if meaning not in said:
            said.add(meaning)
            news += [draft for hunk in file.hunks if (draft := _draft(problem, hunk))][:1]
    return tuple(news)


def _new(
    before: Iterable[Problem],
    after: Iterable[Problem],
    added: frozenset[int],
    lines: tuple[list[str], list[str]],
) -> Iterator[Problem]:
    """Yields the problems on added lines that have no pair in the base. Problems on unchanged lines are paired first.

    Of two problems on one line, the one with a documentation page comes first, and that of a language's own linter, whose
    code documents name, before that of our rules for all languages.
    """
    known = Counter(_key(problem, lines[0]) for problem in before)
    news = []
    for problem in sorted(
        after,
        key=lambda problem: (
            _touches(problem, added),
            problem.line,
            not problem.url,
            problem.source == _ALL_LANGUAGES,
            problem.source,
            problem.rule,
        ),
    ):
        key = _key(problem, lines[1])
        if known[key]:
            known[key] -= 1
        elif _touches(problem, added):
            news.append((problem, key))
    for problem, key in news:
        longer = next((old for old, count in known.items() if count and _is_rest(key, old)), None)
        if longer is None:
            yield problem
        else:
            known[longer] -= 1


def _is_rest(key: tuple[str, str], old: tuple[str, str]) -> bool:
    """Whether a line has the same problem as an old one and only words of it: the change made it less."""
    words = Counter(_WORD.findall(key[1]))
    return key[0] == old[0] and bool(words) and not words - Counter(_WORD.findall(old[1]))


def _key(problem: Problem, lines: list[str]) -> tuple[str, str]:
    text = lines[problem.line - 1] if problem.line <= len(lines) else ""
    return problem.rule, " ".join(text.split())


def _touches(problem: Problem, added: frozenset[int]) -> bool:
    return not added.isdisjoint(range(problem.line, problem.end + 1))


def _draft(problem: Problem, hunk: Hunk) -> Draft | None:
    """Returns the problem as a draft about lines of `hunk`; None if the hunk added none of them."""
    shown = [line for line in hunk.on(Side.RIGHT) if line.new and problem.line <= line.new <= problem.end]
    first = next((i for i, line in enumerate(shown) if line.added), None)
    if first is None:
        return None
    quoted = shown[:_LONGEST_QUOTE] if first < _LONGEST_QUOTE else shown[first : first + _LONGEST_QUOTE]
    whole = len(quoted) == problem.end - problem.line + 1
    return Draft(
        path=problem.path,
        quoted="\n".join(line.text for line in quoted),
        title=problem.title,
        why=problem.why,
        severity=problem.severity,
        category=problem.category,
        source=problem.source,
        rule=problem.rule,
        rule_url=problem.url,
        near=quoted[0].new,
        replacement=problem.replacement if whole else None,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive lines of one side that were added, or removed: their numbers and texts, without empty lines."""

    path: str
    numbers: Sequence[int]
    texts: Sequence[str]


def moved_lines(files: Iterable[FileDiff]) -> Moves:
    """Returns the added lines that moved here from another file, each with the lines that were removed there.

    Only blocks of several lines count (MOVED_LINES, MOVED_CHARACTERS); white space makes no difference.
    """
    files = tuple(files)
    gone = [run for file in files for run in _runs(file, Side.LEFT)]
    index: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for n, run in enumerate(gone):
        for at, two in enumerate(pairwise(run.texts)):
            index[two].append((n, at))
    moves: defaultdict[tuple[str, int], set[tuple[str, int]]] = defaultdict(set)
    for run in (run for file in files for run in _runs(file, Side.RIGHT)):
        for first, last, old, distance in _blocks(run, gone, index):
            for line in range(first, last + 1):
                moves[run.path, run.numbers[line]].add((old.path, old.numbers[line + distance]))
    return {line: frozenset(places) for line, places in moves.items()}


def _blocks(
    run: _Run, gone: Sequence[_Run], index: Mapping[tuple[str, str], Sequence[tuple[int, int]]]
) -> Iterator[tuple[int, int, _Run, int]]:
    """Yields the blocks of `run` that another file lost: the first and last index, the other run and its distance."""
    done: dict[tuple[int, int], int] = {}  # other run and distance -> the last index of the last block
    for at, two in enumerate(pairwise(run.texts)):
        places = index.get(two, ())
        for n, there in places if len(places) <= _COMMON else ():
            old, distance = gone[n], there - at
            if old.path == run.path or done.get((n, distance), -1) > at:
                continue
            first, last = _common(run.texts, at, old.texts, there)
            done[n, distance] = last
            if sum(len("".join(text.split())) for text in run.texts[first : last + 1]) >= MOVED_CHARACTERS:
                yield first, last, old, distance


def without_moved(after: Iterable[Problem], before: Iterable[Problem], moves: Moves) -> list[Problem]:
    """Returns the problems of the head without those that moved here with their code; `before` are those of the base.

    A secret is news wherever it turns up.
    """
    there = {(problem.path, problem.line, problem.rule) for problem in before}
    return [
        problem
        for problem in after
        if problem.source == "secrets"
        or not any((*place, problem.rule) in there for place in moves.get((problem.path, problem.line), ()))
    ]


def without_same_lines(news: Iterable[Draft], files: Sequence[FileDiff]) -> tuple[Draft, ...]:
    """Returns the drafts without left-overs on lines that the change removes from another file, one for each such line.

    A TODO or a suppression that moves is not news, even alone. Other problems depend on the code around them.
    """
    gone: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for file in files:
        for line in (line for hunk in file.hunks for line in hunk.lines if line.removed):
            gone[_bare(line.text)][file.path] += 1
    kept = []
    for draft in news:
        places = gone.get(_bare(draft.quoted), Counter())
        elsewhere = next((path for path, count in places.items() if count and path != draft.path), None)
        if elsewhere is None or draft.category is not Category.HYGIENE or draft.severity is not Severity.NOTE:
            kept.append(draft)
        else:
            places[elsewhere] -= 1
    return tuple(kept)


def _bare(text: str) -> str:
    return " ".join(text.split())


def _runs(file: FileDiff, side: Side) -> Iterator[_Run]:
    """Yields the unbroken runs of lines that only one side has."""
    for hunk in file.hunks:
        shown = [line for line in hunk.lines if line.number(side) is not None]
        for only, group in groupby(shown, key=lambda line: line.added if side is Side.RIGHT else line.removed):
            rows = [(line.number(side) or 0, " ".join(line.text.split())) for line in group if line.text.strip()]
            if only and len(rows) >= MOVED_LINES:
                yield _Run(file.path, [number for number, _ in rows], [text for _, text in rows])


def _common(mine: Sequence[str], at: int, theirs: Sequence[str], there: int) -> tuple[int, int]:
    """Returns the first and last index in `mine` of the longest common block through `at` and `there`."""
    back = 0
    while back < min(at, there) and mine[at - back - 1] == theirs[there - back - 1]:
        back += 1
    on = 0
    while at + on + 1 < len(mine) and there + on + 1 < len(theirs) and mine[at + on + 1] == theirs[there + on + 1]:
        on += 1
    return at - back, at + on

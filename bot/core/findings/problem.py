"""Problem: a diagnostic of an analyser on one version of a file. `drafts` keeps those that the change introduces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.core.code.diff import FileDiff, Hunk, Side
from bot.core.findings.finding import Category, Draft, Severity

_LONGEST_QUOTE = 10
_SAME = {"T100": "debug-statement", "no-debugger": "debug-statement", "PLE2502": "invisible-characters"}
"""Rules of different tools with the same meaning."""


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

    Such a problem is on an added line and not in `before` (the same rule on a line with the same text, counted). Several
    problems with the same meaning on one line give one draft.
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

    Of two problems on one line, the one with a documentation page comes first.
    """
    known = Counter(_key(problem, lines[0]) for problem in before)
    for problem in sorted(
        after,
        key=lambda problem: (_touches(problem, added), problem.line, not problem.url, problem.source, problem.rule),
    ):
        key = _key(problem, lines[1])
        if known[key]:
            known[key] -= 1
        elif _touches(problem, added):
            yield problem


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

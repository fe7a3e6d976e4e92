"""Runs our rules for languages that ast-grep has no grammar for (Dockerfile, Make, SQL), on logical lines or statements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from bot.checks.jail import Jail
from bot.checks.pack import has_rules, rules_for
from bot.checks.scan import PatternRule, grammar_of, problem_of
from bot.core.code.language import language
from bot.core.findings.problem import Problem
from bot.deadline import compute
from bot.interfaces import Check, CheckResult, Source

_SHOWN = 4_000  # characters of a statement that are read; longer ones hold data


class _Piece(NamedTuple):
    """A logical line or a statement: the number of its first line, its text without comments, and as it is written."""

    number: int
    text: str
    written: str


@dataclass(frozen=True, slots=True)
class LineRules:
    """A check for the languages that have rules but no grammar."""

    name: str = "line-rules"
    whole: bool = True

    def reads(self, path: str) -> bool:
        """Dockerfiles, makefiles and SQL."""
        return grammar_of(path) is None and has_rules(language(path))

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Match each rule with each logical line or statement."""
        return await compute(match_lines, rules_for(language(file.path) for file in files), files)


def match_lines(rules: Sequence[PatternRule], files: Sequence[Source]) -> CheckResult:
    """The problems that `rules` find in `files`: the first line of each match."""
    return CheckResult(tuple(problem for file in files for problem in _problems(rules, file)))


def _problems(rules: Sequence[PatternRule], file: Source) -> Iterator[Problem]:
    wanted = [rule for rule in rules if "line" in rule.match and rule.applies_to(file.path)]
    lines = tuple(_logical_lines(file.text))
    statements = tuple(_statements(file.text) if any("statement" in rule.match for rule in wanted) else ())
    for rule in wanted:
        for number in _matches(rule, statements if "statement" in rule.match else lines):
            yield problem_of(rule, file.path, number, number, "line-rules")


def _matches(rule: PatternRule, pieces: Sequence[_Piece]) -> Iterator[int]:
    """The number of the first line of each match."""
    line, unless = _compiled(rule.match["line"]), _compiled(rule.match.get("unless"))
    if last := _compiled(rule.match.get("last")):
        pieces = [piece for piece in pieces if last.search(piece.text)][-1:]
    for piece in pieces:
        match = line.search(piece.text) if line else None
        if match and not (unless and unless.search(piece.written)):
            start = match.end() - len(match[0].lstrip())
            yield piece.number + piece.text.count("\n", 0, start)


@cache
def _compiled(pattern: object) -> re.Pattern[str] | None:
    return re.compile(str(pattern)) if pattern else None


def _logical_lines(text: str) -> Iterator[_Piece]:
    """Lines, with those that a backslash continues; comments are blank."""
    held: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        code = "" if line.lstrip().startswith("#") else line.rstrip()
        more = code.endswith("\\") or (bool(held) and not code)
        held.append(code.removesuffix("\\"))
        if not more:
            joined = "\n".join(held)[:_SHOWN]
            yield _Piece(number - len(held) + 1, joined, joined)
            held = []


def _statements(text: str) -> Iterator[_Piece]:
    """Runs of lines up to one that ends with a semicolon. Comments before a statement are part of what is written."""
    held: list[str] = []
    for number, line in enumerate([*text.split("\n"), ";"], 1):
        held.append(line)
        if line.rstrip().endswith(";"):
            code = [one.partition("--")[0] for one in held]
            first = next((index for index, one in enumerate(code) if one.strip()), 0)
            joined = "\n".join(code[first:])[:_SHOWN]
            yield _Piece(number - len(held) + 1 + first, joined, "\n".join(held)[:_SHOWN])
            held = []


def offer(_: Jail) -> Check:
    """The check; it needs no external program."""
    return LineRules()

"""Finds what work on code leaves behind: conflict markers, debug statements, unowned TODOs, suppressions, skipped tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from bot.checks.jail import Jail
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import Check, CheckResult, Source

_PYTHON = frozenset({".py", ".pyi"})
_SCRIPT = frozenset({".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte"})
_RUBY = frozenset({".rb", ".rake"})
_PHP = frozenset({".php"})
_RUST = frozenset({".rs"})
_GO = frozenset({".go"})
_JVM = frozenset({".java", ".kt", ".scala"})
_CODE = _PYTHON | _SCRIPT | _RUBY | _PHP | _RUST | _GO | _JVM | {
    ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".swift", ".sh", ".bash", ".sql", ".yml", ".yaml", ".toml", ".tf",
    ".css", ".scss", ".html", ".ex", ".exs", ".lua", ".pl", ".dart",
}  # fmt: skip


class HygieneRule(NamedTuple):
    """A line of a file with one of `suffixes` (empty: any file) that `pattern` finds is a problem."""

    name: str
    suffixes: frozenset[str]
    pattern: re.Pattern[str]
    title: str
    why: str
    severity: Severity
    category: Category


def _same(
    name: str, title: str, why: str, severity: Severity, category: Category, /, **patterns: str
) -> list[HygieneRule]:
    """One meaning in several languages."""
    suffixes = {
        "any": frozenset[str](), "code": _CODE, "python": _PYTHON, "script": _SCRIPT, "ruby": _RUBY, "php": _PHP,
        "rust": _RUST, "go": _GO, "jvm": _JVM,
    }  # fmt: skip
    return [
        HygieneRule(name, suffixes[language], re.compile(pattern), title, why, severity, category)
        for language, pattern in patterns.items()
    ]


RULES = (
    *_same(
        "conflict-marker",
        "A merge conflict is not resolved",
        "Both versions and the marker between them would be merged as they are.",
        Severity.ERROR,
        Category.CORRECTNESS,
        any=r"^(?:<{7}|>{7})(?: \S|$)",
    ),
    *_same(
        "debug-statement",
        "A debug statement is left in",
        "It stops the program in a debugger or prints internal values when the code runs outside development.",
        Severity.WARNING,
        Category.HYGIENE,
        python=r"^\s*(?:breakpoint\(\)|(?:import|from) (?:i?pdb|pudb)\b|(?:i?pdb|pudb)\.set_trace\()",
        script=r"^\s*debugger\s*;?\s*(?://|$)",
        ruby=r"^\s*(?:binding\.(?:pry|irb|break)|byebug|debugger)\b",
        php=r"^\s*(?:dd|dump|var_dump|ddd)\(",
        rust=r"\bdbg!\(",
    ),
    *_same(
        "console-output",
        "Console output is left in",
        "In the browser every visitor can read it; on a server it bypasses the log levels and the log format.",
        Severity.NOTE,
        Category.HYGIENE,
        script=r"^\s*console\.(?:log|debug|trace|dir)\(",
    ),
    *_same(
        "unowned-todo",
        "This TODO has no owner",
        "Without a name or an issue number it is easily forgotten: write TODO(name), or add the issue.",
        Severity.NOTE,
        Category.HYGIENE,
        code=r"^(?!.*(?:#\d|https?://|\b[A-Z]{2,10}-\d|@\w)).*?(?:#|//|/\*|<!--|--|;|^\s*\*)\s?(?:TODO|FIXME)\b(?!\s?\()",
    ),
    *_same(
        "new-suppression",
        "A warning is suppressed without a reason",
        "The tool no longer reports this line, and readers cannot tell whether the warning was wrong.",
        Severity.NOTE,
        Category.HYGIENE,
        python=r"#\s?(?:(?:(?:ruff|flake8):\s?)?(?:noqa|nosec|(?:type|pyright):\s?ignore(?!\[))\b:?[\sA-Z0-9,]*"
        r"|pylint:\s?disable=[\w,\s-]*)$",
        script=r"(?://|/\*)\s?(?:eslint-disable(?!.*\s--\s)|@ts-(?:ignore|nocheck)\s*(?:\*/|$)|oxlint-disable(?!.*\s--\s))",
        go=r"//\s?nolint(?::[\w,]+)?\s*$|//\s?#nosec\b[\sG\d]*$",
        ruby=r"#\s?rubocop:disable\s+[\w/, ]+$",
        php=r"@phpstan-ignore(?:-(?:next-)?line)?\s*(?:\*/|$)|@psalm-suppress\s+\w+\s*(?:\*/|$)",
        rust=r"^\s*#!?\[allow\((?!.*\breason\b)",
        jvm=r"^\s*@Suppress(?:Warnings)?\([^)]*\)\s*$|//\s?NOSONAR\s*$",
    ),
    *_same(
        "focused-test",
        "Only this test runs",
        "The runner skips all other tests, so the suite passes even if they would fail.",
        Severity.ERROR,
        Category.TESTS,
        script=r"^\s*(?:(?:describe|context|suite|it|test|specify)\.only|fdescribe|fit)\(",
        ruby=r"^\s*(?:fdescribe|fcontext|fit)\b|^\s*(?:describe|context|it)\b.*\bfocus: true\b",
    ),
    *_same(
        "skipped-test",
        "A test is skipped without a reason",
        "Without a reason or an issue, nothing tells the team when to enable it again.",
        Severity.WARNING,
        Category.TESTS,
        python=r"^\s*@(?:pytest\.mark\.(?:skip|xfail)(?:\(\s*\))?|(?:unittest\.)?skip(?:\(\s*\))?)\s*(?:#|$)",
        script=r"^\s*(?:(?:describe|context|suite|it|test)\.skip|xdescribe|xit|xtest)\(",
        go=r"^\s*t\.Skip(?:Now)?\(\s*\)",
        ruby=r"^\s*(?:xdescribe|xcontext|xit)\b",
        rust=r"^\s*#\[ignore\]",
        jvm=r"^\s*@(?:Disabled|Ignore)\s*(?://|$)",
    ),
)


_LONGEST_LINE = 2_000  # characters; what stands further to the right of a line is data


@dataclass(frozen=True, slots=True)
class Hygiene:
    """A check for any text, line by line."""

    name: str = "hygiene"
    whole: bool = False

    def reads(self, path: str) -> bool:
        """Every file."""
        return True

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """At most one problem a line: the first rule that applies."""
        return CheckResult(tuple(problem for file in files for problem in _remains(file)))


def _remains(file: Source) -> Iterator[Problem]:
    suffix = PurePosixPath(file.path).suffix.lower()
    rules = [rule for rule in RULES if not rule.suffixes or suffix in rule.suffixes]
    for number, line in enumerate(file.text.split("\n"), 1):
        rule = next((rule for rule in rules if rule.pattern.search(line, 0, _LONGEST_LINE)), None)
        if rule:
            yield Problem(
                path=file.path,
                line=number,
                end=number,
                rule=rule.name,
                title=rule.title,
                why=rule.why,
                severity=rule.severity,
                category=rule.category,
                source="hygiene",
            )


def offer(_: Jail) -> Check:
    """For every change."""
    return Hygiene()

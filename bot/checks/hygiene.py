"""Finds what work on code leaves behind: conflict markers, debug statements, unowned TODOs, suppressions, skipped tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import PurePosixPath
from typing import NamedTuple

from bot.checks.jail import Jail
from bot.checks.scan import found_in
from bot.core.code.syntax import Node, tree
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


class _Where(StrEnum):
    """Where a rule applies: in every file, in files of tests, or in the product, which is neither tests nor examples."""

    EVERYWHERE = "everywhere"
    TESTS = "tests"
    PRODUCT = "product"


class HygieneRule(NamedTuple):
    """A line of a file with one of `suffixes` (empty: any file) that `pattern` finds is a problem.

    `comment` is true for what is written as a comment; other rules are about code, and never about a comment or a text.
    A `reasoned` problem is none if the line above is a comment, which says why.
    """

    name: str
    suffixes: frozenset[str]
    pattern: re.Pattern[str]
    title: str
    why: str
    severity: Severity
    category: Category
    where: _Where = _Where.EVERYWHERE
    comment: bool = False
    reasoned: bool = False


def _same(
    name: str, title: str, why: str, severity: Severity, category: Category, traits: _Traits, /, **patterns: str
) -> list[HygieneRule]:
    """One meaning in several languages."""
    suffixes = {
        "any": frozenset[str](), "code": _CODE, "python": _PYTHON, "script": _SCRIPT, "ruby": _RUBY, "php": _PHP,
        "rust": _RUST, "go": _GO, "jvm": _JVM,
    }  # fmt: skip
    return [
        HygieneRule(name, suffixes[language], re.compile(pattern), title, why, severity, category, *traits)
        for language, pattern in patterns.items()
    ]


class _Traits(NamedTuple):
    """The last fields of a rule."""

    where: _Where = _Where.EVERYWHERE
    comment: bool = False
    reasoned: bool = False


RULES = (
    *_same(
        "debug-statement",
        "A debug statement is left in",
        "It stops the program in a debugger or prints internal values when the code runs outside development.",
        Severity.WARNING,
        Category.HYGIENE,
        _Traits(),
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
        _Traits(_Where.PRODUCT),
        script=r"^\s*console\.(?:log|debug|trace|dir)\(",
    ),
    *_same(
        "unowned-todo",
        "This TODO has no owner",
        "Without a name or an issue number it is easily forgotten: write TODO(name), or add the issue.",
        Severity.NOTE,
        Category.HYGIENE,
        _Traits(_Where.PRODUCT, comment=True),
        code=r"^(?!.*(?:#\d|https?://|\b[A-Z]{2,10}-\d|@\w)).*?(?:#|//|/\*|<!--|--|;|^\s*\*)\s?(?:TODO|FIXME)\b(?!\s?\()"
        r"(?!.{0,160}(?:\b(?i:when|once|until|after|as soon as)\b|\bv?\d+\.\d))",  # it says what it waits for
    ),
    *_same(
        "new-suppression",
        "A warning is suppressed without a reason",
        "The tool no longer reports this line, and readers cannot tell whether the warning was wrong.",
        Severity.NOTE,
        Category.HYGIENE,
        _Traits(comment=True, reasoned=True),
        python=r"#\s?(?:(?:(?:ruff|flake8):\s?)?(?:noqa|nosec|(?:type|pyright):\s?ignore(?!\[))\s*(?:#\s?noqa[:\sA-Z0-9,]*)?$"
        r"|pylint:\s?disable=all\s*$)",
        script=r"(?://|/\*)\s?(?:@ts-(?:ignore|nocheck)|(?:eslint|oxlint)-disable(?:-next-line|-line)?)\s*(?:\*/|$)",
        go=r"//\s?(?:nolint(?::all)?|#nosec)\s*$",
        ruby=r"#\s?rubocop:disable\s+all\s*$",
        php=r"@phpstan-ignore-(?:next-)?line\s*(?:\*/|$)",
    ),
    *_same(
        "new-suppression",
        "A warning is suppressed without a reason",
        "The tool no longer reports this line, and readers cannot tell whether the warning was wrong.",
        Severity.NOTE,
        Category.HYGIENE,
        _Traits(reasoned=True),
        rust=r"^\s*#!?\[allow\((?:warnings|clippy::all)\)\]\s*$",
        jvm=r"^\s*@Suppress(?:Warnings)?\(\s*\{?\s*\"all\"\s*\}?\s*\)\s*$|//\s?NOSONAR\s*$",
    ),
    *_same(
        "focused-test",
        "Only this test runs",
        "The runner skips all other tests, so the suite passes even if they would fail.",
        Severity.ERROR,
        Category.TESTS,
        _Traits(_Where.TESTS),
        script=r"^\s*(?:(?:describe|context|suite|it|test|specify)\.only|fdescribe|fit)\(",
        ruby=r"^\s*(?:fdescribe|fcontext|fit)\b|^\s*(?:describe|context|it)\b.*\bfocus: true\b",
    ),
    *_same(
        "skipped-test",
        "A test is skipped without a reason",
        "Without a reason or an issue, nothing tells the team when to enable it again.",
        Severity.WARNING,
        Category.TESTS,
        _Traits(_Where.TESTS, reasoned=True),
        python=r"^\s*@(?:pytest\.mark\.(?:skip|xfail)(?:\(\s*\))?|(?:unittest\.)?skip(?:\(\s*\))?)\s*(?:#|$)",
        script=r"^\s*(?:(?:describe|context|suite|it|test)\.skip|xdescribe|xit|xtest)\(\s*(?:[\"'`]|\)|$)",
        go=r"^\s*t\.Skip(?:Now)?\(\s*\)",
        ruby=r"^\s*(?:xdescribe|xcontext|xit)\b",
        jvm=r"^\s*@(?:Disabled|Ignore)\s*(?://|$)",
    ),
    *_same(
        "skipped-test",
        "A test is skipped without a reason",
        "Without a reason or an issue, nothing tells the team when to enable it again.",
        Severity.WARNING,
        Category.TESTS,
        _Traits(reasoned=True),
        rust=r"^\s*#\[ignore\]",  # the tests of a Rust module stand in its file
    ),
)
CONFLICT = HygieneRule(
    "conflict-marker",
    frozenset(),
    re.compile(r"(?P<start><{7})(?: \S|$)|(?P<middle>={7})$|(?P<end>>{7})(?: \S|$)"),
    "A merge conflict is not resolved",
    "Both versions and the marker between them would be merged as they are.",
    Severity.ERROR,
    Category.CORRECTNESS,
)


_LARGEST_TREE = 100_000  # characters; the tree of a larger file costs more than it saves
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
        return await found_in(files, _remains)


_TEST = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__|e2e|cypress|integration[_-]?tests?)/|(?:^|/)(?:test_[^/]*|conftest\.py)$"
    r"|[._-](?:tests?|specs?|cy|e2e)\.\w+$|(?:Tests?|Spec|IT)\.(?:java|kt|scala|cs|swift|php)$"
)
_INFORMAL = re.compile(
    r"(?:^|/)(?:\.?examples?|samples?|demos?|docs?|documentation|templates?|scaffolds?|fixtures|benchmarks?|playground|stories"
    r"|scripts?|tools?|bin|cli)/|\.(?:config|stories|story|template|tmpl|example)\.\w+$|(?:^|/)(?:gulp|grunt)file\.\w+$",
    re.IGNORECASE,
)
_COMMENT_LINE = re.compile(r"\s*(?:#(?!\[)|//|/\*|\*|--|<!--)\s*\w")
_FENCE = re.compile(r" {0,3}(?:`{3,}|~{3,})")
_PROSE = frozenset({".md", ".mdx", ".markdown", ".rst", ".adoc", ".txt"})


def _remains(file: Source) -> Iterator[Problem]:
    suffix = PurePosixPath(file.path).suffix.lower()
    places = {_Where.EVERYWHERE}
    if _TEST.search(file.path):
        places.add(_Where.TESTS)
    elif not _INFORMAL.search(file.path) and not file.text.startswith("#!"):
        places.add(_Where.PRODUCT)
    rules = [rule for rule in RULES if suffix in rule.suffixes and rule.where in places]
    syntax = _Syntax(file)
    yield from (_problem(file, CONFLICT, number) for number in _conflicts(file, suffix) if syntax.is_code(number, 0))
    lines = file.text.split("\n") if rules else []
    for number, line in enumerate(lines, 1):
        found = ((rule, rule.pattern.search(line, 0, _LONGEST_LINE)) for rule in rules)
        rule, match = next(((rule, match) for rule, match in found if match), (None, None))
        if rule is None or match is None or (rule.reasoned and number > 1 and _COMMENT_LINE.match(lines[number - 2])):
            continue
        if (
            syntax.is_comment(number, line, match)
            if rule.comment
            else syntax.is_code(number, len(line) - len(line.lstrip()))
        ):
            yield _problem(file, rule, number)


def _problem(file: Source, rule: HygieneRule, number: int) -> Problem:
    return Problem(
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


def _conflicts(file: Source, suffix: str) -> Iterator[int]:
    """The first line of each whole conflict: both markers and the line between them, in order, outside of a fenced example."""
    if "<<<<<<<" not in file.text:
        return
    start = middle = 0
    fenced = False
    for number, line in enumerate(file.text.split("\n"), 1):
        fenced ^= suffix in _PROSE and _FENCE.match(line) is not None
        marker = None if fenced else CONFLICT.pattern.match(line.rstrip("\r"))
        if marker is None:
            continue
        if marker["start"]:
            start, middle = number, 0
        elif marker["middle"]:
            middle = number
        elif start and middle > start:
            yield start
            start = middle = 0


class _Syntax:
    """Whether a place of a file is code or a comment, by its syntax tree; what has no tree, or errors, counts as both."""

    def __init__(self, file: Source) -> None:
        self._file = file

    @cached_property
    def _root(self) -> Node | None:
        root = tree(self._file.path, self._file.text) if len(self._file.text) <= _LARGEST_TREE else None
        return None if root is None or root.has_error else root

    def is_comment(self, number: int, line: str, match: re.Match[str]) -> bool:
        """Whether the comment that the match ends in is one: `#` and `//` also stand in texts."""
        opener = max((line.rfind(sign, 0, match.end()) for sign in ("#", "//", "/*", "--", "*")), default=0)
        kinds = self._kinds(number, len(line[: max(opener, 0)].encode(errors="replace")))
        return kinds is None or any("comment" in kind or kind == "text" for kind in kinds)

    def is_code(self, number: int, column: int) -> bool:
        """Whether the place is neither in a comment nor in a text; what a text interpolates is code."""
        for kind in self._kinds(number, column) or ():
            if "interpolation" in kind or kind == "template_substitution":
                return True
            if "comment" in kind or "string" in kind or "heredoc" in kind or kind == "regex":
                return False
        return True

    def _kinds(self, number: int, column: int) -> list[str] | None:
        """The kinds of the nodes around a place, the innermost first; None without a tree."""
        node = self._root and self._root.descendant_for_point_range((number - 1, column), (number - 1, column))
        kinds: list[str] = []
        while node:
            kinds.append(node.type)
            node = node.parent
        return None if self._root is None else kinds


def offer(_: Jail) -> Check:
    """For every change."""
    return Hygiene()

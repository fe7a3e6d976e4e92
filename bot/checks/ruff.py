"""Runs ruff with a short list of rules that are almost always right; it never reads the repository's configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel, TypeAdapter
from ruff import find_ruff_bin  # type: ignore[import-untyped]

from bot.checks.jail import FILES, Analyser, Jail
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import Check, CheckResult, Source

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_CORRECTNESS, _SECURITY, _TIDINESS = Category.CORRECTNESS, Category.SECURITY, Category.MAINTAINABILITY


class RuffRule(NamedTuple):
    """Ruff codes, or prefixes of codes, and the consequence of what they report."""

    codes: str
    severity: Severity
    category: Category
    why: str


RULES = (
    RuffRule("F82", _ERROR, _CORRECTNESS, "The name does not exist here: the line fails with a NameError when it runs."),
    RuffRule("F62 F70 F404 F407", _ERROR, _CORRECTNESS, "Python refuses to compile this file."),
    RuffRule("F50 F52 PLE1300 PLE1307", _WARNING, _CORRECTNESS, "The format and its values do not fit each other."),
    RuffRule("F601 F602 B033 B035", _WARNING, _CORRECTNESS, "A later entry silently replaces the earlier one."),
    RuffRule("F631 F634 PLW0129 SIM222", _ERROR, _CORRECTNESS, "This is always true, so it can never catch anything."),
    RuffRule("SIM220 SIM221 SIM223", _WARNING, _CORRECTNESS, "The condition does not depend on the values in it."),
    RuffRule("F632", _WARNING, _CORRECTNESS, "`is` compares identity; equal literals need not be the same object."),
    RuffRule("F633 F901 B016", _ERROR, _CORRECTNESS, "This raises a TypeError instead of doing what it says."),
    RuffRule("F811", _WARNING, _TIDINESS, "The first definition is never used: the second one replaces it."),
    RuffRule("F402", _WARNING, _CORRECTNESS, "After the loop the imported name means something else."),
    RuffRule("F401", _NOTE, _TIDINESS, "An unused import costs start-up time and misleads readers."),
    RuffRule("F403", _NOTE, _TIDINESS, "Readers cannot tell which names this brings in, and tools cannot find missing ones."),
    RuffRule("F541", _NOTE, _TIDINESS, "Either a placeholder is missing, or the prefix is not needed."),
    RuffRule("F841 F842", _NOTE, _TIDINESS, "The value is never read: it is left over, or the code below reads the wrong name."),
    RuffRule("B002", _WARNING, _CORRECTNESS, "Python has no such operator: this changes nothing."),
    RuffRule("B003 PLW1507", _WARNING, _CORRECTNESS, "The process environment itself does not change this way."),
    RuffRule("B005 PLE1310", _WARNING, _CORRECTNESS, "strip() removes any of these characters, not this text."),
    RuffRule("B006 B039 RUF008 RUF024", _WARNING, _CORRECTNESS, "All uses share one object, so a change in one shows in the next."),
    RuffRule("B012", _WARNING, _CORRECTNESS, "Leaving a finally block this way swallows the exception on its way up."),
    RuffRule("B014 B022 B025 B029 B030 PLW0711", _WARNING, _CORRECTNESS, "This handler does not catch what it seems to catch."),
    RuffRule("B015 B018 PLW0133", _WARNING, _CORRECTNESS, "The result is thrown away: an assignment, a call or a raise is missing."),
    RuffRule("B017 PGH005", _WARNING, Category.TESTS, "This passes for any exception, so it does not test the code."),
    RuffRule("B020", _WARNING, _CORRECTNESS, "The loop overwrites the collection that it iterates over."),
    RuffRule("B031", _WARNING, _CORRECTNESS, "A group can be read once: the second time it is empty."),
    RuffRule("B021 B032", _WARNING, _CORRECTNESS, "It looks like a docstring or an assignment, and is neither."),
    RuffRule("B023", _WARNING, _CORRECTNESS, "When the function runs, the variable has the value of the last round."),
    RuffRule("B034", _WARNING, _CORRECTNESS, "The argument at this place is a count, and flags are easily given by mistake."),
    RuffRule("E711 E712", _NOTE, _TIDINESS, "A class can redefine ==; `is` compares identity, which is meant here."),
    RuffRule("E721", _NOTE, _TIDINESS, "Comparing types with == is false for every subclass."),
    RuffRule("E722", _WARNING, _TIDINESS, "This also catches KeyboardInterrupt and SystemExit, and hides every mistake."),
    RuffRule("PLE0 PLE1", _ERROR, _CORRECTNESS, "Python raises an error here, or does something else than it says."),
    RuffRule("PLR0124 PLW0127 PLW0128 PLW0177", _WARNING, _CORRECTNESS, "Both sides are the same, or never equal: one is a slip."),
    RuffRule("PLW0245 PLW0406 PLW1501 PLW2101", _WARNING, _CORRECTNESS, "Python accepts this, but it does not do what it says."),
    RuffRule("PLW1509", _WARNING, _CORRECTNESS, "With threads around, code between fork and exec can deadlock the child."),
    RuffRule("RUF006", _WARNING, _CORRECTNESS, "The event loop keeps only a weak reference, so the task can be garbage-collected before it ends."),
    RuffRule("RUF016 RUF033", _WARNING, _CORRECTNESS, "This raises a TypeError, or is ignored, when it runs."),
    RuffRule("RUF018", _WARNING, _CORRECTNESS, "Under `python -O` asserts are not run, and neither is this assignment."),
    RuffRule("RUF030 RUF034 RUF040", _NOTE, _TIDINESS, "It reads as if it did something, and does not."),
    RuffRule("ASYNC105", _ERROR, _CORRECTNESS, "Without await this call does nothing."),
    RuffRule("ASYNC21 ASYNC22 ASYNC250 ASYNC251", _WARNING, Category.PERFORMANCE, "While this waits, nothing else in the event loop runs."),
    RuffRule("LOG004", _WARNING, _CORRECTNESS, "Outside an exception handler there is no exception to log."),
    RuffRule("T100", _WARNING, Category.HYGIENE, "It stops the program in a debugger when the code runs outside development."),
    RuffRule("S102 S307", _WARNING, _SECURITY, "Anyone who controls this text can run code in the process."),
    RuffRule("S103", _WARNING, _SECURITY, "Every account on the machine can change this file."),
    RuffRule("S113", _WARNING, _CORRECTNESS, "Without a timeout, a server that does not answer blocks the caller forever."),
    RuffRule("S201", _ERROR, _SECURITY, "Flask's debugger lets anyone who reaches the page run code."),
    RuffRule("S202", _WARNING, _SECURITY, "An archive may contain paths that lead out of the target directory."),
    RuffRule("S301 S302", _WARNING, _SECURITY, "Loading data that others can write runs their code."),
    RuffRule("S306", _WARNING, _SECURITY, "Another process can create the file between the choice of its name and its use."),
    RuffRule("S323 S501 S502 S503 S507", _ERROR, _SECURITY, "Anyone between client and server can read and change the traffic."),
    RuffRule("S505", _WARNING, _SECURITY, "A key this short can be computed."),
    RuffRule("S506", _WARNING, _SECURITY, "yaml.load can build any object and so run code; safe_load cannot."),
    RuffRule("S602 S604 S605 S609", _WARNING, _SECURITY, "With a shell, a space or semicolon in a value becomes a command."),
    RuffRule("S608", _WARNING, _SECURITY, "If a value in this text comes from outside, it can change the query."),
    RuffRule("S612", _WARNING, _SECURITY, "Anyone who can connect can send a logging configuration that runs code."),
    RuffRule("S701", _WARNING, _SECURITY, "HTML in a value becomes part of the page."),
)  # fmt: skip
_BY_CODE = {code: rule for rule in RULES for code in rule.codes.split()}
_SECURITY_CODES = [code for code in _BY_CODE if code.startswith("S") and not code.startswith("SIM")]
_SYNTAX = RuffRule("invalid-syntax", _ERROR, _CORRECTNESS, "Python cannot read this file, so nothing in it runs.")
_REEXPORTING = {"__init__.py", "conftest.py", "__init__.pyi"}
_SUPPRESSION = re.compile(r"noqa|ruff\s*:", re.IGNORECASE)
_LONGEST_FIX = 10
_NEEDED_ELSEWHERE = {"F401", "F811"}
"""Rules whose fix deletes an import: another file may use it, or it may be there for its effect; one file cannot tell."""


class _Place(BaseModel):
    row: int
    column: int


class _Edit(BaseModel):
    content: str
    location: _Place
    end_location: _Place


class _Fix(BaseModel):
    applicability: str
    edits: tuple[_Edit, ...]


class _Diagnostic(BaseModel):
    code: str | None
    filename: str
    message: str
    location: _Place
    end_location: _Place
    url: str | None = None
    fix: _Fix | None = None


_OUTPUT = TypeAdapter(tuple[_Diagnostic, ...])


@dataclass(frozen=True, slots=True)
class Ruff:
    """A check for Python. The author's `noqa` counts for style and not for security."""

    jail: Jail
    name: str = "ruff"
    whole: bool = True

    def reads(self, path: str) -> bool:
        """Python sources and stubs."""
        return path.endswith((".py", ".pyi", ".pyw"))

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Run every rule, honouring `noqa`; then run the security rules again without honouring it."""
        checked = await self._lint(files, list(_BY_CODE), ())
        failed = {path for path, _ in checked.failed}
        suppressing = [file for file in files if file.path not in failed and _SUPPRESSION.search(file.text)]
        again = await self._lint(suppressing, _SECURITY_CODES, ("--ignore-noqa",))
        return CheckResult(tuple(dict.fromkeys(checked.problems + again.problems)), checked.failed + again.failed)

    async def _lint(self, files: Sequence[Source], codes: Sequence[str], flags: Sequence[str]) -> CheckResult:
        try:
            program = find_ruff_bin()
        except FileNotFoundError:
            return CheckResult(failed=tuple((file.path, "ruff is not installed") for file in files))
        select = ("--select", ",".join(codes), "--target-version", "py314")  # the newest accepts the most
        argv = [program, "check", "--isolated", "--no-cache", "--output-format", "json", *select, *flags, "--", FILES]
        return await Analyser(argv, self.jail, _problems).run(files)


def _problems(output: bytes, files: Sequence[Source]) -> tuple[Problem, ...]:
    found: dict[tuple[str, str], Problem] = {}
    for number, diagnostic in enumerate(_OUTPUT.validate_json(output)):
        file = files[int(PurePosixPath(diagnostic.filename).stem)]
        problem = _problem(diagnostic, file)
        is_syntax = problem.rule == _SYNTAX.codes  # one mistake causes many of these: keep the first
        usual = _usual_there(problem) and PurePosixPath(file.path).name in _REEXPORTING
        if not usual and not _is_meant(problem, file):
            found.setdefault((file.path, problem.rule if is_syntax else str(number)), problem)
    return tuple(found.values())


def _usual_there(problem: Problem) -> bool:
    """Whether it is no mistake in a package's `__init__.py`, which ruff cannot tell under the name it is staged with."""
    return problem.rule in {"F401", "F403", "F811"} or (problem.rule == "F821" and "`__path__`" in problem.title)


_TEST_FILE = re.compile(r"(?:^|/)(?:tests?/|conftest\.py$|test_[^/]*\.py$|[^/]*_tests?\.py$)")
_NAME = re.compile(r"`(?:[\w.]+\.)?(\w+)`")
_EXPECTING = re.compile(r"\bwith\b.{0,80}\b(?:raises|assertRaises\w*|warns|assertWarns\w*|suppress)\b")
_QUERY = re.compile(r"\b(?:filter|where|having|and_|or_|not_|join|outerjoin|select|case|loc|query)\b\s*[(\[]")
_MASK = re.compile(r"\w\s*\[.*[=!]= ?(?:True|False|None)\b.*\]")
"""A mask of pandas or numpy, in which `==` compares every element."""
_PROVIDED = re.compile(r"(?:^|/)(?:site_scons/|SConstruct|SConscript|wscript$)|\.(?:scons|bzl|star)$")
"""Files that a build tool runs with names of its own."""
_PUT_IN = re.compile(
    r"\{([^{}:!=]+)[^{}]*\}|[\"']\s*%\s*\(?\s*([\w.\[\]]+)|\.format\(\s*([\w.]+)|\+\s*([\w.]+)|([\w.]+)\s*\+"
)
_CONSTANT = re.compile(r"(?:\w+\.)*_?[A-Z][A-Z0-9_]*|[0-9]+|[\w.]+\.(?:__tablename__|_meta\.db_table)|len\([\w.]+\)")
_LITERAL = re.compile(
    r"(?:[rbu]?[\"'][^\"'{}]*[\"']|[0-9.]+|None|True|False|\(\s*[\"'].*|[\"'][^\"']*[\"']\.join\((?:\[?[\"']|map\(lambda _).*)\s*(?:#.*)?$"
)
_EXERCISED = frozenset({"S102", "S103", "S113", "S202", "S301", "S307", "S506", "S602", "S604", "S605", "S608", "S609"})
"""Rules about code that only a test runs, on values of the test: a note is enough there."""
_NEAR = 4  # lines of a statement above the diagnostic


def _is_meant(problem: Problem, file: Source) -> bool:
    """Whether the code around says that this is no mistake: a fixture, a probe, an expected exception or a query."""
    lines = file.text.split("\n")
    above = "\n".join(lines[max(0, problem.line - 1 - _NEAR) : problem.line])
    if problem.rule in {"F401", "F811"} and _TEST_FILE.search(file.path):
        name = _NAME.search(problem.title)
        return name is not None and _is_parameter(name[1], file.text)
    if problem.rule == "F821":
        name = _NAME.search(problem.title)
        return _PROVIDED.search(file.path) is not None or (name is not None and name[1] in file.builtins)
    if problem.rule == "S608":
        return not _takes_values(lines[problem.line - 1 : problem.end], file.text)
    if problem.rule == "F401":
        return "find_spec" in problem.title  # ruff says so of an import in a `try` that handles its absence
    if problem.rule in {"B015", "B018"}:
        return _EXPECTING.search(above) is not None
    query = _QUERY.search(above) or _MASK.search(lines[problem.line - 1])
    return problem.rule in {"E711", "E712"} and query is not None


def _takes_values(statement: Sequence[str], text: str) -> bool:
    """Whether a value that can come from outside is put into the text: not a constant, nor a name bound to literals only."""
    code = "\n".join(statement)
    names = [name for groups in _PUT_IN.findall(code) for name in groups if name]
    return not names or not all(_is_fixed(name.strip(), text) for name in names)


def _is_fixed(value: str, text: str) -> bool:
    if _CONSTANT.fullmatch(value):
        return True
    if not value.isidentifier() or _is_parameter(value, text):
        return False
    bound = re.findall(
        rf"(?<![\w.]){value}\s*(?::\s*[\w\[\], .]+)?=(?!=)\s*(.*)|\bfor\s+[^\n]*\b{value}\b[^\n]*\bin\b", text
    )
    return bool(bound) and all(_LITERAL.match(given) for given in bound)


def _is_parameter(name: str, text: str) -> bool:
    """Whether a function takes a parameter of this name, as tests take their fixtures."""
    return re.search(rf"\bdef \w+\([^()]*(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _problem(diagnostic: _Diagnostic, file: Source) -> Problem:
    code = diagnostic.code or _SYNTAX.codes
    rule = next((_BY_CODE[code[:size]] for size in range(len(code), 1, -1) if code[:size] in _BY_CODE), _SYNTAX)
    first, last, replacement = _replacement(diagnostic, file.text.split("\n"))
    return Problem(
        path=file.path,
        line=first,
        end=last,
        rule=code,
        title=" ".join(diagnostic.message.split())[:200],
        why=rule.why,
        severity=_NOTE if code in _EXERCISED and _TEST_FILE.search(file.path) else rule.severity,
        category=rule.category,
        source="ruff",
        url=diagnostic.url or "",
        replacement=replacement,
    )


def _replacement(diagnostic: _Diagnostic, before: list[str]) -> tuple[int, int, str | None]:
    """The first and last line of the diagnostic; with a safe and short fix, the lines it replaces and their replacement."""
    first, last = diagnostic.location.row, _last_row(diagnostic)
    if diagnostic.fix is None or diagnostic.fix.applicability != "safe" or diagnostic.code in _NEEDED_ELSEWHERE:
        return first, last, None
    after = _applied("\n".join(before), diagnostic.fix.edits).split("\n")
    same_above = next((i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), 0)
    room = min(len(before), len(after)) - same_above
    pairs = zip(reversed(before), reversed(after), strict=False)
    same_below = next((i for i, (old, new) in enumerate(pairs) if old != new or i >= room), room)
    start, stop = min(same_above, first - 1), max(len(before) - same_below, last)
    fixed = [line.removesuffix("\r") for line in after[start : len(after) - (len(before) - stop)]]
    if stop - start > _LONGEST_FIX or fixed == [""]:  # one empty line could not be told from none
        return first, last, None
    return start + 1, stop, "\n".join(fixed)


def _last_row(diagnostic: _Diagnostic) -> int:
    """The last line with a character of the diagnostic in it: an end at column 1 is the end of the line before."""
    start, end = diagnostic.location, diagnostic.end_location
    return end.row - 1 if end.column == 1 and end.row > start.row else max(end.row, start.row)


def _applied(text: str, edits: Sequence[_Edit]) -> str:
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    for edit in sorted(edits, key=lambda edit: (edit.location.row, edit.location.column), reverse=True):
        begin = starts[edit.location.row - 1] + edit.location.column - 1
        end = starts[edit.end_location.row - 1] + edit.end_location.column - 1
        text = text[:begin] + edit.content + text[end:]
    return text


def offer(jail: Jail) -> Check:
    """For every change; the program runs in `jail`."""
    return Ruff(jail)

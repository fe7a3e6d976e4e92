"""Runs oxlint on JavaScript and TypeScript with a short list of rules; it never reads the repository's configuration."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel

from bot.checks.jail import FILES, Analyser, Jail
from bot.checks.scan import find_program, is_test
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import Check, CheckResult, Source

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_CORRECTNESS, _TIDINESS = Category.CORRECTNESS, Category.MAINTAINABILITY


class OxlintRule(NamedTuple):
    """Names of rules as oxlint's configuration writes them, and the consequence of what they report."""

    names: str
    severity: Severity
    category: Category
    why: str


RULES = (
    OxlintRule("no-const-assign no-class-assign no-func-assign no-import-assign no-ex-assign no-global-assign", _ERROR, _CORRECTNESS, "The assignment fails when it runs, or replaces something that other code relies on."),
    OxlintRule("no-dupe-keys no-dupe-class-members typescript/no-duplicate-enum-values react/jsx-no-duplicate-props", _ERROR, _CORRECTNESS, "The later entry silently replaces the earlier one."),
    OxlintRule("no-duplicate-case no-dupe-else-if", _ERROR, _CORRECTNESS, "An earlier branch has the same condition, so this one never runs."),
    OxlintRule("no-self-assign no-self-compare", _WARNING, _CORRECTNESS, "Both sides are the same, so one of them is probably another variable."),
    OxlintRule("use-isnan no-compare-neg-zero valid-typeof oxc/bad-object-literal-comparison oxc/bad-char-at-comparison", _ERROR, _CORRECTNESS, "This comparison has the same result for every value."),
    OxlintRule("oxc/const-comparisons oxc/double-comparisons oxc/bad-comparison-sequence no-constant-binary-expression", _WARNING, _CORRECTNESS, "The result does not depend on the values, so the check does nothing."),
    OxlintRule("no-unsafe-negation no-unsafe-optional-chaining typescript/no-non-null-asserted-optional-chain", _ERROR, _CORRECTNESS, "The operators bind differently from how the line reads, and it can throw a TypeError."),
    OxlintRule("no-unsafe-finally", _ERROR, _CORRECTNESS, "Leaving a finally block this way discards the exception or the result."),
    OxlintRule("no-unreachable", _WARNING, _CORRECTNESS, "This code never runs: the line above leaves the function or the loop."),
    OxlintRule("for-direction", _ERROR, _CORRECTNESS, "The counter moves away from its limit, so the loop does not end."),
    OxlintRule("getter-return no-setter-return array-callback-return oxc/uninvoked-array-callback", _WARNING, _CORRECTNESS, "The value that the caller expects is never returned."),
    OxlintRule("constructor-super no-this-before-super no-new-native-nonconstructor no-obj-calls typescript/no-misused-new", _ERROR, _CORRECTNESS, "This throws an error when it runs."),
    OxlintRule("no-async-promise-executor", _WARNING, _CORRECTNESS, "An error in this function is lost: the new promise neither resolves nor rejects."),
    OxlintRule("unicorn/no-await-in-promise-methods unicorn/no-invalid-fetch-options unicorn/no-invalid-remove-event-listener", _WARNING, _CORRECTNESS, "The call does not do what it says."),
    OxlintRule("oxc/missing-throw oxc/erasing-op oxc/bad-min-max-func oxc/number-arg-out-of-range oxc/bad-replace-all-arg oxc/bad-array-method-on-arguments", _WARNING, _CORRECTNESS, "The expression has no effect, or always the same result."),
    OxlintRule("no-invalid-regexp no-empty-character-class no-misleading-character-class no-useless-backreference", _WARNING, _CORRECTNESS, "The regular expression never matches what it seems to match."),
    OxlintRule("no-loss-of-precision no-sparse-arrays", _WARNING, _CORRECTNESS, "The value that is stored differs from the one that is written."),
    OxlintRule("no-template-curly-in-string", _WARNING, _CORRECTNESS, "Only a string in backticks fills in `${…}`; here it stays as it is."),
    OxlintRule("no-throw-literal", _WARNING, _CORRECTNESS, "What is thrown is no Error, so it has no stack trace, and handlers that read `.message` fail."),
    OxlintRule("no-unassigned-vars", _WARNING, _CORRECTNESS, "The variable never gets a value, so reading it gives undefined."),
    OxlintRule("no-unused-expressions", _WARNING, _CORRECTNESS, "The result is discarded: an assignment or a call is missing."),
    OxlintRule("react/rules-of-hooks", _ERROR, _CORRECTNESS, "React matches hooks by the order of their calls, so a conditional call mixes up their state."),
    OxlintRule("react/jsx-key react/no-direct-mutation-state", _WARNING, _CORRECTNESS, "React cannot see the change, or mixes up the state of the elements."),
    OxlintRule("no-debugger", _WARNING, Category.HYGIENE, "It stops the program in every browser with open developer tools."),
    OxlintRule("no-unused-vars", _NOTE, _TIDINESS, "The value is never read: it is left over, or the code below reads the wrong name."),
)  # fmt: skip
_BY_NAME = {name.rpartition("/")[2]: rule for rule in RULES for name in rule.names.split()}
_OPTIONS = {
    "no-unused-vars": {"args": "none", "caughtErrors": "none", "ignoreRestSiblings": True, "varsIgnorePattern": "^_"},
    "no-unused-expressions": {"allowShortCircuit": True, "allowTernary": True, "allowTaggedTemplates": True},
    "array-callback-return": {"allowImplicit": True},
}
_SYNTAX = OxlintRule("invalid-syntax", _ERROR, _CORRECTNESS, "The file cannot be parsed, so nothing in it runs.")
_SUFFIXES = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte", ".astro")
_CODE = re.compile(r"\(([\w-]+)\)$")
_MODULE = re.compile(r"^\s*(?:import|export)\b", re.MULTILINE)
_REACT = re.compile(r"[\"'](?:preact|react)(?:[/\"'-])")  # a module of it: other hooks have other rules
_NAMED = re.compile(
    r"^\s*(?:import\b|(?:const|let|var|(?:async )?function|class) |(?:type )?[\w$]+(?: as [\w$]+)?,?\s*$)"
)
_DIALECT = re.compile(r"@flow\b")  # has syntax of its own
_AGAIN = ("no-dupe-keys", "no-dupe-class-members", "no-duplicate-case", "no-duplicate-enum-values")
_LONGEST = 10


class _Span(BaseModel):
    line: int


class _Label(BaseModel):
    span: _Span


class _Diagnostic(BaseModel):
    message: str
    filename: str
    labels: tuple[_Label, ...]
    code: str = ""
    url: str = ""


class _Output(BaseModel):
    diagnostics: tuple[_Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Oxlint:
    """A check for JavaScript, TypeScript, Vue, Svelte and Astro. It honours the author's `eslint-disable` comments."""

    jail: Jail
    name: str = "oxlint"
    whole: bool = True

    def reads(self, path: str) -> bool:
        """Scripts and components; declarations of types hold no code."""
        return path.endswith(_SUFFIXES) and not path.endswith((".d.ts", ".min.js"))

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Lint all files in one process. Files in the Flow dialect have failed."""
        flow = [file for file in files if _DIALECT.search(file.text[:500])]
        failed = tuple((file.path, "is written in Flow, which oxlint does not know") for file in flow)
        program = find_program("oxlint")
        if program is None:
            return CheckResult(failed=tuple((file.path, "oxlint is not installed") for file in files))
        with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
            json.dump(_config(), config)
            config.flush()
            flags = ("--disable-nested-config", "--no-ignore", "--threads", "1", "--format", "json")
            analyser = Analyser([program, "-c", config.name, *flags, FILES], self.jail, _problems, (config.name,))
            checked = await analyser.run([file for file in files if file not in flow])
        return CheckResult(checked.problems, (*checked.failed, *failed))


def _config() -> dict[str, object]:
    names = [name for rule in RULES for name in rule.names.split()]
    rules = {name: ["error", _OPTIONS[name]] if name in _OPTIONS else "error" for name in names}
    plugins = ["eslint", "oxc", "react", "typescript", "unicorn"]
    return {"plugins": plugins, "categories": {"correctness": "off"}, "rules": rules}


def _problems(output: bytes, files: Sequence[Source]) -> tuple[Problem, ...]:
    """The problems in oxlint's JSON; of the syntax errors of a file the first. Raises ValueError."""
    found: dict[tuple[str, str], Problem] = {}
    for number, diagnostic in enumerate(_Output.model_validate_json(output).diagnostics):
        file = files[int(PurePosixPath(diagnostic.filename).stem)]
        problem = _problem(diagnostic, file)
        if not _is_meant(problem, file):
            found.setdefault((file.path, problem.rule if problem.rule in _SYNTAX.names else str(number)), problem)
    return tuple(found.values())


def _is_meant(problem: Problem, file: Source) -> bool:
    """Whether this is usual there.

    Assertions of tests are expressions, a page uses the names of a plain script, and types name parameters that they ignore.
    """
    if problem.rule in {"no-unused-expressions", "no-throw-literal"}:
        return is_test(file.path)
    if problem.rule == "rules-of-hooks":
        return not _REACT.search(file.text)
    return problem.rule == "no-unused-vars" and (
        is_test(file.path)
        or not _MODULE.search(file.text)
        or not _NAMED.search(file.text.split("\n")[problem.line - 1])
        or file.path.endswith((".vue", ".svelte", ".astro"))
    )


def _problem(diagnostic: _Diagnostic, file: Source) -> Problem:
    match = _CODE.search(diagnostic.code)
    code = match[1] if match else _SYNTAX.names
    rule = _BY_NAME.get(code, _SYNTAX)
    lines = [label.span.line for label in diagnostic.labels] or [1]
    first, last = (
        (lines[-1], lines[-1]) if code in _AGAIN or max(lines) - min(lines) > _LONGEST else (min(lines), max(lines))
    )
    return Problem(
        path=file.path,
        line=first,
        end=last,
        rule=code,
        title=" ".join(diagnostic.message.split())[:200],
        why=rule.why,
        severity=rule.severity,
        category=rule.category,
        source="oxlint",
        url=diagnostic.url,
    )


def offer(jail: Jail) -> Check:
    """The check; oxlint runs in `jail`."""
    return Oxlint(jail)

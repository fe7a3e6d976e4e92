"""Rules that the team's documents carry as code: a fenced block in a section, which the check `standards` runs.

A block is a rule of ast-grep (https://ast-grep.github.io/reference/yaml.html) in a fence that is marked `ast-grep`. A line
`Rule: ID; severity: …; scope: …; enforcement: …` below the heading names it, or the keys `id` and `severity` of the front matter. Fences marked `bad` and `good` are its examples.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.code.diff import FileDiff
from bot.core.code.globs import Globs
from bot.core.code.language import language_named
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.standard import LINE, Standard, applies_to

MOST_RULES = 100
"""Rules that are read from all documents of a review."""
LONGEST_BLOCK = 4_000
"""Characters of a rule's block."""
MARK = "ast-grep"
"""The word behind a fence that makes its block a rule."""
GATE = "gate"
"""The enforcement of a rule that is an error, so that it fails the check run where the policy says `fail_on`."""
SOURCE = "standards"
"""The name of the check that runs the rules."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\r\n`]*)$", re.MULTILINE)
_LINE = re.compile(r"^[ \t]*(?:[-*][ \t]+)?\**Rule:\**[ \t]*(.+)$", re.MULTILINE | re.IGNORECASE)
_ID = re.compile(r"[A-Za-z][\w.-]{0,59}")
_WAIVER = re.compile(r"assistant:\s*allow\s+([A-Za-z][\w.-]*)(?:\s*[-–—:]+\s*(.*\S))?")  # noqa: RUF001
_NOT_WAIVED = "The waiver here does not count: `waivers` in `.github/assistant.yml` does not allow it for this rule."
_SEVERITIES = {
    "": Severity.WARNING,
    "note": Severity.NOTE,
    "hint": Severity.NOTE,
    "info": Severity.NOTE,
    "warning": Severity.WARNING,
    "error": Severity.ERROR,
}


class Example(NamedTuple):
    """Code that breaks a rule, or that keeps it. `line` is its first line in the document."""

    is_bad: bool
    code: str
    line: int


@dataclass(frozen=True, slots=True)
class ExecutableRule:
    """A rule that code can check. Findings cite `section`, which carries it.

    `match` has the keys of an ast-grep rule that say what is found. `scope` holds globs (empty: the section's own scope).
    `line` is the line of its block in the document.
    """

    id: str
    section: Standard
    language: str
    title: str
    why: str
    match: Mapping[str, Any]
    severity: Severity = Severity.WARNING
    category: Category = Category.MAINTAINABILITY
    scope: tuple[str, ...] = ()
    line: int = 1
    examples: tuple[Example, ...] = ()

    def applies_to(self, path: str) -> bool:
        """Whether the rule is for the language of `path`, and `path` is in its scope."""
        scope = self.scope or self.section.scope
        return applies_to(replace(self.section, scope=scope, languages=(self.language,)), path)


@dataclass(frozen=True, slots=True)
class UnusableRule:
    """A block that is no rule: the section that carries it, its line in the document, and the reason."""

    section: Standard
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.section.document}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ExecutableRules:
    """The rules of a shelf, in the order of its documents, and what could not be read as one."""

    rules: tuple[ExecutableRule, ...] = ()
    unusable: tuple[UnusableRule, ...] = ()


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: dict[str, Any]
    language: str
    id: str = ""
    message: str = Field("", max_length=300)
    note: str = Field("", max_length=600)
    severity: Literal["note", "hint", "info", "warning", "error", ""] = ""
    category: Category = Category.MAINTAINABILITY
    constraints: dict[str, Any] = {}
    utils: dict[str, Any] = {}
    transform: dict[str, Any] = {}


class _Details(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    severity: Literal["note", "hint", "info", "warning", "error", ""] = ""
    scope: tuple[str, ...] = ()
    enforcement: Literal["advisory", "gate"] = "advisory"


class _Fenced(NamedTuple):
    words: tuple[str, ...]
    code: str
    line: int


def executable_rules(sections: Iterable[Standard]) -> ExecutableRules:
    """Returns the rules that `sections` carry. A block that cannot be used is reported, and the others still count."""
    rules: dict[str, ExecutableRule] = {}
    unusable: list[UnusableRule] = []
    for section, fences, prose in _with_fences(sections):
        for fence in (one for one in fences if MARK in one.words):
            try:
                rule = _rule(section, fence, prose, fences, rules)
            except ValueError as error:  # pydantic's ValidationError is one
                unusable.append(UnusableRule(section, fence.line, _reason(error)))
            else:
                rules[rule.id] = rule
    return ExecutableRules(tuple(rules.values()), tuple(unusable))


def _with_fences(sections: Iterable[Standard]) -> Iterator[tuple[Standard, list[_Fenced], str]]:
    """Yields each section that carries a rule, its fences and its text. Pieces of a long section belong together."""
    together: dict[tuple[str, str, tuple[str, ...]], list[Standard]] = {}
    for section in sections:
        together.setdefault((section.repo, section.document, section.heading), []).append(section)
    for pieces in together.values():
        if any(MARK in piece.text for piece in pieces):
            fences = [fence for piece in pieces for fence in _fences(piece)]
            yield pieces[0], list({fence.line: fence for fence in fences}.values()), pieces[0].text


def _fences(section: Standard) -> Iterator[_Fenced]:
    """Yields the fenced blocks of a section: the words behind the fence, the code, and the line of its first row."""
    rows = LINE.split(section.text)
    opened: tuple[str, tuple[str, ...], int] | None = None
    for number, row in enumerate(rows):
        found = _FENCE.match(row)
        if opened is None:
            opened = (found[1], tuple(found[2].lower().split()), number) if found else None
        elif found and not found[2].strip() and found[1].startswith(opened[0]):
            first = opened[2] + 1
            yield _Fenced(opened[1], "\n".join(rows[first:number]), section.start + first)
            opened = None


def _rule(
    section: Standard, fence: _Fenced, prose: str, fences: Sequence[_Fenced], known: Mapping[str, ExecutableRule]
) -> ExecutableRule:
    """Returns the rule in `fence`. Raises ValueError, also if `known` has a rule with its id."""
    if len(known) == MOST_RULES:
        raise ValueError(f"there are more than {MOST_RULES} rules")
    block, details = _Block.model_validate(_mapping(fence.code)), _details(prose)
    name = language_named(block.language)
    if not name:
        raise ValueError(f"{block.language[:40]} is no language that is known here")
    front = _Details.model_validate(dict(section.front)) if section.front else _Details()
    id_ = block.id or details.id or (front.id if front.id not in known else "") or section.anchor
    if not _ID.fullmatch(id_):
        raise ValueError("the rule needs an id of letters, digits, dots and hyphens")
    if id_ in known:
        raise ValueError(f"the rule {id_} stands in {known[id_].section.document} already")
    if invalid := Globs.of(details.scope).invalid:
        raise ValueError(f"its scope has a glob that cannot be used: {invalid[0][:80]}")
    given = {"rule": block.rule, "constraints": block.constraints, "utils": block.utils, "transform": block.transform}
    return ExecutableRule(
        id=id_,
        section=section,
        language=name,
        title=block.message or (section.heading[-1][:200] if section.heading else id_),
        why=block.note or _sentence(section),
        match={key: value for key, value in given.items() if value},
        severity=Severity.ERROR
        if details.enforcement == GATE
        else _SEVERITIES[block.severity or details.severity or front.severity],
        category=block.category,
        scope=details.scope,
        line=fence.line,
        examples=tuple(_examples(fences, name)),
    )


def _mapping(text: str) -> Any:  # noqa: ANN401 - pydantic judges it
    """Returns the YAML of a block. Raises ValueError. Aliases are refused: they make a small text large."""
    if len(text) > LONGEST_BLOCK:
        raise ValueError(f"the block has over {LONGEST_BLOCK:,} characters")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ValueError("aliases (*name) are not supported")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is not YAML: {getattr(error, 'problem', '') or type(error).__name__}") from None


def _details(text: str) -> _Details:
    """Returns what the line `Rule: …` of a section says; nothing without one. Raises ValueError for an unknown word."""
    found = _LINE.search(_prose(text))
    if found is None:
        return _Details()
    first, *rest = (part.strip() for part in found[1].split(";"))
    pairs = [part.partition(":")[::2] for part in rest if part]
    values: dict[str, Any] = {key.strip().lower(): value.strip().strip("`") for key, value in pairs}
    if "scope" in values:
        values["scope"] = tuple(glob.strip().strip("`") for glob in values["scope"].split(",") if glob.strip())
    return _Details.model_validate({"id": first.strip("`")} | values)


def _examples(fences: Iterable[_Fenced], name: str) -> Iterator[Example]:
    for fence in fences:
        is_bad = "bad" in fence.words
        if (is_bad or "good" in fence.words) and language_named(fence.words[0]) == name:
            yield Example(is_bad, fence.code, fence.line)


def _prose(text: str) -> str:
    """Returns the text before the first fence."""
    return str(_FENCE.split(text, maxsplit=1)[0])


def _sentence(section: Standard) -> str:
    """Returns the first line of prose of a section, which says why the rule is there."""
    lines = [line.strip() for line in LINE.split(_prose(section.text))]
    return next((line for line in lines if line and not line.startswith("#") and not _LINE.match(line)), "")[:600]


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else "a rule is a mapping of keys to values"


@dataclass(frozen=True, slots=True)
class Waiver:
    """A comment `assistant: allow RULE — reason` on a line of the head."""

    rule: str
    reason: str
    line: int


def waiver(rule: str, line: int, lines: Sequence[str], added: frozenset[int]) -> Waiver | None:
    """Returns the waiver of `rule` for line number `line` (1-based): on that line or on the one above it.

    Only a waiver that the change adds counts; it needs a reason.
    """
    for number in (line, line - 1):
        found = _WAIVER.search(lines[number - 1]) if 0 < number <= len(lines) and number in added else None
        if found and found[1] == rule and found[2]:
            return Waiver(rule, found[2][:200], number)
    return None


@dataclass(frozen=True, slots=True)
class RuleDrafts:
    """The drafts of a review's checks, apart: those of the rules, each citing its section, and those of other checks.

    `waived` are drafts of rules that a waiver switches off, each with the reason.
    """

    drafts: tuple[Draft, ...] = ()
    others: tuple[Draft, ...] = ()
    waived: tuple[tuple[Draft, str], ...] = ()

    @property
    def sections(self) -> frozenset[str]:
        """The ids of the sections with a waived draft."""
        return frozenset(ref for draft, _ in self.waived for ref in draft.standard_refs)


def rule_drafts(
    drafts: Iterable[Draft],
    rules: Iterable[ExecutableRule],
    heads: Mapping[str, str],
    files: Iterable[FileDiff],
    waivable: Collection[str],
) -> RuleDrafts:
    """Cites the section of its rule in each draft of the check `standards`, and takes out those that are waived.

    `heads` has the text at the head by path; `waivable` the ids of the rules that a waiver may switch off, or `*`.
    """
    by_id = {rule.id: rule for rule in rules}
    added = {file.path: file.added_lines for file in files}
    cited: list[Draft] = []
    others: list[Draft] = []
    waived: list[tuple[Draft, str]] = []
    for draft in drafts:
        rule = by_id.get(draft.rule) if draft.source == SOURCE else None
        if rule is None:
            others.append(draft)
            continue
        lines = heads.get(draft.path, "").split("\n")
        found = waiver(rule.id, draft.near or 0, lines, added.get(draft.path, frozenset()))
        citing = replace(draft, standard_refs=(rule.section.id,))
        if found and ("*" in waivable or rule.id in waivable):
            waived.append((citing, f"waived on line {found.line}: {found.reason}"))
        else:
            cited.append(replace(citing, why=f"{draft.why} {_NOT_WAIVED}".strip()) if found else citing)
    return RuleDrafts(tuple(cited), tuple(others), tuple(waived))

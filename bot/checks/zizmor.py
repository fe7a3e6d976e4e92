"""Runs zizmor on GitHub Actions workflows, offline, with the audits that are almost always right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel, TypeAdapter

from bot.checks.jail import FILES, Analyser, Jail
from bot.checks.scan import find_program
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import Check, CheckResult, Source

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING


class ZizmorAudit(NamedTuple):
    """A name of an audit, and the consequence of what it reports."""

    name: str
    severity: Severity
    why: str


AUDITS = (
    ZizmorAudit("template-injection", _ERROR, "Text that a stranger writes becomes part of a command that runs with this job's secrets. Pass it through `env:`."),
    ZizmorAudit("dangerous-triggers", _WARNING, "This trigger gives secrets and write access to runs that a stranger's pull request starts."),
    ZizmorAudit("github-env", _ERROR, "A stranger can set variables such as PATH or LD_PRELOAD for the later steps."),
    ZizmorAudit("cache-poisoning", _WARNING, "Another run can fill the cache, and this one publishes what it finds there."),
    ZizmorAudit("hardcoded-container-credentials", _ERROR, "Anyone who can read the repository has the password of the registry."),
    ZizmorAudit("insecure-commands", _ERROR, "Any output of a step can then set environment variables for the later steps."),
    ZizmorAudit("bot-conditions", _WARNING, "A stranger can make the condition true: the actor is not always the author."),
    ZizmorAudit("unsound-condition", _ERROR, "The condition is a text that is never empty, so it is always true."),
    ZizmorAudit("unsound-contains", _WARNING, "`contains` on a text also matches parts of names, so other branches pass."),
    ZizmorAudit("overprovisioned-secrets", _WARNING, "Every secret of the repository goes to this step. Name the ones that it needs."),
    ZizmorAudit("unredacted-secrets", _WARNING, "A part of a secret is not masked in the log."),
    ZizmorAudit("obfuscation", _WARNING, "The expression hides what it does from readers and tools."),
    ZizmorAudit("impostor-commit", _ERROR, "The commit is not in the repository that the action is named after."),
)  # fmt: skip
_BY_NAME = {audit.name: audit for audit in AUDITS}
_WORKFLOW = re.compile(r"(?:^|/)\.github/workflows/[^/]+\.ya?ml$")


class _Point(BaseModel):
    row: int


class _Location(BaseModel):
    start_point: _Point
    end_point: _Point


class _Concrete(BaseModel):
    location: _Location


class _Local(BaseModel):
    verbatim_path: str


class _Key(BaseModel):
    Local: _Local


class _Symbolic(BaseModel):
    key: _Key
    kind: str


class _Place(BaseModel):
    symbolic: _Symbolic
    concrete: _Concrete


class _Result(BaseModel):
    ident: str
    desc: str
    url: str
    locations: tuple[_Place, ...]


_OUTPUT = TypeAdapter(tuple[_Result, ...])


@dataclass(frozen=True, slots=True)
class Zizmor:
    """A check for GitHub Actions workflows."""

    jail: Jail
    program: str
    name: str = "zizmor"
    whole: bool = True

    def reads(self, path: str) -> bool:
        """Workflows."""
        return _WORKFLOW.search(path) is not None

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Audit all files in one process. A workflow that is not valid has failed."""
        flags = ("--offline", "--no-config", "--no-ignores", "--no-progress", "--strict-collection", "--format", "json")
        argv = [self.program, *flags, "--min-confidence", "medium", FILES]
        return await Analyser(argv, self.jail, _problems).run(files)


def _problems(output: bytes, files: Sequence[Source]) -> tuple[Problem, ...]:
    """The problems in zizmor's JSON. Raises ValueError."""
    return tuple(problem for result in _OUTPUT.validate_json(output) for problem in _of(result, files))


def _of(result: _Result, files: Sequence[Source]) -> Iterator[Problem]:
    audit = _BY_NAME.get(result.ident)
    place = next((place for place in result.locations if place.symbolic.kind == "Primary"), None)
    if audit is None or place is None:
        return
    line = place.concrete.location.start_point.row + 1
    yield Problem(
        path=files[int(PurePosixPath(place.symbolic.key.Local.verbatim_path).stem)].path,
        line=line,
        end=line,
        rule=result.ident,
        title=result.desc[:1].upper() + result.desc[1:200],
        why=audit.why,
        severity=audit.severity,
        category=Category.SECURITY,
        source="zizmor",
        url=result.url,
    )


def offer(jail: Jail) -> Check | None:
    """The check, if zizmor is installed (the extra `actions`); it runs in `jail`."""
    program = find_program("zizmor")
    return Zizmor(jail, program) if program else None

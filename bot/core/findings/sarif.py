"""Reads SARIF, the reports of analysers that the team's own CI runs: each result becomes a Problem, as untrusted text.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.errors import UserError

LARGEST = 10 * 1024 * 1024
"""The most characters of a report; GitHub takes 10 MB of compressed SARIF."""
MOST = 5_000
"""The most results that are read; GitHub shows as many of an analysis."""
TITLE, WHY, LINES = 200, 1_000, 100  # characters of a title and of a text; lines of a region
_LEVELS = {"error": Severity.ERROR, "warning": Severity.WARNING, "note": Severity.NOTE, "none": Severity.NOTE}
_SERIOUS = 7.0  # of GitHub's `security-severity`, where "high" begins


@dataclass(frozen=True, slots=True)
class AnalysisReport:
    """A SARIF text of another analyser. `elsewhere` are changed files that it read in another version than the head's."""

    text: str
    elsewhere: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AnalysisReports:
    """The reports about a head. `missing` says what has not arrived yet, `problem` why they cannot be read."""

    reports: tuple[AnalysisReport, ...] = ()
    missing: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SarifReport:
    """The results about files of the repository. `sources` are the tools; `left_out` counts results that are not used.

    A result is not used if it is suppressed, passes, names no line of a file in the repository, or is over the bound.
    """

    problems: tuple[Problem, ...] = ()
    sources: tuple[str, ...] = ()
    left_out: int = 0


def read_sarif(text: str, paths: Collection[str]) -> SarifReport:
    """Reads a report; `paths` are the files that it may be about. Raises UserError if it is not SARIF 2.1.0."""
    if len(text) > LARGEST:
        raise UserError(f"the SARIF report is over {LARGEST:,} characters")
    try:
        log = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise UserError("the SARIF report is not JSON") from error
    runs = log.get("runs") if isinstance(log, dict) else None
    if not isinstance(runs, list) or not str(log.get("version", "")).startswith("2.1"):
        raise UserError("the report is not SARIF 2.1.0: it has no `version` 2.1 with a list of `runs`")
    problems: list[Problem] = []
    sources: dict[str, None] = {}
    results = 0
    for run in filter(_is_object, runs):
        source = _source(run)
        sources[source] = None
        known = frozenset(paths)
        for result in _list(run.get("results"))[: MOST - results]:
            results += 1
            problem = _problem(result, _rules(run), source, known)
            problems += [problem] if problem else []
    total = sum(len(_list(run.get("results"))) for run in filter(_is_object, runs))
    return SarifReport(tuple(problems), tuple(sources), total - len(problems))


def analysed_commit(text: str) -> str:
    """The commit that a report says it is about; empty if it names none, or several."""
    try:
        log = _object(json.loads(text.removeprefix("\ufeff")))
    except (ValueError, RecursionError):
        return ""
    told = [entry for run in _list(log.get("runs")) for entry in _list(_object(run).get("versionControlProvenance"))]
    commits = {_text(_object(entry).get("revisionId")) for entry in told}
    return commits.pop() if len(commits) == 1 else ""


def _problem(result: Any, rules: Mapping[str, Any], source: str, paths: frozenset[str]) -> Problem | None:  # noqa: ANN401 - JSON
    if not _is_object(result) or _is_no_news(result):
        return None
    rule = _rule_of(result, rules)
    place = next(filter(None, (_place(location, paths) for location in _list(result.get("locations"))[:5])), None)
    name = re.sub(r"[^\w./:@-]", "", _text(result.get("ruleId")) or _text(rule.get("id")))[:100]
    if place is None or not name:
        return None
    message = _message(result.get("message")) or _message(rule.get("shortDescription")) or name
    title, _, rest = message.partition("\n")
    about = _message(rule.get("fullDescription")) or _message(rule.get("shortDescription"))
    path, first, last = place
    properties = {**_object(rule.get("properties")), **_object(result.get("properties"))}
    return Problem(
        path=path,
        line=first,
        end=last,
        rule=name,
        title=" ".join(title.split())[:TITLE],
        why=" ".join((rest or about or f"{source} reports it.").split())[:WHY],
        severity=_severity(result, rule, properties),
        category=_category(properties, result),
        source=source,
    )


def _is_no_news(result: Mapping[str, Any]) -> bool:
    """Whether the tool says that the result is suppressed, known, or no failure."""
    suppressions = [entry for entry in _list(result.get("suppressions")) if _object(entry).get("status") != "rejected"]
    return bool(
        suppressions
        or result.get("baselineState") in ("unchanged", "absent")
        or result.get("kind", "fail") not in ("fail", "open", "review")
    )


def _severity(result: Mapping[str, Any], rule: Mapping[str, Any], properties: Mapping[str, Any]) -> Severity:
    default = _object(rule.get("defaultConfiguration")).get("level", "warning")
    level = _LEVELS.get(_text(result.get("level") or default), Severity.WARNING)
    try:
        serious = float(properties.get("security-severity", 0)) >= _SERIOUS
    except (TypeError, ValueError):
        serious = False
    return Severity.ERROR if serious else level


def _category(properties: Mapping[str, Any], result: Mapping[str, Any]) -> Category:
    tags = " ".join(map(str, _list(properties.get("tags")))).lower()
    if "security" in tags or "cwe" in tags or "security-severity" in properties:
        return Category.SECURITY
    if "performance" in tags:
        return Category.PERFORMANCE
    return Category.CORRECTNESS if "correctness" in tags or result.get("level") == "error" else Category.MAINTAINABILITY


def _place(location: Any, paths: frozenset[str]) -> tuple[str, int, int] | None:  # noqa: ANN401 - JSON
    """The file of the repository and the first and last line; None if the location has no line of such a file."""
    physical = _object(_object(location).get("physicalLocation"))
    region = _object(physical.get("region"))
    path = _path(_text(_object(physical.get("artifactLocation")).get("uri")), paths)
    first, last = region.get("startLine"), region.get("endLine", region.get("startLine"))
    if path is None or type(first) is not int or type(last) is not int or first < 1:
        return None
    return path, first, min(max(first, last), first + LINES)


def _path(uri: str, paths: frozenset[str]) -> str | None:
    """The file that an address means: relative to the root, or the only file that an absolute one ends with."""
    plain = unquote(re.sub(r"^file://[^/]*", "", uri)).replace("\\", "/")
    if plain.removeprefix("./") in paths:
        return plain.removeprefix("./")
    ends = [path for path in paths if plain.startswith("/") and plain.endswith(f"/{path}")]
    return max(ends, key=len) if ends else None


def _source(run: Mapping[str, Any]) -> str:
    """The name of the tool, marked so that no report can speak for a check of ours."""
    name = _text(_object(_object(run.get("tool")).get("driver")).get("name"))
    return f"sarif:{re.sub(r'[^a-z0-9.-]+', '-', name.lower()).strip('-')[:40] or 'unnamed'}"


def _rules(run: Mapping[str, Any]) -> dict[str, Any]:
    """The rules of a run by id, and by their index in the driver."""
    driver = _object(_object(run.get("tool")).get("driver"))
    listed = [_object(rule) for rule in _list(driver.get("rules"))[:MOST]]
    return {_text(rule.get("id")): rule for rule in listed} | {f"#{n}": rule for n, rule in enumerate(listed)}


def _rule_of(result: Mapping[str, Any], rules: Mapping[str, Any]) -> Mapping[str, Any]:
    index = result.get("ruleIndex", _object(result.get("rule")).get("index"))
    found = rules.get(_text(result.get("ruleId"))) or rules.get(f"#{index}")
    return _object(found)


def _message(value: Any) -> str:  # noqa: ANN401 - JSON
    return _text(_object(value).get("text")).strip()


def _is_object(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict)


def _object(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else ""

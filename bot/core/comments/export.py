"""Review -> JSON, SARIF, reviewdog's rdjson, workflow commands of GitHub Actions, and lines as gcc prints them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from bot.core.code.plan import CoverageRow
from bot.core.comments.check_run import conclusion, title
from bot.core.comments.comment import CHECKS_ONLY
from bot.core.comments.sanitize import show_hidden
from bot.core.findings.anchor import Place
from bot.core.findings.finding import Category, Finding, Severity
from bot.core.findings.standard import Standard
from bot.core.findings.triage import Review

_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_RDJSON = {Severity.ERROR: "ERROR", Severity.WARNING: "WARNING", Severity.NOTE: "INFO"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_SECURITY = {Severity.ERROR: "8.0", Severity.WARNING: "5.5", Severity.NOTE: "2.0"}  # high, medium, low on GitHub


def as_json(review: Review) -> dict[str, Any]:
    """The whole review: findings, dropped drafts with reasons, coverage with reasons, remarks and usage."""
    return {
        "title": title(review),
        "conclusion": conclusion(review).value,
        "complete": review.coverage.complete,
        "model": review.model,
        "scope": "" if review.model else CHECKS_ONLY,
        "findings": [_finding(one, inline=True) for one in review.findings]
        + [_finding(one, inline=False) for one in review.listed],
        "dropped": [
            {"path": draft.path, "title": draft.title, "source": draft.source, "rule": draft.rule, "reason": reason}
            for draft, reason in review.dropped
        ],
        "coverage": {
            "files": [_row(row) for row in review.coverage.files],
            "passes": [_row(row) for row in review.coverage.passes],
        },
        "remarks": list(review.remarks),
        "notices": list(review.notices),
        "usage": {
            "calls": review.usage.calls,
            "tool_calls": review.usage.tool_calls,
            "input_tokens": review.usage.input,
            "cached_tokens": review.usage.cached,
            "output_tokens": review.usage.output,
            "dollars": review.usage.dollars,
        },
    }


def _finding(finding: Finding, *, inline: bool) -> dict[str, Any]:
    draft, place = finding.draft, finding.anchor
    return {
        "identity": finding.identity,
        "path": place.path,
        "line": place.line,
        "start_line": place.start or place.line,
        "side": place.side.value,
        "place": place.place.value,
        "posted": inline,
        "severity": draft.severity.name.lower(),
        "category": draft.category.value,
        "source": draft.source,
        "rule": draft.rule,
        "rule_url": draft.rule_url,
        "title": draft.title,
        "why": draft.why,
        "suggestion": finding.suggestion,
        "standards": [
            {"document": one.document, "heading": list(one.heading), "lines": [one.start, one.end], "blob": one.blob}
            for one in finding.standards
        ],
    }


def _row(row: CoverageRow) -> dict[str, Any]:
    return {"path": row.path, "state": row.state.value, "reason": row.reason, "by": list(row.by)}


def as_sarif(review: Review, version: str) -> dict[str, Any]:
    """SARIF 2.1.0 for code scanning. `executionSuccessful` is false if something was not reviewed.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html and, for what GitHub reads,
    https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
    """
    findings = [*review.findings, *review.listed]
    rules = {_rule_id(one): one for one in sorted(findings, key=lambda one: one.draft.severity)}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "review-assistant",
                        "version": version,
                        "rules": [_rule(name, one) for name, one in rules.items()],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": review.coverage.complete,
                        "toolExecutionNotifications": [_notification(row) for row in review.coverage.failed],
                    }
                ],
                "results": [_result(one) for one in findings],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def _rule_id(finding: Finding) -> str:
    draft = finding.draft
    return f"{draft.source}/{draft.rule or draft.category.value}".replace(" ", "-")


def _rule(name: str, finding: Finding) -> dict[str, Any]:
    draft = finding.draft
    rule: dict[str, Any] = {"id": name, "shortDescription": {"text": draft.title}}
    if draft.category is Category.SECURITY:  # GitHub shows the level of an alert from these two
        rule["properties"] = {"tags": ["security"], "security-severity": _SECURITY[draft.severity]}
    return {**rule, "helpUri": draft.rule_url} if draft.rule_url else rule


def _notification(row: CoverageRow) -> dict[str, Any]:
    return {"level": "error", "message": {"text": f"Not reviewed: {row.path}: {row.reason}"}}


def _result(finding: Finding) -> dict[str, Any]:
    place = finding.anchor
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(place.path)}}
    if place.place is Place.INLINE and place.line:
        physical["region"] = {"startLine": place.start or place.line, "endLine": place.line}
    cited = [_citation(number, standard) for number, standard in enumerate(finding.standards, 1)]
    return {
        **({"relatedLocations": cited} if cited else {}),
        **({"fixes": [_fix(finding)]} if finding.suggestion is not None and place.line else {}),
        "ruleId": _rule_id(finding),
        "level": _LEVEL[finding.draft.severity],
        "message": {"text": _message(finding)},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {"assistantIdentity/v1": finding.identity},
    }


def _citation(number: int, standard: Standard) -> dict[str, Any]:
    """The cited section. Of another repository's document only the name is given: its path leads nowhere here."""
    cited: dict[str, Any] = {"id": number, "message": {"text": f"Standard: {standard.id} ({standard.title})"}}
    if standard.repo:
        return cited
    region = {"startLine": standard.start, "endLine": standard.end}
    return {**cited, "physicalLocation": {"artifactLocation": {"uri": quote(standard.document)}, "region": region}}


def _fix(finding: Finding) -> dict[str, Any]:
    """The suggestion: it replaces whole lines; an empty one deletes them with their line ends."""
    place = finding.anchor
    first, last, text = place.start or place.line or 1, place.line or 1, finding.suggestion or ""
    region = {"startLine": first, "endLine": last}
    if not text:
        region = {"startLine": first, "startColumn": 1, "endLine": last + 1, "endColumn": 1}
    replacement = {"deletedRegion": region, "insertedContent": {"text": text.removesuffix("\n")}}
    change = {"artifactLocation": {"uri": quote(place.path)}, "replacements": [replacement]}
    return {"description": {"text": finding.draft.title}, "artifactChanges": [change]}


def as_rdjson(review: Review) -> dict[str, Any]:
    """The findings for reviewdog. https://github.com/reviewdog/reviewdog/tree/master/proto/rdf"""
    diagnostics = [_diagnostic(one) for one in (*review.findings, *review.listed)]
    return {"source": {"name": "review-assistant"}, "diagnostics": diagnostics}


def _diagnostic(finding: Finding) -> dict[str, Any]:
    draft, place = finding.draft, finding.anchor
    lines = {"start": {"line": place.start or place.line}, "end": {"line": place.line}} if place.line else None
    suggestion = {"range": lines, "text": finding.suggestion}
    return {
        "message": _message(finding),
        "location": {"path": place.path, **({"range": lines} if lines else {})},
        "severity": _RDJSON[draft.severity],
        "code": {"value": _rule_id(finding), **({"url": draft.rule_url} if draft.rule_url else {})},
        **({"suggestions": [suggestion]} if lines and finding.suggestion is not None else {}),
    }


def as_github(review: Review) -> list[str]:
    """A workflow command for each finding: GitHub Actions shows it as an annotation.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    return [_command(one) for one in (*review.findings, *review.listed)]


def _command(finding: Finding) -> str:
    draft, place = finding.draft, finding.anchor
    lines = {"line": place.start or place.line, "endLine": place.line} if place.line else {}
    properties = {"file": place.path, **lines, "title": f"{draft.title} ({_rule_id(finding)})"}
    written = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{_COMMANDS[draft.severity]} {written}::{_data(show_hidden(draft.why or draft.title))}"


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(show_hidden(words)).replace(":", "%3A").replace(",", "%2C")


def as_gcc(review: Review) -> list[str]:
    """A line for each finding, as gcc prints them: for editors and problem matchers."""
    return [_gcc(one) for one in (*review.findings, *review.listed)]


def _gcc(finding: Finding) -> str:
    place = finding.anchor
    line = f"{place.path}:{place.start or place.line or 1}:1: {_LEVEL[finding.draft.severity]}: {_message(finding)}"
    return f"{' '.join(show_hidden(line).split())} [{_rule_id(finding)}]"


def _message(finding: Finding) -> str:
    return f"{finding.draft.title}. {finding.draft.why}".strip()

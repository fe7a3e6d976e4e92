"""Review -> JSON and SARIF, for programs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from bot.core.code.plan import CoverageRow
from bot.core.comments.check_run import conclusion, title
from bot.core.comments.comment import CHECKS_ONLY
from bot.core.findings.anchor import Place
from bot.core.findings.finding import Category, Finding, Severity
from bot.core.findings.standard import Standard
from bot.core.findings.triage import Review

_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
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
        "message": {"text": f"{finding.draft.title}. {finding.draft.why}".strip()},
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

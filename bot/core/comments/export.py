"""Review -> JSON and SARIF, for programs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from bot.core.code.plan import CoverageRow
from bot.core.comments.check_run import conclusion, title
from bot.core.comments.comment import CHECKS_ONLY
from bot.core.findings.anchor import Place
from bot.core.findings.finding import Finding, Severity
from bot.core.findings.triage import Review

_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def as_json(review: Review) -> dict[str, Any]:
    """The whole review: findings, dropped drafts with reasons, coverage with reasons, remarks and usage."""
    return {
        "title": title(review),
        "conclusion": conclusion(review).value,
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
    """SARIF 2.1.0 for code scanning. https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""
    findings = [*review.findings, *review.listed]
    rules = {_rule_id(one): one for one in findings}
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
                "results": [_result(one) for one in findings],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def _rule_id(finding: Finding) -> str:
    draft = finding.draft
    return f"{draft.source}/{draft.rule or draft.category.value}".replace(" ", "-")


def _rule(name: str, finding: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": name, "shortDescription": {"text": finding.draft.title}}
    return {**rule, "helpUri": finding.draft.rule_url} if finding.draft.rule_url else rule


def _result(finding: Finding) -> dict[str, Any]:
    place = finding.anchor
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(place.path)}}
    if place.place is Place.INLINE and place.line:
        physical["region"] = {"startLine": place.start or place.line, "endLine": place.line}
    return {
        "ruleId": _rule_id(finding),
        "level": _LEVEL[finding.draft.severity],
        "message": {"text": f"{finding.draft.title}. {finding.draft.why}".strip()},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {"assistantIdentity/v1": finding.identity},
    }

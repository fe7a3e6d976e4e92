"""The schemas of a model's answers, with evidence before verdict, and the conversion of its claims to drafts.

A valid answer is still untrusted: places, quotes and citations are verified elsewhere.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bot.core.code.diff import Side
from bot.core.findings.finding import Category, Draft, Severity

TITLE, PROSE, CODE = 200, 1_500, 6_000  # characters
LISTED = 12  # entries of a list inside one finding
EVEN = 0.5  # confidence of a finding whose model was not asked for it

Claim = Literal[
    "unused",
    "undefined",
    "unreachable",
    "missing_await",
    "never_closed",
    "duplicate",
    "signature_mismatch",
    "missing_file",
    "missing_test",
]


class _Wire(BaseModel):
    """Base of the answers. The fields are in the order of thinking: observations first, conclusions last."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TypedClaim(_Wire):
    """A claim that code can check."""

    kind: Claim
    subject: str = Field(description="The name or the path it is about.")


class FindingOnWire(_Wire):
    """One thing that should be changed."""

    path: str = Field(description="The file, as the change names it.")
    side: Literal["RIGHT", "LEFT"] = Field(description="RIGHT: the code as it is now. LEFT: removed lines.")
    quoted_code: str = Field(description="Whole lines, copied from the change letter for letter, without numbers.")
    near: int | None = Field(description="The number in front of the first quoted line, or null.")
    evidence: list[str] = Field(description="What you saw that shows it, each as `path:line: code there`.")
    category: Literal["correctness", "security", "standards", "tests", "performance", "maintainability", "requirement"]
    claim: TypedClaim | None = Field(description="Where one of these kinds fits exactly, else null.")
    standard_refs: list[str] = Field(description="Ids of sections that a search returned and that are broken here.")
    standard_quote: str | None = Field(description="The clause that is broken, copied letter for letter, or null.")
    why: str = Field(description="What goes wrong, and when. One paragraph.")
    suggestion: str | None = Field(description="Replaces exactly the quoted lines, or null.")
    title: str = Field(description="The problem in one line.")
    severity: Literal["error", "warning", "note"]
    confidence: float = Field(description="0 to 1.")


class Findings(_Wire):
    """The answer of a pass that looks for problems."""

    walkthrough: str = Field(description="What the change does, in a few sentences.")
    findings: list[FindingOnWire]


class ShortFinding(_Wire):
    """One thing that should be changed, with the fewest fields: for small models."""

    path: str = Field(description="The file, as the change names it.")
    quoted_code: str = Field(description="Whole changed lines, copied letter for letter, without numbers.")
    why: str = Field(description="What goes wrong, and when. At most two sentences.")
    standard_quote: str | None = Field(None, description="The sentence of a rule that is broken, or null.")
    title: str = Field(description="The problem in one line.")
    category: Literal["correctness", "security", "standards", "performance"]
    severity: Literal["error", "warning", "note"]


class ShortFindings(_Wire):
    """The answer of the one pass of the reduced mode."""

    findings: list[ShortFinding]

    def full(self) -> Findings:
        """Returns the findings with the fields that they lack: the quoted line is the evidence, confidence is even."""
        return Findings(walkthrough="", findings=[_full(short) for short in self.findings])


def _full(short: ShortFinding) -> FindingOnWire:
    line = next((line for line in short.quoted_code.splitlines() if line.strip()), "")
    return FindingOnWire(
        **short.model_dump(),
        side="RIGHT",
        near=None,
        evidence=[f"{short.path}: {line}"],
        claim=None,
        standard_refs=[],
        suggestion=None,
        confidence=EVEN,
    )


class Verdict(_Wire):
    """One finding, looked at again."""

    finding: int = Field(description="Its number.")
    evidence: list[str] = Field(description="What you saw, each as `path:line: code there`, copied letter for letter.")
    reason: str
    verdict: Literal["holds", "refuted", "unsure"]


class Verdicts(_Wire):
    """The answer of the independent look: one verdict a finding."""

    verdicts: list[Verdict]


class Requirement(_Wire):
    """One acceptance point of an issue. Met needs a place: a file of the head and a whole line of it."""

    point: int = Field(description="Its number.")
    path: str | None
    quoted_line: str | None = Field(description="The line that shows it, copied letter for letter, or null.")
    reason: str
    status: Literal["met", "unmet", "unclear"]


class Requirements(_Wire):
    """The answer of the requirement check: one entry an acceptance point."""

    points: list[Requirement]


class Citation(_Wire):
    """Where a reader can check what was said: a line of a file, or a section of a standard by its id."""

    kind: Literal["file", "standard"]
    ref: str = Field(description="The path, or the section's id.")
    line: int | None = Field(description="Of a file; null for a section.")
    quote: str = Field(description="Copied letter for letter.")


class Reply(_Wire):
    """The answer to a person. `known` is false when neither code nor documents tell."""

    citations: list[Citation]
    known: bool
    answer: str = Field(description="Markdown, short.")


class Explanation(_Wire):
    """The answer to a reply in the thread of a finding."""

    citations: list[Citation]
    stance: Literal["concede", "uphold", "answer"]
    known: bool
    answer: str = Field(description="Markdown, short.")


class Point(_Wire):
    """One thing that a change does differently."""

    path: str = Field(description="The file it lives in, as the change names it.")
    text: str


class Walkthrough(_Wire):
    """What a change does, for a person who is about to review it."""

    points: list[Point] = Field(description="At most seven, the most consequential first.")
    careful: list[Point] = Field(description="What deserves a careful look, and why.")
    sentence: str = Field(description="What the change does for users or callers.")


def to_drafts(findings: Findings, source: str) -> tuple[Draft, ...]:
    """Returns the claims of one answer as drafts, in its order and cut to size. `source` names the pass."""
    return tuple(_draft(found, source) for found in findings.findings)


def _draft(found: FindingOnWire, source: str) -> Draft:
    category = Category(found.category)
    refs = tuple(found.standard_refs[:LISTED])
    return Draft(
        path=found.path,
        quoted=found.quoted_code[:CODE],
        title=" ".join(found.title.split())[:TITLE],
        why=found.why.strip()[:PROSE],
        severity=Severity[found.severity.upper()],
        category=category,
        source=source,
        rule=refs[0] if refs and category is Category.STANDARDS else "",
        side=Side(found.side),
        near=found.near,
        claim=f"{found.claim.kind}: {found.claim.subject[:TITLE]}" if found.claim else "",
        confidence=min(max(found.confidence, 0.0), 1.0),
        evidence=tuple(seen[:PROSE] for seen in found.evidence[:LISTED]),
        standard_refs=refs,
        standard_quote=(found.standard_quote or "")[:PROSE],
        replacement=_fitting(found.suggestion),
    )


def _fitting(suggestion: str | None) -> str | None:
    """Returns the replacement, or None if it is too long: a cut replacement would be wrong code."""
    return suggestion if suggestion is not None and len(suggestion) <= CODE else None

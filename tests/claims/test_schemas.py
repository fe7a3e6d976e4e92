"""What a model answers becomes drafts, whatever nonsense stands in it."""

from typing import get_args

import pytest
from pydantic import ValidationError

from bot.core.claims.refute import CLAIMS
from bot.core.claims.schemas import CODE, LISTED, PROSE, TITLE, Claim, Findings, to_drafts
from bot.core.code.diff import Side
from bot.core.findings.finding import Category, Severity

FOUND = {
    "path": "src/app.py",
    "side": "RIGHT",
    "quoted_code": "    total = 0\n",
    "near": 12,
    "evidence": ["src/app.py:14 uses total"],
    "category": "standards",
    "claim": {"kind": "unused", "subject": "total"},
    "standard_refs": ["style.md#names", "style.md#unused"],
    "standard_quote": "Delete what nobody uses.",
    "why": " It is never read. ",
    "suggestion": "",
    "title": "Unused\nname",
    "severity": "warning",
    "confidence": 0.75,
}


def draft(**changes):
    findings = Findings.model_validate({"walkthrough": "", "findings": [FOUND | changes]})
    return to_drafts(findings, "correctness")[0]


def test_a_finding_becomes_a_draft():
    claimed = draft()
    assert (claimed.path, claimed.quoted, claimed.near, claimed.side) == (
        "src/app.py",
        "    total = 0\n",
        12,
        Side.RIGHT,
    )
    assert (claimed.title, claimed.why) == ("Unused name", "It is never read.")
    assert (claimed.severity, claimed.category, claimed.source) == (Severity.WARNING, Category.STANDARDS, "correctness")
    assert claimed.claim == "unused: total"
    assert claimed.standard_refs == ("style.md#names", "style.md#unused")
    assert claimed.replacement == ""


def test_the_topic_is_the_rule_the_claim_or_the_category_never_the_wording():
    assert draft().rule == "style.md#names"
    assert draft(category="correctness").rule == ""
    assert draft(category="correctness", claim=None).claim == ""


def test_claims_are_those_that_code_can_refute():
    assert set(get_args(Claim)) == set(CLAIMS)


@pytest.mark.parametrize(("said", "meant"), [(7.5, 1.0), (-1, 0.0), (0.5, 0.5)])
def test_a_confidence_out_of_range_drops_nothing(said, meant):
    assert draft(confidence=said).confidence == meant


def test_overlong_text_is_cut_and_an_overlong_suggestion_is_none():
    claimed = draft(why="x" * 10**6, title="y " * 10**5, quoted_code="z" * 10**6, evidence=["e" * 10**4] * 99)
    assert (len(claimed.why), len(claimed.title), len(claimed.quoted)) == (PROSE, TITLE, CODE)
    assert (len(claimed.evidence), len(claimed.evidence[0])) == (LISTED, PROSE)
    assert draft(suggestion="x" * (CODE + 1)).replacement is None
    assert draft(suggestion=None).replacement is None


@pytest.mark.parametrize(
    "changes",
    [
        {"approve": True},
        {"severity": "blocker"},
        {"category": "hygiene"},
        {"side": "BOTH"},
        {"claim": {"kind": "evil"}},
    ],
)
def test_there_is_no_word_for_anything_else(changes):
    with pytest.raises(ValidationError):
        draft(**changes)


def test_every_field_has_to_be_there():
    for field in FOUND:
        with pytest.raises(ValidationError):
            Findings.model_validate({"walkthrough": "", "findings": [{k: v for k, v in FOUND.items() if k != field}]})

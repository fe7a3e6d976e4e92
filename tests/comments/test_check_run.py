"""The check run of a review, whatever its size."""

import time
from dataclasses import replace

import pytest

from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.code.plan import Coverage, CoverageRow, FileState
from bot.core.comments.check_run import concluded
from bot.core.comments.export import as_sarif
from bot.core.comments.post import Conclusion
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.known import new_known_finding
from bot.core.findings.lifecycle import View
from bot.core.findings.standard import Standard
from bot.core.findings.triage import Review, TriageContext, triage
from bot.core.policy import Policy

FLAW, MANY = "    except:", 3_000


def test_thousands_of_equal_findings_cost_little_and_are_counted_where_they_are_not_listed():
    rows = [f"x{n} = {n}" if n % 2 else FLAW for n in range(2 * MANY)]
    file = FileDiff("a.txt", Status.ADDED, (Hunk(tuple(Line(row, None, n) for n, row in enumerate(rows, 1))),))
    drafts = [
        Draft("a.txt", FLAW, f"Bare {n}", "Why.", Severity.WARNING, Category.MAINTAINABILITY, "lint", "L1", near=n)
        for n in range(1, 2 * MANY, 2)
    ]
    begun = time.process_time()
    review = triage(drafts, TriageContext(View("h" * 40, Diff((file,))), Policy(comments=10)))
    run = concluded(review, "review/1/1/head")

    assert time.process_time() - begun < 10
    assert (len(review.findings), len(review.listed), len(review.dropped)) == (10, MANY - 10, 0)
    assert len({one.identity for one in (*review.findings, *review.listed)}) == MANY
    assert run.title == f"{MANY} new findings (checks only)"
    assert len(run.annotations) == 300
    assert f"… and {MANY - 300} more" in run.text


def test_uncertain_grave_claims_are_listed_and_keep_the_check_from_success():
    draft = Draft(
        "a.py",
        FLAW,
        "Path from <b>user</b>",
        "It may leave the folder.",
        Severity.ERROR,
        Category.SECURITY,
        "security",
        near=4,
    )
    run = concluded(Review(model="m", uncertain=((draft, "not seen"),)), "review/1/1/head")
    calm = concluded(Review(model="m"), "review/1/1/head")

    assert "### Worth a look" in run.text
    assert "- `a.py:4` Path from" in run.text
    assert "<b>" not in run.text
    assert "1 uncertain claim of a grave problem" in run.summary
    assert (run.conclusion, calm.conclusion) == (Conclusion.NEUTRAL, Conclusion.SUCCESS)
    assert "Worth a look" not in calm.text


def review_of(*severities):
    """A review of a file with one finding on each line."""
    rows = [f"x{n} = {n}" for n in range(len(severities))]
    file = FileDiff("a b.txt", Status.ADDED, (Hunk(tuple(Line(row, None, n) for n, row in enumerate(rows, 1))),))
    drafts = [
        Draft("a b.txt", row, f"Bare {row}", "Why.", severity, Category.SECURITY, "lint", f"L{row[1]}")
        for row, severity in zip(rows, severities, strict=True)
    ]
    review = triage(drafts, TriageContext(View("h" * 40, Diff((file,))), Policy(comments=10)))
    return replace(review, model="m", coverage=Coverage((CoverageRow("a b.txt", FileState.REVIEWED),)))


@pytest.mark.parametrize(
    ("gate", "found", "conclusion"),
    [
        (None, Severity.ERROR, "neutral"),
        (Severity.ERROR, Severity.ERROR, "failure"),
        (Severity.ERROR, Severity.WARNING, "neutral"),
        (Severity.WARNING, Severity.WARNING, "failure"),
        (Severity.WARNING, Severity.NOTE, "neutral"),
        (Severity.WARNING, None, "success"),
    ],
)
def test_a_gate_fails_for_open_findings_of_its_severity_new_or_known(gate, found, conclusion):
    review = replace(review_of(*([] if found is None else [found])), gate=gate)
    known = replace(review, findings=(), known=tuple(new_known_finding(one, "h" * 40) for one in review.findings))
    unread = replace(review, coverage=Coverage((CoverageRow("b", FileState.FAILED, "too large"),)))

    assert {concluded(one, "key").conclusion.value for one in (review, known)} == {conclusion}
    assert concluded(unread, "key").conclusion.value == ("neutral" if conclusion == "success" else conclusion)
    assert ("`fail_on`" in concluded(review, "key").summary) == (conclusion == "failure")


def test_sarif_says_what_was_not_reviewed_and_carries_fixes_citations_and_security_levels():
    rule = Standard("docs/é.md", ("Rules", "No x"), "no-x", 3, 5, "b" * 40, "No x.")
    elsewhere = replace(rule, repo="octo/handbook")
    review = review_of(Severity.ERROR, Severity.NOTE)
    (error, note) = sorted(review.findings, key=lambda one: -one.draft.severity)
    findings = (replace(error, suggestion="y = 1\n", standards=(rule, elsewhere)), replace(note, suggestion=""))
    rows = (CoverageRow("b.bin", FileState.FAILED, "too large"), CoverageRow("c", FileState.SKIPPED, "removed"))
    (run,) = as_sarif(replace(review, findings=findings, coverage=Coverage(rows)), "1")["runs"]
    first, second = run["results"]
    (edit,) = [change["replacements"][0] for fix in first["fixes"] for change in fix["artifactChanges"]]
    (deletion,) = [change["replacements"][0] for fix in second["fixes"] for change in fix["artifactChanges"]]
    here, there = first["relatedLocations"]

    assert run["invocations"] == [
        {
            "executionSuccessful": False,
            "toolExecutionNotifications": [{"level": "error", "message": {"text": "Not reviewed: b.bin: too large"}}],
        }
    ]
    assert edit == {"deletedRegion": {"startLine": 1, "endLine": 1}, "insertedContent": {"text": "y = 1"}}
    assert deletion["deletedRegion"] == {"startLine": 2, "startColumn": 1, "endLine": 3, "endColumn": 1}
    assert here["physicalLocation"]["artifactLocation"] == {"uri": "docs/%C3%A9.md"}
    assert here["physicalLocation"]["region"] == {"startLine": 3, "endLine": 5}
    assert "octo/handbook:docs/é.md#no-x" in there["message"]["text"]
    assert "physicalLocation" not in there
    assert {one["properties"]["security-severity"] for one in run["tool"]["driver"]["rules"]} == {"8.0", "2.0"}

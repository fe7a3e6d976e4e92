"""The check run of a review, whatever its size."""

import time

from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.comments.check_run import concluded
from bot.core.comments.post import Conclusion
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.lifecycle import View
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

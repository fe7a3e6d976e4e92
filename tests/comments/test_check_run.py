"""The check run of a review, whatever its size."""

import time

from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.comments.check_run import concluded
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.lifecycle import View
from bot.core.findings.triage import TriageContext, triage
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

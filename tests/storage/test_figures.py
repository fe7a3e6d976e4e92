"""The figures: what they count, that each reads an index only, and that the end of a run is kept."""

import asyncio
import itertools
import random
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from bot.core.code.pull_request import PullRef
from bot.core.costs import ConversationRecord, ModelCall, ToolCallRecord, Usage
from bot.core.findings.finding import Category, Severity
from bot.core.findings.known import FindingState, KnownFinding, Outcome
from bot.core.story import DroppedClaim, Story, ToldFinding
from bot.interfaces import RunEnd, StepRecord
from bot.job import Job, Trigger
from bot.storage.database import Database
from bot.storage.figures import (
    Figures,
    Overview,
    Quantiles,
    RunCursor,
    Window,
    costs_query,
    failures_query,
    outcomes_query,
    reviews_query,
    rules_query,
    runs_query,
    severities_query,
    times_query,
)
from bot.storage.ledger import Ledger, Reservation, ReviewRecord, Spending
from bot.storage.runs import RunLog, page_of, run_times
from bot.storage.tables import FINDINGS

pytest_plugins = ["tests.support.postgres"]

PULL, OTHER = PullRef("octo/shop", 7, repo_id=42, installation=5), PullRef("octo/till", 8, repo_id=43, installation=5)
NOW = datetime.now(UTC).timestamp()
FOUND = KnownFinding("", "E722", "", "p" * 16, 1, "a.py", Category.CORRECTNESS, Severity.ERROR, "ruff")
STORY = Story(
    findings=(ToldFinding("A bare except", "It hides errors", "error", "correctness", "a.py", 4, "ruff"),),
    dropped=(DroppedClaim("A guess", "a.py", "security", "warning", "refuted by the code"),),
    conversations=(
        ConversationRecord(
            "find/security/1",
            (ModelCall(Usage(calls=1, input=900, output=100, dollars=0.01), 2.0),),
            (ToolCallRecord("grep", '{"pattern": "pay"}', 120),),
        ),
    ),
)
DETAIL = {"posted": 1, "listed": 1, "files": 4, "files_read": 3, "lines": 80, "lines_read": 60}
ENDS = ("addressed", "fixed", "dismissed", "ignored")
DETAIL["usage"] = {"input": 900, "output": 100, "dollars": 0.01}


def ended(name, pull=PULL, end="done", began=10.0, **changes):
    """The end of a review whose delivery arrived 10 seconds before its first step, and that took 8 seconds from there."""
    steps = (
        StepRecord("policy", NOW + began, 1.0),
        StepRecord("find/security/1/call-1", NOW + began + 1, 3.0, retries=1, trouble="the model is busy"),
        StepRecord("find/correctness/1/call-1", NOW + began + 2, 4.0),
        StepRecord("publish", NOW + began + 6, 1.0),
        StepRecord("concluded", NOW + began + 7, 1.0),
    )
    job = Job(name, pull, Trigger.OPENED, "h" * 40, "alice", received=NOW)
    return replace(RunEnd(job, "review", end, "", "", NOW + began + 8, steps), **changes)


@pytest.fixture
def url(request, tmp_path):
    """SQLite, or a new database of Postgres if a test names it."""
    if getattr(request, "param", "sqlite") == "postgres":
        return request.getfixturevalue("new_postgres")()
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def database(url):
    with Database(url) as database:
        yield database


def tell(database):
    """Two reviews of two pull requests, a second one of the first, a failed one, and what they said and cost."""

    async def write():
        ledger, log = Ledger(database), RunLog(database)
        for name, pull in (("one", PULL), ("two", OTHER), ("again", PULL)):
            record = ReviewRecord(name, pull, "h" * 40, "opened", "neutral", "https://github.test/1", DETAIL, STORY)
            await ledger.record(record, [replace(FOUND, identity=f"{name:>016}")])
            await log.end(ended(name, pull, began=30.0 if name == "two" else 10.0))
        await log.end(ended("failed", end="failed", reason="GitHub does not answer", cause="Outage", steps=()))
        await log.end(ended("old", kind="answer", end="done"))
        await ledger.reserve(Reservation("one/call", PULL, "one", Spending(1000, 0.5)), [])
        fates = [(FindingState.FIXED, Outcome.ADDRESSED), (FindingState.DISMISSED, Outcome.DISMISSED)]
        known = [replace(FOUND, identity=f"{n:016x}", state=s, outcome=o) for n, (s, o) in enumerate(fates)]
        await ledger.keep(OTHER, known)
        return log

    return asyncio.run(write())


def test_the_figures_count_runs_findings_and_spending(database):
    tell(database)
    overview = asyncio.run(Overview.read(Figures(database), Window.of(30)))

    assert [(row.end, row.outcome, row.total) for row in overview.reviews] == [
        ("done", "neutral", 3),
        ("failed", "", 1),
    ]
    assert overview.reviewed == 3
    assert overview.coverage == (12, 9, 240, 180)
    assert (overview.tokens, overview.dollars) == (1000, 0.5)
    assert [(row.repo, row.tokens) for row in overview.costs] == [("octo/shop", 1000)]
    assert [(row.severity, row.total) for row in overview.severities] == [("error", 5)]
    assert [(row.topic, row.found, row.fixed, row.dismissed) for row in overview.rules] == [("E722", 5, 1, 1)]
    assert (overview.merged.addressed, overview.merged.total) == (1, 2)
    assert [tuple(row) for row in overview.failures] == [("review", "Outage", 1)]


def test_only_the_first_review_of_a_pull_request_counts_for_its_time(database):
    tell(database)
    times = asyncio.run(Figures(database).times(Window.of(30)))

    assert times.count == 2
    assert (times.queue.p50, times.queue.p95) == (pytest.approx(10, abs=0.01), pytest.approx(30, abs=0.01))
    assert (times.model.p50, times.post.p50, times.total.p95) == pytest.approx((5.0, 2.0, 38.0), abs=0.01)


def test_the_time_in_the_model_counts_calls_at_once_only_once():
    times = run_times(NOW, ended("one").steps)

    assert (times.modelled, times.posted) == (pytest.approx(5.0), pytest.approx(2.0))
    assert run_times(0.0, ended("one").steps) is None
    assert run_times(NOW, ()) is None


@pytest.mark.parametrize(("values", "p50", "p95"), [([], None, None), ([4.0], 4.0, 4.0), (range(1, 101), 50, 95)])
def test_quantiles_are_values_that_occur(values, p50, p95):
    assert Quantiles.of(list(values)) == Quantiles(p50, p95)


def test_a_window_of_repositories_counts_no_other(database):
    tell(database)
    overview = asyncio.run(Overview.read(Figures(database), Window.of(30, (43,))))

    assert (overview.reviewed, overview.findings, overview.dollars) == (1, 3, 0)
    shop = asyncio.run(Overview.read(Figures(database), Window.of(30, (42,))))
    assert (shop.dollars, shop.times.count, overview.times.count) == (0.5, 1, 1)
    assert asyncio.run(Overview.read(Figures(database), Window.of(30, ()))).reviewed == 0


def test_the_list_of_reviews_is_paged_by_key(database):
    tell(database)
    figures = Figures(database)
    first = asyncio.run(figures.runs(Window(), limit=2))
    rest = asyncio.run(figures.runs(Window(), RunCursor(first[-1].ended, first[-1].job), limit=9))

    assert [run.job for run in (*first, *rest)] == ["two", "one", "failed", "again"]
    assert [run.job for run in asyncio.run(figures.runs(Window(), end="failed"))] == ["failed"]


def test_a_page_has_the_steps_and_the_story(database):
    log = tell(database)
    page = asyncio.run(log.page(page_of("one")))

    assert (page.run.pull, page.run.outcome, page.run.url) == (PULL, "neutral", "https://github.test/1")
    assert page.story == STORY
    assert page.steps[1] == StepRecord("find/security/1/call-1", NOW + 11.0, 3.0, 1, "the model is busy")
    assert asyncio.run(log.page("0" * 16)) is None


def test_a_finding_keeps_the_day_on_which_it_was_first_said(database):
    async def twice():
        ledger = Ledger(database)
        await ledger.keep(PULL, [replace(FOUND, identity="f" * 16)])
        yesterday = sa.text("UPDATE findings SET day = '2020-01-01'")
        await database.run(lambda connection: connection.execute(yesterday))
        await ledger.keep(PULL, [replace(FOUND, identity="f" * 16, state=FindingState.FIXED)])
        return await Figures(database).severities(Window())

    assert [row.day for row in asyncio.run(twice())] == ["2020-01-01"]


@pytest.mark.parametrize("url", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)], indirect=True)
def test_the_counts_of_findings_are_those_of_their_rows(database):
    chance = random.Random(3)
    grouped = ("topic", "category", "state", "outcome", "repo_id")

    async def live():
        """Findings that are said, fixed, dismissed and said again, over three days, in repositories and topics by chance."""
        ledger = Ledger(database)
        for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
            for pull in (replace(PULL, repo=f"octo/{40 + n}", repo_id=40 + n) for n in range(5)):
                said = [
                    replace(
                        FOUND,
                        identity=f"{chance.randrange(12):016x}",
                        topic=chance.choice(("E722", "Z", "a b", "é", "")),
                        category=chance.choice(list(Category)),
                        severity=chance.choice(list(Severity)),
                        state=chance.choice(list(FindingState)),
                        outcome=chance.choice(list(Outcome)),
                    )
                    for _ in range(6)
                ]
                await ledger.keep(pull, {finding.identity: finding for finding in said}.values())
                await ledger.change(pull, said[0].identity, lambda one: replace(one, state=FindingState.DISMISSED))
            new = sa.update(FINDINGS).where(FINDINGS.c.day > "2026-11-04").values(day=day)
            await database.run(lambda connection, new=new: connection.execute(new))
        return await database.run(lambda c: c.execute(sa.select(*(FINDINGS.c[n] for n in (*grouped, "day")))).all())

    rows, figures = asyncio.run(live()), Figures(database)
    assert len(rows) > 40
    for since, repos in itertools.product(("", "2026-11-02", "2026-11-09"), (None, (41, 43, 99), ())):
        window = Window(since, repos)
        seen = [row for row in rows if row.day >= since and (repos is None or row.repo_id in repos)]
        topics = Counter((row.topic, row.category) for row in seen)
        fixed = Counter((row.topic, row.category) for row in seen if row.state == FindingState.FIXED)
        dismissed = Counter((row.topic, row.category) for row in seen if row.state == FindingState.DISMISSED)
        merged = Counter(
            (f"octo/{row.repo_id}", row.category, row.outcome) for row in seen if row.outcome != Outcome.PENDING
        )
        rules, outcomes = asyncio.run(figures.rules(window)), asyncio.run(figures.outcomes(window))

        assert {row[:2]: row[2:] for row in rules} == {
            key: (n, fixed[key], dismissed[key]) for key, n in topics.items()
        }
        counts = {(one.repo, one.category, end): getattr(one, end) for one in outcomes for end in ENDS}
        assert {key: count for key, count in counts.items() if count} == merged


def test_old_stories_are_deleted_and_their_figures_stay(database):
    log = tell(database)

    async def sweep():
        await database.run(lambda c: c.execute(sa.text("UPDATE stories SET day = '2020-01-01' WHERE job = 'one'")))
        await log.end(ended("next"))
        return await log.page(page_of("one")), await log.page(page_of("two"))

    one, two = asyncio.run(sweep())
    assert (one.story, one.steps, one.run.files) == (None, (), 4)
    assert two.story == STORY


QUERIES = {
    "reviews": reviews_query,
    "times": times_query,
    "costs": costs_query,
    "severities": severities_query,
    "rules": rules_query,
    "outcomes": outcomes_query,
    "failures": failures_query,
    "runs": lambda window: runs_query(window, RunCursor(datetime.now(UTC), "x"), 50, ""),
    "failed runs": lambda window: runs_query(window, None, 50, "failed"),
}


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("repos", [None, (42, 43)])
def test_each_query_searches_an_index_and_scans_no_table(database, name, repos):
    def plan(connection):
        query = QUERIES[name](Window.of(30, repos))
        text = str(query.compile(connection.engine, compile_kwargs={"literal_binds": True}))
        return [row[3] for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]

    steps = [step for step in asyncio.run(database.run(plan)) if re.match("SCAN|SEARCH", step)]
    steps = [step for step in steps if not re.match(r"SCAN (by|each)_|SCAN CONSTANT ROW|SCAN start", step)]  # no tables
    assert steps
    assert all(re.match(r"SEARCH \w+ USING (COVERING )?INDEX", step) for step in steps), steps

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bot.core.code.pull_request import PullRef
from bot.core.findings.finding import Category, Severity
from bot.core.findings.known import DismissedBy, FindingState, KnownFinding, Outcome
from bot.storage.database import Database
from bot.storage.ledger import Ledger, ReviewRecord, Spending, SpendingLimit
from bot.storage.tables import TABLES

PULL = PullRef("octo/shop", 7, repo_id=42, installation=5)
REVIEW = ReviewRecord("delivery/1/a", PULL, "h" * 40, "opened", "neutral", "https://example.test/1", {"posted": 2})
FOUND = KnownFinding("0123456789abcdef", "E722", "", "p" * 16, 1, "a.py", Category.CORRECTNESS, Severity.ERROR, "ruff")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'deep' / 'ledger.db'}"


@pytest.fixture
def ledger(url):
    with Database(url) as database:
        ledger = Ledger(database)
        yield ledger


@pytest.mark.usefixtures("ledger")
def test_the_migrations_make_exactly_the_tables_the_code_uses(url):
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TABLES) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(ledger):
    ledger.database.migrate()

    assert asyncio.run(ledger.reviews()) == ()


def test_the_same_job_recorded_twice_is_one_review(ledger):
    async def twice():
        for _ in range(2):
            await ledger.record(REVIEW, [FOUND])
        return await ledger.reviews(PULL), await ledger.findings(PULL)

    reviews, findings = asyncio.run(twice())

    assert [row["job"] for row in reviews] == ["delivery/1/a"]
    assert findings == (FOUND,)


def test_what_a_person_dismissed_while_a_review_ran_stays_dismissed(ledger):
    dismissed = replace(FOUND, state=FindingState.DISMISSED, by="alice", dismissed_by=DismissedBy.COMMAND)

    async def race():
        await ledger.record(REVIEW, [FOUND])
        await ledger.change(PULL, FOUND.identity, lambda _: dismissed)
        await ledger.record(REVIEW, [FOUND])
        return await ledger.findings(PULL)

    assert asyncio.run(race()) == (dismissed,)


def test_nothing_is_known_of_a_finding_that_was_never_said(ledger):
    assert asyncio.run(ledger.change(PULL, "f" * 16, lambda one: one)) is None


def test_tallies_and_outcomes_count_what_became_of_findings(ledger):
    fates = [
        (FindingState.FIXED, Outcome.ADDRESSED),
        (FindingState.DISMISSED, Outcome.DISMISSED),
        (FindingState.OPEN, Outcome.IGNORED),
    ]
    known = [
        replace(FOUND, identity=f"{n:016x}", state=state, outcome=outcome) for n, (state, outcome) in enumerate(fates)
    ]

    async def count():
        await ledger.keep(PULL, known)
        await ledger.keep(replace(PULL, number=8), [FOUND])
        return await ledger.tallies(42), await ledger.outcomes()

    tallies, outcomes = asyncio.run(count())

    assert [(one.topic, one.fixed, one.dismissed, one.mutable) for one in tallies] == [("E722", 1, 1, True)]
    assert [(one.repo, one.outcome, one.total) for one in outcomes] == [
        ("octo/shop", outcome, 1) for outcome in ("addressed", "dismissed", "ignored")
    ]


def test_a_reservation_counts_until_it_is_settled(ledger):
    today = SpendingLimit("pull", timedelta(days=1))

    async def spend():
        await ledger.reserve("job/call-1", PULL, "job", Spending(1000, 0.5), [])
        reserved = await ledger.spent(PULL, SpendingLimit("job"), "job")
        await ledger.settle("job/call-1", Spending(400, 0.1))
        return reserved, await ledger.spent(PULL, today)

    assert asyncio.run(spend()) == (Spending(1000, 0.5), Spending(400, 0.1))


def test_what_would_exceed_a_bound_is_not_booked(ledger):
    bounds = [SpendingLimit("job", dollars=1.0), SpendingLimit("repository", timedelta(days=1), tokens=100)]

    async def spend():
        first = await ledger.reserve("a", PULL, "job", Spending(60, 0.1), bounds)
        second = await ledger.reserve("b", PULL, "other", Spending(60, 0.1), bounds)
        return first, second, await ledger.spent(PULL, bounds[1])

    first, second, spent = asyncio.run(spend())

    assert first == ""
    assert "100 tokens" in second
    assert spent == Spending(60, 0.1)


def test_two_calls_at_once_do_not_both_get_the_last_of_it(ledger):
    bounds = [SpendingLimit("installation", timedelta(days=30), dollars=1.0)]

    async def spend():
        names = [f"call-{n}" for n in range(20)]
        return await asyncio.gather(*(ledger.reserve(n, PULL, n, Spending(1, 0.3), bounds) for n in names))

    assert sorted(map(bool, asyncio.run(spend()))) == [False] * 3 + [True] * 17

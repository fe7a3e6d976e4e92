import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from bot.core.code.pull_request import PullRef
from bot.core.findings.finding import Category, Severity
from bot.core.findings.known import DismissedBy, FindingState, KnownFinding, Outcome
from bot.storage import migrations
from bot.storage.database import Database
from bot.storage.figures import Figures, Overview, Window
from bot.storage.ledger import Ledger, Reservation, ReviewRecord, Spending, SpendingLimit
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
        figures = Figures(ledger.database)
        return await figures.tallies(Window(repos=(42,))), await figures.outcomes(Window())

    tallies, outcomes = asyncio.run(count())

    assert [(one.topic, one.fixed, one.dismissed, one.mutable) for one in tallies] == [("E722", 1, 1, True)]
    assert [(one.addressed, one.dismissed, one.ignored, one.total) for one in outcomes] == [(1, 1, 1, 3)]


def test_a_reservation_counts_until_it_is_settled(ledger):
    today = SpendingLimit("pull", timedelta(days=1))

    async def spend():
        await ledger.reserve(Reservation("job/call-1", PULL, "job", Spending(1000, 0.5)), [])
        reserved = await ledger.spent(PULL, SpendingLimit("job"), "job")
        await ledger.settle("job/call-1", Spending(400, 0.1))
        return reserved, await ledger.spent(PULL, today)

    assert asyncio.run(spend()) == (Spending(1000, 0.5), Spending(400, 0.1))


def test_what_would_exceed_a_bound_is_not_booked(ledger):
    bounds = [SpendingLimit("job", dollars=1.0), SpendingLimit("repository", timedelta(days=1), tokens=100)]

    async def spend():
        first = await ledger.reserve(Reservation("a", PULL, "job", Spending(60, 0.1)), bounds)
        second = await ledger.reserve(Reservation("b", PULL, "other", Spending(60, 0.1)), bounds)
        third = await ledger.reserve(Reservation("c", PULL, "third", Spending(101, 0.1)), bounds)
        assert (second.pending, third.pending) == (True, False)
        return first, second.reason, await ledger.spent(PULL, bounds[1])

    first, second, spent = asyncio.run(spend())

    assert first is None
    assert "100 tokens" in second
    assert spent == Spending(60, 0.1)


def test_two_calls_at_once_do_not_both_get_the_last_of_it(ledger):
    bounds = [SpendingLimit("installation", timedelta(days=30), dollars=1.0)]

    async def spend():
        names = [f"call-{n}" for n in range(20)]
        calls = [Reservation(name, PULL, name, Spending(1, 0.3)) for name in names]
        return await asyncio.gather(*(ledger.reserve(call, bounds) for call in calls))

    assert sorted(map(bool, asyncio.run(spend()))) == [False] * 3 + [True] * 17


def test_reservations_of_calls_that_were_lost_are_settled_by_the_next_call_of_any_job(ledger, monkeypatch):
    """Of the cost that is likely for a lost call: another installation's and calls under way stay as they are."""
    other = replace(PULL, installation=6)

    async def restart():
        await ledger.reserve(Reservation("old", PULL, "dead", Spending(900, 0.9), Spending(100, 0.1)), [])
        await ledger.reserve(Reservation("other", other, "dead", Spending(900, 0.9), Spending(100, 0.1)), [])
        monkeypatch.setattr("bot.storage.ledger.LOST_AFTER", timedelta(0))
        limit = SpendingLimit("installation", timedelta(days=30), tokens=1000)
        assert await ledger.reserve(Reservation("new", PULL, "alive", Spending(900, 0.9)), [limit]) is None
        return await ledger.spent(PULL, limit), await ledger.spent(other, limit)

    assert asyncio.run(restart()) == (Spending(1000, 1.0), Spending(900, 0.9))


def test_processes_that_start_together_on_a_new_file_all_bring_it_up_to_date(url):
    program = "import sys; from bot.storage.database import Database; Database(sys.argv[1]).migrate()"
    started = [subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE) for _ in range(4)]

    assert [(process.communicate()[1], process.returncode) for process in started] == [(b"", 0)] * 4


def test_rows_before_the_migrations_are_counted_and_belong_to_no_person(url):
    with Database(f"{url}.old"):
        engine = sa.create_engine(f"{url}.old")
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        row = "'a', 5, 42, 7, 'job', 10, 0.5, 1, '2026-11-01 00:00:00'"
        columns = "id, installation, repo_id, number, job, tokens, dollars, settled, at"
        connection.execute(sa.text(f"INSERT INTO spending ({columns}) VALUES ({row})"))
        usage = '{"posted": 2, "usage": {"input": 900, "output": 100, "dollars": 0.1}}'
        row = f"'a', 5, 42, 'octo/shop', 7, 'h', 'opened', 'neutral', '', '{usage}', '2026-11-02 00:00:00.000000'"
        columns = "job, installation, repo_id, repo, number, head, 'trigger', outcome, url, detail, finished"
        connection.exec_driver_sql(f"INSERT INTO reviews ({columns}) VALUES ({row})")
        row = """42, 7, 'f', 'octo/shop', 'open', 'E722', 'correctness', 1, 'pending', '{"severity": 2}', '2026-11-03 00:00:00'"""
        columns = "repo_id, number, identity, repo, state, topic, category, rule, outcome, known, changed"
        connection.exec_driver_sql(f"INSERT INTO findings ({columns}) VALUES ({row})")
    engine.dispose()
    with Database(f"{url}.old") as database:
        overview = asyncio.run(Overview.read(Figures(database), Window()))
        (run,) = asyncio.run(Figures(database).runs(Window()))
        (cost,) = asyncio.run(Figures(database).monthly())
    assert (cost.person, cost.month, cost.dollars) == ("", "2026-11", 0.5)
    assert [(one.day, one.total) for one in overview.reviews] == [("2026-11-02", 1)]
    assert [tuple(one) for one in overview.severities] == [("2026-11-03", "error", 1)]
    assert [(one.day, one.repo) for one in overview.costs] == [("2026-11-01", "octo/shop")]
    assert (run.job, run.findings, run.tokens, run.times) == ("a", 2, 1000, None)

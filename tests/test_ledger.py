import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bot.ledger import TABLES, FindingRecord, Ledger, ReviewRecord
from bot.review.pull_request import PullRef

PULL = PullRef("octo/shop", 7, repo_id=42, installation=5)
REVIEW = ReviewRecord("delivery/1/a", PULL, "h" * 40, "opened", "neutral", "https://example.test/1", {"posted": 2})
FOUND = FindingRecord("0123456789abcdef", "open", "h" * 40, "h" * 40, {"rule": "E722"})


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'deep' / 'ledger.db'}"


@pytest.fixture
def ledger(url):
    ledger = Ledger(url)
    ledger.migrate()
    yield ledger
    ledger.close()


def test_the_migrations_make_exactly_the_tables_the_code_uses(url, ledger):
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TABLES) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(ledger):
    ledger.migrate()

    assert asyncio.run(ledger.reviews()) == ()


def test_the_same_job_recorded_twice_is_one_review(ledger):
    async def twice():
        for _ in range(2):
            await ledger.record(REVIEW, [FOUND])
        return await ledger.reviews(PULL), await ledger.findings(PULL)

    reviews, findings = asyncio.run(twice())

    assert [row["job"] for row in reviews] == ["delivery/1/a"]
    assert findings == (FOUND,)


def test_a_finding_keeps_its_first_head_when_its_state_changes(ledger):
    later = FindingRecord(FOUND.identity, "fixed", "n" * 40, "n" * 40, {}, "fixed by a push")

    async def change():
        await ledger.record(REVIEW, [FOUND])
        await ledger.record(REVIEW, [later])
        return await ledger.findings(PULL)

    (found,) = asyncio.run(change())

    assert (found.state, found.first_head, found.last_head) == ("fixed", "h" * 40, "n" * 40)


def test_a_reservation_counts_until_it_is_settled(ledger):
    async def spend():
        await ledger.reserve("job/call-1", PULL, "job", 1000, 0.5)
        reserved = await ledger.spent(PULL, job="job")
        await ledger.settle("job/call-1", 400, 0.1)
        return reserved, await ledger.spent(PULL, scope="pull", within=timedelta(days=1))

    reserved, settled = asyncio.run(spend())

    assert (reserved.tokens, reserved.dollars) == (1000, 0.5)
    assert (settled.tokens, settled.dollars) == (400, 0.1)

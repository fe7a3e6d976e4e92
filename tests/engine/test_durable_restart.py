"""The durable engine on a database of the test's own: restarts, forged rows, locks, deletion of old runs."""

import asyncio
import base64
import pickle
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.engine import durable, workers
from bot.engine.durable import DurableEngine, Pace
from bot.engine.leases import GIVEN_UP
from bot.engine.queue import Order
from bot.engine.workers import RETENTION, tidy
from bot.errors import NotDurable, Outage, RateLimited, Unprocessable
from bot.job import Route, RouteDecision
from tests.support.engine_stage import A, done, reviews, rows, started, until
from tests.support.run_records import run_records

pytest_plugins = ["tests.support.engine_stage", "tests.support.postgres"]


def test_a_long_wait_gives_the_worker_to_another_job_and_repeats_nothing(run, world, job):
    """One worker, two jobs: the first has to wait, and the second runs in the meantime."""
    did = []

    async def review(this, step):
        async def paid():
            did.append("paid")
            return 42

        async def refused():
            did.append("asked for what is refused")
            raise Unprocessable("line 3 is not in the diff")

        async def limited():
            did.append("tried")
            if did.count("tried") == 1:
                raise RateLimited("slow down", after=0.5)
            return "through"

        if this.id.endswith("other"):
            did.append("other")
            return "posted"
        assert await step("pay", paid, int) == 42
        with pytest.raises(Unprocessable, match="line 3 is not in the diff"):
            await step("refused", refused, str)
        return await step("limited", limited, str)

    async def story(engine):
        world.review = review
        await engine.submit(job("limited"))
        await until(lambda: "tried" in did)
        await engine.submit(job("other", other=1))
        await done(engine)
        return await reviews(engine, job("limited"))

    second, first = run(story, Pace(workers=1, debounce=0.0, poll=0.02, patience=0.4, retry=0.01))

    assert did == ["paid", "asked for what is refused", "tried", "other", "tried"]
    assert (first.status, second.status) == ("waiting", "done")
    assert second.word == "through"


def doomed(url, run):
    """Workers have died with this run again and again, the last one a while ago; it is still theirs."""
    for number in range(GIVEN_UP):
        rows(url, "INSERT INTO assistant_crashes VALUES (?, ?, 0, ?)", run, f"gone-{number}/1", 1000.0 + number)
    rows(url, "INSERT INTO assistant_workers VALUES ('gone', 1, 9, 'superseded', 1000.0)")
    rows(url, "UPDATE workflow_status SET status='PENDING', executor_id='gone/1' WHERE workflow_uuid=?", run)


def test_a_job_that_kills_its_worker_is_given_up_in_sight(run, world, url, job, monkeypatch):
    """Eight workers have died with this job."""
    monkeypatch.setattr(workers, "_EVERY", 0.05)

    async def story(engine):
        await until(lambda: world.told)
        await done(engine)

    run(lambda engine: engine.submit(job("poison")), work=False)
    doomed(url, job("poison").id)
    run(story)

    assert world.told == [("failed", job("poison").id, "its worker crashed again and again")]


def test_a_report_that_kills_its_worker_is_never_given_up(run, world, url, job):
    """Eight workers have died while they reported a failure; the ninth reports it."""
    order = Order("fail", "fail/review/1", job("broken"), reason="an internal error")

    async def submit(engine):
        await asyncio.to_thread(engine._open.runs.add, order)

    async def story(engine):
        await until(lambda: world.told)
        await done(engine)

    run(submit, work=False)
    doomed(url, order.id)
    run(story)

    assert world.told == [("failed", job("broken").id, "an internal error")]


def test_an_automatic_event_that_is_given_up_leaves_a_reviewed_head_alone(run, world, url, job, monkeypatch):
    """The head was reviewed for an earlier event; the workers died while they routed this one."""
    monkeypatch.setattr(workers, "_EVERY", 0.05)

    async def first(engine):
        await engine.submit(job("first"))
        await done(engine)

    async def story(_engine):
        await until(lambda: any(row[0] == job("poison").id for row in rows(url, ended)))

    run(first)
    run(lambda engine: engine.submit(replace(job("poison"), head_sha=A)), work=False)
    ended = "SELECT workflow_uuid FROM workflow_status WHERE status='SUCCESS'"
    doomed(url, job("poison").id)
    run(story)

    assert world.told == [("reviewed", job("first").id)]


def test_a_claim_whose_answer_was_lost_is_found(run, world, url, job, monkeypatch):
    """The row says that this worker runs the job, but the worker does not."""
    monkeypatch.setattr(workers, "_EVERY", 0.05)
    monkeypatch.setattr(workers, "_LOST_AFTER", 0.1)
    forget = "UPDATE workflow_status SET status='PENDING', queue_name='ingest' WHERE workflow_uuid=?"

    async def story(engine):
        await engine.submit(job("lost"))
        await done(engine)
        rows(url, forget, job("lost").id)
        [record] = await done(engine, job("lost"))
        return record

    record = run(story)

    assert (record.status, record.attempts) == ("done", 1)
    assert world.words("reviewed") == [job("lost").id]


def test_a_forged_pickle_in_the_database_does_not_run(run, world, url, job, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "owned"), "w")

    forged = base64.b64encode(pickle.dumps({"args": (Evil(),), "kwargs": {}})).decode()

    async def story(engine):
        [record] = await done(engine, job("forged"))
        return record

    run(lambda engine: engine.submit(job("forged")), work=False)
    rows(url, "UPDATE workflow_status SET serialization='py_pickle'")
    rows(url, "UPDATE workflow_input SET inputs=?", forged)

    assert run(story).status == "failed"
    assert not (tmp_path / "owned").exists()
    assert not world.told


def test_a_queued_job_is_done_by_the_next_version(run, world, url, job):
    run(lambda engine: engine.submit(job("early")), work=False)

    assert rows(url, "SELECT application_version, status FROM workflow_status") == [("1", "ENQUEUED")]
    run(done)
    assert world.words("reviewed") == [job("early").id]


def test_a_locked_database_refuses_and_takes_the_same_job_later(run, url, job, monkeypatch):
    monkeypatch.setattr(durable, "_SUBMIT_WITHIN", 0.2)

    async def story(engine):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            with pytest.raises(NotDurable):  # on a loop that is closed when the database answers
                await asyncio.to_thread(lambda: asyncio.run(engine.submit(job("later"))))
            with pytest.raises(NotDurable):
                await engine.submit(job("later"))
            assert await engine.ready() == {"database": "does not take jobs: TimeoutError"}
            blocker.rollback()
        monkeypatch.setattr(durable, "_SUBMIT_WITHIN", 8.0)
        await engine.submit(job("later"))
        assert await engine.ready() == {}
        return await engine.queue_depth()

    assert run(story, work=False) == {"ingest": 1}


def test_an_engine_that_was_not_started_takes_nothing(url, world, job):
    engine = DurableEngine(url, world.handlers())

    with pytest.raises(NotDurable):
        asyncio.run(engine.submit(job("early")))


async def tidied(engine, *times):
    """Deletes old runs and journals, as a worker does every hour."""
    return await asyncio.to_thread(tidy, engine._open.runs, engine._database, *times)


def test_old_runs_are_forgotten_and_young_ones_are_known(run, url, job):
    async def story(engine):
        await engine.submit(job("old"))
        await done(engine)
        assert await tidied(engine, RETENTION) == 0
        assert not await engine.submit(job("old"))
        return await tidied(engine, timedelta(seconds=-5))

    assert run(story) == 2
    assert rows(url, "SELECT count(*) FROM workflow_status") == [(0,)]


NOW = timedelta(seconds=-5)


def test_a_run_that_succeeded_is_known_and_can_be_repeated_without_its_journal(run, world, url, job):
    async def story(engine):
        await engine.submit(job("old"))
        await done(engine)
        assert await tidied(engine) == 0
        kept = rows(url, "SELECT count(*) FROM operation_outputs")[0][0]
        assert await tidied(engine, RETENTION, NOW) == 0
        left = rows(url, "SELECT count(*) FROM operation_outputs")[0][0]
        before = await run_records(engine)
        assert not await engine.submit(job("old"))
        assert await asyncio.to_thread(engine._open.runs.retry, job("old").id) == f"{job('old').id}/again/1"
        await done(engine)
        return kept, left, before, await run_records(engine)

    kept, left, before, after = run(story)

    assert (kept > 0, left) == (True, 0)
    assert after[-len(before) :] == before
    assert {record.status for record in after[: -len(before)]} == {"done"}
    assert world.words("reviewed") == [job("old").id]


def test_a_run_that_waits_or_failed_keeps_the_journal_of_all_its_turns(run, world, url, job):
    """The first turn ended as a success: it was laid aside. The next one goes on from its journal."""
    asked, tries = [], []

    async def review(this, step):
        async def ask():
            asked.append(this.id)
            return "an answer that costs money"

        async def read():
            tries.append(1)
            if len(tries) == 1:
                raise Outage("GitHub 502", 3600)
            return "posted"

        await step("ask", ask, str)
        return await step("read", read, str)

    async def story(engine):
        world.review = review
        await engine.submit(job("laid aside"))
        while not rows(url, "SELECT 1 FROM workflow_status WHERE status = 'DELAYED'"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await tidied(engine, RETENTION, NOW)
        assert await asyncio.to_thread(engine._open.runs.wake) == 1
        await done(engine)
        rows(url, "UPDATE workflow_status SET status = 'ERROR' WHERE workflow_uuid LIKE 'review%~2'")
        await tidied(engine, RETENTION, NOW)

    run(story)
    assert (len(tries), asked) == (2, [job("laid aside").id])
    kept = [
        name for (name,) in rows(url, "SELECT function_name FROM operation_outputs WHERE workflow_uuid LIKE 'review%'")
    ]
    assert {"ask", "read"} <= set(kept)


def test_a_run_that_was_cancelled_while_it_waited_keeps_no_journal(run, world, url, job):
    async def review(_job, step):
        return await step("read", outage, str)

    async def outage():
        raise Outage("GitHub 502", 3600)

    async def story(engine):
        world.review = review
        await engine.submit(job("laid aside"))
        while not rows(url, "SELECT 1 FROM workflow_status WHERE status = 'DELAYED'"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await engine.cancel(job("laid aside").pull, "closed")
        await done(engine)
        await tidied(engine, RETENTION, NOW)

    run(story)
    assert world.words("abandoned") == [job("laid aside").id]
    assert rows(url, "SELECT count(*) FROM operation_outputs") == [(0,)]


@pytest.mark.long
def test_a_database_that_goes_and_comes_back_loses_nothing(postgres_server, new_postgres, world, job):
    """Postgres stops twice while thirty jobs run. Jobs that arrive during a stop are refused, not lost."""

    async def review(_job, step):
        for number in range(5):
            await step(f"step {number}", lambda: asyncio.sleep(0.1, ""), str)
        return "posted"

    async def story(engine):
        world.review = review
        for outage in range(2):
            for number in range(15):
                await engine.submit(job(f"{outage} {number}", other=100 * outage + number))
            await asyncio.to_thread(postgres_server.stop)
            with pytest.raises(NotDurable):
                await engine.submit(job("meanwhile"))
            await asyncio.to_thread(postgres_server.ensure_postgres_running)
        await asyncio.sleep(5)  # the connections of the front door find out one by one
        await done(engine)
        await tidied(engine, RETENTION, NOW)
        with engine._open.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM dbos.operation_outputs").scalar_one() == 0
        return await run_records(engine)

    with started(new_postgres(), world.handlers(), Pace(debounce=0.0, poll=0.05)) as engine:
        records = asyncio.run(asyncio.wait_for(story(engine), 240))

    assert [record.status for record in records if record.kind == "review"] == ["done"] * 30
    assert not world.words("failed")


def test_an_outage_is_outlasted_and_the_pull_request_shows_what_is_waited_for(run, world, job):
    tries, held = [], []

    async def review(_job, step):
        async def read():
            tries.append(1)
            if len(tries) < 14:
                raise Outage("GitHub 502")
            return "posted"

        return await step("read", read, str)

    async def hold(this, reason, until, _step):
        held.append((this.id, reason, until.endswith(" UTC")))

    async def story(engine):
        world.review = review
        await engine.submit(job("patient"))
        await done(engine)
        return await reviews(engine, job("patient"))

    world.hold = hold
    ends = [record.status for record in run(story, Pace(debounce=0.0, poll=0.02, patience=0.1, retry=0.001))]

    assert len(tries) == 14
    assert (ends[0], set(ends[1:])) == ("done", {"outage"})
    assert set(held) == {(job("patient").id, "GitHub 502", True)}


def test_what_an_outage_laid_aside_goes_on_when_it_is_woken(run, world, job):
    tries = []

    async def review(_job, step):
        async def read():
            tries.append(1)
            if len(tries) == 1:
                raise Outage("GitHub 502", 3600)
            return "posted"

        return await step("read", read, str)

    async def story(engine):
        world.review = review
        await engine.submit(job("laid aside"))
        while not await asyncio.to_thread(engine._open.runs.wake):  # noqa: ASYNC110 - the engine works on its own threads
            await asyncio.sleep(0.02)
        await done(engine)

    run(story)
    assert len(tries) == 2


@pytest.mark.parametrize(("unread", "expected"), [(True, [True, True, False]), (False, [True, False, False])])
def test_a_redelivery_starts_a_job_again_that_never_read_its_pull_request(run, world, job, unread, expected):
    async def story(engine):
        world.routed = RouteDecision(Route.NOTHING, reason="no access", unread=unread)
        new = [await engine.submit(job("unread"))]
        await done(engine)
        world.routed = None
        for _ in range(2):
            new.append(await engine.submit(job("unread")))
            await done(engine)
        return new

    assert run(story) == expected
    assert world.words("reviewed") == ([f"{job('unread').id}/again/1"] if unread else [])

"""An idle engine leaves the queues of DBOS alone; an order is started at once, or by the next look."""

import asyncio
import threading
import time

import sqlalchemy as sa

from bot.engine.database import EngineDatabase, closing_engine
from bot.engine.durable import Pace
from bot.engine.queue import Order, Runs, client
from tests.support.engine_stage import done, rows, until

pytest_plugins = ["tests.support.engine_stage"]
SLEEPY = Pace(debounce=0.0, poll=30.0)
LOOKS = Pace(debounce=0.0, poll=0.1)


def test_an_order_of_this_process_starts_at_once(run, world, job):
    async def story(engine):
        began = time.monotonic()
        await engine.submit(job("routed and reviewed"))
        await until(lambda: world.words("reviewed"))
        return time.monotonic() - began

    assert run(story, SLEEPY) < SLEEPY.poll / 2


def test_runs_that_wait_for_the_end_of_another_start_after_it(run, world, job):
    """One review at a time has a place: the next one starts when it ends, not at the next look."""

    async def story(engine):
        for number in range(3):
            await engine.submit(job(f"{number}", other=number))
        await done(engine)

    began = time.monotonic()
    run(story, Pace(workers=1, debounce=0.0, poll=SLEEPY.poll))
    assert len(world.words("reviewed")) == 3
    assert time.monotonic() - began < SLEEPY.poll / 2


def test_an_idle_engine_reads_no_queue(run, job):
    readers = []

    def note(*_):
        readers.append(threading.current_thread().name)

    async def story(engine):
        await engine.submit(job("before"))
        await done(engine)
        await asyncio.sleep(0.3)
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            await asyncio.sleep(1.2)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)

    run(story, LOOKS)
    assert readers.count("queue watch") >= 5
    assert not [name for name in readers if "queue-worker" in name or "queue_thread" in name or "background" in name]


def test_an_order_of_another_process_is_found_after_an_outage_of_the_database(run, world, url, job, caplog):
    order = Order("ingest", job("theirs").id, job("theirs"))

    async def story(engine):
        rows(url, "ALTER TABLE workflow_status RENAME TO away")
        await until(lambda: "the queues could not be read" in caplog.text)
        await asyncio.sleep(3 * LOOKS.poll)
        rows(url, "ALTER TABLE away RENAME TO workflow_status")
        with closing_engine(EngineDatabase(url).engine()) as theirs:
            Runs(client(theirs, patient=False)).add(order)
        await until(lambda: world.words("reviewed"))
        await done(engine)

    run(story, LOOKS)
    assert world.words("reviewed") == [order.id]
    assert caplog.text.count("the queues could not be read") == 1

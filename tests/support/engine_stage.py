"""A stage for the durable engine: handlers that a test controls, an engine to run them, and functions that wait.

PYTEST_DONT_REWRITE: a test module imports from here before pytest reads the fixtures.
"""

import asyncio
import sqlite3
import zlib
from contextlib import closing, contextmanager
from time import monotonic

import pytest

from bot.core.code.pull_request import PullRef
from bot.engine.database import EngineDatabase, closing_engine
from bot.engine.durable import DurableEngine, Pace
from bot.engine.tables import TABLES
from bot.interfaces import Handlers
from bot.job import Job, Route, RouteDecision, Trigger
from tests.support.run_records import run_records

A, B = "a" * 40, "b" * 40
QUICK = Pace(debounce=0.0, poll=0.02)


class World:
    """Handlers that record their calls and behave as the test says."""

    def __init__(self):
        self.told = []
        self.head, self.routed = A, None
        self.review = self.answer = self.hold = None

    def handlers(self):
        ends = self._end("abandoned"), self._end("failed")
        return Handlers(self._route, self._review, self._answer, *ends, hold=self._hold)

    async def _hold(self, *arguments):
        if self.hold:
            await self.hold(*arguments)

    async def _route(self, _job, _step):
        return self.routed or RouteDecision(Route.REVIEW, self.head)

    async def _review(self, job, step):
        self.told.append(("reviewed", job.id))
        return await self.review(job, step) if self.review else "posted"

    async def _answer(self, job, _step):
        self.told.append(("answered", job.id))
        return "answered"

    def _end(self, word):
        async def end(job, reason, step):
            async def say():
                self.told.append((word, job.id, reason))

            await step("say", say, type(None))
            return word

        return end

    def words(self, word):
        return [line[1] for line in self.told if line[0] == word]


def create_tables(url):
    """Creates the engine's tables, as the migrations do."""
    database = EngineDatabase(url)
    database.prepare()
    with closing_engine(database.engine()) as engine:
        TABLES.create_all(engine)


@contextmanager
def started(url, handlers, pace=QUICK, *, work=True):
    create_tables(url)
    engine = DurableEngine(url, handlers, pace)
    engine.start(work=work)
    try:
        yield engine
    finally:
        engine.stop(0)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def run(url, world):
    """Runs a story on a new engine with a new database."""

    def run(story, pace=QUICK, *, work=True):
        with started(url, world.handlers(), pace, work=work) as engine:
            return asyncio.run(asyncio.wait_for(story(engine), 30))

    return run


@pytest.fixture
def job(request):
    """Makes jobs for a pull request that only this test uses."""
    number = zlib.crc32(request.node.name.encode())

    def create(name, trigger=Trigger.OPENED, other=0):
        return Job(f"delivery/{number}/{name}", PullRef("octo/repo", number + other, 1), trigger)

    return create


async def until(condition):
    """Waits for a condition; the engine works on its own threads."""
    end = monotonic() + 20
    while not condition():
        assert monotonic() < end, "the condition did not become true within 20 seconds"
        await asyncio.sleep(0.01)


async def done(engine, *jobs):
    """Waits until all runs have ended. Returns the records of these jobs."""
    while await engine.queue_depth():  # noqa: ASYNC110 - the engine works on its own threads
        await asyncio.sleep(0.01)
    return [record for job in jobs for record in await run_records(engine, job.id)]


async def ingested(engine, job):
    """Waits until a job's ingest has ended."""
    while not (await run_records(engine, job.id))[0].ended:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)


async def reviews(engine, job):
    """Returns the records of the reviews of a job's pull request, newest first."""
    prefix = f"review/1/{job.pull.number}/"
    return [record for record in await run_records(engine) if record.id.startswith(prefix)]


def rows(url, query, *arguments):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as connection, connection:
        return connection.execute(query, arguments).fetchall()

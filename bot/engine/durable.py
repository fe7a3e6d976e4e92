"""Runs jobs so that no crash, restart or update loses one or does one twice: DBOS on SQLite or Postgres.

delivery -> ingest -> review | answer. Each is a workflow; each step of a handler is journaled before the next begins.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import sqlalchemy as sa
from dbos import DBOS, error
from sqlalchemy.exc import SQLAlchemyError

from bot.core.code.pull_request import PullRef
from bot.engine.database import EngineDatabase, JsonSerializer, forbid_pickle
from bot.engine.intake import Intake
from bot.engine.journal import FIRST
from bot.engine.queue import NAME, VERSION, Order, RunRecord, Runs, client
from bot.engine.workers import RETENTION, FileLiveness, Liveness, PostgresLiveness, Reaper, tidy
from bot.engine.workflows import Workflows
from bot.errors import NotDurable
from bot.interfaces import Handlers
from bot.job import Job

_SUBMIT_WITHIN = 8.0  # GitHub hangs up after ten


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once, and how soon. Times are seconds."""

    workers: int = 8  # reviews at once in this process
    per_repository: int = 4  # reviews at once of one repository, in all processes
    debounce: float = 15.0  # from a push to the start of its review
    poll: float = 0.2  # between two looks at a queue
    patience: float = 60.0  # a step that must wait for longer gives its worker back
    retry: float = FIRST  # from a step that failed to its next attempt; then twice as long each time


@dataclass(frozen=True, slots=True)
class _Parts:
    """What exists between start and stop."""

    engine: sa.Engine
    runs: Runs
    intake: Intake
    worker: _Worker | None


@dataclass(frozen=True, slots=True)
class _Worker:
    life: Liveness
    reaper: Reaper


class DurableEngine:
    """An Engine on the database at `url`: sqlite:///path or postgresql://…

    One per process: DBOS knows only one. `start` and `stop` block and belong outside any event loop or in a thread;
    all else may be awaited on any loop.
    """

    def __init__(self, url: str, handlers: Handlers, pace: Pace = Pace()) -> None:
        self._database, self._handlers, self._pace = EngineDatabase(url), handlers, pace
        self._parts: _Parts | None = None

    def start(self, *, work: bool = True) -> None:
        """Open the way in; with `work`, run jobs too. Call it before the web server starts."""
        forbid_pickle()
        self._database.prepare()
        engine = self._database.engine()
        runs = Runs(client(engine, patient=False))
        worker = self._start_worker(engine) if work else None
        intake = Intake(runs, engine)
        intake.start()
        self._parts = _Parts(engine, runs, intake, worker)

    def stop(self, drain: float = 20.0) -> None:
        """Take nothing more on, give running steps `drain` seconds to end; what is left goes on in another process."""
        if self._parts is None:
            return
        parts, self._parts = self._parts, None
        parts.intake.stop()
        if parts.worker is not None:
            parts.worker.reaper.stop()
            DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=round(drain))
            parts.worker.life.release()
        parts.engine.dispose()

    async def submit(self, job: Job) -> bool:
        """Take the job on; False if it is already known. On return it survives a power cut. Raises NotDurable."""
        try:
            async with asyncio.timeout(_SUBMIT_WITHIN):
                return await self._open.intake.put(Order("ingest", job.id, job))
        except TimeoutError:
            raise NotDurable(f"the database did not answer within {_SUBMIT_WITHIN:.0f} s") from None

    async def ready(self) -> dict[str, str]:
        """What keeps jobs from being stored now; empty when nothing does. Writes to the disk, as a job would."""
        try:
            await asyncio.wait_for(asyncio.to_thread(self._open.runs.probe), _SUBMIT_WITHIN)
        except (SQLAlchemyError, error.DBOSException, NotDurable, TimeoutError) as trouble:
            return {"database": f"does not take jobs: {type(trouble).__name__}"}
        return {}

    async def jobs(self, limit: int = 50) -> tuple[RunRecord, ...]:
        """The newest runs first."""
        return await asyncio.to_thread(self._open.runs.records, limit=limit)

    async def status(self, run: str) -> RunRecord | None:
        """One run, by its id."""
        return next(iter(await asyncio.to_thread(self._open.runs.records, ids=[run])), None)

    async def cancel(self, pull: PullRef, reason: str) -> tuple[str, ...]:
        """Stop the reviews of a pull request; a worker says so on it. The ids of what was stopped."""
        return await asyncio.to_thread(_cancel, self._open.runs, pull, reason)

    async def queue_depth(self) -> Mapping[str, int]:
        """How many runs have not ended, by queue."""
        return await asyncio.to_thread(self._open.runs.depth)

    async def tidy(self, older_than: timedelta = RETENTION) -> int:
        """Forget runs that ended longer ago; how many. Workers do so every hour. A forgotten delivery counts as new."""
        return await asyncio.to_thread(tidy, self._open.runs, self._database, older_than)

    @property
    def _open(self) -> _Parts:
        if self._parts is None:
            raise NotDurable("the engine is not running")
        return self._parts

    def _start_worker(self, engine: sa.Engine) -> _Worker:
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        file = self._database.file
        life: Liveness = (
            PostgresLiveness(self._database.dsn, name)
            if file is None
            else FileLiveness(file.with_name(f"{file.name}.workers"), name)
        )
        life.take()
        runs = Runs(client(engine, patient=True))
        workflows = Workflows(self._handlers, runs, self._pace.debounce, self._pace.patience, self._pace.retry)
        with ThreadPoolExecutor(1) as outside:  # DBOS would run the jobs on an event loop that it finds here
            outside.submit(self._launch, name, workflows).result()
        reaper = Reaper(workflows, runs, life, name, self._database)
        reaper.start()
        return _Worker(life, reaper)

    def _launch(self, name: str, workflows: Workflows) -> None:
        logging.getLogger("dbos").addFilter(_worth_reading)
        DBOS(
            config={
                "name": NAME,
                "application_version": VERSION,
                "executor_id": name,  # with DBOS's default, two processes take each other's work
                "serializer": JsonSerializer(),
                "enable_otlp": False,
                "console_log_level": "ERROR",
                "notification_listener_polling_interval_sec": self._pace.poll,  # it stops at its next look only
                **self._database.options(),
            }
        )
        workflows.register()
        self._register_queues(workflows.runs)
        DBOS.launch()

    def _register_queues(self, runs: Runs) -> None:
        pace = self._pace
        for queue, at_once, here in (
            ("ingest", 1, 20),
            ("reviews", pace.per_repository, pace.workers),
            ("answers", 1, pace.workers),
        ):
            runs.client.register_queue(
                queue, partition_concurrency=at_once, worker_concurrency=here, polling_interval_sec=pace.poll
            )


def _cancel(runs: Runs, pull: PullRef, reason: str) -> tuple[str, ...]:
    active = {run.id: run.job for run in runs.active(pull)}
    stopped = runs.cancel(tuple(active))
    for id_ in stopped:
        runs.add(Order("abandon", f"abandon/{id_}", active[id_], reason=reason))
    return stopped


def _worth_reading(record: logging.LogRecord) -> bool:
    """A cancelled run is no error, though DBOS logs it as one."""
    return not (record.exc_info and isinstance(record.exc_info[1], error.DBOSAwaitedWorkflowCancelledError))

"""Runs jobs durably with DBOS on SQLite or Postgres: no crash, restart or update loses a job or runs it twice.

delivery -> ingest -> review | answer. Each of them is a workflow; the result of each step is journaled before the next
step begins.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import sqlalchemy as sa
import structlog
from dbos import DBOS, error
from sqlalchemy.exc import SQLAlchemyError

from bot.core.code.pull_request import PullRef
from bot.engine.database import EngineDatabase, JsonSerializer, forbid_pickle, retry_failed_connects
from bot.engine.intake import Intake
from bot.engine.journal import FIRST, LASTING
from bot.engine.leases import Leases, Rounds, WorkerLease
from bot.engine.queue import NAME, VERSION, JobRecord, Order, Runs, client, queue_readings
from bot.engine.steps import RetrySchedule
from bot.engine.watch import QueueWatch
from bot.engine.workers import Heartbeat, ProcessLocks, Reaper, hold_jobs_as
from bot.engine.workflows import Workflows
from bot.errors import DatabaseGone, NotDurable
from bot.interfaces import Handlers, HeadState
from bot.job import Job
from bot.telemetry.metrics import QueueReading

log = structlog.get_logger()

_GONE = (
    "Stop the server, put a backup back with `assistant restore FILE`, and start it. Without a backup start it all the same: "
    "posted reviews are recognised by their markers, and lost deliveries are fetched from GitHub."
)
_APART = 0.1  # seconds between two reads of a queue that has something: orders that come together are claimed together
_SUBMIT_WITHIN = 8.0  # seconds; GitHub closes the connection after ten


@dataclass(frozen=True, slots=True)
class Pace:
    """How many runs at once, and how soon. Times are in seconds."""

    workers: int = 8  # reviews at once in this process
    per_repository: int = 4  # reviews at once of one repository, in all processes
    debounce: float = 15.0  # from a push to the start of its review
    poll: float = 1.0  # between two looks for orders of other processes, and for those whose delay is over
    patience: float = 60.0  # a step that has to wait longer frees its worker
    retry: float = FIRST  # between the first two attempts of a step; doubles each time
    reconcile: float = 0.0  # between two looks for lost work; 0: never
    lasting: int = LASTING  # attempts of a step in an outage of GitHub or of the database
    beat: float = 5.0  # between two renewals of a worker's lease
    silence: float = 30.0  # without a renewal, after which another worker takes the jobs


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a started engine."""

    engine: sa.Engine
    runs: Runs
    intake: Intake
    worker: _Worker | None
    rounds: Rounds | None


@dataclass(frozen=True, slots=True)
class _Worker:
    locks: ProcessLocks
    heartbeat: Heartbeat
    reaper: Reaper
    watch: QueueWatch


class DurableEngine:
    """An Engine on the database at `url`: sqlite:///path or postgresql://…

    One per process, because DBOS is a singleton. `start` and `stop` block: call them outside of event loops or in a
    thread. All other methods may be awaited on any loop.
    """

    def __init__(self, url: str, handlers: Handlers, pace: Pace = Pace(), lease: WorkerLease | None = None) -> None:
        self._database, self._handlers, self._pace = EngineDatabase(url), handlers, pace
        self._lease = lease or WorkerLease(url)
        self._parts: _Parts | None = None
        self._identity: tuple[int, int] | None = None
        self._is_gone = False

    def look_for_file(self) -> None:
        """Logs an error if the database of an earlier start is missing. Call it before anything opens the database."""
        file = self._database.file
        if file is not None and not file.exists() and ProcessLocks.folder_of(file).is_dir():
            log.error("the database of the last start is missing: a new one is made", file=str(file), cure=_GONE)

    def start(self, *, work: bool = True) -> None:
        """Starts to accept jobs and, with `work`, to run them. Call it before the web server starts."""
        forbid_pickle()
        retry_failed_connects()
        self._database.prepare()
        self._identity = self._database.identity()
        engine = self._database.engine()
        watch = QueueWatch(engine, self._pace.poll)
        runs = Runs(client(engine, patient=False), watch.notify)
        worker = self._start_worker(engine, runs, watch) if work else None
        intake = Intake(runs, engine)
        intake.start()
        rounds = self._rounds(engine) if worker else None
        self._parts = _Parts(engine, runs, intake, worker, rounds)
        if rounds is not None:
            rounds.start()

    def stop(self, drain: float = 20.0) -> None:
        """Accepts no more jobs and gives running steps `drain` seconds. Another process continues what is left."""
        if self._parts is None:
            return
        if self._parts.rounds is not None:
            self._parts.rounds.stop()
        parts, self._parts, self._identity = self._parts, None, None
        parts.intake.stop()
        if parts.worker is not None:
            parts.worker.watch.stop()
            parts.worker.reaper.stop()
            DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=round(drain))
            parts.worker.heartbeat.stop()
            self._lease.release()
            parts.worker.locks.release()
        parts.engine.dispose()

    async def submit(self, job: Job) -> bool:
        """Stores the job; False if it is already known. On return it survives a power cut. Raises NotDurable."""
        self._require_file()
        try:
            async with asyncio.timeout(_SUBMIT_WITHIN):
                job = replace(job, received=job.received or time.time())
                return await self._open.intake.put(Order("ingest", job.id, job))
        except TimeoutError:
            raise NotDurable(f"the database did not answer within {_SUBMIT_WITHIN:.0f} s") from None

    async def ready(self) -> dict[str, str]:
        """Returns why jobs cannot be stored now; empty if they can. Writes to the disk, as a job does."""
        try:
            self._require_file()
            await asyncio.wait_for(asyncio.to_thread(self._open.runs.probe), _SUBMIT_WITHIN)
        except DatabaseGone as gone:
            return {"database": str(gone)}
        except (SQLAlchemyError, error.DBOSException, NotDurable, TimeoutError) as failure:
            return {"database": f"does not take jobs: {type(failure).__name__}"}
        return {}

    async def cancel(self, pull: PullRef, reason: str) -> tuple[str, ...]:
        """Stops the reviews of a pull request and returns their ids. A worker reports it on the pull request."""
        return await asyncio.to_thread(_cancel, self._open.runs, pull, reason)

    def records(self, limit: int = 100, id_: str = "") -> tuple[JobRecord, ...]:
        """Returns the newest runs, or the one with this id."""
        return self._open.runs.records(limit, id_)

    def retry(self, id_: str) -> str:
        """Starts the job of a run that has ended once more; returns the new job's id, empty if the run is under way."""
        return self._open.runs.retry(id_)

    def cancel_run(self, id_: str) -> bool:
        """Stops a run at its next step; returns whether it was under way. A worker reports it on the pull request."""
        runs = self._open.runs
        if not runs.cancel((id_,)):
            return False
        job = runs.job(id_)
        return runs.add(Order("abandon", f"abandon/{id_}", job, reason="an operator cancelled it"))

    async def head(self, pull: PullRef, head: str) -> HeadState:
        """Returns what is known of a head of a pull request."""
        return await asyncio.to_thread(self._open.runs.head, pull, head)

    async def wake(self) -> int:
        """Lets the runs that an outage laid aside go on now; returns how many."""
        return await asyncio.to_thread(self._open.runs.wake)

    async def queue_depth(self) -> Mapping[str, int]:
        """Returns the number of runs that have not ended, by queue."""
        return await asyncio.to_thread(self._open.runs.depth)

    def readings(self) -> tuple[QueueReading, ...]:
        """Returns the runs that have not ended, by queue and state. Raises NotDurable without a database."""
        self._require_file()
        try:
            return queue_readings(self._open.engine, time.time())
        except SQLAlchemyError as failure:
            raise NotDurable(f"the database does not answer: {type(failure).__name__}") from failure

    def _require_file(self) -> None:
        """Raises DatabaseGone if the database is not the one of the start any more. Logs it once."""
        if self._identity is None or self._database.identity() == self._identity:
            return
        file = self._database.file
        if not self._is_gone:
            self._is_gone = True
            log.error("the database is gone", file=str(file), cure=_GONE)
        raise DatabaseGone(f"{file} was deleted or replaced while the server runs. {_GONE}")

    def _watch_file(self) -> None:
        with suppress(DatabaseGone):  # logged
            self._require_file()

    @property
    def _open(self) -> _Parts:
        if self._parts is None:
            raise NotDurable("the engine is not running")
        return self._parts

    @property
    def takeovers(self) -> Mapping[str, int]:
        """Returns how many `workers` this process found gone, and how many `runs` it took over from them."""
        worker = self._parts.worker if self._parts else None
        return dict(worker.reaper.counts) if worker else {}

    def _rounds(self, engine: sa.Engine) -> Rounds | None:
        """The search for lost work, which one of all workers does."""
        reconcile = self._handlers.reconcile
        if reconcile is None or not self._pace.reconcile:
            return None
        return Rounds(
            Leases(engine, self._lease.name),
            "reconcile",
            self._pace.reconcile,
            lambda state: reconcile(self, state),
            lambda: self._lease.epoch,
        )

    def _start_worker(self, engine: sa.Engine, runs: Runs, watch: QueueWatch) -> _Worker:
        """Starts the work. `runs` raises if the database is out of reach; the workflows wait for it."""
        lease, pace = self._lease, self._pace
        locks = ProcessLocks(self._database.file)
        locks.take(lease.name)
        lease.take(hold_jobs_as)
        schedule = RetrySchedule(pace.patience, pace.retry, pace.lasting)
        patient = Runs(client(engine, patient=True), watch.notify)
        workflows = Workflows(self._handlers, patient, pace.debounce, schedule, lease)
        heartbeat = Heartbeat(lease, workflows, pace.beat)
        heartbeat.start()
        with ThreadPoolExecutor(1) as thread:  # on an event loop's thread, DBOS would run the jobs on that loop
            watch.start(thread.submit(self._launch, workflows).result())
        reaper = Reaper(workflows, runs, lease, locks, self._database, pace.silence)
        reaper.watch = self._watch_file
        reaper.start()
        return _Worker(locks, heartbeat, reaper, watch)

    def _launch(self, workflows: Workflows) -> DBOS:
        logging.getLogger("dbos").addFilter(_is_useful)
        dbos = DBOS(
            config={
                "name": NAME,
                "application_version": VERSION,
                "executor_id": self._lease.holder,  # with DBOS's default, two processes take each other's work
                "serializer": JsonSerializer(),
                "enable_otlp": False,
                "console_log_level": "ERROR",
                # it stops only at its next poll
                "notification_listener_polling_interval_sec": min(1.0, self._pace.poll),
                "scheduler_polling_interval_sec": 3600.0,  # there are no schedules
                **self._database.options(),
            }
        )
        workflows.register()
        self._register_queues(workflows.runs)
        DBOS.launch()
        return dbos

    def _register_queues(self, runs: Runs) -> None:
        pace = self._pace
        for queue, at_once, here in (
            ("ingest", 1, 20),
            ("reviews", pace.per_repository, pace.workers),
            ("answers", 1, pace.workers),
        ):
            runs.client.register_queue(
                queue,
                partition_concurrency=at_once,
                worker_concurrency=here,
                polling_interval_sec=min(_APART, pace.poll),
            )


def _cancel(runs: Runs, pull: PullRef, reason: str) -> tuple[str, ...]:
    active = {run.id: run.job for run in runs.active(pull)}
    stopped = runs.cancel(tuple(active))
    for id_ in stopped:
        runs.add(Order("abandon", f"abandon/{id_}", active[id_], reason=reason))
    return stopped


def _is_useful(record: logging.LogRecord) -> bool:
    """Filters out cancelled runs, which DBOS logs as errors."""
    return not (record.exc_info and isinstance(record.exc_info[1], error.DBOSAwaitedWorkflowCancelledError))

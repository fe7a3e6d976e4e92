"""Watches workers and runs. Each worker holds a lock that ends with its process or with its connection to the database.

A lock on a file ends with its process only. A lock on Postgres also ends when the database restarts, so a worker counts as
dead there only after its lock was free for a while, during which the database answered.

The reaper takes over the runs of dead workers, finds runs whose claim was lost, reports runs that were given up, and
deletes old rows.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Protocol

import psycopg
import structlog
from dbos import DBOS, error
from sqlalchemy.exc import SQLAlchemyError

from bot.engine.database import EngineDatabase
from bot.engine.queue import Order, Runs
from bot.engine.workflows import Workflows

log = structlog.get_logger()

RETENTION = timedelta(days=40)  # GitHub may deliver again within days, and the id must still be known then
_EVERY = 2.0
_LOST_AFTER = 15.0
_TIDY_EVERY = 3600.0


class Reaper:
    """A thread that looks for such runs every two seconds."""

    def __init__(self, workflows: Workflows, runs: Runs, life: Liveness, worker: str, database: EngineDatabase) -> None:
        self._workflows, self._runs, self._life, self._worker = workflows, runs, life, worker
        self._database = database
        self._unclaimed_since: dict[str, float] = {}
        self._free_since: dict[str, float] = {}
        self._announced: set[str] = set()
        self._tidied = monotonic()
        self._stop = Event()
        self._thread = Thread(target=self._work, name="reaper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
            except (SQLAlchemyError, error.DBOSException, psycopg.Error, OSError) as failure:
                self._free_since.clear()  # locks that ended with the database say nothing about their workers
                log.warning("the reaper could not look", reason=str(failure))  # the next look is two seconds away
            self._stop.wait(_EVERY)

    def _look(self) -> None:
        self._life.take()
        running = self._runs.running()
        mine = running.pop(self._worker, [])
        for worker in running:
            self._take_over(worker)
        self._find_lost(mine)
        self._announce_broken()
        if monotonic() - self._tidied > _TIDY_EVERY:
            self._tidied = monotonic()
            tidy(self._runs, self._database, RETENTION)

    def _take_over(self, worker: str) -> None:
        now = monotonic()
        with self._life.dead(worker) as dead:
            if not dead:
                self._free_since.pop(worker, None)
            elif now - self._free_since.setdefault(worker, now) >= self._life.grace:
                del self._free_since[worker]
                taken = DBOS._recover_pending_workflows([worker])  # noqa: SLF001 - the public methods reset the count of crashes
                log.warning("took over from a dead worker", worker=worker, runs=len(taken))

    def _find_lost(self, mine: list[str]) -> None:
        """Requeues runs that this worker claimed without learning of it, because the database's reply was lost."""
        now = monotonic()
        lost = [id_ for id_ in mine if id_ not in self._workflows.here]
        self._unclaimed_since = {id_: self._unclaimed_since.get(id_, now) for id_ in lost}
        for id_ in [id_ for id_, since in self._unclaimed_since.items() if now - since > _LOST_AFTER]:
            log.warning("found a lost run", run=id_)
            self._runs.requeue(id_)
            del self._unclaimed_since[id_]

    def _announce_broken(self) -> None:
        for run, reason in self._runs.broken(datetime.now(UTC) - timedelta(days=1)):
            if run.id not in self._announced:
                self._announced.add(run.id)
                self._runs.add(Order("fail", f"fail/{run.id}", run.job, reason=reason))


def tidy(runs: Runs, database: EngineDatabase, older_than: timedelta) -> int:
    """Deletes the runs that ended more than `older_than` ago and frees their space. Returns how many."""
    before, deleted = datetime.now(UTC) - older_than, 0
    while batch := runs.delete(before):
        deleted += batch
    database.forget_bodies()
    if deleted:
        database.shrink()
    return deleted


class Liveness(Protocol):
    """The lock of this worker, and tests of other workers' locks.

    A worker whose lock is free may still live for `grace` seconds: it takes a lost lock again within that time.
    """

    grace: float

    def take(self) -> None:
        """Takes this worker's lock, again if its connection was lost."""

    @contextmanager
    def dead(self, worker: str) -> Iterator[bool]:
        """Whether the worker's process has ended. During the block no other process gets the same answer."""

    def release(self) -> None:
        """Releases this worker's lock."""


class FileLiveness:
    """A `flock` on a file named after the worker, beside the SQLite file. The kernel frees it when the process ends."""

    grace = 0.0

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder, self._worker = folder, worker
        self._held: int | None = None

    def take(self) -> None:
        if self._held is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._held = os.open(self._folder / self._worker, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX)

    @contextmanager
    def dead(self, worker: str) -> Iterator[bool]:
        try:
            file = os.open(self._folder / worker, os.O_RDWR)
        except FileNotFoundError:
            yield True  # the worker was stopped normally; its name is never used again
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
            (self._folder / worker).unlink(missing_ok=True)
        finally:
            os.close(file)

    def release(self) -> None:
        if self._held is not None:
            (self._folder / self._worker).unlink(missing_ok=True)
            os.close(self._held)
            self._held = None


class PostgresLiveness:
    """An advisory lock on a connection of its own (direct, not through a transaction pooler).

    The server frees it when the connection ends; keepalives bound the time until it notices a lost machine.
    """

    grace = 15.0  # a worker looks every two seconds, and waits at most five to connect

    def __init__(self, dsn: str, worker: str) -> None:
        self._dsn, self._worker = dsn, worker
        self._connection: psycopg.Connection | None = None

    def take(self) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                keepalives_idle=10,
                options="-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
            )
            # Waits if a reaper is testing this lock. Fencing prevents that the runs it took over run twice.
            self._connection.execute("SELECT pg_advisory_lock(%s)", (_key(self._worker),))

    @contextmanager
    def dead(self, worker: str) -> Iterator[bool]:
        free = bool(self._ask("SELECT pg_try_advisory_lock(%s)", worker))
        try:
            yield free
        finally:
            if free:
                self._ask("SELECT pg_advisory_unlock(%s)", worker)

    def release(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):  # a closed connection holds no lock
                self._connection.execute("SELECT pg_advisory_unlock_all()")
            self._connection.close()
            self._connection = None

    def _ask(self, question: str, worker: str) -> object:
        if self._connection is None:
            raise psycopg.OperationalError("the liveness lock was not taken")
        row = self._connection.execute(question, (_key(worker),)).fetchone()
        return row and row[0]


def _key(worker: str) -> int:
    """Returns a worker's name as the 64-bit number of a Postgres lock."""
    return int.from_bytes(sha256(worker.encode()).digest()[:8], "big", signed=True)

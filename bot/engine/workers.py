"""Watches workers and runs. Each worker renews its lease; one that stays silent is superseded, and its runs go on elsewhere.

A worker is silent if its lease was not renewed for a while, during which the database answered: an outage of the database
is no death. On one machine a lock on a file tells at once that a process has ended.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import structlog
from dbos import DBOS, error
from dbos._utils import GlobalParams
from sqlalchemy.exc import SQLAlchemyError

from bot.engine.database import EngineDatabase, closing_engine
from bot.engine.leases import CrashRecords, WorkerLease, WorkerRow
from bot.engine.queue import Order, Runs, drop_journals
from bot.engine.workflows import Workflows

log = structlog.get_logger()

RETENTION = timedelta(days=40)  # GitHub may deliver again within days, and the id must still be known then
JOURNALS = timedelta(days=1)  # nothing goes on from the journal of a run that is over
_EVERY = 2.0
_LOST_AFTER = 15.0
_TIDY_EVERY = 3600.0
_TIDY_FIRST = 600.0
"""Seconds to the first time: a server that is restarted every hour tidies too."""
_STEPPING_DOWN = 0.2
_UNANSWERED = 2
"""Beats for which the event loop of the runs may owe an answer; then the worker hangs, and its lease is not renewed."""


def hold_jobs_as(holder: str) -> None:
    """Lets DBOS claim jobs under this name from now on. It has no public way after its launch."""
    GlobalParams.executor_id = holder


class Heartbeat:
    """A thread that renews the lease every `every` seconds, as long as the event loop of the runs answers.

    If the lease was lost, it stops the runs of this process, which others do now, and takes a new lease after them.
    """

    def __init__(self, lease: WorkerLease, workflows: Workflows, every: float) -> None:
        self._lease, self._workflows, self._every = lease, workflows, every
        self._owed = 0
        self._superseded = self._failing = False
        self._stop = Event()
        self._thread = Thread(target=self._work, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(_STEPPING_DOWN if self._superseded else self._every):
            try:
                self._beat()
                self._failing = False
            except SQLAlchemyError as failure:  # the next beat is near
                if not self._failing:
                    log.warning("the lease could not be renewed", reason=type(failure).__name__)
                self._failing = True

    def _beat(self) -> None:
        if self._hangs():
            return
        if self._lease.held and self._lease.renew():
            return
        runs = self._workflows.interrupt()
        if not self._superseded:
            self._superseded = True
            log.error("this worker was superseded: another one has its jobs", worker=self._lease.holder, runs=runs)
        if not runs:  # otherwise they end at their next await
            self._lease.take(hold_jobs_as)
            self._superseded = False
            log.warning("this worker starts anew", worker=self._lease.holder)

    def _hangs(self) -> bool:
        """Asks the event loop for an answer; returns whether it owes too many."""
        if self._owed == _UNANSWERED:
            log.error("the event loop does not answer: the lease is not renewed", worker=self._lease.holder)
        self._owed = self._owed + 1 if self._workflows.call_soon(self._answered) else 0
        return self._owed > _UNANSWERED

    def _answered(self) -> None:
        self._owed = 0


@dataclass
class Silence:
    """How long each worker was silent, in seconds of this process, while the database answered."""

    limit: float
    _looked: float | None = None
    _silent: dict[str, tuple[int, float]] = field(default_factory=dict)

    def beyond(self, beats: Mapping[str, int], now: float) -> set[str]:
        """Returns those that were silent for the limit. A pause of this process counts as one look between two others."""
        passed = 0.0 if self._looked is None else min(now - self._looked, 2 * _EVERY)
        self._looked = now
        before = self._silent
        self._silent = {
            name: (beat, before[name][1] + passed if name in before and before[name][0] == beat else 0.0)
            for name, beat in beats.items()
        }
        return {name for name, (_, silent) in self._silent.items() if silent >= self.limit}

    def forget(self) -> None:
        """Begins anew: the database did not answer, so no worker could renew its lease."""
        self._looked = None
        self._silent = {}


class Reaper:
    """A thread that looks every two seconds: for silent workers, for lost runs, and for runs that ended without a report.

    `counts` are the workers that were superseded and the runs taken over from them, for metrics. `watch` is called at each look.
    """

    def __init__(
        self,
        workflows: Workflows,
        runs: Runs,
        lease: WorkerLease,
        locks: ProcessLocks,
        database: EngineDatabase,
        silence: float,
    ) -> None:
        self.watch: Callable[[], None] = lambda: None
        self._workflows, self._runs, self._lease, self._locks = workflows, runs, lease, locks
        self._database = database
        self._silence = Silence(silence)
        self._crashes = CrashRecords(lease.engine)
        self._unclaimed_since: dict[str, float] = {}
        self._announced: set[str] = set()
        self._tidied = monotonic() - _TIDY_EVERY + _TIDY_FIRST
        self.counts: Counter[str] = Counter()
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
            except (SQLAlchemyError, error.DBOSException, OSError) as failure:
                self._silence.forget()
                log.warning("the reaper could not look", reason=str(failure))  # the next look is two seconds away
            self._stop.wait(_EVERY)

    def _look(self) -> None:
        self.watch()
        running = self._runs.running()
        workers = self._lease.workers()
        mine = running.pop(self._lease.holder, [])
        for holder in self._ended(running, workers):
            self._take_over(holder, running.get(holder, []), workers.get(holder))
        if self._lease.held:
            self._find_lost(mine)
        self._announce_broken()
        if monotonic() - self._tidied > _TIDY_EVERY:
            self._tidied = monotonic()
            self._lease.forget()
            tidy(self._runs, self._database)

    def _ended(self, running: Mapping[str, list[str]], workers: Mapping[str, WorkerRow]) -> list[str]:
        """Returns the holders whose lease has ended or has to end now.

        A holder that has runs but no row is of an older version: it counts by its lock and its silence alone.
        """
        live = {holder: row.beat for holder, row in workers.items() if row.is_live and row.name != self._lease.name}
        unknown = {holder: -1 for holder in running if holder not in workers and not _is_epoch_of(holder, workers)}
        watched = live | unknown
        silent = self._silence.beyond(watched, monotonic())
        dead = [holder for holder in watched if holder in silent or self._locks.is_free(_name(holder))]
        return [*dead, *(holder for holder in running if holder not in watched)]

    def _take_over(self, holder: str, runs: list[str], worker: WorkerRow | None) -> None:
        """Ends the lease of a dead worker, and requeues its runs. Only the end of a process is charged to runs."""
        if worker is not None and worker.is_live:
            if not self._lease.supersede(worker):
                return  # it lives, or another process was faster
            self._crashes.charge(holder, {_first(run): self._runs.progress(run) for run in runs})
            self.counts["workers"] += 1
            log.warning("a worker is gone", worker=holder, runs=len(runs))
        self._locks.remove(_name(holder))
        if runs:
            taken = DBOS._recover_pending_workflows([holder])  # noqa: SLF001 - the public methods know no dead workers
            self.counts["runs"] += len(taken)
            log.warning("took over from a dead worker", worker=holder, runs=len(taken))

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
        """Reports runs that ended without a report, and goes on with those whose end the database did not store."""
        since = datetime.now(UTC) - timedelta(days=1)
        for order in self._runs.unstored(since):
            if order.id not in self._announced:
                self._announced.add(order.id)
                self._runs.add(order)
        for run, reason in self._runs.broken(since):
            if run.id not in self._announced:
                self._announced.add(run.id)
                self._runs.add(Order("fail", f"fail/{run.id}", run.job, reason=reason))


def _name(holder: str) -> str:
    """Returns the worker's name without the epoch."""
    return holder.partition("/")[0]


def _is_epoch_of(holder: str, workers: Mapping[str, WorkerRow]) -> bool:
    """Whether a worker with a row held jobs under this name in an earlier epoch."""
    return any(row.name == _name(holder) for row in workers.values())


def _first(run: str) -> str:
    """Returns the first turn of a run: all its turns are one work."""
    return run.partition("~")[0]


def tidy(runs: Runs, database: EngineDatabase, older: timedelta = RETENTION, journals: timedelta = JOURNALS) -> int:
    """Deletes the runs that ended longer ago than `older`, and the steps of those that were over longer ago than `journals`.

    Frees their space, and returns the number of deleted runs.
    """
    now, deleted = datetime.now(UTC), 0
    while batch := runs.delete(now - older):
        deleted += batch
    database.forget_bodies()
    with closing_engine(database.engine()) as engine:
        emptied = drop_journals(engine, now - journals)
    if deleted or emptied:
        database.shrink()
    return deleted


class ProcessLocks:
    """Locks on files named after workers, which the kernel frees when a process ends: proof for others on this machine.

    They lie beside the SQLite file, where every worker has one. For Postgres they lie in the user's own temporary folder;
    workers on other machines do not see them, and wait for the silence of the lease instead.
    """

    def __init__(self, file: Path | None) -> None:
        own = Path(tempfile.gettempdir()) / f"review-assistant-{os.getuid()}"
        self._all_here = file is not None
        self._folder = own if file is None else self.folder_of(file)
        self._held: tuple[str, int] | None = None

    @staticmethod
    def folder_of(file: Path) -> Path:
        """The folder of the locks beside an SQLite file."""
        return file.with_name(f"{file.name}.workers")

    def take(self, worker: str) -> None:
        """Takes the lock of this process. For Postgres the lease alone has to do where that is not possible."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_folder()
            number = os.open(self._folder / worker, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as failure:
            if self._all_here:
                raise
            log.warning("no lock for this worker", reason=str(failure))
            return
        fcntl.flock(number, fcntl.LOCK_EX)
        self._held = worker, number

    def is_free(self, worker: str) -> bool:
        """Whether the worker's process has ended for certain."""
        try:
            self._check_folder()
            number = os.open(self._folder / worker, os.O_RDWR)
        except FileNotFoundError:  # it was stopped normally, or works on another machine
            return self._all_here
        except OSError:  # another user's folder
            return False
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(number)
        return True

    def _check_folder(self) -> None:
        """Raises PermissionError for a temporary folder that somebody else made there: a lock in it proves nothing."""
        if not self._all_here and self._folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._folder} belongs to another user")

    def remove(self, worker: str) -> None:
        """Removes the file of an ended worker."""
        if self.is_free(worker):
            with suppress(OSError):
                (self._folder / worker).unlink()

    def release(self) -> None:
        """Releases the lock of this process."""
        if self._held is not None:
            worker, number = self._held
            with suppress(OSError):
                (self._folder / worker).unlink()
            os.close(number)
            self._held = None

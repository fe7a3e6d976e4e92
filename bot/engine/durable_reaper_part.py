"""Finds runs that nobody executes: of dead workers, of claims whose answer was lost, of jobs that kill. Sweeps up, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import monotonic

import psycopg
import structlog
from dbos import DBOS, error
from sqlalchemy.exc import SQLAlchemyError

from bot.engine.database import Database
from bot.engine.queue import Order, Runs
from bot.engine.workers import Liveness
from bot.engine.workflows import Workflows

log = structlog.get_logger()

RETENTION = timedelta(days=40)  # GitHub may deliver again within days; a known id must still be known then
_EVERY = 2.0
_LOST_AFTER = 15.0
_TIDY_EVERY = 3600.0


class Reaper:
    """A thread that looks every two seconds."""

    def __init__(self, workflows: Workflows, runs: Runs, life: Liveness, worker: str, database: Database) -> None:
        self._workflows, self._runs, self._life, self._worker = workflows, runs, life, worker
        self._database = database
        self._unclaimed_since: dict[str, float] = {}
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
            except (SQLAlchemyError, error.DBOSException, psycopg.Error, OSError) as trouble:
                log.warning("the reaper could not look", reason=str(trouble))  # the next look is two seconds away
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
        with self._life.dead(worker) as dead:
            if dead:
                taken = DBOS._recover_pending_workflows([worker])  # noqa: SLF001 - nothing public keeps the count of crashes
                log.warning("took over from a dead worker", worker=worker, runs=len(taken))

    def _find_lost(self, mine: list[str]) -> None:
        """A claim can reach the database and its answer not reach us: the run is ours, and nobody executes it."""
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


def tidy(runs: Runs, database: Database, older_than: timedelta) -> int:
    """Delete the runs that ended longer ago than `older_than`, give the room back; how many."""
    before, deleted = datetime.now(UTC) - older_than, 0
    while batch := runs.delete(before):
        deleted += batch
    if deleted:
        database.shrink()
    return deleted

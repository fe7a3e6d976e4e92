"""Looks whether runs wait, so that DBOS reads its queues only if there is something in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog
from dbos import DBOS, Queue
from dbos._utils import INTERNAL_QUEUE_NAME
from sqlalchemy.exc import SQLAlchemyError

from bot.engine.queue import QUEUES, table_name

if TYPE_CHECKING:
    from dbos._sys_db import SystemDatabase

log = structlog.get_logger()


class QueueWatch:
    """A thread that asks with one query every `every` seconds which queues have runs that can start.

    By itself DBOS reads each queue once a second with several queries, in a thread for each: most of what an idle server
    did. From `start` on these threads sleep until their queue has something. An order of this process wakes them at once;
    an order of another process, or one whose delay is over, is found by the next look.
    """

    def __init__(self, engine: sa.Engine, every: float) -> None:
        table = table_name(engine, "workflow_status")
        self._query = sa.text(
            f"SELECT queue_name, 0 AS due FROM {table} WHERE status = 'ENQUEUED' "  # noqa: S608 - a name of ours
            f"UNION SELECT queue_name, 1 FROM {table} WHERE status = 'DELAYED' AND delay_until_epoch_ms <= :now"
        )
        self._engine, self._every = engine, every
        self._filled = {queue: Event() for queue in (*QUEUES.values(), INTERNAL_QUEUE_NAME)}
        self._start_delayed: Callable[[], None] = lambda: None
        self._failing = False
        self._stop = Event()
        self._thread = Thread(target=self._work, name="queue watch", daemon=True)

    def notify(self, queue: str) -> None:
        """Lets DBOS read a queue now."""
        self._filled[queue].set()

    def start(self, dbos: DBOS) -> None:
        """Puts the look before the reads of a launched DBOS, which has no public way to be told of new runs."""
        self._attach(dbos._sys_db)  # noqa: SLF001
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread. From now on this process claims no runs."""
        self._stop.set()
        for filled in self._filled.values():
            filled.set()
        self._thread.join()

    def _attach(self, database: SystemDatabase) -> None:
        read_queue, scopes = database.get_queue, database.dequeue_scopes
        self._start_delayed = database.transition_delayed_workflows
        queues = database.list_queues()

        def await_queue(name: str) -> Queue | None:
            """Is called by the thread of a queue before each of its reads."""
            if not self._stop.is_set():
                self._filled[name].wait()
            return read_queue(name)

        def scopes_with_runs(name: str) -> list[str | None]:
            if self._stop.is_set() or not self._filled[name].is_set():
                return []
            self._filled[name].clear()
            return scopes(name)

        database.get_queue = await_queue  # type: ignore[method-assign, assignment]
        database.dequeue_scopes = scopes_with_runs  # type: ignore[method-assign, assignment]
        database.list_queues = lambda **_: queues  # type: ignore[method-assign]
        database.transition_delayed_workflows = lambda: None  # type: ignore[method-assign]
        database.cancel_timed_out_workflows = lambda limit: []  # type: ignore[method-assign] # noqa: ARG005 - no run has one

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
                self._failing = False
            except SQLAlchemyError as failure:  # the next look is near
                if not self._failing:
                    log.warning("the queues could not be read", reason=type(failure).__name__)
                self._failing = True
            self._stop.wait(self._every)

    def _look(self) -> None:
        with self._engine.connect() as connection:
            found = connection.execute(self._query, {"now": time.time() * 1000}).all()
        if any(due for _, due in found):
            self._start_delayed()
        for queue, _ in found:
            if queue in self._filled:
                self.notify(queue)

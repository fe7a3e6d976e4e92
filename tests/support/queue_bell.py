"""Wakes the engine's queues when a run is stored or changes, so that tests need not read them a hundred times a second.

Each read of a queue takes 3 ms of a core. Without a bell a queue is read after FALLBACK seconds, or its own interval.
"""

import threading
import time
from contextlib import contextmanager

import sqlalchemy as sa
from dbos import _queue
from dbos._utils import INTERNAL_QUEUE_NAME

FALLBACK = 0.3
TICK = 0.05
CHANGES = ("INSERT", "UPDATE", "DELETE")
worker = _queue.queue_worker_thread
bells = set()


@contextmanager
def listening():
    """An event that is set whenever a run is stored or changes."""
    bell = threading.Event()
    bells.add(bell)
    try:
        yield bell
    finally:
        bells.discard(bell)


class Stop:
    """The event that ends a queue's thread. Its `wait` ends early when the bell rings."""

    def __init__(self, stop, bell):
        self._bell, self.is_set = bell, stop.is_set

    def wait(self, timeout):
        end = time.monotonic() + max(timeout, FALLBACK)
        while not self.is_set() and not self._bell.wait(TICK) and time.monotonic() < end:
            pass
        self._bell.clear()
        return self.is_set()


def watched_worker(stop, dbos, queue):
    if queue.name == INTERNAL_QUEUE_NAME:
        return worker(stop, dbos, queue)
    with listening() as bell:
        return worker(Stop(stop, bell), dbos, queue)


def note(connection, cursor, statement, *_):
    """A step that is journaled only touches its run's owner: that wakes nobody."""
    changes = statement.startswith(CHANGES) and "workflow_status" in statement
    if changes and cursor.rowcount and "SET owner_xid=" not in statement:
        connection.info["rings"] = True


def ring(_connection, record):
    """After the commit, when the connection goes back to its pool. A queue's own claims wake nobody."""
    if record.info.pop("rings", False) and not threading.current_thread().name.startswith("queue-worker"):
        for bell in list(bells):
            bell.set()


def install():
    """Once for this process."""
    if _queue.queue_worker_thread is worker:
        _queue.queue_worker_thread = watched_worker
        sa.event.listen(sa.Engine, "after_cursor_execute", note)
        sa.event.listen(sa.pool.Pool, "checkin", ring)

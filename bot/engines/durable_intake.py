"""The way in: jobs that arrive together share one commit, and nobody is answered before it."""

from __future__ import annotations

from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bot.engines.durable_runs import Order, Runs
from bot.errors import NotDurable

_TOGETHER = 64

_Waiting = tuple[Order, "Future[bool]"]


class Intake:
    """One thread that writes. Under load a disk flush is paid once for all who wait, not once for each."""

    def __init__(self, runs: Runs, engine: sa.Engine) -> None:
        self._runs, self._engine = runs, engine
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is waiting, then end."""
        self._queue.put(None)
        self._thread.join()

    def put(self, order: Order) -> Future[bool]:
        """Whether the order is new, once it is on disk; or NotDurable."""
        answer: Future[bool] = Future()
        self._queue.put((order, answer))
        return answer

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, more = self._gather(first)
            # Those who stopped waiting were told that nothing was stored; their deliveries will come again.
            self._write([(order, answer) for order, answer in batch if answer.set_running_or_notify_cancel()])
            if not more:
                return

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        batch = [first]
        while len(batch) < _TOGETHER:
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                break
            if waiting is None:
                return batch, False
            batch.append(waiting)
        return batch, True

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            with self._engine.begin() as transaction:
                new = [self._runs.add_in(transaction, order) for order, _ in batch]
        except SQLAlchemyError as error:
            for _, answer in batch:
                answer.set_exception(NotDurable(f"the database did not take the job: {type(error).__name__}"))
        else:
            for (_, answer), is_new in zip(batch, new, strict=True):
                answer.set_result(is_new)

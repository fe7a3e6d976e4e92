"""Stores new jobs. Jobs that arrive together share one commit; each caller is answered after it."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bot.engine.database import first_with_body
from bot.engine.queue import Order, Runs
from bot.errors import NotDurable

log = logging.getLogger(__name__)

_BATCH = 64

_Waiting = tuple[Order, Future[bool]]
_Outcome = bool | NotDurable


class Intake:
    """A thread that writes. Under load, all waiting jobs share one flush to the disk."""

    def __init__(self, runs: Runs, engine: sa.Engine) -> None:
        self._runs, self._engine = runs, engine
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Writes the waiting jobs, then ends the thread."""
        self._queue.put(None)
        self._thread.join()

    def put(self, order: Order) -> Future[bool]:
        """Returns, once the order is on disk, whether it is new; raises NotDurable. Await it on the calling loop."""
        answer: Future[bool] = get_running_loop().create_future()
        self._queue.put((order, answer))
        return answer

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, more = self._gather(first)
            # A caller that gave up has answered that nothing was stored, and GitHub delivers again.
            self._write([waiting for waiting in batch if not waiting[1].cancelled()])
            if not more:
                return

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        batch = [first]
        while len(batch) < _BATCH:
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                break
            if waiting is None:
                return batch, False
            batch.append(waiting)
        return batch, True

    def _write(self, batch: Sequence[_Waiting]) -> None:
        outcomes: Sequence[_Outcome]
        try:
            with self._engine.begin() as transaction:
                outcomes = [self._add(transaction, order) for order, _ in batch]
            for queue in {order.queue for (order, _), new in zip(batch, outcomes, strict=True) if new}:
                self._runs.notify(queue)
        except SQLAlchemyError as error:
            outcomes = [NotDurable(f"the database did not take the job: {type(error).__name__}") for _ in batch]
        _tell([answer for _, answer in batch], outcomes)

    def _add(self, transaction: sa.Connection, order: Order) -> bool:
        """Stores an order; False if its delivery is known, or if its body came before under another delivery's id."""
        first = first_with_body(transaction, order.job.digest, order.job.id) if order.job.digest else order.job.id
        if first != order.job.id:
            log.warning("%s repeats the body of %s: refused as a replay", order.job.id, first)
            return False
        return self._runs.add_in(transaction, order)


def _tell(answers: Sequence[Future[bool]], outcomes: Sequence[_Outcome]) -> None:
    """Wakes each event loop once for all its answers; one wake-up per answer would cost both threads time."""
    told: dict[AbstractEventLoop, list[tuple[Future[bool], _Outcome]]] = defaultdict(list)
    for answer, outcome in zip(answers, outcomes, strict=True):
        told[answer.get_loop()].append((answer, outcome))
    for loop, settled in told.items():
        with suppress(RuntimeError):  # the loop is closed, so that no caller waits
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: Sequence[tuple[Future[bool], _Outcome]]) -> None:
    for answer, outcome in settled:
        if answer.done():  # the caller gave up during the write
            continue
        if isinstance(outcome, NotDurable):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

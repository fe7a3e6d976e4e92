"""The way in: jobs that arrive together share one commit, and nobody is answered before it."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bot.engine.queue import Order, Runs
from bot.errors import NotDurable

_TOGETHER = 64

_Waiting = tuple[Order, Future[bool]]
_Outcome = bool | NotDurable


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
        """Whether the order is new, once it is on disk; or NotDurable. To be awaited on the loop that calls."""
        answer: Future[bool] = get_running_loop().create_future()
        self._queue.put((order, answer))
        return answer

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, more = self._gather(first)
            # Those who stopped waiting were told that nothing was stored; their deliveries will come again.
            self._write([waiting for waiting in batch if not waiting[1].cancelled()])
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

    def _write(self, batch: Sequence[_Waiting]) -> None:
        outcomes: Sequence[_Outcome]
        try:
            with self._engine.begin() as transaction:
                outcomes = [self._runs.add_in(transaction, order) for order, _ in batch]
        except SQLAlchemyError as error:
            outcomes = [NotDurable(f"the database did not take the job: {type(error).__name__}") for _ in batch]
        _tell([answer for _, answer in batch], outcomes)


def _tell(answers: Sequence[Future[bool]], outcomes: Sequence[_Outcome]) -> None:
    """Wake each loop once for all its answers: a wake-up for each would make this thread and the loop fight."""
    told: dict[AbstractEventLoop, list[tuple[Future[bool], _Outcome]]] = defaultdict(list)
    for answer, outcome in zip(answers, outcomes, strict=True):
        told[answer.get_loop()].append((answer, outcome))
    for loop, settled in told.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: Sequence[tuple[Future[bool], _Outcome]]) -> None:
    for answer, outcome in settled:
        if answer.done():  # given up while it was written
            continue
        if isinstance(outcome, NotDurable):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

"""Leases in the database: a worker's on its jobs, the crashes that its end charges to them, and work that one process does.

A worker's lease is a row that a thread renews. It does not hang on a connection, so a restart of the database ends none.
A lease that was not renewed is superseded by another worker; from then on its holder cannot write to GitHub any more.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot.engine.database import EngineDatabase, insert
from bot.engine.tables import CRASHES, LANES, LEASES, WORKERS
from bot.errors import AssistantError

log = structlog.get_logger()

_TICK = 5.0
_HELD = 30.0
_LOOK = 240.0
"""Seconds between two tries to take the lease, of the lease, and of one look at most."""

_LIVE, _STOPPED, _SUPERSEDED = "live", "stopped", "superseded"
_FORGOTTEN = 86_400.0
"""Seconds after which the row of an ended worker is deleted."""

WAITS = (0.0, 5.0, 15.0, 30.0, 60.0, 120.0, 240.0)
"""Seconds at least before a run goes on after its first, second … crash; up to twice as long, so that suspects part."""
GIVEN_UP = 8
"""Crashes in a row after which a run is given up."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as the database has it. `beat` grows with each renewal of its lease."""

    name: str
    epoch: int
    beat: int
    state: str

    @property
    def holder(self) -> str:
        """The name under which it holds its jobs."""
        return f"{self.name}/{self.epoch}"

    @property
    def is_live(self) -> bool:
        """Whether it was neither stopped nor superseded."""
        return self.state == _LIVE


class WorkerLease:
    """The lease of this process. `holder` (name and epoch) is what its jobs and its writes are marked with.

    `held` is what this process knows; `is_held` asks the database. A process that was superseded takes a new epoch.
    """

    def __init__(self, url: str) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self.engine = EngineDatabase(url).engine(lasting=False)
        self.epoch = 0
        self.held = False

    @property
    def holder(self) -> str:
        return f"{self.name}/{self.epoch}"

    def take(self, rename: Callable[[str], None]) -> None:
        """Takes the lease under a new epoch. A crash that was charged while this process only hung is forgiven.

        `rename` is called with the new holder before the lease counts as held.
        """
        row = {"epoch": self.epoch + 1, "beat": 0, "state": _LIVE, "seen": time.time()}
        with self.engine.begin() as transaction:
            transaction.execute(sa.delete(CRASHES).where(CRASHES.c.holder == self.holder))
            transaction.execute(sa.delete(WORKERS).where(WORKERS.c.name == self.name))
            transaction.execute(sa.insert(WORKERS).values(name=self.name, **row))
        self.epoch += 1
        rename(self.holder)
        self.held = True

    def renew(self) -> bool:
        """Renews the lease; returns whether it is still held."""
        renewal = sa.update(WORKERS).where(self.valid()).values(beat=WORKERS.c.beat + 1, seen=time.time())
        with self.engine.begin() as transaction:
            self.held = bool(transaction.execute(renewal).rowcount)
        return self.held

    def valid(self) -> sa.ColumnElement[bool]:
        """Returns the condition for the row of a worker: this lease is held."""
        return sa.and_(WORKERS.c.name == self.name, WORKERS.c.epoch == self.epoch, WORKERS.c.state == _LIVE)

    def is_held(self) -> bool:
        """Asks the database whether the lease is still held: one indexed read."""
        with self.engine.connect() as connection:
            self.held = connection.execute(sa.select(WORKERS.c.epoch).where(self.valid())).first() is not None
        return self.held

    def release(self) -> None:
        """Gives the lease back at the end of the process: another worker goes on with its jobs at once."""
        self.held = False
        try:
            with self.engine.begin() as transaction:
                transaction.execute(sa.update(WORKERS).where(self.valid()).values(state=_STOPPED, seen=time.time()))
        except SQLAlchemyError as failure:
            log.warning("the lease could not be given back; it runs out by itself", reason=type(failure).__name__)
        self.engine.dispose()

    def workers(self) -> dict[str, WorkerRow]:
        """Returns all workers by the name under which they hold jobs."""
        columns = (WORKERS.c.name, WORKERS.c.epoch, WORKERS.c.beat, WORKERS.c.state)
        with self.engine.connect() as connection:
            rows = [WorkerRow(*row) for row in connection.execute(sa.select(*columns))]
        return {row.holder: row for row in rows}

    def supersede(self, worker: WorkerRow) -> bool:
        """Ends the lease of a silent worker, and frees what it held; False if it was renewed or ended meanwhile."""
        same = sa.and_(
            WORKERS.c.name == worker.name,
            WORKERS.c.epoch == worker.epoch,
            WORKERS.c.beat == worker.beat,
            WORKERS.c.state == _LIVE,
        )
        with self.engine.begin() as transaction:
            if not transaction.execute(sa.update(WORKERS).where(same).values(state=_SUPERSEDED)).rowcount:
                return False
            transaction.execute(sa.update(LANES).where(LANES.c.holder == worker.holder).values(token="", holder=""))
            transaction.execute(sa.update(LEASES).where(LEASES.c.holder == worker.name).values(until=0.0))
        return True

    def forget(self) -> None:
        """Deletes the rows of workers that ended long ago, and crashes that are as old as no run."""
        now = time.time()
        ended = sa.and_(WORKERS.c.state != _LIVE, WORKERS.c.seen < now - _FORGOTTEN)
        with self.engine.begin() as transaction:
            transaction.execute(sa.delete(WORKERS).where(ended))
            transaction.execute(sa.delete(CRASHES).where(CRASHES.c.at < now - 7 * _FORGOTTEN))


@dataclass(frozen=True, slots=True)
class CrashVerdict:
    """What the crashes of a run ask for: to wait for so many seconds first, or to give it up."""

    wait: float = 0.0
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class CrashRecords:
    """The crashes of workers, charged to the runs that they were working on."""

    engine: sa.Engine

    def charge(self, holder: str, progress: Mapping[str, int]) -> None:
        """Charges the end of a worker to its runs; `progress` is the number of finished steps of each."""
        now = time.time()
        with self.engine.begin() as transaction:
            for run, steps in progress.items():
                insert(transaction, CRASHES, {"run": run, "holder": holder, "steps": steps, "at": now})

    def verdict(self, run: str) -> CrashVerdict:
        """What is to be done with a run that starts.

        Only crashes without a step finished in between count. A run is given up only if it was there at more crashes
        than not: a worker that also dies without it dies of something else.
        """
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(CRASHES.c.steps, CRASHES.c.at).where(CRASHES.c.run == run)).all()
            if not rows:
                return CrashVerdict()
            furthest = max(row.steps for row in rows)
            times = sorted(row.at for row in rows if row.steps == furthest)
            elsewhere = self._elsewhere(connection, run, times[0]) if len(times) >= GIVEN_UP else 0
        spread = random.Random(f"{run} {len(times)}").uniform(1.0, 2.0)  # noqa: S311 - parts runs, protects no secret
        due = times[-1] + WAITS[min(len(times), len(WAITS)) - 1] * spread
        return CrashVerdict(max(0.0, due - time.time()), len(times) - elsewhere >= GIVEN_UP)

    def _elsewhere(self, connection: sa.Connection, run: str, since: float) -> int:
        """Counts the workers that died since then without this run."""
        with_it = sa.select(CRASHES.c.holder).where(CRASHES.c.run == run)
        without = sa.select(sa.func.count(CRASHES.c.holder.distinct())).where(
            CRASHES.c.at >= since, CRASHES.c.holder.not_in(with_it)
        )
        return int(connection.execute(without).scalar_one())


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases of one holder. `clock` is in seconds since 1970, and nearly the same on all machines."""

    engine: sa.Engine
    holder: str
    clock: Callable[[], float] = time.time

    def take(self, name: str, seconds: float) -> dict[str, Any] | None:
        """Takes or renews a lease; returns the value that was stored last, or None while another process holds it."""
        now = self.clock()
        mine = sa.or_(LEASES.c.holder == self.holder, LEASES.c.until < now)
        taking = sa.update(LEASES).where(LEASES.c.name == name, mine).values(holder=self.holder, until=now + seconds)
        with self.engine.begin() as connection:
            if connection.execute(taking).rowcount:
                stored = connection.execute(sa.select(LEASES.c.value).where(LEASES.c.name == name)).scalar_one()
                return dict(json.loads(stored))
        try:
            with self.engine.begin() as connection:
                connection.execute(
                    sa.insert(LEASES).values(name=name, holder=self.holder, until=now + seconds, value="{}")
                )
        except IntegrityError:  # another process holds it
            return None
        return {}

    def store(self, name: str, value: Mapping[str, Any]) -> None:
        """Stores a value and gives the lease back, if it is still this holder's."""
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(LEASES)
                .where(LEASES.c.name == name, LEASES.c.holder == self.holder)
                .values(until=0.0, value=json.dumps(value, separators=(",", ":")))
            )


class Rounds:
    """A thread that does some work at the start of the process and then every few minutes, in one process at a time.

    `work` receives the state that the last round returned; its time is bounded. `again` in the state that it returns is
    the number of seconds to the next round, instead of `every`. Trouble is logged, and the next round comes. The lease is
    renewed during a round, which ends early if another process has it, or if `epoch` changes: the process was superseded.
    """

    def __init__(
        self,
        leases: Leases,
        name: str,
        every: float,
        work: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]],
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self._leases, self._name, self._every, self._work = leases, name, every, work
        self._epoch = epoch
        self._started = False
        self._stop = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after its present round."""
        self._stop.set()
        self._thread.join(_HELD)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._round()
            except (SQLAlchemyError, AssistantError, OSError, TimeoutError) as failure:
                log.warning("a round ended early", work=self._name, reason=str(failure) or type(failure).__name__)
            self._stop.wait(min(_TICK, self._every))

    def _round(self) -> None:
        state = self._leases.take(self._name, _HELD)
        if state is None:
            return
        if self._started and self._leases.clock() < state.get("next", 0.0):
            self._leases.store(self._name, state)
            return
        self._started = True
        after = asyncio.run(self._bounded(state))
        self._leases.store(self._name, {**after, "next": self._leases.clock() + after.get("again", self._every)})

    async def _bounded(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """One round, ended early when the thread has to stop."""
        epoch, renewed = self._epoch(), time.monotonic()
        async with asyncio.timeout(_LOOK):
            working = asyncio.ensure_future(self._work(state))
            while not working.done():
                await asyncio.wait([working], timeout=0.2)
                ended = self._stop.is_set() or self._epoch() != epoch
                if not ended and time.monotonic() - renewed > _HELD / 3:
                    renewed = time.monotonic()
                    ended = await asyncio.to_thread(self._leases.take, self._name, _HELD) is None
                if ended and not working.done():
                    working.cancel()
                    await asyncio.wait([working])
                    return state
            return await working

"""The write lanes in the database: one writer at a time for each installation, in all processes, and none during a limit.

GitHub asks for writes one after another, a second apart, and for none until a secondary limit ends:
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.engine.database import insert
from bot.engine.leases import WorkerLease
from bot.engine.tables import LANES, WORKERS
from bot.errors import HostLimited, LeaseLost, Outage

log = structlog.get_logger()

_TURN = 90.0
"""Seconds after which a turn is over, even if its process does not say so."""
_LONGEST = 300.0
"""Seconds that a write waits for its turn at most; then its run is laid aside."""
_COURTESY = 90.0
"""Seconds after which a courtesy asks again for a turn."""
_AGAIN = 0.05
"""Seconds between two looks whether the write before has ended; also the head start that other processes have."""


@dataclass(slots=True)
class _Turn:
    """A turn of this process. `free` is when its next write may start, in seconds of a monotonic clock."""

    installation: int
    token: str = field(default_factory=lambda: uuid4().hex)
    free: float = 0.0
    wrote: bool = False


class DatabaseLanes:
    """The WriteLane of a server's workers. A turn belongs to the lease of its process and ends with it.

    A writer that has to wait takes the next free slot, and a process that wrote last lets others go first. `clock` is in
    seconds since 1970, and nearly the same on all machines.
    """

    def __init__(self, lease: WorkerLease, spacing: float, clock: Callable[[], float] = time.time) -> None:
        self._lease, self._spacing, self._clock = lease, spacing, clock
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, asyncio.Lock]] = WeakKeyDictionary()
        self._head_start = min(_AGAIN, spacing)
        self._unreleased: dict[int, str] = {}

    @asynccontextmanager
    async def turn(self, installation: int, *, courtesy: bool = False) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Waits for the slot of this write. Raises HostLimited during a limit, and LeaseLost if the lease was lost.

        A courtesy takes no slot: it raises HostLimited if another write waits or runs.
        """
        queue = self._queues.setdefault(asyncio.get_running_loop(), {}).setdefault(installation, asyncio.Lock())
        if courtesy and queue.locked():
            raise HostLimited("other writes come first", _COURTESY)
        async with queue:
            turn = _Turn(installation)
            await self._enter(turn, courtesy=courtesy)
            try:
                yield partial(self._ready, turn)
            finally:
                await asyncio.shield(asyncio.to_thread(self._leave, turn))

    async def limit(self, installation: int, seconds: float) -> None:
        """Stops all writes of an installation, in all processes, for so many seconds."""
        await asyncio.to_thread(self._limit, installation, self._clock() + seconds)

    async def _enter(self, turn: _Turn, *, courtesy: bool) -> None:
        slot: float | None = None
        while True:
            wait = await asyncio.to_thread(self._take, turn, slot)
            if wait is None:
                return
            if courtesy:
                raise HostLimited("other writes come first", _COURTESY)
            if slot is None:
                slot = await asyncio.to_thread(self._reserve, turn.installation)
            wait = max(wait, slot - self._clock())
            if wait > _LONGEST:
                raise HostLimited(f"{wait:.0f} s of writes wait already", wait)
            await asyncio.sleep(max(wait, _AGAIN))

    def _take(self, turn: _Turn, slot: float | None) -> float | None:
        """Takes the lane; if it is not free, returns the seconds after which another try makes sense.

        A writer without a slot does not pass those that have one. Raises HostLimited and LeaseLost.
        """
        now = self._clock()
        lane = LANES.c.installation == turn.installation
        free = sa.or_(LANES.c.token.in_(("", self._unreleased.get(turn.installation, ""))), LANES.c.until < now)
        alone = sa.or_(LANES.c.holder != self._lease.holder, LANES.c.free <= now - self._head_start)
        first = sa.and_(LANES.c.slot <= now, alone) if slot is None else sa.true()
        taking = sa.update(LANES).where(
            lane, free, first, LANES.c.free <= now, LANES.c.limited <= now, sa.exists().where(self._lease.valid())
        )
        with self._lease.engine.begin() as transaction:
            taken = transaction.execute(
                taking.values(token=turn.token, holder=self._lease.holder, until=now + _TURN)
            ).rowcount
            if taken:
                return None
            row = transaction.execute(sa.select(LANES).where(lane)).one_or_none()
            held = transaction.execute(sa.select(WORKERS.c.epoch).where(self._lease.valid())).first()
            if row is None and held:
                new = {"token": "", "holder": "", "until": 0.0, "free": 0.0, "slot": 0.0, "limited": 0.0}
                insert(transaction, LANES, {"installation": turn.installation, **new})
        if held is None:
            raise LeaseLost(f"{self._lease.holder} was superseded")
        if row is not None and row.limited > now:
            raise HostLimited("GitHub limits the writes of this installation", row.limited - now)
        if row is None:
            return self._take(turn, slot)
        after_others = self._head_start if row.holder == self._lease.holder else 0.0
        return max(0.0, float(row.free) - now + after_others)

    def _reserve(self, installation: int) -> float:
        """Takes the next free slot; returns its time."""
        now = self._clock()
        next_slot = sa.case((LANES.c.slot > now, LANES.c.slot), else_=now) + self._spacing
        taking = sa.update(LANES).where(LANES.c.installation == installation).values(slot=next_slot)
        with self._lease.engine.begin() as transaction:
            taken = transaction.execute(taking.returning(LANES.c.slot)).scalar_one()
        return float(taken) - self._spacing

    async def _ready(self, turn: _Turn) -> None:
        """Waits for the pause since the last write of the turn, then looks at lease and turn: one indexed read."""
        await asyncio.sleep(max(0.0, turn.free - time.monotonic()))
        mine = sa.select(LANES.c.limited).where(
            LANES.c.installation == turn.installation,
            LANES.c.token == turn.token,
            sa.exists().where(self._lease.valid()),
        )
        limited = await asyncio.to_thread(self._read, mine)
        if limited is None:
            if not await asyncio.to_thread(self._lease.is_held):
                raise LeaseLost(f"{self._lease.holder} was superseded")
            raise Outage("the turn to write took too long, so another writer has the lane", undone=True)
        if limited > self._clock():
            raise HostLimited("GitHub limits the writes of this installation", limited - self._clock(), undone=True)
        turn.free, turn.wrote = time.monotonic() + self._spacing, True

    def _read(self, query: sa.Select[Any]) -> float | None:
        with self._lease.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else float(row[0])

    def _leave(self, turn: _Turn) -> None:
        """Frees the lane. If the database is out of reach, the next turn of this process does."""
        after = self._clock() + self._spacing
        leaving = sa.update(LANES).where(LANES.c.installation == turn.installation, LANES.c.token == turn.token)
        pause = {"free": after} if turn.wrote else {}
        try:
            with self._lease.engine.begin() as transaction:
                transaction.execute(leaving.values(token="", **pause))
        except SQLAlchemyError as failure:
            self._unreleased[turn.installation] = turn.token
            log.warning("the write lane could not be freed", reason=type(failure).__name__)
        else:
            self._unreleased.pop(turn.installation, None)

    def _limit(self, installation: int, until: float) -> None:
        longer = sa.case((LANES.c.limited > until, LANES.c.limited), else_=until)
        changing = sa.update(LANES).where(LANES.c.installation == installation).values(limited=longer)
        new = {"token": "", "holder": "", "until": 0.0, "free": 0.0, "slot": 0.0, "limited": until}
        with self._lease.engine.begin() as transaction:
            if not transaction.execute(changing).rowcount:
                insert(transaction, LANES, {"installation": installation, **new})
        log.warning("GitHub limits an installation", installation=installation, seconds=round(until - self._clock()))

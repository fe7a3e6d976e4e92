"""Leases in the database: work that one process does at a time, and the state that it leaves for the next."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot.errors import AssistantError

log = structlog.get_logger()

TABLES = sa.MetaData()
_LEASES = sa.Table(
    "assistant_leases",
    TABLES,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
)
_TICK = 5.0
_HELD = 30.0
_LOOK = 240.0
"""Seconds between two tries to take the lease, of the lease, and of one look at most."""


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases of one holder. `clock` is in seconds since 1970, and nearly the same on all machines."""

    engine: sa.Engine
    holder: str
    clock: Callable[[], float] = time.time

    def take(self, name: str, seconds: float) -> dict[str, Any] | None:
        """Takes or renews a lease; returns the value that was stored last, or None while another process holds it."""
        now = self.clock()
        mine = sa.or_(_LEASES.c.holder == self.holder, _LEASES.c.until < now)
        taking = sa.update(_LEASES).where(_LEASES.c.name == name, mine).values(holder=self.holder, until=now + seconds)
        with self.engine.begin() as connection:
            if connection.execute(taking).rowcount:
                stored = connection.execute(sa.select(_LEASES.c.value).where(_LEASES.c.name == name)).scalar_one()
                return dict(json.loads(stored))
        try:
            with self.engine.begin() as connection:
                connection.execute(
                    sa.insert(_LEASES).values(name=name, holder=self.holder, until=now + seconds, value="{}")
                )
        except IntegrityError:  # another process holds it
            return None
        return {}

    def store(self, name: str, value: Mapping[str, Any]) -> None:
        """Stores a value and gives the lease back, if it is still this holder's."""
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(_LEASES)
                .where(_LEASES.c.name == name, _LEASES.c.holder == self.holder)
                .values(until=0.0, value=json.dumps(value, separators=(",", ":")))
            )


class Rounds:
    """A thread that does some work at the start of the process and then every few minutes, in one process at a time.

    `work` receives the state that the last round returned; its time is bounded. Trouble is logged, and the next round comes.
    """

    def __init__(
        self,
        leases: Leases,
        name: str,
        every: float,
        work: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]],
    ) -> None:
        self._leases, self._name, self._every, self._work = leases, name, every, work
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
        self._leases.store(self._name, {**after, "next": self._leases.clock() + self._every})

    async def _bounded(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """One round, ended early when the thread has to stop."""
        async with asyncio.timeout(_LOOK):
            working = asyncio.ensure_future(self._work(state))
            while not working.done():
                await asyncio.wait([working], timeout=0.2)
                if self._stop.is_set() and not working.done():
                    working.cancel()
                    await asyncio.wait([working])
                    return state
            return await working

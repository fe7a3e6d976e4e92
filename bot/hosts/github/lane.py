"""Who may write to GitHub now: the interface of a write lane, and the lane of a process that writes alone."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from bot.errors import HostLimited
from bot.hosts.github.transport import PerLoop

_COURTESY = 90.0
"""Seconds after which a courtesy asks again for a turn."""

ReadyToWrite = Callable[[], Awaitable[None]]
"""Awaited immediately before each write of a turn: keeps the pause between writes; raises LeaseLost or HostLimited."""


class WriteLane(Protocol):
    """Who may write to the code host for an installation now: one writer at a time, with a pause after each write."""

    def turn(self, installation: int, *, courtesy: bool = False) -> AbstractAsyncContextManager[ReadyToWrite]:
        """A turn, for writes and the look before them. Raises HostLimited; for a `courtesy` also while others wait."""

    async def limit(self, installation: int, seconds: float) -> None:
        """Stops all writes of an installation for so long: the host asked for it."""


@dataclass(slots=True)
class _Lane:
    """The lane of an installation. `free` is when the next write may start, in seconds of a monotonic clock."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    free: float = 0.0


class LocalLane:
    """A WriteLane for a process that writes alone, such as an Action. Writes are `spacing` seconds apart."""

    def __init__(self, spacing: float) -> None:
        self._spacing = spacing
        self._lanes: PerLoop[defaultdict[int, _Lane]] = PerLoop(lambda: defaultdict(_Lane))

    @asynccontextmanager
    async def turn(self, installation: int, *, courtesy: bool = False) -> AsyncIterator[ReadyToWrite]:
        """Waits for the writes before it. A courtesy waits for none: it raises HostLimited."""
        lane = self._lanes()[installation]
        if courtesy and (lane.lock.locked() or lane.free > time.monotonic()):
            raise HostLimited("other writes come first", _COURTESY)
        async with lane.lock:
            wrote = False

            async def ready() -> None:
                nonlocal wrote
                await asyncio.sleep(max(0.0, lane.free - time.monotonic()))
                lane.free, wrote = time.monotonic() + self._spacing, True

            try:
                yield ready
            finally:
                if wrote:
                    lane.free = time.monotonic() + self._spacing

    async def limit(self, installation: int, seconds: float) -> None:
        """Does nothing: the client itself remembers the limits that it met."""

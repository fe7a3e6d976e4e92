"""The Step of a durable run. A finished step returns its journaled result by name, in any order of the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from dbos import DBOS
from sqlalchemy.exc import OperationalError

from bot.engine.database import pack, unpack
from bot.engine.journal import ATTEMPTS, delay, from_json, to_json
from bot.engine.queue import Runs
from bot.errors import AssistantError, Retryable
from bot.interfaces import Step

T = TypeVar("T")


class LaidAside(Exception):
    """A step has to wait longer than it may occupy a worker."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"laid aside for {seconds:.0f} s")
        self.seconds = seconds


class TooSlow(AssistantError):
    """The run exceeded the time limit."""


class DurableSteps:
    """The Step of one run.

    DBOS numbers steps in the order of the calls and refuses another order. We look results up by name, and give unused
    numbers to the steps that are left. If a step has to wait longer than `patience` seconds, the other running steps end
    first, then `drive` raises LaidAside. `first` is the shortest wait.
    """

    def __init__(self, journal: dict[str, dict[str, Any]], patience: float, first: float) -> None:
        self._journal, self._patience, self._first = journal, patience, first
        self._running = 0
        self._pause = max((entry["pause"] for entry in journal.values() if "pause" in entry), default=None)
        self._clock = asyncio.timeout(None)

    @classmethod
    async def open(cls, runs: Runs, turns: Sequence[str], patience: float, first: float) -> DurableSteps:
        """Reads the journals of the earlier turns of a run and of this one, the last of `turns`."""
        *earlier, this = [await asyncio.to_thread(runs.journal, turn) for turn in turns]
        journal: dict[str, dict[str, Any]] = {}
        for entries, _ in earlier:
            journal |= {name: {k: v for k, v in entry.items() if k != "pause"} for name, entry in entries.items()}
        entries, used = this
        for _ in range(used):
            DBOS.reserve_step()
        return cls(journal | entries, patience, first)

    async def drive(self, work: Coroutine[Any, Any, T], limit: float) -> T:
        """Runs `work` to its end. Raises LaidAside, or TooSlow after `limit` seconds."""
        try:
            async with asyncio.timeout(limit) as self._clock:
                self._pause_if_idle()
                return await work
        except TimeoutError:
            if not self._clock.expired():
                raise
            if self._pause is None:
                raise TooSlow(f"not finished after {limit / 60:.0f} minutes") from None
            raise LaidAside(self._pause) from None

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        entry = self._journal.get(name, {})
        if "ok" not in entry and "error" not in entry:
            entry = self._journal[name] = await self._run(name, work, kind, entry.get("tries", 0))
        if "error" in entry:
            raise unpack(entry["error"])
        return from_json(entry["ok"], kind)

    async def _run(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], tries: int) -> dict[str, Any]:
        if self._pause is not None:
            await _forever()
        self._running += 1
        try:
            entry = await DBOS.run_step_async(
                {"name": name, "preemptible": True}, _attempt, work, kind, tries, self._patience, self._first
            )
        finally:
            self._running -= 1
            self._pause_if_idle()
        if "pause" in entry:
            self._pause = max(entry["pause"], self._pause or 0.0)
            self._pause_if_idle()
            await _forever()
        return entry

    def _pause_if_idle(self) -> None:
        """Ends this turn of the run if it has to pause and no step is running."""
        if self._pause is not None and not self._running and not self._clock.expired():
            self._clock.reschedule(asyncio.get_running_loop().time())


async def _attempt(
    work: Callable[[], Awaitable[T]], kind: type[T], tries: int, patience: float, first: float
) -> dict[str, Any]:
    """Tries until the work succeeds, is refused or needs a long wait. Returns the journal entry."""
    while True:
        try:
            return {"ok": to_json(await work(), kind)}
        except (Retryable, OperationalError) as error:
            tries += 1
            later = error if isinstance(error, Retryable) else Retryable("the database is out of reach")
            if tries >= ATTEMPTS:
                return {"error": pack(later)}
            seconds = delay(tries, later, first)
            if seconds > patience:
                return {"pause": seconds, "tries": tries}
            await asyncio.sleep(seconds)
        except AssistantError as error:
            return {"error": pack(error)}


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


def under(prefix: str, step: Step) -> Step:
    """Returns the same Step with `prefix` before each name, so that two handlers of a run may use the same names."""

    async def prefixed(name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        return await step(prefix + name, work, kind)

    return prefixed

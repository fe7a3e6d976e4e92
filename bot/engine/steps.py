"""The Step of a durable run. A finished step returns its journaled result by name, in any order of the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dbos import DBOS
from sqlalchemy.exc import OperationalError

from bot.engine.database import pack, unpack
from bot.engine.journal import ATTEMPTS, delay, from_json, to_json
from bot.engine.queue import Runs
from bot.errors import AssistantError, LeaseLost, Outage, Retryable
from bot.interfaces import Step

T = TypeVar("T")

_TROUBLE = 300
"""Characters of the reason of a retry that the journal keeps."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """How a step is tried again: the shortest wait, the longest that keeps its worker, and the attempts in an outage."""

    patience: float
    first: float
    lasting: int


class Unfinished(BaseException):
    """The journal cannot be written, or another worker has the job. The run ends without a record, and goes on elsewhere."""


class LaidAside(Exception):
    """A step has to wait longer than it may occupy a worker: `seconds`, for `reason`, which may be an `outage`."""

    def __init__(self, seconds: float, reason: str, *, outage: bool) -> None:
        super().__init__(f"laid aside for {seconds:.0f} s: {reason}")
        self.seconds = seconds
        self.reason = reason
        self.outage = outage


class TooSlow(AssistantError):
    """The run exceeded the time limit."""


class DurableSteps:
    """The Step of one run.

    DBOS numbers steps in the order of the calls and refuses another order. We look results up by name, and give unused
    numbers to the steps that are left. If a step has to wait longer than the schedule's patience, the other running steps
    end first, then `drive` raises LaidAside.
    """

    def __init__(self, journal: dict[str, dict[str, Any]], schedule: RetrySchedule) -> None:
        self._journal, self._schedule = journal, schedule
        self._running = 0
        pauses = [_pause(entry) for entry in journal.values() if "pause" in entry]
        self._pause = max(pauses, key=lambda pause: pause.seconds, default=None)
        self._clock = asyncio.timeout(None)

    @classmethod
    async def open(cls, runs: Runs, turns: Sequence[str], schedule: RetrySchedule) -> DurableSteps:
        """Reads the journals of the earlier turns of a run and of this one, the last of `turns`."""
        *earlier, this = [await asyncio.to_thread(runs.journal, turn) for turn in turns]
        journal: dict[str, dict[str, Any]] = {}
        for entries, _ in earlier:
            journal |= {name: {k: v for k, v in entry.items() if k != "pause"} for name, entry in entries.items()}
        entries, used = this
        for _ in range(used):
            DBOS.reserve_step()
        return cls(journal | entries, schedule)

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
            raise self._pause from None

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
                {"name": name, "preemptible": True}, _attempt, work, kind, tries, self._schedule
            )
        finally:
            self._running -= 1
            self._pause_if_idle()
        if "pause" in entry:
            pause = _pause(entry)
            self._pause = pause if self._pause is None or pause.seconds > self._pause.seconds else self._pause
            self._pause_if_idle()
            await _forever()
        return entry

    def _pause_if_idle(self) -> None:
        """Ends this turn of the run if it has to pause and no step is running."""
        if self._pause is not None and not self._running and not self._clock.expired():
            self._clock.reschedule(asyncio.get_running_loop().time())


async def _attempt(
    work: Callable[[], Awaitable[T]], kind: type[T], tries: int, schedule: RetrySchedule
) -> dict[str, Any]:
    """Tries until the work succeeds, is refused or needs a long wait. Returns the journal entry."""
    trouble = ""
    while True:
        try:
            done = {"ok": to_json(await work(), kind)}
            return done | {"tries": tries, "trouble": trouble[:_TROUBLE]} if tries else done
        except (Retryable, OperationalError) as error:
            tries, trouble = tries + 1, str(error) if isinstance(error, Retryable) else "the database is out of reach"
            later = error if isinstance(error, Retryable) else Outage(trouble)
            outage = isinstance(later, Outage)
            if tries >= (schedule.lasting if outage else ATTEMPTS):
                return {"error": pack(later)}
            seconds = delay(tries, later, schedule.first)
            if seconds > schedule.patience:
                return {"pause": seconds, "tries": tries, "reason": str(later), "outage": outage}
            await asyncio.sleep(seconds)
        except LeaseLost as lost:
            raise Unfinished(str(lost)) from lost
        except AssistantError as error:
            return {"error": pack(error)}


def _pause(entry: dict[str, Any]) -> LaidAside:
    """The pause that a step's journal entry asks for. Entries of earlier versions have no reason."""
    return LaidAside(entry["pause"], entry.get("reason", ""), outage=entry.get("outage", False))


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


def under(prefix: str, step: Step) -> Step:
    """Returns the same Step with `prefix` before each name, so that two handlers of a run may use the same names."""

    async def prefixed(name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        return await step(prefix + name, work, kind)

    return prefixed

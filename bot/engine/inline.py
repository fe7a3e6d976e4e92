"""Runs jobs now, in this process, and forgets them with it: the least that an engine can be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bot.engine.journal import ATTEMPTS, delay, from_json, to_json
from bot.errors import Retryable, Superseded
from bot.interfaces import Handlers, Step
from bot.job import Job, Route

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds at most that a step waits before it is tried again."""


@dataclass(frozen=True, slots=True)
class InlineEngine:
    """An Engine without a database. Errors of the handlers reach the caller; so do those that ask for a long wait."""

    handlers: Handlers
    _known: set[str] = field(default_factory=set)

    async def submit(self, job: Job) -> bool:
        """Run the job to its end; False if this process has run it already."""
        if job.id in self._known:
            return False
        self._known.add(job.id)
        routed = await self.handlers.route(job, InlineSteps())
        job = replace(job, seen=routed.seen)
        if routed.route is Route.REVIEW:
            await self._work(self.handlers.review, job)
        elif routed.route is Route.ANSWER or routed.settle:
            await self._work(self.handlers.answer, job)
        return True

    async def _work(self, handler: Callable[[Job, Step], Awaitable[str]], job: Job) -> None:
        step = InlineSteps()
        try:
            await handler(job, step)
        except Superseded as moved:
            await self.handlers.abandon(job, str(moved), step)


@dataclass(frozen=True, slots=True)
class InlineSteps:
    """A Step that forgets when the process ends; results pass through JSON, exactly as on the durable engine.

    What fails for a while is tried again, unless that takes a wait of over `patience` seconds.
    """

    patience: float = PATIENCE
    _journal: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        if name not in self._journal:
            self._journal[name] = to_json(await self._attempt(work), kind)
        return from_json(self._journal[name], kind)

    async def _attempt(self, work: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return await work()
            except Retryable as error:
                seconds = delay(attempt, error)
                if seconds > self.patience:
                    raise
                await asyncio.sleep(seconds)
        return await work()

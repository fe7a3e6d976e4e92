"""An engine that runs jobs at once, in this process, and forgets them with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from bot.engine.journal import InlineSteps
from bot.errors import Superseded
from bot.interfaces import Handlers, Step
from bot.job import Job, Route


@dataclass(frozen=True)
class InlineEngine:
    """An Engine without a database. Errors of the handlers reach the caller, requests for a long wait included."""

    handlers: Handlers
    _known: set[str] = field(default_factory=set)

    async def submit(self, job: Job) -> bool:
        """Run the job to its end; False if it was run already."""
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

"""What happens to a job: routed, run, laid aside or replaced by a newer one — and it never ends without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from dbos import DBOS
from sqlalchemy.exc import OperationalError

from bot.engine.journal import from_json
from bot.engine.queue import Order, Run, Runs, key
from bot.engine.steps import DurableSteps, LaidAside, TooSlow, under
from bot.errors import AssistantError, Superseded
from bot.interfaces import Handlers, Step
from bot.job import Job, Route, Routed, Trigger

log = structlog.get_logger()

_CRASHES = 3  # so often may a run take its worker down; then it is given up
_LIMIT = 1800.0
_LAST_WORDS = 300.0

Body = Callable[[Job, Step, str], Awaitable[str]]


class Unfinished(BaseException):
    """The journal cannot be written. Nothing is recorded of a run that ends so: it is found as lost, and goes on."""


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """What there is for a pull request when a review of one head is asked for."""

    active: tuple[Run, ...]
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Workflows:
    """The workflows by name, and how one hands over to the next. `here` are the runs this process is executing."""

    handlers: Handlers
    runs: Runs
    debounce: float
    patience: float
    first: float
    here: set[str] = field(default_factory=set)

    def register(self) -> None:
        """Tell DBOS about the workflows; before it is launched."""
        self._register("ingest", lambda job, step, _: self._ingest(job, step))
        self._register("review", lambda job, step, _: self.handlers.review(job, step))
        self._register("answer", lambda job, step, _: self.handlers.answer(job, step))
        self._register("abandon", lambda job, step, reason: self.handlers.abandon(job, reason, step))
        self._register("fail", lambda job, step, reason: self.handlers.fail(job, reason, step))

    def _register(self, name: str, body: Body) -> None:
        @DBOS.workflow(name=name, max_recovery_attempts=_CRASHES)
        async def workflow(packed: Any, turn: int, reason: str) -> dict[str, str]:  # noqa: ANN401 - a job as JSON
            this = DBOS.workflow_id or ""
            order = Order(name, this.removesuffix(f"~{turn}"), from_json(packed, Job), turn, reason)
            self.here.add(this)
            try:
                return await self._run(order, body)
            except OperationalError as error:
                raise Unfinished(this) from error
            finally:
                self.here.discard(this)

    async def _run(self, order: Order, body: Body) -> dict[str, str]:
        steps = await DurableSteps.open(self.runs, order.turns, self.patience, self.first)
        try:
            try:
                return await steps.drive(self._end(order, body, steps), _LIMIT)
            except TooSlow as slow:
                return await steps.drive(self._fail(order.job, slow, steps), _LAST_WORDS)
        except LaidAside as wait:
            again = replace(order, turn=order.turn + 1, delay=wait.seconds)
            await DBOS.run_step_async({"name": "engine/lay aside"}, self.runs.add, again)
            return _ended("waiting", str(wait))

    async def _end(self, order: Order, body: Body, steps: DurableSteps) -> dict[str, str]:
        try:
            return _ended("done", await body(order.job, steps, order.reason))
        except Superseded as moved:
            await self._overtaken(order, str(moved), steps)
            return _ended("superseded", str(moved))
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - the worker's loop: whatever went wrong must be seen on the pull request
            return await self._fail(order.job, error, steps)

    async def _overtaken(self, order: Order, reason: str, steps: DurableSteps) -> None:
        """Nothing was posted. What a person asked for is routed once more, as the pull request is now."""
        job, abandon = order.job, under("abandon/", steps)
        if order.workflow != "review" or not job.is_wish:
            await self.handlers.abandon(job, reason, abandon)
            return
        await self.handlers.abandon(replace(job, comment=0), reason, abandon)
        again = replace(job, id=f"{job.id}/again", seen=None)
        await self._start(Order("ingest", again.id, again), steps)

    async def _fail(self, job: Job, error: Exception, steps: DurableSteps) -> dict[str, str]:
        expected = isinstance(error, AssistantError)
        reason = str(error) if expected else f"an internal error ({type(error).__name__})"
        log.error("run failed", job=job.id, reason=reason, exc_info=None if expected else error)
        await self.handlers.fail(job, reason, under("fail/", steps))
        return _ended("failed", reason)

    async def _ingest(self, job: Job, step: Step) -> str:
        """One at a time for a pull request."""
        routed = await self.handlers.route(job, step)
        job = replace(job, seen=routed.seen)
        match routed.route:
            case Route.REVIEW:
                return await self._review(job, routed, step)
            case Route.ANSWER:
                return await self._start(Order("answer", f"answer/{key(job.pull)}/{job.id}", job), step)
            case Route.STOP:
                active = await step("engine/active", lambda: asyncio.to_thread(self._stoppable, job), tuple[Run, ...])
                await self._replace(active, routed.reason, step)
                if routed.settle:
                    return await self._start(Order("answer", f"answer/{key(job.pull)}/{job.id}", job), step)
        return routed.reason

    def _stoppable(self, job: Job) -> tuple[Run, ...]:
        """Reviews; and where somebody said stop, the questions of which the answers are being written."""
        reviews = self.runs.active(job.pull)
        if job.trigger is not Trigger.COMMAND:
            return reviews
        return (*reviews, *(run for run in self.runs.active(job.pull, "answer") if run.job.is_question))

    async def _review(self, job: Job, routed: Routed, step: Step) -> str:
        """The newest head wins: what runs for the pull request gives way, unless it is this very head.

        Nothing that was wanted is lost with it: a push takes a person's wish along, and what replaces an unfinished
        review looks at no less.
        """
        place, head = f"review/{key(job.pull)}/{routed.head}/", routed.head[:7]
        there = await step("engine/standing", lambda: asyncio.to_thread(self._standing, job, routed.head), RunSnapshot)
        if not routed.forced and there.reviewed:
            return f"{head} was reviewed already"
        if not routed.forced and any(run.id.startswith(place) and run.job.covers(job) for run in there.active):
            return f"{head} is being reviewed already"
        heir = _heir(job, [run.job for run in there.active])
        await self._replace(there.active, f"replaced by a review of {head}", step, goes_on=heir.comment)
        delay = self.debounce if job.trigger is Trigger.PUSHED else 0.0
        return await self._start(Order("review", place + job.id, heir, delay=delay), step)

    def _standing(self, job: Job, head: str) -> RunSnapshot:
        return RunSnapshot(self.runs.active(job.pull), self.runs.reviewed(job, head))

    async def _start(self, order: Order, step: Step) -> str:
        await step("engine/start", lambda: asyncio.to_thread(self.runs.add, order), bool)
        return f"handed on to {order.id}"

    async def _replace(self, active: tuple[Run, ...], reason: str, step: Step, goes_on: int = 0) -> None:
        """Stop runs, and say so where they were seen; not at the comment whose wish goes on."""
        ids = [run.id for run in active]
        stopped = await step("engine/cancel", lambda: asyncio.to_thread(self.runs.cancel, ids), tuple[str, ...])
        for run in (run for run in active if run.id in stopped):
            try:
                comment = 0 if run.job.comment == goes_on else run.job.comment
                await self.handlers.abandon(replace(run.job, comment=comment), reason, under(f"{run.id}/", step))
            except AssistantError as error:  # the newer run must not wait for the older one's last word
                log.warning("replaced without a word", run=run.id, reason=str(error))


def _heir(job: Job, unfinished: Sequence[Job]) -> Job:
    """The job that takes the place of unfinished reviews: as wide as any of them, and a person's wish if one of them is."""
    wish = None if job.is_wish else next((one for one in unfinished if one.is_wish), None)
    heir = replace(wish, id=job.id, head_sha=job.head_sha, seen=job.seen) if wish else job
    return heir if all(map(heir.covers, (job, *unfinished))) else heir.widened


def _ended(end: str, word: str) -> dict[str, str]:
    return {"end": end, "word": word}

"""The workflows of a job: it is routed, run, laid aside or replaced by a newer one. Each end is reported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import structlog
from dbos import DBOS
from sqlalchemy.exc import OperationalError

from bot.engine.journal import from_json
from bot.engine.leases import CrashRecords, WorkerLease
from bot.engine.queue import Order, Run, Runs, key
from bot.engine.steps import DurableSteps, LaidAside, RetrySchedule, TooSlow, Unfinished, under
from bot.errors import AssistantError, Refused, Superseded
from bot.interfaces import Handlers, RunEnd, Step
from bot.job import Job, Route, RouteDecision, Trigger

log = structlog.get_logger()

T = TypeVar("T")

_LIMIT = 1800.0  # seconds of one turn of a run
_REPORT_LIMIT = 300.0  # seconds to report that a run failed
_HOLD_LIMIT = 20.0  # seconds to report that a run waits
_REPORTS = {"abandon", "fail"}
_STOPPED = "its worker was stopped while it worked on this"
_CRASHED = "its worker crashed again and again"

_ENDS = {"fail": "failed", "abandon": "stopped"}
"""How a job ended whose end a workflow of its own announces."""

Body = Callable[[Job, Step, str], Awaitable[str]]


class CrashedTooOften(AssistantError):
    """The worker died again and again while it worked on the run."""


class _Unread(Exception):
    """The pull request cannot be read. A redelivery starts the job again."""


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """The unfinished reviews of a pull request, and whether the requested head was reviewed."""

    active: tuple[Run, ...]
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Workflows:
    """The workflows by name, and how one starts the next. `here` are the runs that this process executes, with their tasks."""

    handlers: Handlers
    runs: Runs
    debounce: float
    schedule: RetrySchedule
    lease: WorkerLease
    here: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    def register(self) -> None:
        """Registers the workflows with DBOS. Call it before the launch."""
        self._register("ingest", lambda job, step, _: self._ingest(job, step))
        self._register("review", lambda job, step, _: self.handlers.review(job, step))
        self._register("answer", lambda job, step, _: self.handlers.answer(job, step))
        self._register("abandon", lambda job, step, reason: self.handlers.abandon(job, reason, step))
        self._register("fail", lambda job, step, reason: self.handlers.fail(job, reason, step))

    def _register(self, name: str, body: Body) -> None:
        @DBOS.workflow(name=name, max_recovery_attempts=None)  # it counts claims; we count ends of processes
        async def workflow(packed: Any, turn: int, reason: str) -> dict[str, str]:  # noqa: ANN401 - a job as JSON
            run_id = DBOS.workflow_id or ""
            order = Order(name, run_id.removesuffix(f"~{turn}"), from_json(packed, Job), turn, reason)
            task = asyncio.current_task()
            if not self.lease.held or task is None:
                raise Unfinished(run_id)
            self.here[run_id] = task
            try:
                return await self._run(order, body)
            except OperationalError as error:
                raise Unfinished(run_id) from error
            finally:
                del self.here[run_id]
                self.runs.notify(order.queue)  # the next one may have waited for its end

    def interrupt(self) -> list[str]:
        """Stops the runs that this process executes, at their next await; returns their ids."""
        running = dict(self.here)
        for task in running.values():
            task.get_loop().call_soon_threadsafe(task.cancel)
        return sorted(running)

    def call_soon(self, answer: Callable[[], None]) -> bool:
        """Lets the event loop of the runs call `answer`; returns False if there are no runs."""
        for task in list(self.here.values()):
            task.get_loop().call_soon_threadsafe(answer)
            return True
        return False

    async def _run(self, order: Order, body: Body) -> dict[str, str]:
        steps = await DurableSteps.open(self.runs, order.turns, self.schedule)
        try:
            try:
                if await self._is_given_up(order):
                    ended = await steps.drive(self._fail(order, CrashedTooOften(_CRASHED), steps), _REPORT_LIMIT)
                else:
                    ended = await steps.drive(self._end(order, body, steps), _LIMIT)
            except TooSlow as slow:
                ended = await steps.drive(self._fail(order, slow, steps), _REPORT_LIMIT)
            if ended["end"] != "superseded":
                await self._record(order, ended)
        except LaidAside as wait:
            await DBOS.run_step_async({"name": "engine/hold"}, self._hold, order, wait)
            again = replace(order, turn=order.turn + 1, delay=wait.seconds)
            await DBOS.run_step_async({"name": "engine/lay aside"}, self.runs.add, again)
            return _ended("outage" if wait.outage else "waiting", str(wait))
        return ended

    async def _record(self, order: Order, ended: dict[str, str]) -> None:
        """Records the end of a job: of a review or an answer, or of a run that was given up before one began."""
        kind, end, reason = order.workflow, ended["end"], ended["word"]
        if kind == "ingest" and end not in {"failed", "unread"}:
            return
        if kind in _ENDS:
            kind, end, reason = "answer" if order.job.is_question else "review", _ENDS[kind], order.reason
        end_of_run = RunEnd(order.job, kind, end, reason, ended.get("cause", ""), time.time())
        await DBOS.run_step_async({"name": "engine/record"}, self._tell, end_of_run, order.turns)

    async def _tell(self, end: RunEnd, turns: Sequence[str]) -> None:
        """Hands the end of a run to its handler, with the steps of all its turns. An error there is logged only."""
        steps = await asyncio.to_thread(self.runs.steps, turns)
        try:
            await self.handlers.ended(replace(end, steps=steps))
        except AssistantError as error:
            log.warning("the end of a run is not recorded", job=end.job.id, reason=str(error))

    async def _is_given_up(self, order: Order) -> bool:
        """Whether the run ends now because workers died of it. Raises LaidAside if it has to wait first.

        A report is never given up: without it, the end of another run would be silent.
        """
        verdict = await asyncio.to_thread(CrashRecords(self.lease.engine).verdict, order.first)
        if verdict.wait:
            raise LaidAside(verdict.wait, _STOPPED, outage=False)
        return verdict.given_up and order.workflow not in _REPORTS

    async def _hold(self, order: Order, wait: LaidAside) -> None:
        """Reports on the pull request what the run waits for, if that can be reported now. A short wait is no news."""
        if wait.seconds <= self.schedule.patience:
            return
        until = f"{datetime.now(UTC) + timedelta(seconds=wait.seconds):%H:%M} UTC"
        log.warning("run waits", run=order.id, reason=wait.reason, until=until)
        try:
            async with asyncio.timeout(_HOLD_LIMIT):
                await self.handlers.hold(order.job, wait.reason, until, _once)
        except (AssistantError, TimeoutError) as error:
            log.info("the wait is not reported", run=order.id, reason=str(error))

    async def _end(self, order: Order, body: Body, steps: DurableSteps) -> dict[str, str]:
        try:
            if order.reports_ingest and await self._needs_no_report(order.job, steps):
                return _ended("done", "its head was reviewed already")
            return _ended("done", await body(order.job, steps, order.reason))
        except _Unread as unread:
            return _ended("unread", str(unread))
        except Superseded as moved:
            ended = _ended("superseded", str(moved))
            await self._superseded(order, ended, steps)
            return ended
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - the worker's loop: every error must be reported on the pull request
            return await self._fail(order, error, steps)

    async def _superseded(self, order: Order, ended: dict[str, str], steps: DurableSteps) -> None:
        """Ends a run that posted nothing. A review that a person requested is routed again, at the new head.

        Its end is recorded before that: the router must not find a run that is still busy with its record.
        """
        job, reason, abandon = order.job, ended["word"], under("abandon/", steps)
        again = order.workflow == "review" and job.is_requested
        await self.handlers.abandon(replace(job, comment=0) if again else job, reason, abandon)
        await self._record(order, ended)
        if not again:
            return
        repeated = replace(job, id=f"{job.id}/again", seen=None)
        await self._start(Order("ingest", repeated.id, repeated), steps)

    async def _fail(self, order: Order, error: Exception, steps: DurableSteps) -> dict[str, str]:
        job = order.job
        expected = isinstance(error, AssistantError)
        reason = str(error) if expected else f"an internal error ({type(error).__name__})"
        log.error("run failed", job=job.id, reason=reason, exc_info=None if expected else error)
        if not (order.workflow == "ingest" and await self._needs_no_report(job, steps)):
            try:
                await self.handlers.fail(job, reason, under("fail/", steps))
            except Refused as refused:
                log.warning("the failure cannot be reported on the pull request", job=job.id, reason=str(refused))
        return _ended("failed", reason, type(error).__name__)

    async def _ingest(self, job: Job, step: Step) -> str:
        """Routes a job and starts its work. One at a time runs for each pull request."""
        routed = await self.handlers.route(job, step)
        if routed.unread:
            raise _Unread(routed.reason)
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
        if routed.visible and not await self._is_settled(job, routed.head, step):
            await self.handlers.announce(job, routed.reason, step)
        return routed.reason

    async def _needs_no_report(self, job: Job, step: Step) -> bool:
        """Whether the failure of an automatic event stays unreported: its head was reviewed, or is being reviewed."""
        return not (job.is_requested or job.is_question) and await self._is_settled(job, job.head_sha, step)

    async def _is_settled(self, job: Job, head: str, step: Step) -> bool:
        """Whether a review of the head has ended or is under way: its check run must not be replaced."""

        def look() -> bool:
            return self.runs.reviewed(job, head) or any(f"/{head}/" in run.id for run in self.runs.active(job.pull))

        return await step("engine/settled", lambda: asyncio.to_thread(look), bool)

    def _stoppable(self, job: Job) -> tuple[Run, ...]:
        """Returns the unfinished reviews; for a stop command also the questions without an answer yet."""
        reviews = self.runs.active(job.pull)
        if job.trigger is not Trigger.COMMAND:
            return reviews
        return (*reviews, *(run for run in self.runs.active(job.pull, "answer") if run.job.is_question))

    async def _review(self, job: Job, routed: RouteDecision, step: Step) -> str:
        """Starts a review of the newest head, which replaces the unfinished reviews of other heads.

        No request is lost: the new review inherits the request of a person, and covers what the replaced ones cover.
        """
        prefix, head = f"review/{key(job.pull)}/{routed.head}/", routed.head[:7]
        snapshot = await step(
            "engine/standing", lambda: asyncio.to_thread(self._standing, job, routed.head), RunSnapshot
        )
        if not routed.forced and snapshot.reviewed:
            return f"{head} was reviewed already"
        if not routed.forced and any(run.id.startswith(prefix) and run.job.covers(job) for run in snapshot.active):
            return f"{head} is being reviewed already"
        replacement = _replacement(job, [run.job for run in snapshot.active])
        await self._replace(snapshot.active, f"replaced by a review of {head}", step, continued=replacement.comment)
        await self.handlers.announce(replacement, "", step)
        delay = self.debounce if job.trigger is Trigger.PUSHED else 0.0
        return await self._start(Order("review", prefix + job.id, replacement, delay=delay), step)

    def _standing(self, job: Job, head: str) -> RunSnapshot:
        return RunSnapshot(self.runs.active(job.pull), self.runs.reviewed(job, head))

    async def _start(self, order: Order, step: Step) -> str:
        await step("engine/start", lambda: asyncio.to_thread(self.runs.add, order), bool)
        return f"handed on to {order.id}"

    async def _replace(self, active: tuple[Run, ...], reason: str, step: Step, continued: int = 0) -> None:
        """Stops runs and reports it, except at the comment whose request continues in the new run."""
        ids = [run.id for run in active]
        stopped = await step("engine/cancel", lambda: asyncio.to_thread(self.runs.cancel, ids), tuple[str, ...])
        for run in (run for run in active if run.id in stopped):
            try:
                comment = 0 if run.job.comment == continued else run.job.comment
                await self.handlers.abandon(replace(run.job, comment=comment), reason, under(f"{run.id}/", step))
            except AssistantError as error:  # the newer run must not fail with the older one's report
                log.warning("replaced without a report", run=run.id, reason=str(error))
            await step(f"engine/ended {run.id}", partial(self._replaced, run, reason), type(None))

    async def _replaced(self, run: Run, reason: str) -> None:
        kind = "answer" if run.job.is_question else "review"
        await self._tell(RunEnd(run.job, kind, "superseded", reason, "", time.time()), (run.id,))


def _replacement(job: Job, unfinished: Sequence[Job]) -> Job:
    """Returns the job that replaces unfinished reviews: it covers each of them, and keeps a person's request."""
    requested = None if job.is_requested else next((other for other in unfinished if other.is_requested), None)
    replacement = replace(requested, id=job.id, head_sha=job.head_sha, seen=job.seen) if requested else job
    return replacement if all(map(replacement.covers, (job, *unfinished))) else replacement.as_full_review


async def _once(_: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:  # noqa: ARG001 - a Step
    """A Step that tries once and journals nothing."""
    return await work()


def _ended(end: str, word: str, cause: str = "") -> dict[str, str]:
    return {"end": end, "word": word} | ({"cause": cause} if cause else {})

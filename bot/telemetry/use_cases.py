"""Measures and traces the use cases from outside: none of them knows that it is watched.

A trace is one job, from the delivery to the post; its id follows from the job's id, so that every process and every attempt
after a crash adds to the same trace. https://opentelemetry.io/docs/specs/otel/trace/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from bot.core.costs import Usage
from bot.errors import AssistantError
from bot.interfaces import Account, Engine, Handlers, JobLog, Reconcile, Step
from bot.job import Job, RouteDecision
from bot.model.conversation import JournaledReply
from bot.storage.database import is_database_error
from bot.telemetry.metrics import Metrics

T = TypeVar("T")


class Spans(Protocol):
    """Where the parts of a job are recorded."""

    def span(self, name: str, job: Job) -> AbstractContextManager[Callable[[str], None]]:
        """Records what happens in the block as a part of the job; the function that it yields notes how it ended."""

    def close(self) -> None:
        """Sends what is recorded."""


class NoSpans:
    """Records nothing."""

    def span(self, name: str, job: Job) -> AbstractContextManager[Callable[[str], None]]:
        return nullcontext(_forget)

    def close(self) -> None:
        """Does nothing."""


def _forget(_: str) -> None:
    """Notes nothing."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Counts in `metrics` and records in `spans`."""

    metrics: Metrics
    spans: Spans

    def handlers(self, handlers: Handlers) -> Handlers:
        """The same use cases, watched."""
        return replace(
            handlers,
            route=self._route(handlers.route),
            review=self._body("review", handlers.review),
            answer=self._body("answer", handlers.answer),
            abandon=self._end("abandoned", handlers.abandon),
            fail=self._end("failed", handlers.fail),
            reconcile=handlers.reconcile and self._reconcile(handlers.reconcile),
        )

    def engine(self, engine: Engine) -> Engine:
        """The same engine, whose deliveries begin a trace."""
        return _TracedEngine(engine, self.spans)

    def account(self, account: Account) -> Account:
        """The same account, whose calls are counted."""
        return _CountedAccount(account, self.metrics)

    def _route(
        self, route: Callable[[Job, Step], Awaitable[RouteDecision]]
    ) -> Callable[[Job, Step], Awaitable[RouteDecision]]:
        async def watched(job: Job, step: Step) -> RouteDecision:
            with self.spans.span("route", job) as note:
                decision = await route(job, self._step(job, step))
                note(decision.route.value)
                return decision

        return watched

    def _body(self, name: str, body: Callable[[Job, Step], Awaitable[str]]) -> Callable[[Job, Step], Awaitable[str]]:
        async def watched(job: Job, step: Step) -> str:
            with self.spans.span(name, job) as note:
                end = await body(job, self._step(job, step))
                note(end)
            if name == "review":
                self._ended(job, end)
            else:
                self.metrics.answers.labels("answered").inc()
            return end

        return watched

    def _end(
        self, end: str, report: Callable[[Job, str, Step], Awaitable[str]]
    ) -> Callable[[Job, str, Step], Awaitable[str]]:
        async def watched(job: Job, reason: str, step: Step) -> str:
            with self.spans.span(end, job):
                said = await report(job, reason, self._step(job, step))
            if job.is_question:
                self.metrics.answers.labels(end).inc()
            else:
                self._ended(job, end)
            return said

        return watched

    def _ended(self, job: Job, end: str) -> None:
        self.metrics.reviews.labels(end, job.trigger.value).inc()

    def _step(self, job: Job, step: Step) -> Step:
        async def watched(name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
            async def attempt() -> T:
                with self.spans.span(name, job), self._failures(kind):
                    return await work()

            return await step(name, attempt, kind)

        return watched

    @contextmanager
    def _failures(self, kind: type) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            name = _kind(error)
            self.metrics.step_failures.labels(name).inc()
            if kind is JournaledReply:
                self.metrics.model_errors.labels(name).inc()
            raise

    def _reconcile(self, reconcile: Reconcile) -> Reconcile:
        async def watched(jobs: JobLog, state: Mapping[str, Any]) -> Mapping[str, Any]:
            after = await reconcile(jobs, state)
            before = state.get("totals", {})
            for kind, total in after.get("totals", {}).items():
                self.metrics.recovered.labels(kind).inc(max(total - before.get(kind, 0), 0))
            return after

        return watched


def _kind(error: Exception) -> str:
    """The class of an error; one name for all of the database's, and one for what is none of ours."""
    if isinstance(error, AssistantError):
        return type(error).__name__
    return "database" if is_database_error(error) else "internal"


@dataclass(frozen=True, slots=True)
class _TracedEngine:
    inner: Engine
    spans: Spans

    async def submit(self, job: Job) -> bool:
        """Stores the job, as the first part of its trace."""
        with self.spans.span("deliver", job) as note:
            new = await self.inner.submit(job)
            note("accepted" if new else "duplicate")
            return new


@dataclass(frozen=True, slots=True)
class _CountedAccount:
    inner: Account
    metrics: Metrics

    async def reserve(self, name: str, worst: Usage, likely: Usage | None = None, kept: Usage | None = None) -> None:
        await self.inner.reserve(name, worst, likely, kept)

    async def settle(self, name: str, actual: Usage) -> bool:
        self.metrics.model_calls.inc(bool(actual.tokens))
        for kind, tokens in (("input", actual.input), ("cached", actual.cached), ("output", actual.output)):
            self.metrics.model_tokens.labels(kind).inc(tokens)
        self.metrics.model_dollars.inc(actual.dollars or 0.0)
        return await self.inner.settle(name, actual)

"""What a review may spend: an account in the ledger, and steps that count calls, time and characters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import uuid4

from bot.core.costs import NEAR_LIMIT, ReviewBudget, Usage
from bot.errors import BudgetExhausted, TimedOut
from bot.interfaces import Step
from bot.job import Job
from bot.model.conversation import DENIED, JournaledReply, JournaledToolResult
from bot.model.tools.bounds import cut
from bot.storage.ledger import Ledger, Reservation, Shortage, Spending, SpendingLimit

T = TypeVar("T")


_LOOK = 0.5
"""Seconds between two looks at the reservations of other jobs."""
_PATIENCE = 120.0
"""Seconds that a job waits altogether for the calls of other jobs."""


def person_of(job: Job) -> str:
    """Returns the login of whom the spending of `job` belongs to: who asked for it, or who opened the pull request."""
    asked = job.is_requested or job.is_question or job.seen is None
    return job.actor if asked or job.seen is None else job.seen.author


@dataclass(slots=True)
class LedgerAccount:
    """The Account of one job: budgets for each review, pull request, repository and installation, across workers.

    The first of `bounds` belongs to the review itself. Each attempt at a call has its own row: a lost answer may have
    been billed. `_rows` are the reservations of calls under way; `_settled` counts those that ended. `patience` are the
    seconds that are left to wait for calls of other jobs.
    """

    ledger: Ledger
    job: Job
    bounds: tuple[SpendingLimit, ...]
    patience: float = _PATIENCE
    _rows: dict[str, str] = field(default_factory=dict)
    _settled: int = 0
    _ended: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def reserve(self, name: str, worst: Usage, likely: Usage | None = None, kept: Usage | None = None) -> None:
        """Reserves the most that the call can cost, in every scope. Raises BudgetExhausted and then reserves nothing.

        First settles what a process that ended left reserved for this call. A call that does not fit waits while other
        calls are under way, of this review or of other jobs: they usually cost less than was reserved for them.
        """
        self._rows.pop(name, None)
        await self.ledger.settle_lost(self.job.id, f"{self.job.id}/{name}/", _cost(likely or worst))
        call = Reservation(
            f"{self.job.id}/{name}/{uuid4().hex[:8]}",
            self.job.pull,
            self.job.id,
            _cost(worst),
            _cost(likely or worst),
            _cost(kept or Usage()),
            person_of(self.job),
        )
        bounds = [replace(bound, person=call.person) if bound.scope == "person" else bound for bound in self.bounds]
        while True:
            seen = self._settled
            shortage = await self.ledger.reserve(call, bounds)
            if shortage is None:
                self._rows[name] = call.name
                return
            if not await self._wait(seen, shortage):
                raise BudgetExhausted(f"{shortage.reason}, and the next model call could exceed that")

    async def _wait(self, seen: int, shortage: Shortage) -> bool:
        """Waits for calls under way; returns False if none of them would make the next call fit."""
        if self._settled != seen:
            return True
        if self._rows:
            async with self._ended:
                await self._ended.wait_for(lambda: self._settled != seen)
            return True
        if not shortage.pending or self.patience <= 0:
            return False
        self.patience -= _LOOK
        await asyncio.sleep(_LOOK)
        return True

    async def settle(self, name: str, actual: Usage) -> bool:
        """Records the actual cost; returns whether the review should end soon."""
        try:
            await self.ledger.settle(self._rows[name], _cost(actual))
        finally:
            async with self._ended:
                del self._rows[name]
                self._settled += 1
                self._ended.notify_all()
        own = self.bounds[0]
        spent = await self.ledger.spent(self.job.pull, own, self.job.id)
        nearly = Spending(int(spent.tokens * (1 / NEAR_LIMIT - 1)), spent.dollars * (1 / NEAR_LIMIT - 1))
        return bool(own.exceeded(spent, nearly))


@dataclass(slots=True)
class MeteredSteps:
    """A Step that keeps model calls, tool calls and characters within `allowed`.

    Replayed steps count too, so that a crash does not change what a review may do. The number of tools that a reply may
    call is decided when the reply arrives, and journaled with it: by then every earlier reply is counted.
    """

    step: Step
    allowed: ReviewBudget
    _made: int = 0
    _waited: float = 0.0
    _lookups: dict[str, int] = field(default_factory=dict)
    _characters: dict[str, int] = field(default_factory=dict)

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        async def bounded() -> T:
            result = self._bounded(await (self._in_time(work) if kind is JournaledReply else work()))
            self._count(name, result)
            return result

        if kind is JournaledReply:
            self._admit()
        try:
            result = await self.step(name, bounded, kind)
        except TimedOut:  # the journal returns it too, so that a replay stops where the first run stopped
            self._waited = self.allowed.seconds
            raise
        self._count(name, result)
        self._waited += result.seconds if isinstance(result, JournaledReply) else 0.0
        return result

    async def _in_time(self, work: Callable[[], Awaitable[T]]) -> T:
        """Runs a model call for no longer than the review may still wait. Raises TimedOut."""
        try:
            async with asyncio.timeout(max(self.allowed.seconds - self._waited, 0.0)) as clock:
                return await work()
        except TimeoutError as late:
            if not clock.expired():
                raise
            raise TimedOut(self._out_of_time) from late

    @property
    def _out_of_time(self) -> str:
        limit = f"this review may wait {self.allowed.seconds:.0f} seconds for the model"
        return f"{limit} (ASSISTANT_SECONDS_PER_REVIEW, or budgets.seconds of the policy, sets the limit)"

    def _admit(self) -> None:
        if self._made >= self.allowed.calls:
            raise BudgetExhausted(
                f"this review may make {self.allowed.calls} model calls (ASSISTANT_CALLS_PER_REVIEW, or budgets.calls of the policy, sets the limit)"
            )
        if self._waited >= self.allowed.seconds:
            raise TimedOut(self._out_of_time)
        self._made += 1

    def _bounded(self, result: T) -> T:
        """Cuts a result to the rest of the budget."""
        room = max(self.allowed.tool_characters - sum(self._characters.values()), 0)
        if isinstance(result, JournaledReply):
            left = self.allowed.tool_calls - sum(self._lookups.values()) if room else 0
            return replace(result, lookups=min(result.lookups, left))
        if isinstance(result, JournaledToolResult):
            return replace(result, text=cut(result.text, room) if room else DENIED)
        return result

    def _count(self, name: str, result: object) -> None:
        """Counts by step name, so that a result counted on arrival is not counted again when the journal returns it."""
        if isinstance(result, JournaledReply):
            self._lookups[name] = result.lookups
        if isinstance(result, JournaledToolResult):
            self._characters[name] = len(result.text)


def _cost(usage: Usage) -> Spending:
    """Returns the tokens and dollars; usage without a known price counts in tokens only."""
    return Spending(usage.tokens, usage.dollars or 0.0)

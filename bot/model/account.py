"""What a review may spend: an account in the ledger, and steps that count calls, time and characters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import uuid4

from bot.core.costs import NEAR_LIMIT, ReviewBudget, Usage
from bot.errors import BudgetExhausted
from bot.interfaces import Step
from bot.job import Job
from bot.model.conversation import DENIED, JournaledReply, JournaledToolResult
from bot.model.tools.bounds import cut
from bot.storage.ledger import Ledger, Spending, SpendingLimit

T = TypeVar("T")


@dataclass(slots=True)
class LedgerAccount:
    """The Account of one job: budgets for each review, pull request, repository and installation, across workers.

    The first of `bounds` belongs to the review itself. Each attempt at a call has its own row: a lost answer may have
    been billed. `_rows` are the reservations of calls under way; `_settled` counts those that ended.
    """

    ledger: Ledger
    job: Job
    bounds: tuple[SpendingLimit, ...]
    _rows: dict[str, str] = field(default_factory=dict)
    _settled: int = 0
    _ended: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def reserve(self, name: str, worst: Usage, likely: Usage | None = None) -> None:
        """Reserves the most that the call can cost, in every scope. Raises BudgetExhausted and then reserves nothing.

        First settles what a process that ended left reserved for this call. A call that does not fit waits while other
        calls of this review are under way: they usually cost less than was reserved for them.
        """
        self._rows.pop(name, None)
        await self.ledger.settle_lost(self.job.id, f"{self.job.id}/{name}/", _cost(likely or worst))
        row = f"{self.job.id}/{name}/{uuid4().hex[:8]}"
        while True:
            seen = self._settled
            exceeded = await self.ledger.reserve(row, self.job.pull, self.job.id, _cost(worst), self.bounds)
            if not exceeded:
                self._rows[name] = row
                return
            if self._settled == seen and not self._rows:
                raise BudgetExhausted(f"{exceeded}, and the next model call could exceed that")
            async with self._ended:
                await self._ended.wait_for(lambda seen=seen: self._settled != seen)  # type: ignore[misc]

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
            result = self._bounded(await work())
            self._count(name, result)
            return result

        if kind is JournaledReply:
            self._admit()
        result = await self.step(name, bounded, kind)
        self._count(name, result)
        self._waited += result.seconds if isinstance(result, JournaledReply) else 0.0
        return result

    def _admit(self) -> None:
        if self._made >= self.allowed.calls:
            raise BudgetExhausted(f"this review may make {self.allowed.calls} model calls")
        if self._waited >= self.allowed.seconds:
            raise BudgetExhausted(f"this review may wait {self.allowed.seconds:.0f} seconds for the model")
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

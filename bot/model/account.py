"""What a review may spend: an account whose books are the ledger, and a journal that counts calls and time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import uuid4

from bot.core.costs import NEARLY, ReviewBudget, Usage
from bot.errors import BudgetExhausted
from bot.interfaces import Step
from bot.job import Job
from bot.model.conversation import DENIED, JournaledReply, JournaledToolResult
from bot.model.tools.bounds import cut
from bot.storage.ledger import Ledger, Spending, SpendingLimit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """The Account of one job: budgets per review, pull request, repository and installation, across workers.

    The first of `bounds` is the review's own. Each attempt at a call has a row of its own: an answer that was lost may
    have been billed, so its reservation stays.
    """

    ledger: Ledger
    job: Job
    bounds: tuple[SpendingLimit, ...]
    _rows: dict[str, str] = field(default_factory=dict)

    async def reserve(self, name: str, worst: Usage) -> None:
        """Hold what the call could cost, in every scope. Raises BudgetExhausted, and then nothing was held."""
        self._rows[name] = f"{self.job.id}/{name}/{uuid4().hex[:8]}"
        exceeded = await self.ledger.reserve(self._rows[name], self.job.pull, self.job.id, _cost(worst), self.bounds)
        if exceeded:
            raise BudgetExhausted(f"{exceeded}, and the next model call could exceed that")

    async def settle(self, name: str, actual: Usage) -> bool:
        """Book what the call did cost; whether the review should come to its end."""
        await self.ledger.settle(self._rows[name], _cost(actual))
        own = self.bounds[0]
        spent = await self.ledger.spent(self.job.pull, own, self.job.id)
        nearly = Spending(int(spent.tokens * (1 / NEARLY - 1)), spent.dollars * (1 / NEARLY - 1))
        return bool(own.exceeded(spent, nearly))


@dataclass(slots=True)
class MeteredSteps:
    """A Step through which only as many calls of the model and of tools go as are `allowed`, and so many characters.

    Replayed ones count too, so that a crash neither widens nor narrows what a review may do. How many tools a reply may
    call is decided when it comes, and journaled with it: by then every reply before it was counted.
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
        """As much of what came as is left."""
        room = max(self.allowed.tool_characters - sum(self._characters.values()), 0)
        if isinstance(result, JournaledReply):
            left = self.allowed.tool_calls - sum(self._lookups.values()) if room else 0
            return replace(result, lookups=min(result.lookups, left))
        if isinstance(result, JournaledToolResult):
            return replace(result, text=cut(result.text, room) if room else DENIED)
        return result

    def _count(self, name: str, result: object) -> None:
        """By name: what was counted when it came is not counted again when the journal has it."""
        if isinstance(result, JournaledReply):
            self._lookups[name] = result.lookups
        if isinstance(result, JournaledToolResult):
            self._characters[name] = len(result.text)


def _cost(usage: Usage) -> Spending:
    """What has no known price counts in tokens alone."""
    return Spending(usage.tokens, usage.dollars or 0.0)

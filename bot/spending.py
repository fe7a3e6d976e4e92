"""What a review may spend: an account whose books are the ledger, and a journal that counts calls and time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import uuid4

from bot.dialogue import Reply
from bot.errors import BudgetExhausted
from bot.interfaces import Step
from bot.job import Job
from bot.ledger import Bound, Ledger, Spent
from bot.review.budget import NEARLY
from bot.review.usage import Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """The Account of one job: budgets per review, pull request, repository and installation, across workers.

    The first of `bounds` is the review's own. Each attempt at a call has a row of its own: an answer that was lost may
    have been billed, so its reservation stays.
    """

    ledger: Ledger
    job: Job
    bounds: tuple[Bound, ...]
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
        nearly = Spent(int(spent.tokens * (1 / NEARLY - 1)), spent.dollars * (1 / NEARLY - 1))
        return bool(own.exceeded(spent, nearly))


@dataclass(slots=True)
class Metered:
    """A Step through which only so many model `calls` go, and none after so many `seconds` of waiting for answers.

    Replayed calls count too, so that a crash neither widens nor narrows what a review may do.
    """

    step: Step
    calls: int
    seconds: float
    _made: int = 0
    _waited: float = 0.0

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        if kind is not Reply:
            return await self.step(name, work, kind)
        if self._made >= self.calls:
            raise BudgetExhausted(f"this review may make {self.calls} model calls")
        if self._waited >= self.seconds:
            raise BudgetExhausted(f"this review may wait {self.seconds:.0f} seconds for the model")
        self._made += 1
        reply = await self.step(name, work, kind)
        self._waited += reply.seconds if isinstance(reply, Reply) else 0.0
        return reply


def _cost(usage: Usage) -> Spent:
    """What has no known price counts in tokens alone."""
    return Spent(usage.tokens, usage.dollars or 0.0)

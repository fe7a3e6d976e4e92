"""An account whose books are the ledger: budgets per review, pull request, repository and installation, across workers."""

from __future__ import annotations

from dataclasses import dataclass

from bot.errors import BudgetExhausted
from bot.job import Job
from bot.ledger import Bound, Ledger, Spent
from bot.review.budget import NEARLY
from bot.review.usage import Usage


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """The Account of one job. The first of `bounds` is the review's own."""

    ledger: Ledger
    job: Job
    bounds: tuple[Bound, ...]

    async def reserve(self, name: str, worst: Usage) -> None:
        """Hold what the call could cost, in every scope. Raises BudgetExhausted, and then nothing was held."""
        cost = _cost(worst)
        exceeded = await self.ledger.reserve(self._row(name), self.job.pull, self.job.id, cost, self.bounds)
        if exceeded:
            raise BudgetExhausted(f"{exceeded}, and the next model call could exceed that")

    async def settle(self, name: str, actual: Usage) -> bool:
        """Book what the call did cost; whether the review should come to its end."""
        await self.ledger.settle(self._row(name), _cost(actual))
        own = self.bounds[0]
        spent = await self.ledger.spent(self.job.pull, own, self.job.id)
        nearly = Spent(int(spent.tokens * (1 / NEARLY - 1)), spent.dollars * (1 / NEARLY - 1))
        return bool(own.exceeded(spent, nearly))

    def _row(self, name: str) -> str:
        return f"{self.job.id}/{name}"


def _cost(usage: Usage) -> Spent:
    """What has no known price counts in tokens alone."""
    return Spent(usage.tokens, usage.dollars or 0.0)

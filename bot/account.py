"""An account in memory: for one command, or one review that nobody else shares a budget with."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.review.budget import Budget
from bot.review.usage import Usage


@dataclass(slots=True)
class Purse:
    """An Account that is forgotten with the process."""

    budget: Budget = field(default_factory=Budget)

    async def reserve(self, name: str, worst: Usage) -> None:
        """Hold what the call could cost. Raises BudgetExhausted."""
        self.budget = self.budget.reserve(name, worst)

    async def settle(self, name: str, actual: Usage) -> bool:
        """Book what the call did cost; whether little is left."""
        worst = self.budget.held.get(name, actual)
        self.budget = self.budget.settle(name, actual)
        return not self.budget.lasts(worst)

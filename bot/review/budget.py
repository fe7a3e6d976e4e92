"""Budget: what may still be spent, decided before each call. Reserve the worst, then settle for what it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from bot.errors import BudgetExhausted
from bot.review.policy import Budgets
from bot.review.usage import Usage

NEARLY = 0.8
"""The share of a limit beyond which a conversation is brought to its end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one conversation: model `calls`, `tool_calls`, tokens in and out of one call, and `seconds` of waiting.

    An answer that is cut off at `output` tokens is asked for once more with `longest`. `input` stays under the size
    from which a request costs twice as much.
    """

    calls: int = 12
    tool_calls: int = 30
    input: int = 260_000
    output: int = 25_000
    longest: int = 50_000
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one review may use: money, tokens, model `calls`, calls of our tools and the characters that these answer.

    `seconds` are those of waiting for the model's answers.
    """

    dollars: float = 1.0
    tokens: int = 1_500_000
    calls: int = 200
    tool_calls: int = 120
    tool_characters: int = 480_000
    seconds: float = 1200.0

    def lowered(self, wish: Budgets) -> Allowed:
        """What is left of it by a repository's own policy, which can take but not give."""
        wanted = {one.name: getattr(wish, one.name) for one in fields(self)}
        return replace(
            self, **{name: min(value, getattr(self, name)) for name, value in wanted.items() if value is not None}
        )


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one `scope` may use ("this review", "this repository today"), and what it has used. None is no limit."""

    scope: str
    tokens: int | None = None
    dollars: float | None = None
    used_tokens: int = 0
    used_dollars: float = 0.0

    def plus(self, usage: Usage) -> Allowance:
        """This allowance after `usage`; what has no known price counts in tokens alone."""
        return replace(
            self,
            used_tokens=self.used_tokens + usage.tokens,
            used_dollars=self.used_dollars + (usage.dollars or 0.0),
        )

    @property
    def exceeded(self) -> str:
        """What is over its limit, in words; empty when nothing is."""
        if self.tokens is not None and self.used_tokens > self.tokens:
            return f"{self.scope} may use {self.tokens} tokens"
        if self.dollars is not None and self.used_dollars > self.dollars:
            return f"{self.scope} may cost ${self.dollars:.2f}"
        return ""

    @property
    def low(self) -> bool:
        """Whether most of it is used."""
        tokens = self.tokens is not None and self.used_tokens >= NEARLY * self.tokens
        dollars = self.dollars is not None and self.used_dollars >= NEARLY * self.dollars
        return tokens or dollars


@dataclass(frozen=True, slots=True)
class Budget:
    """Several allowances that all have to suffice. `held` are reservations by name, in force until they are settled."""

    allowances: tuple[Allowance, ...] = ()
    held: Mapping[str, Usage] = field(default_factory=dict)

    def reserve(self, name: str, worst: Usage) -> Budget:
        """Hold `worst` for a call. Raises BudgetExhausted, naming the scope, if any allowance would be exceeded.

        A name that is still held belongs to a call whose answer was lost: it may have been billed, so it is spent.
        """
        before = self.settle(name, self.held[name]) if name in self.held else self
        held = {**before.held, name: worst}
        for allowance in before.allowances:
            for usage in held.values():
                allowance = allowance.plus(usage)  # noqa: PLW2901 - a fold
            if allowance.exceeded:
                raise BudgetExhausted(f"{allowance.exceeded}, and the next model call could exceed that")
        return replace(before, held=held)

    def settle(self, name: str, actual: Usage) -> Budget:
        """Give the reservation back and book what the call really used."""
        return Budget(
            tuple(allowance.plus(actual) for allowance in self.allowances),
            {other: usage for other, usage in self.held.items() if other != name},
        )

    def lasts(self, worst: Usage) -> bool:
        """Whether two more calls like this one would fit, and a good part of every allowance is left."""
        return not any(one.low or one.plus(worst).plus(worst).exceeded for one in self.allowances)

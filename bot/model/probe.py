"""One small question that shows what a model understands: a tool to call, and an answer in a schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from bot.core.claims.prompt import Prompt
from bot.core.costs import Usage
from bot.errors import BudgetExhausted
from bot.interfaces import Model, ModelAnswer

WORD = "quicksilver"
"""What the tool returns, and the answer has to say."""
_CALLS = 4
T = TypeVar("T")


class ProbeAnswer(BaseModel):
    """The answer that is asked for."""

    word: str


@dataclass(frozen=True, slots=True)
class _ProbeTool:
    """A tool that only gives a word away."""

    name: str = "get_word"
    description: str = "Returns the word of today."

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        return WORD


@dataclass(slots=True)
class _ProbeAccount:
    """Adds up what the probe cost, and ends it after a few calls."""

    spent: Usage = field(default_factory=Usage)

    async def reserve(self, name: str, worst: Usage, likely: Usage | None = None, kept: Usage | None = None) -> None:
        if self.spent.calls >= _CALLS:
            raise BudgetExhausted(f"the probe makes {_CALLS} calls at most")

    async def settle(self, name: str, actual: Usage) -> bool:
        self.spent += replace(actual, calls=1)
        return self.spent.calls >= _CALLS - 1


async def probe(model: Model) -> tuple[ModelAnswer, Usage]:
    """Asks the model, in at most four calls; returns its answer and what it cost. Raises as `Model.ask` does."""
    account = _ProbeAccount()
    ask = "Call the tool `get_word` once. Then answer with the word that it returned."
    prompt = Prompt("doctor", "You test whether a connection works.", "", "", ask, ProbeAnswer)
    return await model.ask(prompt, (_ProbeTool(),), _at_once, account), account.spent


async def _at_once(_: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:  # noqa: ARG001 - a Step
    """A Step that journals nothing."""
    return await work()

"""The journal's rules: step results as small JSON, the delays between attempts, and a Step in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from bot.errors import Retryable

T = TypeVar("T")

ATTEMPTS = 8
"""Attempts of a step; over about four minutes with the delays below."""
LASTING = 150
"""Attempts of a step that meets an outage of the code host; over about a day."""
FIRST = 2.0
"""Seconds before the second attempt."""
_LONGEST = 300.0
"""The longest delay, as a multiple of the first: ten minutes."""
PATIENCE = 60.0
"""Seconds that an inline step waits at most before it is tried again."""


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", kind))


def to_json(value: T, kind: type[T]) -> Any:  # noqa: ANN401 - JSON has no better name
    """Returns `value` as JSON-compatible Python: dicts, lists, strings, numbers, booleans and None."""
    return _adapter(cast("Hashable", kind)).dump_python(value, mode="json")


def from_json(stored: Any, kind: type[T]) -> T:  # noqa: ANN401 - JSON has no better name
    """Returns the value of type `kind` that `to_json` stored."""
    restored: T = _adapter(cast("Hashable", kind)).validate_python(stored)
    return restored


def delay(attempt: int, error: Retryable, first: float = FIRST) -> float:
    """Returns the seconds to wait after the failed `attempt` (from 1): `first`, then twice as long each time, up to 300 times.

    It is never less than the server asked for. Up to a quarter is added at random, so that steps which failed together
    are not tried again together.
    """
    seconds = max(first * min(2.0 ** (attempt - 1), _LONGEST), error.after or 0.0)
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 - spreads load, protects no secret


@dataclass(frozen=True, slots=True)
class InlineSteps:
    """A Step without a database. Results pass through JSON, as on the durable engine.

    A step that fails with Retryable is tried again, unless that takes a wait of over `patience` seconds.
    """

    patience: float = PATIENCE
    _journal: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        if name not in self._journal:
            self._journal[name] = to_json(await self._attempt(work), kind)
        return from_json(self._journal[name], kind)

    async def _attempt(self, work: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return await work()
            except Retryable as error:
                seconds = delay(attempt, error)
                if seconds > self.patience:
                    raise
                await asyncio.sleep(seconds)
        return await work()

"""A step's result as small JSON, and back again: what an engine may store and what it may replay.

When to try again: how often, and how long to wait in between.
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from bot.errors import Retryable

T = TypeVar("T")


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", kind))


def to_json(value: T, kind: type[T]) -> Any:  # noqa: ANN401 - JSON has no better name
    """`value` as JSON-compatible Python: dicts, lists, strings, numbers, booleans and None."""
    return _adapter(cast("Hashable", kind)).dump_python(value, mode="json")


def from_json(stored: Any, kind: type[T]) -> T:  # noqa: ANN401 - JSON has no better name
    """The value of type `kind` that `to_json` stored."""
    restored: T = _adapter(cast("Hashable", kind)).validate_python(stored)
    return restored


ATTEMPTS = 8
FIRST = 2.0
"""Seconds before the second attempt."""


def delay(attempt: int, error: Retryable, first: float = FIRST) -> float:
    """Seconds to wait after the failed `attempt` (from 1): `first`, then twice as long each time, never less than what
    the world asked for.

    Up to a quarter is added at random, so that those who failed together do not come back together.
    """
    seconds = max(first * 2.0 ** (attempt - 1), error.after or 0.0)
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 - spreads load, keeps no secret

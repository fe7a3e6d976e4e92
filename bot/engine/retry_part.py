"""When to try again: how often, and how long to wait in between."""

from __future__ import annotations

import random

from bot.errors import Retryable

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

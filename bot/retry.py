"""When to try again: how often, and how long to wait in between."""

from __future__ import annotations

import random

from bot.errors import Retryable

ATTEMPTS = 8


def delay(attempt: int, error: Retryable) -> float:
    """Seconds to wait after the failed `attempt` (from 1): 2, 4, 8 …, never less than what the world asked for.

    Up to a quarter is added at random, so that those who failed together do not come back together.
    """
    seconds = max(2.0**attempt, error.after or 0.0)
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 - spreads load, keeps no secret

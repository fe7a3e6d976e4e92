"""What tokens cost: a table of 20 November 2026, as data. A model that is not in it costs an unknown amount, not nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.core.usage_part import Usage

LONG_INPUT = 272_000
"""Input tokens beyond which the whole request costs twice the input and one and a half times the output."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens; `written` is for the cache of 30 minutes."""

    input: float
    cached: float
    written: float
    output: float


PRICES: Mapping[str, Price] = {
    "gpt-6.2-astra": Price(8, 8, 10, 40),  # no price published for cached and written: as if there were no discount
    "gpt-6.2-sol": Price(2, 0.10, 2.50, 10),
    "gpt-6.1-sol": Price(2, 0.10, 2.50, 10),
    "gpt-6.1-terra": Price(1, 0.05, 1.25, 5),
    "gpt-6-astra": Price(10, 1, 12.5, 50),
    "gpt-6-luna": Price(0.10, 0.01, 0.125, 0.50),
    "gpt-5.6-sol": Price(4, 0.4, 5, 20),
    "gpt-5.6-terra": Price(2, 0.2, 2.5, 12),
    "gpt-5.6-luna": Price(0.2, 0.02, 0.25, 1.2),
}
FILE_SEARCH = 2.50 / 1000
"""Dollars for one search."""
CODE_RUN = 0.03
"""Dollars for one container of 1 GB, up to 20 minutes; each run is counted as if it had its own."""

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def at_worst(request: Mapping[str, Any], size: int, ceiling: int) -> Usage:
    """What `request`, of `size` tokens, may come to: an answer up to `ceiling`, and the fees of the server's own tools."""
    kinds, most = {tool["type"] for tool in request.get("tools", ())}, request.get("max_tool_calls", 0)
    runs = most if "code_interpreter" in kinds else 0
    searches = most if "file_search" in kinds and not runs else 0
    return Usage(calls=1, input=size, output=ceiling, file_searches=searches, code_runs=runs)


def priced(usage: Usage, model: str, prices: Mapping[str, Price] = PRICES) -> Usage:
    """`usage` of one call with its dollars; None for a model without a price. Snapshots cost what their model costs."""
    price = prices.get(model) or prices.get(_SNAPSHOT.sub("", model))
    if price is None:
        return replace(usage, dollars=None)
    fresh = max(usage.input - usage.cached - usage.written, 0)
    read = fresh * price.input + usage.cached * price.cached + usage.written * price.written
    said = usage.output * price.output
    if usage.input > LONG_INPUT:
        read, said = 2 * read, 1.5 * said
    fees = usage.file_searches * FILE_SEARCH + usage.code_runs * CODE_RUN
    return replace(usage, dollars=(read + said) / 1e6 + fees)

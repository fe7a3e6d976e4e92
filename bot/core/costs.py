"""What tokens cost: a table of 20 November 2026, as data. A model that is not in it costs an unknown amount, not nothing.

Usage: what a model call cost, in tokens and, where a price is known, in US dollars.

Text -> about how many tokens it is, without the tokenizer; and how far off that was, learned from what was billed.

The tokenizers of current models are unpublished. Against o200k_base the estimate is 4 to 20 percent high on code and
diffs, and high by more on scripts other than Latin: on the safe side.

What a conversation and a review may use at most.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from bot.core.policy import Budgets


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls. `dollars` is None as soon as one of them has no known price.

    `cached` and `written` are the parts of `input` that were read from, or written to, the server's prompt cache.
    `tool_calls` counts functions of ours and tools that the server ran; of the latter, `file_searches` and `code_runs`
    are billed by the call.
    """

    calls: int = 0
    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    tool_calls: int = 0
    dollars: float | None = 0.0
    file_searches: int = 0
    code_runs: int = 0

    @property
    def tokens(self) -> int:
        """All of them, whatever they cost."""
        return self.input + self.output

    def __add__(self, other: Usage) -> Usage:
        known = self.dollars is not None and other.dollars is not None
        return Usage(
            self.calls + other.calls,
            self.input + other.input,
            self.cached + other.cached,
            self.written + other.written,
            self.output + other.output,
            self.tool_calls + other.tool_calls,
            (self.dollars or 0.0) + (other.dollars or 0.0) if known else None,
            self.file_searches + other.file_searches,
            self.code_runs + other.code_runs,
        )


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


_PIECE = re.compile(
    r"(?P<word>[^\r\nA-Za-z0-9]?[A-Z]*[a-z]+|[^\r\nA-Za-z0-9]?[A-Z]+)"
    r"|(?P<digits>\d{1,3})"
    r"|(?P<other>[^\x00-\x7f]+)"
    r"|(?P<sign> ?[!-/:-@\[-`{-~]+[\r\n]*)"
    r"|(?P<space>\s+)"
)
_LETTERS = 7  # of a longer word: one token for so many
_SIGNS = 3
_WEIGHT = 0.2  # of the newest call
_LOW, _HIGH = 0.4, 2.5


def estimate(text: str) -> int:
    """About how many tokens `text` is."""
    return sum(_tokens(piece.lastgroup or "", piece.end() - piece.start()) for piece in _PIECE.finditer(text))


def _tokens(kind: str, length: int) -> int:
    match kind:
        case "word":
            return -(-length // _LETTERS)
        case "sign":
            return -(-length // _SIGNS)
        case "other":
            return length
    return 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """Tokens billed for each token estimated, as a moving average over the calls of one model."""

    ratio: float = 1.0

    def corrected(self, estimated: int) -> int:
        """The estimate, as it would have been billed of late."""
        return round(estimated * self.ratio)

    def learned(self, estimated: int, billed: int) -> Calibration:
        """What is known after one more call; a count that cannot be true teaches nothing."""
        if estimated <= 0 or not _LOW <= billed / estimated <= _HIGH:
            return self
        return Calibration(self.ratio + _WEIGHT * (billed / estimated - self.ratio))


NEARLY = 0.8
"""The share of a limit beyond which a conversation is brought to its end."""


@dataclass(frozen=True, slots=True)
class ConversationLimits:
    """Of one conversation: model `calls`, `tool_calls`, tokens in and out of one call, and `seconds` of waiting.

    `hosted` is how often the server may use tools of its own in one call; the fees of all are reserved before it.

    An answer that is cut off at `output` tokens is asked for once more with `longest`. `input` stays under the size
    from which a request costs twice as much.
    """

    calls: int = 12
    tool_calls: int = 30
    hosted: int = 8
    input: int = 260_000
    output: int = 25_000
    longest: int = 50_000
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class ReviewBudget:
    """What one review may use: money, tokens, model `calls`, calls of our tools and the characters that these answer.

    `seconds` are those of waiting for the model's answers.
    """

    dollars: float = 1.0
    tokens: int = 1_500_000
    calls: int = 200
    tool_calls: int = 120
    tool_characters: int = 480_000
    seconds: float = 1200.0

    def lowered(self, wish: Budgets) -> ReviewBudget:
        """What is left of it by a repository's own policy, which can take but not give."""
        wanted = {one.name: getattr(wish, one.name) for one in fields(self)}
        return replace(
            self, **{name: min(value, getattr(self, name)) for name, value in wanted.items() if value is not None}
        )

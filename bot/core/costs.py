"""Tokens and money: usage, prices, an estimate of tokens without a tokenizer, and the budgets of calls and reviews.

A model without a price costs an unknown amount, not nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bot.core.policy import Budgets


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls. `dollars` is None if one of the calls has no known price.

    `cached` and `written` are the parts of `input` that were read from, or written to, the server's prompt cache.
    `tool_calls` counts our own functions and the tools that the server ran. The server bills `file_searches` and
    `code_runs` by the call.
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
        """Input and output tokens together."""
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


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model: what it used, and the seconds until its answer."""

    usage: Usage
    seconds: float


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """One call of a tool by a model: its arguments as JSON, the characters of its answer, and why it had none."""

    tool: str
    arguments: str
    characters: int
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """One conversation with a model. `reason` is why it gave no answer; `more` counts what `bounded` left out."""

    name: str
    calls: tuple[ModelCall, ...] = ()
    tools: tuple[ToolCallRecord, ...] = ()
    reason: str = ""
    more: int = 0

    @property
    def usage(self) -> Usage:
        """What all its calls used."""
        return sum((call.usage for call in self.calls), Usage())

    def bounded(self, most: int, longest: int) -> ConversationRecord:
        """Returns the record with at most `most` calls of each kind, and texts of at most `longest` characters."""
        tools = tuple(
            replace(tool, arguments=tool.arguments[:longest], unavailable=tool.unavailable[:longest])
            for tool in self.tools[:most]
        )
        more = max(len(self.calls) - most, 0) + max(len(self.tools) - most, 0)
        return replace(self, calls=self.calls[:most], tools=tools, reason=self.reason[:longest], more=more)


LONG_INPUT = 272_000
"""Input tokens above which OpenAI bills the whole request at twice the input and one and a half times the output."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens; `written` is for the cache of 30 minutes. Above `long` input tokens they rise.

    `longest` is how many tokens the model's answers have at most, and `context` how many it reads and writes together;
    0: unknown.
    """

    input: float
    cached: float
    written: float
    output: float
    long: float = LONG_INPUT
    longest: int = 0
    context: int = 0


PRICES: Mapping[str, Price] = {
    "gpt-6.2-astra": Price(8, 8, 10, 40, longest=128_000),  # no prices published for the cache: no discount is counted
    "gpt-6.2-sol": Price(2, 0.10, 2.50, 10, longest=128_000),
}
"""Prices of 20 November 2026 for the models that genai-prices does not know yet."""

FILE_SEARCH = 2.50 / 1000
"""Dollars for one search."""
CODE_RUN = 0.03
"""Dollars for one container of 1 GB for up to 20 minutes. Each run is counted as a new container."""

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")

LONGEST_ANSWERS: Mapping[str, int] = {
    "gpt-3.5": 4_096,
    "gpt-4-turbo": 4_096,
    "gpt-4-vision": 4_096,
    "gpt-4o": 16_384,
    "gpt-4o-2024-05-13": 4_096,
    "gpt-4.1": 32_768,
    "gpt-4.5": 16_384,
    "chatgpt-4o": 16_384,
    "o1-preview": 32_768,
    "o1-mini": 65_536,
    "o1": 100_000,
    "o3": 100_000,
    "o4": 100_000,
    "gpt-5": 128_000,
    "gpt-6": 128_000,
    "claude-2": 4_096,
    "claude-3-haiku": 4_096,
    "claude-3-sonnet": 4_096,
    "claude-3-opus": 4_096,
    "claude-3-5": 8_192,
    "gemini-1.5": 8_192,
    "gemini-2.0": 8_192,
    "deepseek-chat": 8_192,
}
"""Output tokens that families of models answer with at most, as their makers publish them. The longest name that a model's
name begins with counts. Other limits are learned from the server's refusal."""


_WITHOUT_EFFORT = ("gpt-3.5", "gpt-4", "chatgpt", "o1-mini", "o1-preview")


def takes_effort(model: str) -> bool:
    """Says whether a reasoning effort may be sent to `model`: not to OpenAI's models that are known to refuse it."""
    return not model.rsplit("/", maxsplit=1)[-1].lower().startswith(_WITHOUT_EFFORT)


def longest_answer(model: str) -> int:
    """Returns how many output tokens `model` answers with at most; 0: unknown. A provider before a slash is ignored."""
    name = model.rsplit("/", maxsplit=1)[-1].lower()
    families = [family for family in LONGEST_ANSWERS if name.startswith(family)]
    return LONGEST_ANSWERS[max(families, key=len)] if families else 0


def worst_case(request: Mapping[str, Any], size: int, ceiling: int) -> Usage:
    """The most that `request` of `size` tokens can use: `ceiling` output tokens and every fee of the server's own tools."""
    kinds = {tool["type"] for tool in request.get("tools", ())}
    max_calls = request.get("max_tool_calls", 0)
    runs = max_calls if "code_interpreter" in kinds else 0
    searches = max_calls if "file_search" in kinds and not runs else 0
    return Usage(calls=1, input=size, output=ceiling, file_searches=searches, code_runs=runs)


def find_price(model: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of `model`, or None. A dated snapshot costs what its model costs."""
    return prices.get(model) or prices.get(_SNAPSHOT.sub("", model))


SMALL_REVIEW = Usage(calls=12, input=120_000, output=18_000)
"""What a review of a small change uses: three passes, a second look and the linked issue's points, with tools."""


def review_dollars(price: Price | None) -> float:
    """Returns the dollars that a review may cost by default: 1, or what a review of a small change costs if that is more."""
    if price is None:
        return ReviewBudget().dollars
    small = SMALL_REVIEW.input * price.input + SMALL_REVIEW.output * price.output
    return max(ReviewBudget().dollars, round(small / 1e6, 2))


def with_price(usage: Usage, model: str, prices: Mapping[str, Price] = PRICES) -> Usage:
    """`usage` of one call with its dollars; None for a model without a price."""
    price = find_price(model, prices)
    if price is None:
        return replace(usage, dollars=None)
    uncached = max(usage.input - usage.cached - usage.written, 0)
    input_cost = uncached * price.input + usage.cached * price.cached + usage.written * price.written
    output_cost = usage.output * price.output
    if usage.input > price.long:
        input_cost, output_cost = 2 * input_cost, 1.5 * output_cost
    fees = usage.file_searches * FILE_SEARCH + usage.code_runs * CODE_RUN
    return replace(usage, dollars=(input_cost + output_cost) / 1e6 + fees)


_PIECE = re.compile(
    r"(?P<word>[^\r\nA-Za-z0-9]?[A-Z]*[a-z]+|[^\r\nA-Za-z0-9]?[A-Z]+)"
    r"|(?P<digits>\d{1,3})"
    r"|(?P<other>[^\x00-\x7f]+)"
    r"|(?P<sign> ?[!-/:-@\[-`{-~]+[\r\n]*)"
    r"|(?P<space>\s+)"
)
_LETTERS = 7  # letters of a long word for each token
_SIGNS = 3  # punctuation characters for each token


def estimate(text: str) -> int:
    """About how many tokens `text` has.

    The tokenizers of current models are unpublished. Compared with o200k_base the estimate is 4 to 20 percent too high
    for code and diffs, and more for scripts other than Latin: it errs on the safe side.
    """
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


_WEIGHT = 0.2  # of the newest call in the moving average
_MIN_RATIO, _MAX_RATIO = 0.4, 2.5


_MEASURED, _REMEMBERED = 5, 20
_MARGIN = 3
SHORTEST_CEILING = 2_000
"""Output tokens that every call may use at least, thoughts included: with fewer there is no answer."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the calls of one model showed: tokens billed for each token estimated, as a moving average, and `outputs`.

    `outputs` are the output tokens of the last calls of each task, the newest last.
    """

    ratio: float = 1.0
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def correct(self, estimated: int) -> int:
        """The estimate, corrected by the ratio of recent calls."""
        return round(estimated * self.ratio)

    def update(self, estimated: int, billed: int) -> Calibration:
        """The calibration after one more call. Ignores counts that cannot be true."""
        if estimated <= 0 or not _MIN_RATIO <= billed / estimated <= _MAX_RATIO:
            return self
        return replace(self, ratio=self.ratio + _WEIGHT * (billed / estimated - self.ratio))

    def with_output(self, name: str, tokens: int) -> Calibration:
        """The calibration after a call of the prompt `name` that had so many output tokens."""
        task = task_of(name)
        return replace(self, outputs={**self.outputs, task: (*self.outputs.get(task, ()), tokens)[-_REMEMBERED:]})

    def ceiling(self, name: str, ceiling: int) -> int:
        """`ceiling`, or three times the longest of the task's last outputs if that is less and there were a few."""
        seen = self.outputs.get(task_of(name), ())
        return ceiling if len(seen) < _MEASURED else min(ceiling, max(_MARGIN * max(seen), SHORTEST_CEILING))


def task_of(name: str) -> str:
    """The task of a prompt: the first part of its name."""
    return name.split("/", maxsplit=1)[0]


NEAR_LIMIT = 0.8
"""The share of a limit from which a conversation is asked to end."""


SECOND_LOOK = "verify"
"""The task whose money is kept while the passes that find are still reading."""
_SECOND_INPUT = 20_000  # tokens; it reads only the hunks around the findings


def second_look(name: str, size: int, limits: ConversationLimits, share: float = 1.0) -> Usage:
    """What a second look at the findings of the prompt `name` uses at most; nothing for other tasks than to find.

    `share` is the part of the usual output that there is money for.
    """
    if task_of(name) != "find":
        return Usage()
    return Usage(calls=1, input=min(size, _SECOND_INPUT), output=round(share * limits.ceiling(SECOND_LOOK)))


TASK_OUTPUT: Mapping[str, int] = {"find": 12_000, "verify": 6_000, "requirements": 6_000}
"""Output tokens that a call may use, thoughts included, by the task: the first part of the prompt's name."""


@dataclass(frozen=True, slots=True)
class ConversationLimits:
    """Bounds of one conversation: model `calls`, `tool_calls`, input and output tokens of one call, `seconds` of waiting.

    `hosted` is how often the server may use its own tools in one call; their fees are reserved before the call.
    A call may use `output` tokens or, `by_task`, what TASK_OUTPUT says if that is less. An answer that is cut off is
    requested once more with four times as many, at most `longest`. `input` stays below the size from which a request
    costs twice as much.
    """

    calls: int = 12
    tool_calls: int = 30
    hosted: int = 8
    input: int = 260_000
    output: int = 25_000
    longest: int = 50_000
    seconds: float = 600.0
    by_task: bool = True

    def ceiling(self, name: str, *, longer: bool = False) -> int:
        """Returns how many output tokens a call of the prompt `name` may use."""
        task = TASK_OUTPUT.get(task_of(name), self.output) if self.by_task else self.output
        ceiling = min(task, self.output)
        return min(4 * ceiling, max(self.longest, ceiling)) if longer else ceiling


@dataclass(frozen=True, slots=True)
class Balance:
    """What was spent in a scope over the last `days`, reservations included, and the dollars that are left of its limit.

    `scope` is pull, repository, installation or person (whose login is `person`). `left` is None without a limit. A
    model without a price spends tokens and no dollars.
    """

    scope: str
    person: str
    days: int
    tokens: int
    dollars: float
    left: float | None


@dataclass(frozen=True, slots=True)
class ReviewBudget:
    """What one review may use: money, tokens, model `calls`, calls of our tools and the characters of their answers.

    `seconds` are spent waiting for the model's answers.
    """

    dollars: float = 1.0
    tokens: int = 1_500_000
    calls: int = 200
    tool_calls: int = 120
    tool_characters: int = 480_000
    seconds: float = 1200.0

    def limited_by(self, budgets: Budgets) -> ReviewBudget:
        """This budget with the lower of both values for each limit: a repository's policy can only lower it."""
        limits = {limit.name: getattr(budgets, limit.name) for limit in fields(self)}
        return replace(
            self, **{name: min(value, getattr(self, name)) for name, value in limits.items() if value is not None}
        )

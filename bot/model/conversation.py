"""One bounded conversation with a model over any API: calls, tools, one repair, and an answer or a reason."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pydantic import ValidationError

from bot.core.claims.prompt import Prompt
from bot.core.costs import (
    NEAR_LIMIT,
    SHORTEST_CEILING,
    Calibration,
    ConversationLimits,
    ModelCall,
    Price,
    Usage,
    estimate,
    find_price,
    longest_answer,
    second_look,
    with_price,
    worst_case,
)
from bot.errors import BudgetExhausted, RateLimited, Refused, Retryable, TimedOut, TooLarge, UserError
from bot.interfaces import CALL, TOOL, Account, ModelAnswer, SearchPassage, Step, Tool, ToolUse
from bot.model.replies import arguments_of, read_answer


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants to call. `arguments` is the model's text, which may not be valid JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply of a model. `items` go back to the server unchanged when the conversation continues.

    `cut` says that the output limit ended it, `refusal` why there is no answer. `passages` are the results of a search
    that the server ran.
    """

    items: tuple[Mapping[str, Any], ...] = ()
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    cut: bool = False
    refusal: str = ""
    usage: Usage = field(default_factory=Usage)
    passages: tuple[SearchPassage, ...] = ()


Item = Mapping[str, Any]

DENIED = "denied: no more tool calls; answer with what you have"
TRUNCATED = (
    "not reviewed: the server read {counted.read} of about {counted.sent} tokens; its context is too small (on Ollama "
    "raise num_ctx or OLLAMA_CONTEXT_LENGTH) or ASSISTANT_INPUT_TOKENS too large"
)
PATIENCE = 60.0
"""Seconds that the last call of a conversation gets at least."""
UNSURE = (0.85, 2.0)
"""An estimate between these shares of the input limit is too inexact, so the server counts."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model server supports. The defaults are what every server supports.

    Some servers suppress tool calls when a request has a schema: then only the last call, without tools, has it.
    Without `schema` the prompt shows the schema as text. `extras` are fields that only OpenAI supports: caching, tiers,
    identifiers. Servers with `conversations` store and continue them.
    """

    schema: bool = True
    schema_with_tools: bool = False
    parallel_tools: bool = True
    count_tokens: bool = False
    encrypted_reasoning: bool = False
    extras: bool = False
    conversations: bool = False


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What one request offers: tools, whether they may be called, the schema, and the limit of the answer's tokens."""

    tools: tuple[Tool, ...]
    callable: bool
    schema: bool
    ceiling: int


class ApiFormat(Protocol):
    """Requests and replies in the format of one API. `read` raises Retryable for text that is not a reply.

    `send` and `count` raise as Model.ask does. `longest` is the output limit that the server named; 0: it named none.
    """

    calibration: Calibration

    @property
    def model(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def limits(self) -> ConversationLimits: ...
    @property
    def prices(self) -> Mapping[str, Price]: ...
    @property
    def hosted(self) -> tuple[Mapping[str, Any], ...]: ...
    @property
    def longest(self) -> int: ...

    def opening(self, prompt: Prompt) -> list[Item]: ...
    def request(self, prompt: Prompt, items: Sequence[Item], ask: ModelRequest) -> dict[str, Any]: ...
    async def count(self, request: Mapping[str, Any]) -> int: ...
    async def send(self, request: Mapping[str, Any]) -> str: ...
    def read(self, raw: str) -> Turn: ...
    def result(self, call: ToolCall, text: str) -> Item: ...
    def remark(self, text: str) -> Item: ...


@dataclass(frozen=True, slots=True)
class JournaledReply:
    """The journaled result of one call: the raw reply, its usage, and whether the budget is `low`.

    `lookups` is the number of its tool calls that may run, `sent` about how many tokens of words the request had,
    and `read` how many the server says that it read (0: it does not say). `ceiling` is the limit of its output tokens.
    """

    raw: str
    usage: Usage
    seconds: float
    low: bool
    lookups: int = 0
    sent: int = 0
    read: int = 0
    ceiling: int = 0


@dataclass(frozen=True, slots=True)
class JournaledToolResult:
    """The journaled result of one tool call: the tool's answer, or why the tool is `unavailable`."""

    text: str
    unavailable: str = ""


_UNREAD, _MEASURABLE, _GROWTH = 0.45, 1000, 1.2
_LETTERS_OF_A_TOKEN = 5
"""Of other scripts than Latin, at most: `estimate`, which counts each letter, errs on the side that is safe for a limit."""


@dataclass(frozen=True, slots=True)
class PromptCount:
    """Tokens of one request: about how many its words have, and how many the server says that it `read`."""

    sent: int
    read: int

    def is_cut(self, before: PromptCount | None) -> bool:
        """Says whether the server dropped words: it read far fewer, or as many as `before` although more was sent."""
        if not self.read or self.sent < _MEASURABLE:
            return False
        constant = before is not None and before.read == self.read and self.sent >= _GROWTH * before.sent
        return (constant and self.read < self.sent) or self.read < _UNREAD * self.sent


def prompt_count(request: Mapping[str, Any], usage: Usage) -> PromptCount:
    """Counts the words of a request's messages, without the JSON around them. Some servers count cached tokens apart."""
    words = " ".join(_words([request.get("messages"), request.get("input")]))
    plain = words.encode("ascii", "ignore").decode()
    least = estimate(plain) + (len(words) - len(plain)) // _LETTERS_OF_A_TOKEN
    return PromptCount(least, usage.input + (usage.cached if usage.cached > usage.input else 0))


def _words(value: object) -> Iterator[str]:
    """Yields what a person would read of messages or items: their content, outputs and texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _words([value.get(name) for name in ("content", "text", "output")])
    elif isinstance(value, list):
        for part in value:
            yield from _words(part)


@dataclass(slots=True)
class Conversation:
    """The state of one conversation. It depends on journaled replies only, so that a replay takes the same course.

    `held` is the number of tokens that the server stores of it and puts before each request.
    """

    api: ApiFormat
    prompt: Prompt
    tools: tuple[Tool, ...]
    step: Step
    account: Account
    items: list[Item] = field(default_factory=list)
    held: int = 0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    lookups: int = 0
    longer: bool = False
    closing: bool = False
    repaired: bool = False
    ceiling: int = 0
    before: PromptCount | None = None
    passages: list[SearchPassage] = field(default_factory=list)
    looked_up: list[ToolUse] = field(default_factory=list)
    made: list[ModelCall] = field(default_factory=list)

    async def hold(self) -> ModelAnswer:
        """Returns the answer, or the reason why there is none. Raises as Model.ask does."""
        self.items, self.held = self.api.opening(self.prompt), self.prompt.held
        try:
            end = None
            while end is None:
                ask = self._next()
                end = await self._take(await self._call(ask), ask)
        except BudgetExhausted as error:
            end = ModelAnswer(None, str(error))
        usage = self.usage + Usage(tool_calls=len(self.looked_up))
        return replace(
            end,
            usage=usage,
            looked_up=tuple(self.looked_up),
            passages=tuple(self.passages),
            held=self.held,
            calls=tuple(self.made),
        )

    def _next(self) -> ModelRequest:
        """Returns what to offer next. Tools that may no longer be called stay in the list, which is part of the cache key."""
        able, limits = self.api.capabilities, self.api.limits
        last = self.calls + 1 >= limits.calls or len(self.looked_up) >= limits.tool_calls
        self.closing = self.closing or last or not (self.tools or self.api.hosted)
        return ModelRequest(
            tools=self.tools if able.schema_with_tools or not self.closing else (),
            callable=not self.closing,
            schema=able.schema_with_tools or self.closing,
            ceiling=self._ceiling,
        )

    @property
    def _ceiling(self) -> int:
        """Returns the output limit of the next call: by its task and by measured use, within what the model can do.

        The operator's own number is limited only by what the server itself refused.
        """
        api, name = self.api, self.prompt.name
        ceiling = min(api.limits.ceiling(name, longer=self.longer), api.longest or math.inf)
        if not api.limits.by_task:
            return int(ceiling)
        price = find_price(api.model, api.prices)
        known = (price.longest if price else 0) or longest_answer(api.model) or math.inf
        ceiling = int(min(ceiling, known))
        return ceiling if self.longer else api.calibration.ceiling(name, ceiling)

    def _within_context(self, ask: ModelRequest, size: int) -> ModelRequest:
        """Returns the request with no more room for the answer than an input of `size` leaves. Raises TooLarge for none."""
        price = find_price(self.api.model, self.api.prices)
        if price is None or not price.context:
            return ask
        room = price.context - size
        if room < SHORTEST_CEILING // 2:
            raise TooLarge(f"about {size} tokens of input, for a context of {price.context}")
        return replace(ask, ceiling=min(ask.ceiling, room))

    async def _take(self, turn: Turn, ask: ModelRequest) -> ModelAnswer | None:
        """Returns the end of the conversation, or None if one more call follows."""
        if turn.refusal:
            return ModelAnswer(None, turn.refusal)
        if turn.cut:
            end = None if not self.longer else ModelAnswer(None, f"the answer was cut off at {self.ceiling} tokens")
            self.longer = True
            return end
        self.passages += turn.passages
        if turn.calls:
            self.items += turn.items
            await self._use(turn.calls)
            return None if ask.callable else self._repair("it kept calling tools")
        if not ask.schema:  # it needs no more tools: repeat the question, now with the schema and without tools
            self.items += [*turn.items, self.api.remark(self.prompt.ask)]
            self.closing = True
            return None
        return self._judge(turn)

    def _judge(self, turn: Turn) -> ModelAnswer | None:
        try:
            answer = read_answer(self.prompt.answer, turn.text)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)[:5]
            problem = "; ".join(f"{'.'.join(map(str, found['loc'])) or 'answer'}: {found['msg']}" for found in problems)
            if turn.text:
                self.items += [*turn.items, self.api.remark(f"invalid answer: {problem}")]
            return self._repair(problem)
        return ModelAnswer(answer.model_dump(mode="json"))

    def _repair(self, problem: str) -> ModelAnswer | None:
        """Allows one repair in a conversation; ends it at the second problem."""
        if self.repaired:
            return ModelAnswer(None, f"the model gave no valid answer ({problem})")
        self.repaired = self.closing = True
        return None

    async def _call(self, ask: ModelRequest) -> Turn:
        self.calls += 1
        name, limits = f"{self.prompt.name}{CALL}{self.calls}", self.api.limits
        left = max(limits.seconds - self.seconds, PATIENCE)
        reply = await self.step(name, lambda: self._send(name, ask, left), JournaledReply)
        self.usage += reply.usage
        self.made.append(ModelCall(reply.usage, reply.seconds))
        self.ceiling = reply.ceiling or ask.ceiling
        self.held = reply.usage.input + reply.usage.output if self.prompt.conversation else 0
        self.seconds += reply.seconds
        self.lookups = reply.lookups
        late = self.seconds >= NEAR_LIMIT * limits.seconds
        long = reply.usage.tokens >= NEAR_LIMIT * limits.input
        self.closing = self.closing or reply.low or late or long
        turn, counted = self.api.read(reply.raw), PromptCount(reply.sent, reply.read)
        cut, self.before = counted.is_cut(self.before), counted
        return replace(turn, refusal=TRUNCATED.format(counted=counted)) if cut else turn

    async def _send(self, name: str, ask: ModelRequest, seconds: float) -> JournaledReply:
        """Measures, reserves, sends and settles. A refused call costs nothing, a lost one what such calls usually cost."""
        request = self.api.request(self.prompt, self.items, ask)
        rough = estimate(json.dumps(request, ensure_ascii=False))
        size = await self._measured(request, rough)
        ask, likely = await self._reserve(name, self._within_context(ask, size), size)
        request = self.api.request(self.prompt, self.items, ask)
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                raw = await self.api.send(request)
            turn = self.api.read(raw)
        except (Exception, asyncio.CancelledError) as error:
            nothing = isinstance(error, Refused | RateLimited) or (isinstance(error, Retryable) and error.undone)
            await self.account.settle(name, Usage() if nothing else likely)
            if isinstance(error, TimeoutError):
                raise TimedOut(f"the model did not answer within {seconds:.0f} seconds") from error
            raise
        reported = turn.usage
        counted = PromptCount(0, 0) if self.prompt.conversation else prompt_count(request, reported)
        if not counted.is_cut(self.before):
            self.api.calibration = self.api.calibration.update(rough, reported.input - self.held)
        usage = self._priced(reported if reported.input else replace(reported, input=size, output=estimate(raw)))
        self.api.calibration = self.api.calibration.with_output(self.prompt.name, usage.output)
        low, seconds = await self.account.settle(name, usage), time.monotonic() - started
        room = self.api.limits.tool_calls - len(self.looked_up) if ask.callable else 0
        lookups = min(len(turn.calls), room)
        return JournaledReply(raw, usage, seconds, low, lookups, counted.sent, counted.read, ask.ceiling)

    async def _reserve(self, name: str, ask: ModelRequest, size: int) -> tuple[ModelRequest, Usage]:
        """Reserves the call with the largest ceiling that there is money for. Returns it and what the call likely uses.

        Raises BudgetExhausted.
        """
        *larger, least = self._ceilings(ask)
        for ceiling in larger:
            with suppress(BudgetExhausted):
                return await self._reserve_up_to(ceiling, name, ask, size)
        return await self._reserve_up_to(least, name, ask, size)

    def _ceilings(self, ask: ModelRequest) -> list[int]:
        """Returns the usual ceiling, its half and its quarter. An answer that was cut off never gets less room."""
        parts = (1,) if self.longer or ask.ceiling < 2 * SHORTEST_CEILING else (1, 2, 4)
        return sorted({max(ask.ceiling // part, min(SHORTEST_CEILING, ask.ceiling)) for part in parts}, reverse=True)

    async def _reserve_up_to(self, ceiling: int, name: str, ask: ModelRequest, size: int) -> tuple[ModelRequest, Usage]:
        bounded = replace(ask, ceiling=ceiling)
        worst = worst_case(self.api.request(self.prompt, self.items, bounded), size, ceiling)
        likely = self._priced(replace(worst, output=self._expected(ceiling)))
        kept = second_look(self.prompt.name, size, self.api.limits, ceiling / ask.ceiling)
        await self.account.reserve(name, self._dearest(worst), likely, self._dearest(kept))
        return bounded, likely

    def _dearest(self, usage: Usage) -> Usage:
        """Returns the usage at its price with or without a write to the cache, whichever is dearer."""
        return max(
            self._priced(usage), self._priced(replace(usage, written=usage.input)), key=lambda usage: usage.dollars or 0
        )

    def _expected(self, ceiling: int) -> int:
        """Returns the output that one more call probably has: as this conversation's calls had, or a quarter of the ceiling."""
        made = self.usage.calls
        return min(self.usage.output // made if made else ceiling // 4, ceiling)

    async def _measured(self, request: Mapping[str, Any], rough: int) -> int:
        """Returns the tokens of the input: an estimate, or the server's count if the estimate is near the limit."""
        size, limit = self.held + self.api.calibration.correct(rough), self.api.limits.input
        if self.api.capabilities.count_tokens and UNSURE[0] * limit <= size <= UNSURE[1] * limit:
            size = await self._counted(request) or size
        if size > limit:
            raise TooLarge(f"about {size} tokens of input, over the limit of {limit}")
        return size

    async def _counted(self, request: Mapping[str, Any]) -> int:
        """Returns the server's count; 0 if the server counts for nothing but its answers."""
        try:
            return await self.api.count(request)
        except (Refused, Retryable):
            return 0

    def _priced(self, usage: Usage) -> Usage:
        return with_price(usage, self.api.model, self.api.prices)

    async def _use(self, calls: Sequence[ToolCall]) -> None:
        """Runs the allowed calls at the same time and gives every call its result, in the order of the calls."""
        allowed = calls[: self.lookups]
        self.closing = self.closing or len(allowed) < len(calls)
        names = [f"{self.prompt.name}{TOOL}{self.calls}-{place}" for place, _ in enumerate(allowed, 1)]
        results = await asyncio.gather(*map(self._look_up, names, allowed), return_exceptions=True)
        for call, result in zip(allowed, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            self.looked_up.append(result)
            self.items.append(self.api.result(call, result.text))
        self.items += [self.api.result(call, DENIED) for call in calls[len(allowed) :]]

    async def _look_up(self, name: str, call: ToolCall) -> ToolUse:
        """Returns a tool's answer; a problem with the call is an answer too. Passes Retryable on."""
        tool = next((tool for tool in self.tools if tool.name == call.name), None)
        arguments = arguments_of(call.arguments)
        if tool is None or arguments is None:
            problem = "there is no such tool" if tool is None else "the arguments are not a JSON object"
            return ToolUse(call.name[:64], arguments or {}, f"error: {problem}")

        async def work() -> JournaledToolResult:
            try:
                return JournaledToolResult(await tool(arguments))
            except UserError as error:
                return JournaledToolResult(f"error: {error}")
            except Refused as error:
                return JournaledToolResult(f"not available: {error}", unavailable=str(error))

        result = await self.step(name, work, JournaledToolResult)
        return ToolUse(tool.name, arguments, result.text, result.unavailable)

"""One bounded conversation with a model, whatever its API: calls, tools, one repair, and an answer or a reason.

Turn: what one reply of a model says, whichever API it came through.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pydantic import ValidationError

from bot.core.claims.prompt import Prompt
from bot.core.costs import NEARLY, Calibration, ConversationLimits, Price, Usage, at_worst, estimate, priced
from bot.errors import BudgetExhausted, RateLimited, Refused, Retryable, TooLarge, UserError
from bot.interfaces import Account, ModelAnswer, SearchPassage, Step, Tool, ToolUse


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants to be called. `arguments` is JSON as the model wrote it: perhaps not JSON at all."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply. `items` go back to the server, word for word, when the conversation goes on.

    `cut` says that the limit of output ended it; `refusal` why there will be no answer. `retrieved` are ids and names
    of what a search on the server's side returned, `passages` what it found there.
    """

    items: tuple[Mapping[str, Any], ...] = ()
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    cut: bool = False
    refusal: str = ""
    usage: Usage = field(default_factory=Usage)
    retrieved: tuple[str, ...] = ()
    passages: tuple[SearchPassage, ...] = ()


Item = Mapping[str, Any]

DENIED = "denied: no more tool calls; answer with what you have"
PATIENCE = 60.0
"""Seconds that even the last call of a conversation gets."""
UNSURE = (0.85, 2.0)
"""Between these shares of the limit of input an estimate is not trusted, and the server is asked to count."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model server understands. The defaults are the common core that every server shares.

    Some suppress tool calls when a schema is given too: then the schema waits for the last call, without tools.
    Without any `schema` it is shown as text. `extras` are the fields only OpenAI knows: caching, tiers, identifiers.
    Some keep `conversations` on their side, and continue them.
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
    """What one request offers: tools, whether they may be called, the schema, and how long the answer may be."""

    tools: tuple[Tool, ...]
    callable: bool
    schema: bool
    ceiling: int


class ApiFormat(Protocol):
    """How one API says it. `read` raises Retryable for what is no reply at all; `send` raises as Model.ask does."""

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

    def opening(self, prompt: Prompt) -> list[Item]: ...
    def request(self, prompt: Prompt, items: Sequence[Item], ask: ModelRequest) -> dict[str, Any]: ...
    async def count(self, request: Mapping[str, Any]) -> int: ...
    async def send(self, request: Mapping[str, Any]) -> str: ...
    def read(self, raw: str) -> Turn: ...
    def result(self, call: ToolCall, text: str) -> Item: ...
    def remark(self, text: str) -> Item: ...


@dataclass(frozen=True, slots=True)
class JournaledReply:
    """What is journaled of one call: the server's words as they came, what they cost, and whether money runs out.

    `lookups` is how many of the tool calls in it may be run.
    """

    raw: str
    usage: Usage
    seconds: float
    low: bool
    lookups: int = 0


@dataclass(frozen=True, slots=True)
class JournaledToolResult:
    """What is journaled of one tool call: the tool's answer."""

    text: str


@dataclass(slots=True)
class Conversation:
    """The state of one conversation. It depends on journaled replies alone: replayed, it takes the same way.

    `held` are the tokens that the server keeps of it, and puts before what we send.
    """

    wire: ApiFormat
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
    retrieved: list[str] = field(default_factory=list)
    passages: list[SearchPassage] = field(default_factory=list)
    looked_up: list[ToolUse] = field(default_factory=list)

    async def hold(self) -> ModelAnswer:
        """Talk until there is an answer, or a reason why there is none. Raises as Model.ask does."""
        self.items, self.held = self.wire.opening(self.prompt), self.prompt.held
        try:
            end = None
            while end is None:
                ask = self._next()
                end = await self._take(await self._call(ask), ask)
        except BudgetExhausted as error:
            end = ModelAnswer(None, str(error))
        retrieved = (*self.retrieved, *(id_ for looked in self.looked_up for id_ in standards_in(looked)))
        usage = self.usage + Usage(tool_calls=len(self.looked_up))
        return replace(
            end,
            usage=usage,
            retrieved=tuple(dict.fromkeys(retrieved)),
            looked_up=tuple(self.looked_up),
            passages=tuple(self.passages),
            held=self.held,
        )

    def _next(self) -> ModelRequest:
        """What to offer now. Tools stay in the list when they may no longer be called: a cache knows the list."""
        able, limits = self.wire.capabilities, self.wire.limits
        full = self.calls + 1 >= limits.calls or len(self.looked_up) >= limits.tool_calls
        self.closing = self.closing or full or not (self.tools or self.wire.hosted)
        return ModelRequest(
            tools=self.tools if able.schema_with_tools or not self.closing else (),
            callable=not self.closing,
            schema=able.schema_with_tools or self.closing,
            ceiling=limits.longest if self.longer else limits.output,
        )

    async def _take(self, turn: Turn, ask: ModelRequest) -> ModelAnswer | None:
        """What a turn leads to: the end, or None and one more call."""
        if turn.refusal:
            return ModelAnswer(None, turn.refusal)
        if turn.cut:
            again = None if not self.longer else ModelAnswer(None, f"the answer was cut off at {ask.ceiling} tokens")
            self.longer = True
            return again
        self.retrieved += turn.retrieved
        self.passages += turn.passages
        if turn.calls:
            self.items += turn.items
            await self._use(turn.calls)
            return None if ask.callable else self._once_more("it went on calling tools")
        if not ask.schema:  # it has looked around: the same question again, now with the schema and without tools
            self.items += [*turn.items, self.wire.remark(self.prompt.ask)]
            self.closing = True
            return None
        return self._judge(turn)

    def _judge(self, turn: Turn) -> ModelAnswer | None:
        try:
            answer = self.prompt.answer.model_validate_json(turn.text)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)[:5]
            found = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in problems)
            if turn.text:
                self.items += [*turn.items, self.wire.remark(f"invalid answer: {found}")]
            return self._once_more(found)
        return ModelAnswer(answer.model_dump(mode="json"))

    def _once_more(self, problem: str) -> ModelAnswer | None:
        """One repair in a conversation; the second time it ends."""
        if self.repaired:
            return ModelAnswer(None, f"the model gave no valid answer ({problem})")
        self.repaired = self.closing = True
        return None

    async def _call(self, ask: ModelRequest) -> Turn:
        self.calls += 1
        name, limits = f"{self.prompt.name}/call-{self.calls}", self.wire.limits
        request = self.wire.request(self.prompt, self.items, ask)
        left = max(limits.seconds - self.seconds, PATIENCE)
        reply = await self.step(name, lambda: self._paid(name, request, ask, left), JournaledReply)
        self.usage += reply.usage
        self.held = reply.usage.input + reply.usage.output if self.prompt.conversation else 0
        self.seconds += reply.seconds
        self.lookups = reply.lookups
        late = self.seconds >= NEARLY * limits.seconds
        long = reply.usage.tokens >= NEARLY * limits.input
        self.closing = self.closing or reply.low or late or long
        return self.wire.read(reply.raw)

    async def _paid(self, name: str, request: Mapping[str, Any], ask: ModelRequest, seconds: float) -> JournaledReply:
        """Measure, reserve, send, settle. What was refused costs nothing; what was lost stays reserved."""
        rough = estimate(json.dumps(request, ensure_ascii=False))
        size = await self._measured(request, rough)
        worst = at_worst(request, size, ask.ceiling)
        dearest = max(self._priced(worst), self._priced(replace(worst, written=size)), key=lambda one: one.dollars or 0)
        await self.account.reserve(name, dearest)
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                raw = await self.wire.send(request)
        except TimeoutError as error:
            raise Retryable(f"the model did not answer within {seconds:.0f} seconds") from error
        except (Refused, Retryable) as error:
            if isinstance(error, Refused | RateLimited) or error.undone:
                await self.account.settle(name, Usage())
            raise
        turn = self.wire.read(raw)
        told = turn.usage
        self.wire.calibration = self.wire.calibration.learned(rough, told.input - self.held)
        usage = self._priced(told if told.input else replace(told, input=size, output=estimate(raw)))
        low, seconds = await self.account.settle(name, usage), time.monotonic() - started
        room = self.wire.limits.tool_calls - len(self.looked_up) if ask.callable else 0
        return JournaledReply(raw, usage, seconds, low, min(len(turn.calls), room))

    async def _measured(self, request: Mapping[str, Any], rough: int) -> int:
        """Tokens of the input: estimated, and counted by the server where the estimate is near the limit."""
        size, limit = self.held + self.wire.calibration.corrected(rough), self.wire.limits.input
        if self.wire.capabilities.count_tokens and UNSURE[0] * limit <= size <= UNSURE[1] * limit:
            size = await self.wire.count(request)
        if size > limit:
            raise TooLarge(f"about {size} tokens of input, over the limit of {limit}")
        return size

    def _priced(self, usage: Usage) -> Usage:
        return priced(usage, self.wire.model, self.wire.prices)

    async def _use(self, calls: Sequence[ToolCall]) -> None:
        """Run what may be run, all at once, and give every call its result, in the order of the calls."""
        run = calls[: self.lookups]
        self.closing = self.closing or len(run) < len(calls)
        names = [f"{self.prompt.name}/tool-{self.calls}-{place}" for place, _ in enumerate(run, 1)]
        told = await asyncio.gather(*map(self._look_up, names, run), return_exceptions=True)
        for call, looked in zip(run, told, strict=True):
            if isinstance(looked, BaseException):
                raise looked
            self.looked_up.append(looked)
            self.items.append(self.wire.result(call, looked.text))
        self.items += [self.wire.result(call, DENIED) for call in calls[len(run) :]]

    async def _look_up(self, name: str, call: ToolCall) -> ToolUse:
        """A tool's answer; what is wrong with the call is an answer too. Raises Retryable as it comes."""
        tool = next((tool for tool in self.tools if tool.name == call.name), None)
        arguments = _object(call.arguments)
        if tool is None or arguments is None:
            wrong = "there is no such tool" if tool is None else "the arguments are not a JSON object"
            return ToolUse(call.name[:64], arguments or {}, f"error: {wrong}")

        async def work() -> JournaledToolResult:
            try:
                return JournaledToolResult(await tool(arguments))
            except UserError as error:
                return JournaledToolResult(f"error: {error}")
            except Refused as error:
                return JournaledToolResult(f"not available: {error}")

        return ToolUse(tool.name, arguments, (await self.step(name, work, JournaledToolResult)).text)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def standards_in(looked: ToolUse) -> tuple[str, ...]:
    """The ids of the sections that `search_standards` found; what any other tool says is no source of ids."""
    found = _object(looked.text) if looked.tool == "search_standards" else None
    sections = (found or {}).get("standards", ())
    return tuple(
        section["id"] for section in sections if isinstance(section, dict) and isinstance(section.get("id"), str)
    )

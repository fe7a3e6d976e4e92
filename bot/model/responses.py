"""A Model behind the OpenAI Responses API: the longest-lived input first, explicit cache marks, no storage.

Items of an unknown type go back to the server unchanged.
https://platform.openai.com/docs/api-reference/responses

The conversations that OpenAI keeps for threads are here too: it keeps the messages of a review thread until they are deleted.

https://platform.openai.com/docs/api-reference/conversations
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, cast

from bot.core.claims.prompt import HostedSearch, Prompt
from bot.core.costs import PRICES, Calibration, ConversationLimits, Price, Usage
from bot.errors import Retryable
from bot.interfaces import Account, ModelAnswer, SearchPassage, Step, Tool
from bot.model.client import Endpoint, ServerFault, error_for, sdk, translated_errors
from bot.model.conversation import Capabilities, Conversation, Item, ModelRequest, ToolCall, Turn
from bot.model.refusals import Lessons
from bot.model.replies import count, mapping, mappings, number, text

Output = Sequence[Mapping[str, Any]]


def turn_of(raw: str) -> Turn:
    """Reads the raw JSON of a response. Raises Retryable for anything else, and the fault's error if the response failed."""
    response = _response(raw)
    output: Output = response["output"]
    refusal, cut = _ending(response)
    if any(part.get("type") == "refusal" for item in output for part in _parts(item)):
        refusal = "the model refused to answer"
    return Turn(
        items=tuple(output),
        text=_text(output),
        calls=tuple(
            ToolCall(str(item.get("call_id")), str(item.get("name")), str(item.get("arguments")))
            for item in output
            if item.get("type") == "function_call"
        ),
        cut=cut,
        refusal=refusal,
        usage=_usage(mapping(response.get("usage")), output),
        passages=tuple(_passages(output)),
    )


def _response(raw: str) -> Mapping[str, Any]:
    try:
        response = json.loads(raw)
    except (ValueError, RecursionError) as broken:
        raise Retryable("the model server sent an incomplete answer") from broken
    output = response.get("output") if isinstance(response, dict) else None
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise Retryable("the model server sent something that is not a response")
    return cast("Mapping[str, Any]", response)


def _ending(response: Mapping[str, Any]) -> tuple[str, bool]:
    """Returns why there is no answer, and whether the output limit cut it."""
    status = response.get("status")
    if status == "failed":
        failed = mapping(response.get("error"))
        raise error_for(ServerFault(code=text(failed.get("code")), message=text(failed.get("message"))))
    if status == "incomplete":
        why = text(mapping(response.get("incomplete_details")).get("reason")) or "unknown"
        return ("", True) if why == "max_output_tokens" else (f"the answer is incomplete: {why}", False)
    return ("" if status == "completed" else f"the response is {status}", False)


def _parts(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return mappings(item.get("content")) if item.get("type") == "message" else ()


def _text(output: Output) -> str:
    """Returns the last message that is an answer; comments on the work in progress are not."""
    answers = [item for item in output if _parts(item) and item.get("phase") in (None, "final_answer")]
    parts = _parts(answers[-1]) if answers else ()
    return "".join(text(part.get("text")) for part in parts if part.get("type") == "output_text")


def _usage(usage: Mapping[str, Any], output: Output) -> Usage:
    details = mapping(usage.get("input_tokens_details"))
    kinds = [item.get("type") for item in output]
    searches, runs = kinds.count("file_search_call"), kinds.count("code_interpreter_call")
    return Usage(
        calls=1,
        input=count(usage.get("input_tokens")),
        cached=count(details.get("cached_tokens")),
        written=count(details.get("cache_write_tokens")),
        output=count(usage.get("output_tokens")),
        tool_calls=searches + runs,
        file_searches=searches,
        code_runs=runs,
    )


def _passages(output: Output) -> Iterator[SearchPassage]:
    for item in output:
        queries = item.get("queries")
        query = " ".join(map(str, queries)) if isinstance(queries, list) else ""
        for hit in _results(item):
            yield SearchPassage(query, text(hit.get("text")), mapping(hit.get("attributes")), number(hit.get("score")))


def _results(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return mappings(item.get("results")) if item.get("type") == "file_search_call" else ()


def responses_fields() -> frozenset[str]:
    """Returns the fields of a request to this API."""
    return frozenset(sdk().types.responses.response_create_params.ResponseCreateParamsBase.__annotations__)


FULL = Capabilities(
    schema_with_tools=True, count_tokens=True, encrypted_reasoning=True, extras=True, conversations=True
)
"""What OpenAI itself supports."""

_INCLUDES = {"file_search": "file_search_call.results", "code_interpreter": "code_interpreter_call.outputs"}
_SHAPING = ("tools", "tool_choice", "text", "reasoning", "parallel_tool_calls", "truncation")
_COUNTED = ("model", "input", "conversation", *_SHAPING)
_OURS = {"developer", "user"}
_LAST = {"response.completed", "response.incomplete", "response.failed"}


def file_search(vector_stores: Sequence[str], most: int = 8) -> dict[str, Any]:
    """Returns the server's own tool that searches uploaded documents."""
    return {"type": "file_search", "vector_store_ids": list(vector_stores), "max_num_results": most}


def shelf_search(search: HostedSearch) -> Mapping[str, Any]:
    """Returns a file search limited to the documents of one shelf."""
    only = {"type": "in", "key": search.key, "value": list(search.values)}
    return file_search([search.store]) | {"filters": only}


def code_interpreter() -> Mapping[str, Any]:
    """Returns the tool that runs code in a container without a network, so that the model can check a claim."""
    container = {"type": "auto", "memory_limit": "1g", "network_policy": {"type": "disabled"}}
    return {"type": "code_interpreter", "container": container}


@dataclass(slots=True)
class ResponsesModel:
    """A Model behind the Responses API. `hosted` are tools that the server runs; `secret` hashes the author's name.

    `progress` receives the text and the names of called tools while the answer is streamed. `options` are the operator's
    fields of each request, which nothing overwrites.
    """

    model: str
    endpoint: Endpoint
    capabilities: Capabilities = FULL
    limits: ConversationLimits = field(default_factory=ConversationLimits)
    prices: Mapping[str, Price] = field(default_factory=lambda: PRICES)
    effort: str = "medium"
    hosted: tuple[Mapping[str, Any], ...] = ()
    secret: bytes = b""
    progress: Callable[[str], None] | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    lessons: Lessons = field(default_factory=Lessons)

    @property
    def name(self) -> str:
        """The model's name, as the server knows it."""
        return self.model

    @property
    def available(self) -> bool:
        """Whether there is a model to ask."""
        return True

    @property
    def longest(self) -> int:
        """The output limit that the server named in a refusal; 0 if it named none."""
        return self.lessons.output

    async def ask(self, prompt: Prompt, tools: Sequence[Tool], step: Step, account: Account) -> ModelAnswer:
        """Holds one bounded conversation; see Model."""
        answer = await Conversation(self, prompt, tuple(tools), step, account).hold()
        return replace(answer, toolless=self.lessons.toolless)

    async def close(self) -> None:
        """Closes the connections."""
        await self.endpoint.close()

    def opening(self, prompt: Prompt) -> list[Item]:
        """Returns one message each for policy, rules, standards, material and question, the longest-lived first.

        The question is never cached. A conversation that the server keeps got its cache marks when it began.
        """
        keep = self.capabilities.extras and not prompt.held
        parts = [
            ("developer", prompt.instructions, keep),
            ("developer", prompt.rules, keep and not prompt.standards),  # three marks are allowed
            ("user", prompt.standards, keep),
            ("user", prompt.material, keep),
        ]
        kept = [_message(role, text, keep=mark) for role, text, mark in parts if text]
        return [*kept, _message("user", prompt.ask)]

    def request(self, prompt: Prompt, items: Sequence[Item], ask: ModelRequest) -> dict[str, Any]:
        """Returns the body of one call. The parts that a cache depends on stay the same for the whole conversation."""
        hosted = (*self.hosted, *([shelf_search(prompt.search)] if prompt.search else []))
        able, tools = self.capabilities, [*map(_function, sorted(ask.tools, key=lambda tool: tool.name))]
        body: dict[str, Any] = {"model": self.model, "input": list(items), "store": False}
        body["max_output_tokens"] = ask.ceiling
        if prompt.conversation:
            body |= {"conversation": prompt.conversation, "input": _new_items(items)}
        if self.effort:
            body["reasoning"] = {"effort": self.effort}
        if ask.schema:
            body["text"] = {"format": _format(prompt)}
        if ask.tools or hosted:
            body |= {"tools": [*hosted, *tools], "tool_choice": "auto" if ask.callable else "none"}
            body["parallel_tool_calls"] = able.parallel_tools
        if hosted:
            body["max_tool_calls"] = self.limits.hosted
        include = [_INCLUDES[tool["type"]] for tool in hosted if tool["type"] in _INCLUDES]
        if able.encrypted_reasoning:
            include.append("reasoning.encrypted_content")
        if include:
            body["include"] = include
        body = self._with_extras(body, prompt) if able.extras else body
        text = {**body.get("text", {}), **mapping(self.options.get("text"))}
        return body | dict(self.options) | ({"text": text} if text else {})

    def _with_extras(self, body: dict[str, Any], prompt: Prompt) -> dict[str, Any]:
        """Adds the fields that only OpenAI supports: caching, tiers, and an identifier of the author for abuse checks."""
        body.setdefault("text", {})["verbosity"] = "low"
        body |= {"truncation": "disabled", "service_tier": "default", "prompt_cache_options": {"mode": "implicit"}}
        if prompt.cache_key:
            body["prompt_cache_key"] = prompt.cache_key
        if prompt.author and self.secret:
            body["safety_identifier"] = hmac.new(self.secret, prompt.author.encode(), hashlib.sha256).hexdigest()
        return body

    async def count(self, request: Mapping[str, Any]) -> int:
        """Returns the tokens of the input, counted by the server free of charge."""
        fields = {key: value for key, value in request.items() if key in _COUNTED}
        with translated_errors():
            counted = await self.endpoint.client.responses.input_tokens.count(**fields)
        return counted.input_tokens

    async def send(self, request: Mapping[str, Any]) -> str:
        """Returns the raw JSON of one response. Raises as Model.ask does."""
        with translated_errors():
            return await self.lessons.sent(request, self._post)

    async def _post(self, request: dict[str, Any]) -> str:
        if self.progress is not None:
            return await self._streamed(request, self.progress)
        response = await self.endpoint.client.responses.with_raw_response.create(**request)
        raw: str = response.text
        return raw

    async def _streamed(self, request: Mapping[str, Any], progress: Callable[[str], None]) -> str:
        async with await self.endpoint.client.responses.create(**request, stream=True) as events:
            async for event in events:
                if event.type == "response.output_text.delta":
                    progress(event.delta)
                elif event.type == "response.output_item.added" and event.item.type == "function_call":
                    progress(f"[{event.item.name}]\n")
                elif event.type in _LAST:
                    return json.dumps(event.response.to_dict(mode="json", warnings=False))
        raise Retryable("the model server ended its stream before the answer was complete")

    def read(self, raw: str) -> Turn:
        """Reads the raw JSON of a response. Raises as `turn_of` does.

        OpenAI's items go back as they came. Gateways add fields that are null, which the server behind them refuses.
        """
        turn = turn_of(raw)
        return turn if self.capabilities.extras else replace(turn, items=tuple(map(_without_nulls, turn.items)))

    def result(self, call: ToolCall, text: str) -> Item:
        """Returns the item that gives the model a tool's answer."""
        return {"type": "function_call_output", "call_id": call.id, "output": text}

    def remark(self, text: str) -> Item:
        """Returns a further user message."""
        return _message("user", text)


def _without_nulls(item: Item) -> Item:
    return {name: value for name, value in item.items() if value is not None}


def _new_items(items: Sequence[Item]) -> list[Item]:
    """Returns the items after the server's last one: a conversation that the server keeps has all the others."""
    ours = takewhile(lambda item: item["type"] == "function_call_output" or item.get("role") in _OURS, reversed(items))
    return [*ours][::-1]


def _message(role: str, text: str, *, keep: bool = False) -> Item:
    """Returns a message; with `keep` it ends a prefix that the server caches."""
    content: dict[str, Any] = {"type": "input_text", "text": text}
    if keep:
        content["prompt_cache_breakpoint"] = {"mode": "explicit"}
    return {"type": "message", "role": role, "content": [content]}


def _function(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
        "strict": True,
    }


def _format(prompt: Prompt) -> dict[str, Any]:
    schema = dict(prompt.schema)
    return {"type": "json_schema", "name": schema["title"], "schema": schema, "strict": True}


@dataclass(frozen=True, slots=True)
class ResponsesConversations:
    """Conversations that the Responses API can continue. They hold no information about their owner."""

    endpoint: Endpoint

    async def create(self) -> str:
        """Creates an empty conversation and returns its id. Raises as Model.ask does."""
        with translated_errors():
            return (await self.endpoint.client.conversations.create()).id

    async def delete(self, conversation: str) -> None:
        """Deletes a conversation with all its messages. Raises as Model.ask does, NotFound if it does not exist."""
        with translated_errors():
            await self.endpoint.client.conversations.delete(conversation)

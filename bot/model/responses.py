"""The OpenAI Responses API: items in the order of their life, cached by explicit marks, nothing stored on the server.

https://platform.openai.com/docs/api-reference/responses

The raw JSON of a response -> a Turn. Items this code has never heard of go back to the server as they came.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, cast

from bot.core.claims.prompt import HostedSearch, Prompt
from bot.core.costs import PRICES, Calibration, ConversationLimits, Price, Usage
from bot.errors import Retryable
from bot.interfaces import Account, ModelAnswer, SearchPassage, Step, Tool
from bot.model.client import Endpoint, ServerFault, count, error, mapping, mappings, number, spoken, text
from bot.model.conversation import Capabilities, Conversation, Item, ModelRequest, ToolCall, Turn

Output = Sequence[Mapping[str, Any]]


def turn_of(raw: str) -> Turn:
    """What the response says. Raises Retryable for what is none, and the fault's error for one that failed."""
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
        retrieved=tuple(dict.fromkeys(_retrieved(output))),
        passages=tuple(_passages(output)),
    )


def _response(raw: str) -> Mapping[str, Any]:
    try:
        response = json.loads(raw)
    except ValueError as broken:
        raise Retryable("the model server sent half an answer") from broken
    output = response.get("output") if isinstance(response, dict) else None
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise Retryable("the model server sent something that is no response")
    return cast("Mapping[str, Any]", response)


def _ending(response: Mapping[str, Any]) -> tuple[str, bool]:
    """Why there will be no answer, and whether the limit of output was the reason."""
    status = response.get("status")
    if status == "failed":
        failed = mapping(response.get("error"))
        raise error(ServerFault(code=text(failed.get("code")), message=text(failed.get("message"))))
    if status == "incomplete":
        why = text(mapping(response.get("incomplete_details")).get("reason")) or "unknown"
        return ("", True) if why == "max_output_tokens" else (f"the answer is incomplete: {why}", False)
    return ("" if status == "completed" else f"the response is {status}", False)


def _parts(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return mappings(item.get("content")) if item.get("type") == "message" else ()


def _text(output: Output) -> str:
    """The last message that is meant as the answer: what a model says while it works is not."""
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


def _retrieved(output: Output) -> list[str]:
    found = [hit for item in output for hit in _results(item)]
    return [text(hit[key]) for hit in found for key in ("file_id", "filename") if text(hit.get(key))]


def _passages(output: Output) -> Iterator[SearchPassage]:
    for item in output:
        asked = item.get("queries")
        query = " ".join(map(str, asked)) if isinstance(asked, list) else ""
        for hit in _results(item):
            yield SearchPassage(query, text(hit.get("text")), mapping(hit.get("attributes")), number(hit.get("score")))


def _results(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return mappings(item.get("results")) if item.get("type") == "file_search_call" else ()


FULL = Capabilities(
    schema_with_tools=True, count_tokens=True, encrypted_reasoning=True, extras=True, conversations=True
)
"""What OpenAI itself understands."""

_INCLUDES = {"file_search": "file_search_call.results", "code_interpreter": "code_interpreter_call.outputs"}
_SHAPING = ("tools", "tool_choice", "text", "reasoning", "parallel_tool_calls", "truncation")
_COUNTED = ("model", "input", "conversation", *_SHAPING)
_OURS = {"developer", "user"}
_LAST = {"response.completed", "response.incomplete", "response.failed"}


def file_search(vector_stores: Sequence[str], most: int = 8) -> dict[str, Any]:
    """The server's own search over uploaded documents."""
    return {"type": "file_search", "vector_store_ids": list(vector_stores), "max_num_results": most}


def shelf_search(search: HostedSearch) -> Mapping[str, Any]:
    """The same, over the documents of one shelf alone."""
    only = {"type": "in", "key": search.key, "value": list(search.values)}
    return file_search([search.store]) | {"filters": only}


def code_interpreter() -> Mapping[str, Any]:
    """A container in which the model may run code to check a claim. It has no network."""
    container = {"type": "auto", "memory_limit": "1g", "network_policy": {"type": "disabled"}}
    return {"type": "code_interpreter", "container": container}


@dataclass(slots=True)
class ResponsesModel:
    """A Model behind the Responses API. `hosted` are tools that the server runs; `secret` hides who an author is.

    With `progress` the answer is streamed to it as it comes, text and the names of tools.
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
    calibration: Calibration = field(default_factory=Calibration)

    @property
    def name(self) -> str:
        """The model's name, as the server knows it."""
        return self.model

    @property
    def available(self) -> bool:
        """There is a model to ask."""
        return True

    async def ask(self, prompt: Prompt, tools: Sequence[Tool], step: Step, account: Account) -> ModelAnswer:
        """One bounded conversation, see Model."""
        return await Conversation(self, prompt, tuple(tools), step, account).hold()

    async def close(self) -> None:
        """Give connections back."""
        await self.endpoint.close()

    def opening(self, prompt: Prompt) -> list[Item]:
        """Policy, rules, material, question: each a message, longest-lived first. The question is never cached.

        A conversation that the server keeps has its marks from the time when it began.
        """
        parts = [("developer", prompt.instructions), ("developer", prompt.rules), ("user", prompt.material)]
        keep = self.capabilities.extras and not prompt.held
        kept = [_message(role, text, keep=keep) for role, text in parts if text]
        return [*kept, _message("user", prompt.ask)]

    def request(self, prompt: Prompt, items: Sequence[Item], ask: ModelRequest) -> dict[str, Any]:
        """The body of one call. What a cache hangs on stays the same for the whole conversation."""
        hosted = (*self.hosted, *([shelf_search(prompt.search)] if prompt.search else []))
        able, tools = self.capabilities, [*map(_function, sorted(ask.tools, key=lambda tool: tool.name))]
        body: dict[str, Any] = {"model": self.model, "input": list(items), "store": False}
        body["max_output_tokens"] = ask.ceiling
        if prompt.conversation:
            body |= {"conversation": prompt.conversation, "input": _unsaid(items)}
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
        return self._with_extras(body, prompt) if able.extras else body

    def _with_extras(self, body: dict[str, Any], prompt: Prompt) -> dict[str, Any]:
        """What OpenAI alone understands: caching, tiers, and who to block instead of everybody."""
        body.setdefault("text", {})["verbosity"] = "low"
        body |= {"truncation": "disabled", "service_tier": "default", "prompt_cache_options": {"mode": "implicit"}}
        if prompt.cache_key:
            body["prompt_cache_key"] = prompt.cache_key
        if prompt.author and self.secret:
            body["safety_identifier"] = hmac.new(self.secret, prompt.author.encode(), hashlib.sha256).hexdigest()
        return body

    async def count(self, request: Mapping[str, Any]) -> int:
        """Tokens of the input, counted by the server for nothing."""
        asked = {key: value for key, value in request.items() if key in _COUNTED}
        with spoken():
            found = await self.endpoint.client.responses.input_tokens.count(**asked)
        return found.input_tokens

    async def send(self, request: Mapping[str, Any]) -> str:
        """The raw JSON of one response. Raises as Model.ask does."""
        with spoken():
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
        """What a response says. Raises Retryable for what is none."""
        return turn_of(raw)

    def result(self, call: ToolCall, text: str) -> Item:
        """A tool's answer."""
        return {"type": "function_call_output", "call_id": call.id, "output": text}

    def remark(self, text: str) -> Item:
        """One more message from us."""
        return _message("user", text)


def _unsaid(items: Sequence[Item]) -> list[Item]:
    """What came after the last word of the server's, which it puts into a conversation by itself, as all before it."""
    ours = takewhile(lambda item: item["type"] == "function_call_output" or item.get("role") in _OURS, reversed(items))
    return [*ours][::-1]


def _message(role: str, text: str, *, keep: bool = False) -> Item:
    """A message; one to `keep` ends a prefix that the server caches."""
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

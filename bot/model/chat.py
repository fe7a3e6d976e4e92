"""A Model behind any Chat Completions server (vLLM, Ollama, LiteLLM, OpenRouter, Azure), within its capabilities.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx2

from bot.core.claims.prompt import Prompt
from bot.core.costs import PRICES, Calibration, ConversationLimits, Price, Usage
from bot.errors import Retryable
from bot.interfaces import Account, ModelAnswer, Step, Tool
from bot.model.client import LONGEST_QUOTE, Endpoint, error_for, fault_in, reason_in, sdk, translated_errors
from bot.model.conversation import Capabilities, Conversation, Item, ModelRequest, ToolCall, Turn
from bot.model.refusals import Lessons
from bot.model.replies import StreamedCompletion, content_text, count, mapping, mappings, text, with_tool_calls_as_sent


def chat_fields() -> frozenset[str]:
    """Returns the fields of a request to this API."""
    return frozenset(sdk().types.chat.completion_create_params.CompletionCreateParamsBase.__annotations__)


@dataclass(slots=True)
class ChatModel:
    """A Model behind Chat Completions. `options` are the operator's fields of each request: temperature, seed, …

    `limit_field` is the server's name of the output limit: older servers accept only max_tokens.
    """

    model: str
    endpoint: Endpoint
    capabilities: Capabilities = field(default_factory=Capabilities)
    limits: ConversationLimits = field(default_factory=ConversationLimits)
    prices: Mapping[str, Price] = field(default_factory=lambda: PRICES)
    options: Mapping[str, object] = field(default_factory=dict)
    limit_field: str = "max_completion_tokens"
    progress: Callable[[str], None] | None = None
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
    def hosted(self) -> tuple[Mapping[str, Any], ...]:
        """Empty: this API has no tools that the server runs."""
        return ()

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
        """Returns one system and one user message: many chat templates accept nothing else."""
        system = [part for part in (prompt.instructions, prompt.rules) if part]
        user = [part for part in (prompt.standards, prompt.material, prompt.ask) if part]
        if not self.capabilities.schema:
            user.append(f"Answer with one JSON object that fits this JSON schema:\n{json.dumps(prompt.schema)}")
        return [{"role": "system", "content": "\n\n".join(system)}, self.remark("\n\n".join(user))]

    def request(self, prompt: Prompt, items: Sequence[Item], ask: ModelRequest) -> dict[str, Any]:
        """Returns the body of one call."""
        body: dict[str, Any] = {"model": self.model, "messages": list(items)}
        body[self.limit_field] = ask.ceiling
        if ask.tools:
            body["tools"] = [_function(tool) for tool in sorted(ask.tools, key=lambda tool: tool.name)]
            body["tool_choice"] = "auto" if ask.callable else "none"
            body["parallel_tool_calls"] = self.capabilities.parallel_tools
        if ask.schema and self.capabilities.schema:
            schema = {"name": prompt.schema["title"], "schema": prompt.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body | dict(self.options)

    async def count(self, request: Mapping[str, Any]) -> int:
        """Returns the tokens of the messages, counted by vLLM's /tokenize; 0 if the server's answer is no count."""
        fields = {key: request[key] for key in ("model", "messages", "tools") if key in request}
        address = self.endpoint.client.base_url.join("/tokenize")
        with translated_errors():
            reply = await self.endpoint.client.post(str(address), body=fields, cast_to=httpx2.Response)
        try:
            return count(mapping(reply.json()).get("count"))
        except ValueError:
            return 0

    async def send(self, request: Mapping[str, Any]) -> str:
        """Returns the raw JSON of one completion. Raises as Model.ask does."""
        body = dict(request)
        if self.progress is not None:
            body["stream_options"] = {"include_usage": True}
        with translated_errors():
            return await self.lessons.sent(body, self._post)

    async def _post(self, request: dict[str, Any]) -> str:
        known = {key: request[key] for key in ("model", "messages")}
        body = {**known, "extra_body": {key: value for key, value in request.items() if key not in known}}
        if self.progress is not None or "an answer in one piece" in self.lessons.kinds:
            return await self._streamed(body, self.progress or (lambda _: None))
        create = self.endpoint.client.chat.completions.with_raw_response.create
        return cast("str", (await create(**body)).text)

    async def _streamed(self, body: dict[str, Any], progress: Callable[[str], None]) -> str:
        streamed = StreamedCompletion()
        async with await self.endpoint.client.chat.completions.create(**body, stream=True) as chunks:
            async for chunk in chunks:
                progress(streamed.add(chunk.to_dict(mode="json", warnings=False)))
        if not (streamed.ended or streamed.error):
            raise Retryable("the model server ended its stream before the answer was complete")
        return json.dumps(streamed.completion())

    def read(self, raw: str) -> Turn:
        """Reads the raw JSON of a completion. Raises Retryable for anything else, and the fault's error if it failed."""
        completion = _completion(raw)
        choice = mappings(completion["choices"])[0]
        message, ending = choice["message"], choice.get("finish_reason")
        refusal = "the model refused to answer" if message.get("refusal") else ""
        if ending == "content_filter":
            refusal = "the answer is incomplete: content_filter"
        sent = with_tool_calls_as_sent(message)
        return Turn(
            items=(sent,),
            text=content_text(message.get("content")),
            calls=tuple(map(_call, mappings(sent.get("tool_calls")))),
            cut=ending == "length",
            refusal=refusal,
            usage=_usage(mapping(completion.get("usage"))),
        )

    def result(self, call: ToolCall, text: str) -> Item:
        """Returns the item that gives the model a tool's answer."""
        return {"role": "tool", "tool_call_id": call.id, "content": text}

    def remark(self, text: str) -> Item:
        """Returns a further user message."""
        return {"role": "user", "content": text}


def _completion(raw: str) -> Mapping[str, Any]:
    try:
        completion = json.loads(raw)
    except (ValueError, RecursionError) as broken:
        if raw.lstrip().startswith("<"):
            page = reason_in(raw)[:LONGEST_QUOTE]
            raise Retryable(f"the address of the model answers with a web page ({page}), not with an API") from broken
        raise Retryable("the model server sent an incomplete answer") from broken
    choice = next(iter(mappings(mapping(completion).get("choices"))), {})
    failed = mapping(completion).get("error") or choice.get("error")
    if failed:  # some gateways report a failure with HTTP 200
        raise error_for(fault_in(failed))
    if choice.get("finish_reason") == "error":
        raise Retryable("the model server broke off its answer with an error")
    if not isinstance(choice.get("message"), dict):
        raise Retryable("the model server sent something that is not a completion")
    return cast("Mapping[str, Any]", completion)


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = mapping(call.get("function"))
    return ToolCall(text(call.get("id")), text(function.get("name")), text(function.get("arguments")))


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = mapping(usage.get("prompt_tokens_details"))
    return Usage(
        calls=1,
        input=count(usage.get("prompt_tokens")),
        cached=count(details.get("cached_tokens")),
        output=count(usage.get("completion_tokens")),
    )


def _function(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters), "strict": True}
    return {"type": "function", "function": function}

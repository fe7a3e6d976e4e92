"""Any Chat Completions server: vLLM, Ollama, LiteLLM, OpenRouter, Azure. What it cannot do is asked for otherwise.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat.chat_completion_chunk import Choice

from bot.core.claims.prompt import Prompt
from bot.core.costs import PRICES, Calibration, ConversationLimits, Price, Usage
from bot.errors import Retryable
from bot.interfaces import Account, ModelAnswer, Step, Tool
from bot.model.client import Endpoint, ServerFault, count, error, mapping, mappings, spoken, text
from bot.model.conversation import Capabilities, Conversation, Item, ModelRequest, ToolCall, Turn


@dataclass(slots=True)
class ChatModel:
    """A Model behind Chat Completions. `options` are the operator's: temperature, top_p, seed and the like.

    `limit_field` is what the server calls the limit of output: older ones know only max_tokens.
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

    @property
    def name(self) -> str:
        """The model's name, as the server knows it."""
        return self.model

    @property
    def available(self) -> bool:
        """There is a model to ask."""
        return True

    @property
    def hosted(self) -> tuple[Mapping[str, Any], ...]:
        """This API has no tools of the server's own."""
        return ()

    async def ask(self, prompt: Prompt, tools: Sequence[Tool], step: Step, account: Account) -> ModelAnswer:
        """One bounded conversation, see Model."""
        return await Conversation(self, prompt, tuple(tools), step, account).hold()

    async def close(self) -> None:
        """Give connections back."""
        await self.endpoint.close()

    def opening(self, prompt: Prompt) -> list[Item]:
        """One system and one user message: many chat templates know no other beginning."""
        system = [part for part in (prompt.instructions, prompt.rules) if part]
        user = [part for part in (prompt.material, prompt.ask) if part]
        if not self.capabilities.schema:
            user.append(f"Answer with one JSON object that fits this JSON schema:\n{json.dumps(prompt.schema)}")
        return [{"role": "system", "content": "\n\n".join(system)}, self.remark("\n\n".join(user))]

    def request(self, prompt: Prompt, items: Sequence[Item], ask: ModelRequest) -> dict[str, Any]:
        """The body of one call."""
        body: dict[str, Any] = {**self.options, "model": self.model, "messages": list(items)}
        body[self.limit_field] = ask.ceiling
        if ask.tools:
            body["tools"] = [_function(tool) for tool in sorted(ask.tools, key=lambda tool: tool.name)]
            body["tool_choice"] = "auto" if ask.callable else "none"
            body["parallel_tool_calls"] = self.capabilities.parallel_tools
        if ask.schema and self.capabilities.schema:
            schema = {"name": prompt.schema["title"], "schema": prompt.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def count(self, request: Mapping[str, Any]) -> int:
        """Tokens of the messages, counted by vLLM's /tokenize."""
        asked = {key: request[key] for key in ("model", "messages", "tools") if key in request}
        address = self.endpoint.client.base_url.join("/tokenize")
        with spoken():
            reply = await self.endpoint.client.post(str(address), body=asked, cast_to=httpx2.Response)
        return int(reply.json()["count"])

    async def send(self, request: Mapping[str, Any]) -> str:
        """The raw JSON of one completion. Raises as Model.ask does."""
        known = {key: request[key] for key in ("model", "messages")}
        extra = {key: value for key, value in request.items() if key not in known}
        with spoken():
            if self.progress is not None:
                extra["stream_options"] = {"include_usage": True}
                return await self._streamed({**known, "extra_body": extra}, self.progress)
            create = self.endpoint.client.chat.completions.with_raw_response.create
            return cast("str", (await create(**known, extra_body=extra)).text)

    async def _streamed(self, body: dict[str, Any], progress: Callable[[str], None]) -> str:
        state, ended = ChatCompletionStreamState(), False
        async with await self.endpoint.client.chat.completions.create(**body, stream=True) as chunks:
            async for chunk in chunks:
                state.handle_chunk(chunk)
                progress("".join(map(_heard, chunk.choices)))
                ended = ended or any(choice.finish_reason is not None for choice in chunk.choices)
        if not ended:
            raise Retryable("the model server ended its stream before the answer was complete")
        return json.dumps(state.current_completion_snapshot.to_dict(mode="json", warnings=False))

    def read(self, raw: str) -> Turn:
        """What a completion says. Raises Retryable for what is none, and the fault's error for one that failed."""
        completion = _completion(raw)
        choice = mappings(completion["choices"])[0]
        message, ending = choice["message"], choice.get("finish_reason")
        refusal = "the model refused to answer" if message.get("refusal") else ""
        if ending == "content_filter":
            refusal = "the answer is incomplete: content_filter"
        return Turn(
            items=({"role": "assistant", "content": "", **{key: value for key, value in message.items() if value}},),
            text=_unfenced(text(message.get("content"))),
            calls=tuple(map(_call, mappings(message.get("tool_calls")))),
            cut=ending == "length",
            refusal=refusal,
            usage=_usage(mapping(completion.get("usage"))),
        )

    def result(self, call: ToolCall, text: str) -> Item:
        """A tool's answer."""
        return {"role": "tool", "tool_call_id": call.id, "content": text}

    def remark(self, text: str) -> Item:
        """One more message from us."""
        return {"role": "user", "content": text}


def _heard(choice: Choice) -> str:
    """What a piece of a stream says: text, and the names of tools."""
    calls = [call.function.name for call in choice.delta.tool_calls or () if call.function and call.function.name]
    return (choice.delta.content or "") + "".join(f"[{name}]\n" for name in calls)


def _completion(raw: str) -> Mapping[str, Any]:
    try:
        completion = json.loads(raw)
    except ValueError as broken:
        raise Retryable("the model server sent half an answer") from broken
    failed = completion.get("error") if isinstance(completion, dict) else None
    if failed:  # some gateways report a failure with HTTP 200
        failed = failed if isinstance(failed, dict) else {"message": str(failed)}
        code = failed.get("code")
        status = code if isinstance(code, int) else 0
        raise error(
            ServerFault(status, str(code or ""), str(failed.get("type") or ""), str(failed.get("message") or ""))
        )
    choices = mappings(completion.get("choices")) if isinstance(completion, dict) else ()
    if not choices or not isinstance(choices[0].get("message"), dict):
        raise Retryable("the model server sent something that is no completion")
    return cast("Mapping[str, Any]", completion)


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = mapping(call.get("function"))
    return ToolCall(str(call.get("id", "")), str(function.get("name", "")), str(function.get("arguments", "")))


def _unfenced(said: str) -> str:
    """The JSON in what a model without a grammar likes to wrap: thoughts before it, words and a code fence around it."""
    thought = said.lstrip().startswith("<think>")
    answer = (said.partition("</think>")[2] if thought else said).strip()
    if answer.startswith("{"):
        return answer
    _, opened, inner = answer.partition("```")
    return inner.rpartition("```")[0].removeprefix("json").strip() if opened else answer


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

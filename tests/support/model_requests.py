"""Checks a request to a model server: against the SDK's own types, then against rules that types cannot express."""

import itertools
import re
import typing
from collections.abc import Iterator
from functools import cache

from openai.types.chat import completion_create_params as chat
from openai.types.conversations import conversation_create_params
from openai.types.responses import input_token_count_params, response_create_params
from pydantic import TypeAdapter, ValidationError

from tests.support.strict_schema import lint

REQUESTS = {
    "responses": response_create_params.ResponseCreateParamsNonStreaming,
    "responses stream": response_create_params.ResponseCreateParamsStreaming,
    "input_tokens": input_token_count_params.InputTokenCountParams,
    "conversations": conversation_create_params.ConversationCreateParams,
    "chat": chat.CompletionCreateParamsNonStreaming,
    "chat stream": chat.CompletionCreateParamsStreaming,
}
STORED_ON_THE_SERVER = ("instructions", "prompt", "previous_response_id", "metadata", "background")
STRANGE = re.compile(r'<untrusted-[^>]+>\n\{"kind": "')
OURS = {"user", "developer"}


@cache
def adapter(kind):
    return TypeAdapter(REQUESTS[kind])


def keys(kind):
    return typing.get_type_hints(REQUESTS[kind]).keys()


def problems(kind, body, held=()):
    """A sentence for each thing that the real server would reject, or that we never want to send.

    `held` are the items of the conversation that the server puts before the input.
    """
    found = [f"{key}: unknown" for key in sorted(body.keys() - keys(kind))]
    try:
        walk(adapter(kind).validate_python(body, strict=True))
    except ValidationError as error:
        found += [f"{one['loc']}: {one['msg']}" for one in error.errors(include_url=False, include_input=False)[:5]]
    if found:
        return found
    if kind.startswith("responses"):
        found += [*responses_problems(body, held), *tool_problems(body.get("tools", ()))]
    if kind.startswith("chat"):
        found += [*chat_problems(body), *tool_problems([tool["function"] for tool in body.get("tools", ())])]
    return found


def walk(value):
    """Iterables are validated when they are read."""
    if isinstance(value, dict):
        for inner in value.values():
            walk(inner)
    elif not isinstance(value, str | bytes | int | float | bool | type(None)):
        for inner in value:
            walk(inner)


def responses_problems(body, held) -> Iterator[str]:
    yield from (f"{key}: never sent" for key in STORED_ON_THE_SERVER if key in body)
    if body.get("store") is not False:
        yield "store: has to be false"
    if body.get("max_output_tokens", 0) < 16:
        yield "max_output_tokens: at least 16"
    if len(body.get("safety_identifier", "")) > 128:
        yield "safety_identifier: too long"
    if not body.get("tools") and body.keys() & {"tool_choice", "parallel_tool_calls"}:
        yield "tool_choice: without tools"
    form = body.get("text", {}).get("format")
    if form:
        yield from schema_problems(form)
    yield from item_problems([*held, *body["input"]])


def item_problems(items) -> Iterator[str]:
    marks = sum("prompt_cache_breakpoint" in part for item in items for part in parts(item))
    if marks > 3:
        yield f"{marks} explicit breakpoints beside the implicit one: at most 3"
    yield from pairing_problems(items)
    for item, after in itertools.pairwise([*items, {}]):
        if item["type"] == "reasoning" and (
            after.get("type") in {None, "function_call_output"} or after.get("role") in OURS
        ):
            yield "reasoning: without the item that followed it"
        if item["type"] == "reasoning" and not item.get("encrypted_content"):
            yield "reasoning: without its encrypted content it cannot be replayed"
        if item.get("role") == "developer" and any(STRANGE.search(part["text"]) for part in parts(item)):
            yield "strangers' text in a developer message"


def pairing_problems(items) -> Iterator[str]:
    """Each call has one output, behind it."""
    open_calls = []
    for item in items:
        if item["type"] == "function_call":
            open_calls.append(item["call_id"])
        elif item["type"] == "function_call_output" and item.get("call_id") in open_calls:
            open_calls.remove(item["call_id"])
        elif item["type"] == "function_call_output":
            yield f"{item.get('call_id')}: an output without its call"
    if open_calls:
        yield f"{open_calls}: calls without an output"


def parts(item):
    return item["content"] if item["type"] == "message" else ()


def chat_problems(body) -> Iterator[str]:
    if "response_format" in body:
        yield from schema_problems(body["response_format"]["json_schema"])
    roles = [message["role"] for message in body["messages"]]
    if "system" in roles[1:]:
        yield "system: only in front"
    if ("user", "user") in itertools.pairwise(roles):
        yield "two messages of the user in a row"
    open_calls = []
    for message in body["messages"]:
        if message["role"] != "tool" and open_calls:
            yield f"{open_calls}: calls without a result"
        if message["role"] == "tool" and message["tool_call_id"] not in open_calls:
            yield f"{message['tool_call_id']}: a result without its call"
        open_calls = [one for one in open_calls if one != message.get("tool_call_id")]
        open_calls += [call["id"] for call in message.get("tool_calls", ())]


def schema_problems(form) -> Iterator[str]:
    if form.get("strict") is not True:
        yield "the schema is not strict"
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", form["name"]):
        yield f"the schema's name {form['name']!r} is not allowed"
    yield from lint(form["schema"])


def tool_problems(tools) -> Iterator[str]:
    names = [tool["name"] for tool in tools if "name" in tool]
    if names != sorted(set(names)):
        yield "tools: not sorted, or twice the same"
    for tool in tools:
        if tool.get("type") == "file_search" and tool.get("max_num_results", 1) > 50:
            yield "max_num_results: at most 50"
        if "parameters" in tool:
            yield from (f"{tool['name']}: {problem}" for problem in lint(tool["parameters"]))
            if tool.get("strict") is not True:
                yield f"{tool['name']}: not strict"

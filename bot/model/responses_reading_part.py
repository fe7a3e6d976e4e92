"""The raw JSON of a response -> a Turn. Items this code has never heard of go back to the server as they came."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from bot.core.usage_part import Usage
from bot.errors import Retryable
from bot.interfaces import Passage
from bot.model.client import Fault, error
from bot.model.foreign_part import count, mapping, mappings, number, text
from bot.model.turn_part import ToolCall, Turn

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
        raise error(Fault(code=text(failed.get("code")), message=text(failed.get("message"))))
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


def _passages(output: Output) -> Iterator[Passage]:
    for item in output:
        asked = item.get("queries")
        query = " ".join(map(str, asked)) if isinstance(asked, list) else ""
        for hit in _results(item):
            yield Passage(query, text(hit.get("text")), mapping(hit.get("attributes")), number(hit.get("score")))


def _results(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return mappings(item.get("results")) if item.get("type") == "file_search_call" else ()

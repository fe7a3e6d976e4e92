"""The turns of a scripted model server as plain values, and as JSON of either API, whole or streamed."""

import itertools
import json
from dataclasses import dataclass, field

from bot.core.costs import estimate

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Turn:
    """What the server does with one request. Built by the functions below."""

    text: str | None = None
    calls: tuple[tuple[str, str, str], ...] = ()
    commentary: str = ""
    refusal: str = ""
    ending: str = ""  # "", "length", "content_filter" or any other reason for an incomplete answer
    failed: str = ""  # the code of a failure inside a response
    items: tuple[dict, ...] = ()
    usage: dict | None = field(default_factory=dict)
    status: int = 200
    error: dict | None = None
    headers: dict = field(default_factory=dict)
    raw: str | None = None
    broken_off: bool = False
    seconds: float = 0.0
    raises: Exception | None = None


def says(value, **rest):
    """A final answer: JSON of a value, or text as it stands."""
    return Turn(text=value if isinstance(value, str) else json.dumps(value), **rest)


def calls(*wanted, **rest):
    """Tool calls, each (name, arguments): arguments as JSON of a value, or text as it stands."""
    made = [
        (f"call_{next(_numbers)}", name, arguments if isinstance(arguments, str) else json.dumps(arguments))
        for name, arguments in wanted
    ]
    return Turn(calls=tuple(made), **rest)


def refuses():
    return Turn(refusal="I can't help with that.")


def ends(reason, text=""):
    """An incomplete answer."""
    return Turn(text=text, ending=reason)


def fails(status, code="", kind="", message="it failed", **headers):
    """An HTTP error; header names with _ for -."""
    error = {"message": message, "type": kind, "code": code, "param": None}
    return Turn(status=status, error=error, headers={key.replace("_", "-"): value for key, value in headers.items()})


def garbles(raw):
    """HTTP 200 with a body that is not an answer."""
    return Turn(raw=raw)


def rejects(status, body, **headers):
    """An HTTP error with a body of any shape: JSON of a value, or text as it stands."""
    raw = body if isinstance(body, str) else json.dumps(body)
    return Turn(raw=raw, status=status, headers={key.replace("_", "-"): value for key, value in headers.items()})


def raises(exception):
    """The connection fails."""
    return Turn(raises=exception)


def response(turn, body):
    """A response of the Responses API, without its usage."""
    number = next(_numbers)
    output = [reasoning(number), *turn.items, *messages(turn, number), *map(function_call, turn.calls)]
    incomplete = {"length": "max_output_tokens"}.get(turn.ending, turn.ending)
    status = "failed" if turn.failed else "incomplete" if incomplete else "completed"
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_795_000_000,
        "status": status,
        "error": {"code": turn.failed, "message": "it failed"} if turn.failed else None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "model": body["model"],
        "output": [] if turn.failed else output,
        "parallel_tool_calls": True,
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "usage": None,
    }


def completion(turn, body):
    """A completion of the Chat Completions API."""
    if turn.failed:
        return {"error": {"code": turn.failed, "message": "it failed"}}
    said = {"role": "assistant", "content": turn.text, "refusal": turn.refusal or None, "annotations": []}
    if turn.calls:
        said["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in turn.calls
        ]
    read, spoken = estimate(json.dumps(body)), estimate(json.dumps(said))
    usage = {"prompt_tokens": read, "completion_tokens": spoken, "total_tokens": read + spoken}
    ending = turn.ending or ("tool_calls" if turn.calls else "stop")
    return {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": said, "finish_reason": ending, "logprobs": None}],
        "usage": None if turn.usage is None else usage | turn.usage,
    }


def reasoning(number):
    return {"id": f"rs_{number}", "type": "reasoning", "summary": [], "encrypted_content": f"sealed-{number}"}


def messages(turn, number):
    if turn.commentary:
        yield message(f"msg_{number}c", "commentary", {"type": "output_text", "text": turn.commentary})
    if turn.refusal:
        yield message(f"msg_{number}", "final_answer", {"type": "refusal", "refusal": turn.refusal})
    elif turn.text is not None:
        yield message(f"msg_{number}", "final_answer", {"type": "output_text", "text": turn.text})


def message(id_, phase, part):
    if part["type"] == "output_text":
        part = part | {"annotations": [], "logprobs": []}
    status = {"status": "completed", "phase": phase}
    return {"id": id_, "type": "message", "role": "assistant", "content": [part], **status}


def function_call(call):
    id_, name, arguments = call
    return {
        "id": f"fc_{id_}",
        "type": "function_call",
        "call_id": id_,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def response_events(response):
    """The same response as a stream of events."""
    numbers = itertools.count()

    def event(kind, **data):
        return kind, {"type": kind, "sequence_number": next(numbers), **data}

    yield event("response.created", response=response | {"output": [], "status": "in_progress", "usage": None})
    for index, item in enumerate(response["output"]):
        yield event("response.output_item.added", output_index=index, item=item)
        if item["type"] == "message" and item["content"][0]["type"] == "output_text":
            for piece in pieces(item["content"][0]["text"]):
                place = {"item_id": item["id"], "output_index": index, "content_index": 0, "logprobs": []}
                yield event("response.output_text.delta", delta=piece, **place)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event(f"response.{response['status']}", response=response)


def completion_events(completion):
    if "error" in completion:
        yield "error", completion
        return
    chunk = {key: completion[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = completion["choices"][0]
    message = choice["message"]
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces(message["content"] or "")]
    for index, call in enumerate(message.get("tool_calls", ())):
        head, tail = call["function"]["arguments"][:3], call["function"]["arguments"][3:]
        deltas.append({"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": head}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": tail}}]})
    if message["refusal"]:
        deltas.append({"refusal": message["refusal"]})
    for delta in deltas:
        yield "message", chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    if completion["usage"]:
        yield "message", chunk | {"choices": [], "usage": completion["usage"]}
    yield "message", chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}


def pieces(text):
    return [text[at : at + 20] for at in range(0, len(text), 20)]

"""Answers as models spell them: JSON among thoughts, words and code fences; content in parts; pieces of a stream."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

_DECODER = json.JSONDecoder(strict=False)
_THOUGHT_ENDS = re.compile(r"</(think|thinking|thought|thoughts|reasoning)>", re.IGNORECASE)
_MOST_TRIES = 200
"""Opening braces that are tried in one text: what a model writes never takes long to read."""


def mapping(value: object) -> Mapping[str, Any]:
    """Returns the fields of a JSON object."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Sequence[Mapping[str, Any]]:
    """Returns the objects of a JSON list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Returns a JSON string."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int:
    """Returns a whole number that is not negative: a negative count would lower the bill."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def number(value: object) -> float:
    """Returns a JSON number."""
    return float(value) if isinstance(value, int | float) else 0.0


def read_answer(kind: type[BaseModel], said: str) -> BaseModel:
    """Returns the answer of this kind in what a model said: the whole text, or the last object in it that fits.

    Raises ValidationError if there is none.
    """
    try:
        return kind.model_validate_json(said.lstrip("\ufeff").strip())
    except ValidationError as error:
        problem = error
    for value in reversed(objects_in(said)):
        try:
            return kind.model_validate_json(json.dumps(value))
        except ValidationError as error:
            problem = error
    raise problem


def objects_in(said: str, *, encoded: bool = True) -> list[dict[str, Any]]:
    """Returns the JSON objects in a text, without those that stand before the end of a thought.

    With `encoded`, also those in a text that is itself encoded as a JSON string.
    """
    if encoded and isinstance(inner := _decoded(said.lstrip("\ufeff").strip()), str):
        return objects_in(inner, encoded=False)
    found: list[dict[str, Any]] = []
    at = 0
    for start, end, value in _decoded_objects(said):
        if _THOUGHT_ENDS.search(said, at, start):
            found.clear()
        found.append(value)
        at = end
    if _THOUGHT_ENDS.search(said, at):
        found.clear()
    return found


def arguments_of(said: str) -> dict[str, Any] | None:
    """Returns the arguments of a tool call: an object, also fenced or encoded twice; empty ones are none."""
    said = said.strip()
    if said in {"", "null"}:
        return {}
    if isinstance(value := _decoded(said), dict):
        return value
    if isinstance(value, list):
        return None
    found = objects_in(said)
    return found[0] if len(found) == 1 else None


def _decoded(said: str) -> object:
    try:
        return _DECODER.decode(said)
    except (ValueError, RecursionError):
        return None


def _decoded_objects(said: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    at = 0
    for _ in range(_MOST_TRIES):
        start = said.find("{", at)
        if start < 0:
            return
        try:
            value, at = _DECODER.raw_decode(said, start)
        except (ValueError, RecursionError):
            at = start + 1
        else:
            yield start, at, value


def content_text(content: object) -> str:
    """Returns the text of a message: a string, or the parts of a list that are not thoughts."""
    if isinstance(content, list):
        return "".join(
            part if isinstance(part, str) else text(mapping(part).get("text"))
            for part in content
            if isinstance(part, str) or mapping(part).get("type") in {None, "text", "output_text"}
        )
    return text(content)


def with_tool_calls_as_sent(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an assistant's message as it goes back: no empty field, each call with an id of its own and arguments as text."""
    kept = {"role": "assistant", "content": "", **{key: value for key, value in message.items() if value}}
    if calls := mappings(message.get("tool_calls")):
        stamp, ids = f"{zlib.crc32(json.dumps(message).encode()):08x}", set[str]()
        kept["tool_calls"] = []
        for place, call in enumerate(calls):
            name, function = text(call.get("id")), mapping(call.get("function"))
            if not name or name in ids:
                name = f"{stamp}{place}"
            ids.add(name)
            written = function.get("arguments")
            arguments = written if isinstance(written, str) else json.dumps(written or {})
            called = {**function, "name": text(function.get("name")), "arguments": arguments or "{}"}
            kept["tool_calls"].append({**call, "id": name, "type": "function", "function": called})
    return kept


@dataclass(slots=True)
class StreamedCompletion:
    """A completion that arrives in pieces. `ended` says that a piece named the reason for its end."""

    message: dict[str, Any] = field(default_factory=lambda: {"role": "assistant", "content": None})
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    ending: str = ""
    usage: object = None
    error: object = None

    @property
    def ended(self) -> bool:
        """Whether a piece named the reason for the end."""
        return bool(self.ending)

    def add(self, chunk: Mapping[str, Any]) -> str:
        """Takes one piece in. Returns what a person may see of it: text, and the names of called tools."""
        self.usage = chunk.get("usage") or self.usage
        self.error = chunk.get("error") or self.error
        choice = next(iter(mappings(chunk.get("choices"))), {})
        self.ending = text(choice.get("finish_reason")) or self.ending
        self.error = choice.get("error") or self.error
        delta = mapping(choice.get("delta"))
        for key, value in delta.items():
            if key not in {"role", "tool_calls"} and value:
                self._extend(key, value)
        names = [self._call(piece) for piece in mappings(delta.get("tool_calls"))]
        return content_text(delta.get("content")) + "".join(f"[{name}]\n" for name in names if name)

    def _extend(self, key: str, value: object) -> None:
        before = self.message.get(key)
        if key == "content" and isinstance(value, list):
            value = content_text(value)
        together = isinstance(before, str) and isinstance(value, str)
        self.message[key] = before + value if together else value or before  # type: ignore[operator]

    def _call(self, piece: Mapping[str, Any]) -> str:
        """Takes in a piece of a tool call. Returns the tool's name if the piece begins a call.

        Without an index, a piece with an id or a name begins the next call.
        """
        function, index = mapping(piece.get("function")), piece.get("index")
        if not isinstance(index, int):
            begins = bool(piece.get("id") or function.get("name"))
            index = len(self.calls) if begins or not self.calls else max(self.calls)
        new = index not in self.calls
        empty = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = self.calls.setdefault(index, empty)
        call["id"] = text(piece.get("id")) or call["id"]
        call["function"]["name"] = text(function.get("name")) or call["function"]["name"]
        written = function.get("arguments")
        call["function"]["arguments"] += json.dumps(written) if isinstance(written, dict) else text(written)
        return text(function.get("name")) if new else ""

    def completion(self) -> dict[str, Any]:
        """Returns the completion as a server sends it in one piece."""
        calls = {"tool_calls": list(self.calls.values())} if self.calls else {}
        choice = {"index": 0, "message": self.message | calls, "finish_reason": self.ending}
        failed = {"error": self.error} if self.error else {}
        return {"object": "chat.completion", "choices": [choice], "usage": self.usage, **failed}

"""What the refusals of a model server teach: fields to leave out or rename, limits to obey, roles that it does not know.

A lesson holds for the life of the process; the log names the setting that makes it permanent.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.costs import estimate
from bot.model.client import ServerFault, fault_of, is_too_long, sdk
from bot.model.replies import mapping, mappings, text

log = logging.getLogger(__name__)

Request = dict[str, Any]
Message = Mapping[str, Any]

SMALLEST_ANSWER = 1024
"""Tokens; with less room than that for the answer, the input is too long."""
_MOST_LESSONS = 8
_REFUSALS = {400, 422, 501}
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_OTHER_NAME = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}
_NEEDED = {"model", "messages", "input", "tools", "text", "response_format", "stream", *_LIMITS}
_WORDS = {"reasoning", "text", "store", "include", "truncation", "seed", "stop", "conversation"}
_CORE = {"role", "content", "name", "tool_calls", "tool_call_id"}
_ABOUT_OUTPUT = re.compile(
    r"max_?(completion|output|new)?_?tokens|(completion|output|generated) tokens|completion", re.IGNORECASE
)
_CONTEXT = re.compile(
    r"(?:context.?(?:length|window|size)|inputs?.{0,6} tokens \+ .{0,20} must be <=)\D{0,20}(\d+)", re.IGNORECASE
)
_INPUT = re.compile(
    r"(\d+) (?:tokens? )?(?:in|of|from) (?:the |your )?(?:messages|prompt|input)|(\d+) .?(?:inputs?|prompt).? tokens",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.-])\d+(?![\w-])")
_TOOLS = re.compile(r"\btools?\b|tool[-_ ]?(use|call|choice)|function.?call|--jinja", re.IGNORECASE)
_NO_TOOLS = re.compile(r"support tool|tool\w* (use|call\w*)? ?(is|are) not|--jinja", re.IGNORECASE)
_SCHEMA = re.compile(r"response.?format|json.?schema|structured.?output|grammar|text\.format", re.IGNORECASE)
_SYSTEM = re.compile(r"system.{0,12}(role|message|prompt|instruction)|role.{0,20}system|developer", re.IGNORECASE)
_WANTED_BACK = re.compile(r"passed back|must be (present|provided|included)|missing|required", re.IGNORECASE)

_SETTINGS = {
    "parallel_tool_calls": "ASSISTANT_CAPABILITIES without parallel_tools",
    "reasoning": "an empty ASSISTANT_EFFORT",
    "reasoning_effort": "an empty ASSISTANT_EFFORT",
    "the schema": "ASSISTANT_CAPABILITIES without schema",
    "tools": "ASSISTANT_TOOLS=none",
}


@dataclass(slots=True)
class Lessons:
    """What one server's refusals taught about one model."""

    dropped: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    unechoed: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    output: int = 0
    context: int = 0

    @property
    def toolless(self) -> bool:
        """Whether the server refuses tools."""
        return "tools" in self.kinds

    async def sent(self, request: Mapping[str, Any], post: Callable[[Request], Awaitable[str]]) -> str:
        """Returns the raw reply. Sends the request again without what the server refuses, once for each lesson.

        Lessons that did not help are forgotten: the server meant something else.
        """
        room, before = 0, self._copy()
        for _ in range(_MOST_LESSONS):
            adjusted = self.adjusted(request, room)
            try:
                return await post(adjusted)
            except sdk().APIStatusError as failed:
                room = self.learn(fault_of(failed), adjusted) or room
                if self.adjusted(request, room) == adjusted:
                    if failed.status_code in _REFUSALS and not is_too_long(fault_of(failed)):
                        self._forget(before)
                    raise
        return await post(self.adjusted(request, room))

    def _copy(self) -> Lessons:
        return replace(
            self,
            dropped={*self.dropped},
            renamed=dict(self.renamed),
            unechoed={*self.unechoed},
            kinds={*self.kinds},
        )

    def _forget(self, before: Lessons) -> None:
        """Goes back to what was known before a request that was refused whatever was left out."""
        if (self.dropped, self.renamed, self.kinds) != (before.dropped, before.renamed, before.kinds):
            log.warning("the model server refuses the request without these too: they are sent again from now on")
        self.dropped, self.renamed = before.dropped, before.renamed
        self.unechoed, self.kinds = before.unechoed, before.kinds

    def learn(self, fault: ServerFault, request: Mapping[str, Any]) -> int:
        """Takes in what a refusal says of a request. Returns the room that it names for this answer; 0 for none."""
        if fault.status not in _REFUSALS:
            if _NO_TOOLS.search(fault.message) and "tools" in request:
                self._note("tools", fault)
            return 0
        asked = next((request[name] for name in _LIMITS if name in request), 0)
        room = self._limit(fault, asked)
        if room or is_too_long(fault):
            return room
        for name in _refused_echoes(fault, request):
            self._echo(name, fault)
            return 0
        if names := _refused_fields(fault, request):
            for name in names:
                self._refuse(name, fault)
            return 0
        if kind := _refused_kind(fault, request):
            self._note(kind, fault)
        return 0

    def _limit(self, fault: ServerFault, asked: int) -> int:
        room, context = named_limit(fault.message, asked)
        if context and room:
            self.context = context
        elif room:
            self.output = room
            log.warning("the model answers with at most %s tokens; ASSISTANT_OUTPUT_TOKENS=%s saves a try", room, room)
        return room

    def _echo(self, name: str, fault: ServerFault) -> None:
        if _WANTED_BACK.search(fault.message):
            self.unechoed.discard(name)
        else:
            self.unechoed.add(name)

    def _refuse(self, name: str, fault: ServerFault) -> None:
        other = _OTHER_NAME.get(name)
        if name == "tool_choice":
            self.kinds.add("tool choice")
        if other and other not in self.renamed:
            self.renamed[name] = other
            log.warning("the model server wants %s in place of %s", other, name)
        elif name in _SCHEMA_FIELDS:
            self._note("the schema", fault)
        elif name == "tools":
            self._note("tools", fault)
        else:
            self.renamed.pop(other or "", None)
            self.dropped.add(name)
            self._log(name, fault)

    def _note(self, kind: str, fault: ServerFault) -> None:
        self.kinds.add(kind)
        self._log(kind, fault)

    def _log(self, name: str, fault: ServerFault) -> None:
        permanent = f"; {_SETTINGS[name]} makes this permanent" if name in _SETTINGS else ""
        log.warning("the model server refuses %s (%s): asked without from now on%s", name, fault.named, permanent)

    def adjusted(self, request: Mapping[str, Any], room: int = 0) -> Request:
        """Returns the request as the lessons want it, with at most `room` tokens for the answer unless that is 0."""
        body = {self.renamed.get(key, key): value for key, value in request.items() if key not in self.dropped}
        self._limited(body, room)
        if "messages" in body:
            body["messages"] = self._messages(body["messages"])
        if "the schema" in self.kinds:
            _show_schema(body)
        unchosen = "tool choice" in self.kinds and request.get("tool_choice") == "none"
        if "tools" in self.kinds or unchosen:
            for name in ("tools", "tool_choice", "parallel_tool_calls", "max_tool_calls"):
                body.pop(name, None)
        if "an answer in one piece" in self.kinds:
            body["stream_options"] = {"include_usage": True}
        if ("history" in self.kinds or unchosen) and "tools" not in body and "messages" in body:
            body["messages"] = _told(body["messages"])
        return body

    def _limited(self, body: Request, room: int) -> None:
        """Lowers the limit of the answer to what the server has named."""
        name = next((name for name in _LIMITS if name in body), None)
        if name is None:
            return
        left = self.context and max(self.context - estimate(json.dumps(body, ensure_ascii=False)), SMALLEST_ANSWER)
        body[name] = min(body[name], *filter(None, (self.output, room or left)), body[name])

    def _messages(self, messages: Sequence[Message]) -> list[Message]:
        kept = [{key: value for key, value in item.items() if key not in self.unechoed} for item in messages]
        return _without_system(kept) if "a system message" in self.kinds else list(kept)


_SCHEMA_FIELDS = {"response_format", "text"}


def named_limit(message: str, asked: int) -> tuple[int, int]:
    """Returns the room for the answer that a refusal names, and the context it leaves it in; zeros for none."""
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", message)
    numbers = [int(found) for found in _NUMBER.findall(plain)]
    if not asked or not (asked in numbers or _ABOUT_OUTPUT.search(plain)):
        return 0, 0
    if found := _CONTEXT.search(plain):
        context, written = int(found[1]), _INPUT.search(plain)
        smaller = [number for number in numbers if number < context and number != asked]
        size = int(written[1] or written[2]) if written else max(smaller, default=context)
        return (context - size, context) if SMALLEST_ANSWER <= context - size < asked else (0, 0)
    limit = max((number for number in numbers if number < asked), default=0)
    limit -= "exclusive" in plain and f"{limit} exclusive" in plain.replace("(", "").replace(")", "")
    return (limit, 0) if limit >= SMALLEST_ANSWER else (0, 0)


def _refused_echoes(fault: ServerFault, request: Mapping[str, Any]) -> list[str]:
    """Returns the fields of the model's own messages that a refusal names."""
    said = f"{fault.param} {fault.message}"
    own = {key for item in mappings(request.get("messages")) for key in item} - _CORE
    wanted = {"reasoning_content", "reasoning"} if _WANTED_BACK.search(said) else set()
    return [name for name in sorted(own | wanted) if name not in request and _names(said, name)]


def _refused_fields(fault: ServerFault, request: Mapping[str, Any]) -> list[str]:
    """Returns the fields of a request that a refusal names: the one in its own field, else those in the message."""
    head = re.split(r"[.\[]", fault.param)[0]
    if head in request and head not in {"model", "messages", "input"}:
        return [head]
    return [
        name
        for name in request
        if (name not in _NEEDED or name in _LIMITS or name == "response_format") and _names(fault.message, name)
    ]


def _names(said: str, name: str) -> bool:
    """Says whether a text names a field. A field whose name is a common word has to look like a field."""
    if name not in _WORDS:
        return re.search(rf"(?<![A-Za-z0-9_]){name}(?![A-Za-z0-9_])", said) is not None
    return (
        re.search(rf"(['\"`.]|(argument|parameter|field|supplied)s?:? ){name}\b|\b{name}(['\"`.=]|: )", said)
        is not None
    )


def _refused_kind(fault: ServerFault, request: Mapping[str, Any]) -> str:
    """Returns what a refusal means in words of its own."""
    said = f"{fault.param} {fault.message}"
    if _SCHEMA.search(said) and ("response_format" in request or "format" in mapping(request.get("text"))):
        return "the schema"
    if _SYSTEM.search(said) and any(item.get("role") == "system" for item in mappings(request.get("messages"))):
        return "a system message"
    if re.search(r"\bstream", said) and "stream" not in request and "stream_options" not in request:
        return "an answer in one piece"
    if _TOOLS.search(said):
        return "tools" if "tools" in request else "history"
    return ""


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """Returns the messages with the system's words at the head of the first of the user."""
    system = [text(item.get("content")) for item in messages if item.get("role") == "system"]
    others = [item for item in messages if item.get("role") != "system"]
    first = next((place for place, item in enumerate(others) if item.get("role") == "user"), None)
    if first is None:
        return list(messages)
    others[first] = {**others[first], "content": "\n\n".join([*system, text(others[first].get("content"))])}
    return others


def _told(messages: Sequence[Message]) -> list[Message]:
    """Returns the messages with tool calls and their results told as text: two of one role in a row become one."""
    told: list[Message] = []
    for item in messages:
        role, content = item["role"], text(item.get("content"))
        if role == "tool":
            role, content = "user", f"The tool answered:\n{content}"
        calls = [mapping(call.get("function")) for call in mappings(item.get("tool_calls"))]
        lines = [f"I called {call.get('name')} with {call.get('arguments')}" for call in calls]
        content = "\n".join(filter(None, [content, *lines]))
        if told and told[-1]["role"] == role:
            told[-1] = {"role": role, "content": f"{told[-1]['content']}\n\n{content}"}
        else:
            told.append({"role": role, "content": content} if role != "system" else item)
    return told


def _show_schema(body: Request) -> None:
    """Moves the schema from its field into the last message."""
    form = mapping(body.get("response_format")).get("json_schema") or mapping(body.get("text")).get("format")
    schema = mapping(form).get("schema")
    body.pop("response_format", None)
    if rest := {key: value for key, value in mapping(body.pop("text", None)).items() if key != "format"}:
        body["text"] = rest
    if schema is None:
        return
    shown = f"Answer with one JSON object that fits this JSON schema:\n{json.dumps(schema)}"
    if "messages" in body:
        body["messages"] = [*body["messages"], {"role": "user", "content": shown}]
        last, before = body["messages"][-1], body["messages"][-2]
        if before["role"] == "user":
            body["messages"][-2:] = [{**before, "content": f"{before['content']}\n\n{last['content']}"}]
    else:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": shown}]}
        body["input"] = [*body["input"], item]

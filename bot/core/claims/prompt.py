"""Prompt: instructions (ours) and material (strangers'). Fencing happens here and nowhere else.

A pydantic model -> the strict subset of JSON Schema that model servers enforce, and a linter of that subset.

https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

PROPERTIES = 5_000
DEPTH = 10
CHARACTERS = 120_000  # names, enum values and constants together
ENUM_VALUES = 1_000

_NOISE = {"title", "default"}
_KEYWORDS = {
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern",
    "properties", "required", "title", "type",
}  # fmt: skip
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


@cache
def strict_schema(answer: type[BaseModel]) -> Mapping[str, Any]:
    """The schema of `answer`: every property required, nothing else allowed, keys in the order of the fields."""
    return {"title": answer.__name__, **_bare(answer.model_json_schema())}


def _bare(node: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without titles and defaults, its objects closed. Names of properties are not keywords."""
    bare: dict[str, Any] = {}
    for key, value in node.items():
        if key in {"properties", "$defs"}:
            bare[key] = {name: _bare(inner) for name, inner in value.items()}
        elif key not in _NOISE:
            bare[key] = _inner(value)
    if "properties" in bare:
        bare |= {"required": list(bare["properties"]), "additionalProperties": False}
    return bare


def _inner(value: Any) -> Any:  # noqa: ANN401 - JSON has no better name
    if isinstance(value, list):
        return [_inner(one) for one in value]
    return _bare(value) if isinstance(value, dict) else value


def lint(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each thing in `schema` that a strict server would reject; empty when it fits."""
    nodes = list(_nodes(schema, "", 1))
    found = [problem for where, depth, node in nodes for problem in _problems(node, where, depth)]
    if schema.get("type") != "object" or "anyOf" in schema:
        found.insert(0, "the root is not an object")
    if sum(len(node.get("properties", ())) for _, _, node in nodes) > PROPERTIES:
        found.append(f"more than {PROPERTIES} properties")
    if sum(len(node.get("enum", ())) for _, _, node in nodes) > ENUM_VALUES:
        found.append(f"more than {ENUM_VALUES} enum values")
    if sum(len(str(word)) for _, _, node in nodes for word in _words(node)) > CHARACTERS:
        found.append(f"more than {CHARACTERS} characters of names and values")
    return tuple(found)


def _nodes(node: Mapping[str, Any], where: str, depth: int) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Every schema in a schema, with its place and how many objects and arrays it lies in."""
    yield where or "/", depth, node
    for name, inner in node.get("$defs", {}).items():
        yield from _nodes(inner, f"{where}/$defs/{name}", depth)
    for name, inner in node.get("properties", {}).items():
        yield from _nodes(inner, f"{where}/{name}", depth + 1)
    if isinstance(node.get("items"), dict):
        yield from _nodes(node["items"], f"{where}[]", depth + 1)
    for number, inner in enumerate(node.get("anyOf", ())):
        yield from _nodes(inner, f"{where}|{number}", depth)


def _problems(node: Mapping[str, Any], where: str, depth: int) -> Iterator[str]:
    for keyword in sorted(node.keys() - _KEYWORDS):
        yield f"{where}: {keyword} is not supported"
    if node.get("format", "date") not in _FORMATS:
        yield f"{where}: the format {node['format']} is not supported"
    if depth > DEPTH:
        yield f"{where}: nested deeper than {DEPTH}"
    if node.get("type") != "object":
        return
    if node.get("additionalProperties") is not False:
        yield f"{where}: additionalProperties is not false"
    if list(node.get("required", ())) != list(node.get("properties", ())):
        yield f"{where}: not every property is required, in order"


def _words(node: Mapping[str, Any]) -> Iterator[object]:
    yield from node.get("properties", ())
    yield from node.get("$defs", ())
    yield from node.get("enum", ())
    yield from [node["const"]] if "const" in node else ()


@dataclass(frozen=True, slots=True)
class HostedSearch:
    """A store that the model's own server may search: only files whose attribute `key` is one of `values`."""

    store: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked, longest-lived part first, so that a cache can keep the beginning.

    `name` is unique within a job: it names the steps. `instructions` and `rules` are ours and the team's (base branch
    only); `material` is fenced data of strangers; `ask` comes last. The model answers in the shape of `answer`.
    `cache_key` keeps the caches of installations apart; `author` is the id of the person whose change it is. A server that
    can may `search` documents by itself. Within a `conversation` that it keeps, it has `held` tokens in mind already.
    """

    name: str
    instructions: str
    rules: str
    material: str
    ask: str
    answer: type[BaseModel]
    cache_key: str = ""
    author: str = ""
    search: HostedSearch | None = None
    conversation: str = ""
    held: int = 0

    @property
    def schema(self) -> Mapping[str, Any]:
        """The strict JSON schema of the answer."""
        return strict_schema(self.answer)


def nonce(salt: str, kind: str, source: str, text: str) -> str:
    """The name of a fence: the same for the same text and salt, not to be foretold by whoever wrote the text.

    `salt` is what they cannot know: the id of the job, or a secret of ours.
    """
    return hashlib.sha256(json.dumps([salt, kind, source, text]).encode()).hexdigest()[:16]


def fence(kind: str, source: str, text: str, name: str) -> str:
    """A stranger's text as JSON Lines between two marks that bear `name`, its nonce: what it is, then a string a line.

    No line can end the string it stands in, and so none ends the block.
    """
    said = ({"kind": kind, "source": source}, *text.split("\n"))
    lines = "\n".join(json.dumps(one, ensure_ascii=False) for one in said)
    return f"<untrusted-{name}>\n{lines}\n</untrusted-{name}>"

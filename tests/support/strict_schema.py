"""A linter for the strict subset of JSON Schema that model servers enforce.

https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from bot.core.claims.schemas import Explanation, Findings, Reply, Requirements, ShortFindings, Verdicts, Walkthrough

ANSWERS: tuple[type[BaseModel], ...] = (
    Findings,
    ShortFindings,
    Verdicts,
    Requirements,
    Reply,
    Explanation,
    Walkthrough,
)

PROPERTIES = 5_000
DEPTH = 10
CHARACTERS = 120_000  # names, enum values and constants together
ENUM_VALUES = 1_000

_KEYWORDS = {
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern",
    "properties", "required", "title", "type",
}  # fmt: skip
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


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

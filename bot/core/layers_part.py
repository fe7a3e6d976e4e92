"""The organisation's defaults under the repository's own file: which value holds, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bot.core.policy import PATH, Policy, Problem, parse

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Layer:
    """A file's text, and the name that people know it by."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """One setting: its dotted name, its value as JSON, and where that comes from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Layered:
    """The policy that holds, what is wrong in its files, and for each setting that a file sets, which one did."""

    policy: Policy
    problems: tuple[Problem, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()


def layered(layers: Sequence[Layer]) -> Layered:
    """Read files, of which later ones go before earlier ones, key by key. What is wrong in one never costs another."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    for layer in layers:
        policy, found = parse(layer.text, layer.name)
        said = policy.model_dump(exclude_unset=True)
        values = _over(values, said)
        problems += found
        sources |= dict.fromkeys(_names(said), layer.name)
    return Layered(Policy.model_validate(values), tuple(problems), tuple(sources.items()))


def described(policy: Policy, sources: Mapping[str, str]) -> tuple[Value, ...]:
    """Every setting with its value and its source, in the order of the schema."""
    return tuple(
        Value(name, json.dumps(value, ensure_ascii=False), sources.get(name, DEFAULT))
        for name, value in _settings(policy)
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of `.github/assistant.yml`, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Policy.model_json_schema(),
        "title": PATH,
        "description": "What a repository wants from the assistant. Every key is optional.",
    }


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged; everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = _over(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _settings(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", section.model_dump(mode="json", include={name})[name]

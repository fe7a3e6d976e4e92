"""Prompt: our instructions and untrusted material. Only this module fences text and makes strict answer schemas.

https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

_NOISE = {"title", "default"}


@cache
def strict_schema(answer: type[BaseModel]) -> Mapping[str, Any]:
    """Returns the strict JSON Schema of `answer`: all properties required, no others allowed, in the order of the fields."""
    return {"title": answer.__name__, **_bare(answer.model_json_schema())}


def _bare(node: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a schema without titles and defaults, with closed objects. A property may be named like a keyword."""
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
        return [_inner(entry) for entry in value]
    return _bare(value) if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class HostedSearch:
    """A vector store that the model's server may search: only files whose attribute `key` is one of `values`."""

    store: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model, the most stable part first, so that a cache can keep the beginning.

    `name` is unique within a job and names the steps. `instructions` are ours, `rules` are the team's policy and
    `standards` sections of its documents, fenced (both from the base branch only), `material` is fenced untrusted data,
    `ask` comes last. The model answers in the schema of `answer`.
    `cache_key` separates the caches of installations; `author` is the id of the author of the change. `search` is what
    the model's server may search by itself. `conversation` names a conversation that the server stores, in which it holds
    `held` tokens.
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
    standards: str = ""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The strict JSON Schema of the answer."""
        return strict_schema(self.answer)


def nonce(salt: str, kind: str, source: str, text: str) -> str:
    """Returns the name of a fence: the same for the same text and salt; the author of the text cannot guess it.

    `salt` is unknown to the author: the id of the job, or a secret of ours.
    """
    return hashlib.sha256(json.dumps([salt, kind, source, text]).encode()).hexdigest()[:16]


def fence(kind: str, source: str, text: str, name: str) -> str:
    """Returns untrusted text between two marks with `name`, its nonce: a JSON header, then the lines as they are.

    The author of the text cannot know `name`; if the text has it nevertheless, it is written as ⟦nonce⟧.
    """
    header = json.dumps({"kind": kind, "source": source}, ensure_ascii=False).replace(name, "⟦nonce⟧")
    return f"<untrusted-{name}>\n{header}\n{text.replace(name, '⟦nonce⟧')}\n</untrusted-{name}>"

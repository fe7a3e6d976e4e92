"""Prompt: instructions (ours) and material (strangers'). Fencing happens here and nowhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bot.core.claims.strict_schema_part import strict_schema


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

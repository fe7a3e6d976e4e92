"""Prompt: instructions (ours) and material (strangers'). Fencing happens here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked, longest-lived part first, so that a cache can keep the beginning.

    `instructions` and `rules` are ours and the team's (base branch only); `material` is fenced data of strangers;
    `ask` comes last. `schema` is the strict JSON schema of the answer, named `name`, for the pass of that name.
    """

    name: str
    instructions: str
    rules: str
    material: str
    ask: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    cache_key: str = ""
    author: str = ""

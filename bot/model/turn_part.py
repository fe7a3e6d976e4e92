"""Turn: what one reply of a model says, whichever API it came through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.core.usage_part import Usage
from bot.interfaces import Passage


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants to be called. `arguments` is JSON as the model wrote it: perhaps not JSON at all."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply. `items` go back to the server, word for word, when the conversation goes on.

    `cut` says that the limit of output ended it; `refusal` why there will be no answer. `retrieved` are ids and names
    of what a search on the server's side returned, `passages` what it found there.
    """

    items: tuple[Mapping[str, Any], ...] = ()
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    cut: bool = False
    refusal: str = ""
    usage: Usage = field(default_factory=Usage)
    retrieved: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()

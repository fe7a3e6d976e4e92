"""Limits on each tool answer of a job; a tool's errors become text for the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import Refused
from bot.interfaces import Tool


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """The limits of one call: characters of the `result`, and `seconds`."""

    result: int = 24_000
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class BoundedTool:
    """A tool within its limits. Caches answers: the same call runs once in a job."""

    tool: Tool
    limits: ToolLimits
    _answers: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The value of the wrapped tool."""
        return self.tool.name

    @property
    def description(self) -> str:
        """The value of the wrapped tool."""
        return self.tool.description

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The value of the wrapped tool."""
        return self.tool.parameters

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns the answer, cut to the limit with a note. Raises UserError, Refused (also when it is slow), Retryable."""
        key = json.dumps(arguments, sort_keys=True, default=str)
        if key not in self._answers:
            self._answers[key] = cut(await self._ask(arguments), self.limits.result)
        return self._answers[key]

    async def _ask(self, arguments: Mapping[str, Any]) -> str:
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await self.tool(arguments)
        except TimeoutError as error:
            raise Refused(f"it took longer than {self.limits.seconds:g} seconds") from error


def cut(text: str, room: int) -> str:
    """Returns at most `room` characters of an answer, with a note if it is cut."""
    return text if len(text) <= room else f"{text[:room]}\n… ({len(text) - room} more characters; ask for less)"


def bounded(tools: Iterable[Tool], limits: ToolLimits | None = None) -> tuple[Tool, ...]:
    """Returns the tools within their limits, for one job."""
    return tuple(BoundedTool(tool, limits or ToolLimits()) for tool in tools)

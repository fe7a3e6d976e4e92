"""Bounds on each answer of a job's tools. Whatever goes wrong inside them becomes text for the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import Refused, UserError
from bot.interfaces import Tool


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """Of one call: characters of the `result`, and `seconds`."""

    result: int = 24_000
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class BoundedTool:
    """A tool within its limits. The same question is answered once in a job."""

    tool: Tool
    limits: ToolLimits
    _answers: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The tool's own."""
        return self.tool.name

    @property
    def description(self) -> str:
        """The tool's own."""
        return self.tool.description

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The tool's own."""
        return self.tool.parameters

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """The answer, cut to the bounds and saying so; a refusal is an answer too. Raises Retryable as it comes."""
        key = json.dumps(arguments, sort_keys=True, default=str)
        if key not in self._answers:
            self._answers[key] = cut(await self._ask(arguments), self.limits.result)
        return self._answers[key]

    async def _ask(self, arguments: Mapping[str, Any]) -> str:
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await self.tool(arguments)
        except TimeoutError:
            return f"not available: it took longer than {self.limits.seconds:g} seconds"
        except UserError as error:
            return f"error: {error}"
        except Refused as error:
            return f"not available: {error}"


def cut(text: str, room: int) -> str:
    """As much of an answer as there is room for, saying so."""
    return text if len(text) <= room else f"{text[:room]}\n… ({len(text) - room} more characters; ask for less)"


def bounded(tools: Iterable[Tool], limits: ToolLimits | None = None) -> tuple[Tool, ...]:
    """The tools of one job."""
    return tuple(BoundedTool(tool, limits or ToolLimits()) for tool in tools)

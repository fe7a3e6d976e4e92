"""Bounds on what a job's tools may do together. Whatever goes wrong inside them becomes text for the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import Refused, UserError
from bot.interfaces import Tool


@dataclass(frozen=True, slots=True)
class Limits:
    """Per job: `calls`, and characters in `total`; per call: characters of the `result`, and `seconds`."""

    calls: int = 30
    result: int = 24_000
    total: int = 240_000
    seconds: float = 20.0


@dataclass(slots=True)
class _Account:
    """What the job's tools have used so far, and what they answered: the same question is answered once."""

    calls: int = 0
    characters: int = 0
    answers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A tool within the limits that it shares with the others of its job."""

    tool: Tool
    limits: Limits
    _account: _Account

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
        key = json.dumps([self.name, arguments], sort_keys=True, default=str)
        if key in self._account.answers:
            return self._account.answers[key]
        if self._account.calls >= self.limits.calls or self._account.characters >= self.limits.total:
            return "denied: this review has used up its tool calls; answer with what you have"
        self._account.calls += 1
        answer = self._cut(await self._ask(arguments))
        self._account.characters += len(answer)
        self._account.answers[key] = answer
        return answer

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

    def _cut(self, text: str) -> str:
        room = min(self.limits.result, self.limits.total - self._account.characters)
        return text if len(text) <= room else f"{text[:room]}\n… ({len(text) - room} more characters; ask for less)"


def bounded(tools: Iterable[Tool], limits: Limits | None = None) -> tuple[Tool, ...]:
    """The tools of one job, sharing one account."""
    account = _Account()
    return tuple(Bounded(tool, limits or Limits(), account) for tool in tools)

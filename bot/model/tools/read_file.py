"""`read_file`: lines of a file at the head or the base of the pull request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from bot.errors import UserError
from bot.interfaces import Tool
from bot.model.tools import Arguments, Files, ToolContext, Version

LINES = 400
CHARACTERS = 24_000


class ReadArguments(Arguments):
    """The path, the version and the lines."""

    path: Annotated[str, Field(description="Relative to the repository's root.")]
    side: Annotated[Version, Field(description="head: as the pull request leaves it; base: as it was before.")]
    start: Annotated[int | None, Field(description="First line, counted from 1; null: the first.")]
    end: Annotated[int | None, Field(description="Last line, inclusive; null: as far as the bounds allow.")]


@dataclass(frozen=True, slots=True)
class ReadFile:
    """Reads by object id at one of two commits; no argument reaches another place."""

    files: Files
    name: str = "read_file"
    description: str = f"Read up to {LINES} numbered lines of a file of the repository."
    parameters: Mapping[str, Any] = field(default_factory=ReadArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns numbered lines below a heading with their range. Raises UserError for a path that is not a file."""
        wanted = ReadArguments.read(arguments)
        lines = (await self.files.text(wanted.path, wanted.side)).removesuffix("\n").split("\n")
        first = max(1, wanted.start or 1)
        if first > len(lines):
            raise UserError(f"the file has {len(lines)} lines")
        shown = _within(lines[first - 1 : min(wanted.end or len(lines), first + LINES - 1)], first)
        last = first + len(shown) - 1
        return "\n".join((f"{wanted.path} at {wanted.side}, lines {first}-{last} of {len(lines)}", *shown))


def offer(context: ToolContext) -> Tool:
    """Returns the tool; every pull request has it."""
    return ReadFile(context.files)


def _within(lines: list[str], first: int) -> list[str]:
    """Returns as many numbered lines as the character limit allows; a very long line is cut and marked."""
    shown: list[str] = []
    room = CHARACTERS
    for number, line in enumerate(lines, first):
        text = f"{number} {line}" if len(line) < CHARACTERS // 4 else f"{number} {line[: CHARACTERS // 4]}… (cut)"
        room -= len(text) + 1
        if room < 0:
            break
        shown.append(text)
    return shown

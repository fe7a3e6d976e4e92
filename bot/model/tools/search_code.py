"""`search_code`: where a piece of text occurs in the repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from bot.errors import UserError
from bot.interfaces import Tool
from bot.model.tools import Arguments, Searcher, ToolContext, Version, normal

MATCHES = 100
WIDTH = 200
SHORTEST, LONGEST = 2, 200  # characters of the text


class CodeSearchArguments(Arguments):
    """What to look for, and where."""

    text: Annotated[str, Field(description="The exact text, on one line.")]
    word: Annotated[bool, Field(description="Whether only whole words count.")]
    side: Annotated[Version, Field(description="head: as the pull request leaves it; base: as it was before.")]
    folder: Annotated[str | None, Field(description="Only files below this folder; null: everywhere.")]


@dataclass(frozen=True, slots=True)
class SearchCode:
    """Text, not patterns: nobody's expression is run over the repository."""

    searcher: Searcher
    name: str = "search_code"
    description: str = "Find the lines of the repository that contain an exact text, as path:line: text."
    parameters: Mapping[str, Any] = field(default_factory=CodeSearchArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """A heading with the count, then one match a line. Raises Refused where the repository cannot be searched."""
        wanted = CodeSearchArguments.read(arguments)
        if not SHORTEST <= len(wanted.text) <= LONGEST or "\n" in wanted.text:
            raise UserError(f"text: one line of {SHORTEST} to {LONGEST} characters")
        under = normal(wanted.folder) if wanted.folder else ""
        found = await self.searcher.grep(wanted.text, wanted.side, word=wanted.word, under=under)
        heading = f"{len(found)} matches at {wanted.side}"
        return "\n".join((heading, *(f"{m.path}:{m.line}: {m.text.strip()[:WIDTH]}" for m in found[:MATCHES])))


def offer(desk: ToolContext) -> Tool | None:
    """Where something can search."""
    return SearchCode(desk.searcher) if desk.searcher else None

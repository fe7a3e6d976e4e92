"""`search_code`: the lines of the repository that contain a text."""

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
    """The text, and where to search."""

    text: Annotated[str, Field(description="The exact text, on one line.")]
    word: Annotated[bool, Field(description="Whether only whole words count.")]
    side: Annotated[Version, Field(description="head: as the pull request leaves it; base: as it was before.")]
    folder: Annotated[str | None, Field(description="Only files below this folder; null: everywhere.")]


@dataclass(frozen=True, slots=True)
class SearchCode:
    """Searches for fixed text, never for a regular expression of the model."""

    searcher: Searcher
    name: str = "search_code"
    description: str = "Find the lines of the repository that contain an exact text, as path:line: text."
    parameters: Mapping[str, Any] = field(default_factory=CodeSearchArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns a heading with the count, then one match a line. Raises Refused if the repository cannot be searched."""
        wanted = CodeSearchArguments.read(arguments)
        if not SHORTEST <= len(wanted.text) <= LONGEST or "\n" in wanted.text:
            raise UserError(f"text: one line of {SHORTEST} to {LONGEST} characters")
        under = normal(wanted.folder) if wanted.folder else ""
        matches = await self.searcher.grep(wanted.text, wanted.side, word=wanted.word, under=under)
        heading = f"{len(matches)} matches at {wanted.side}"
        return "\n".join(
            (heading, *(f"{match.path}:{match.line}: {match.text.strip()[:WIDTH]}" for match in matches[:MATCHES]))
        )


def offer(context: ToolContext) -> Tool | None:
    """Returns the tool if the repository can be searched."""
    return SearchCode(context.searcher) if context.searcher else None

"""`search_standards`: what the team's own rules say about something."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field

from bot.core.findings.standard import Hit, Shelf
from bot.errors import Refused, Retryable, UserError
from bot.interfaces import Standards, Tool
from bot.model.tools import Arguments, ToolContext, normal

SECTIONS = 5
CHARACTERS = 16_000  # of all sections; the first is given whole
QUERY = 500


class StandardsSearchArguments(Arguments):
    """What the rules should be about."""

    query: Annotated[str, Field(description="A few words: error handling in views")]
    language: Annotated[str | None, Field(description="Only rules for this language, lower case; null: any.")]
    path: Annotated[str | None, Field(description="Only rules that hold for this file; null: any.")]


@dataclass(frozen=True, slots=True)
class SearchStandards:
    """Answers with whole sections and their ids: only what was found here may be cited."""

    standards: Standards
    shelf: Shelf
    name: str = "search_standards"
    description: str = (
        "Search the team's coding standards. Cite a section by its id, and only one with governs: true; "
        "quote its text exactly."
    )
    parameters: Mapping[str, Any] = field(default_factory=StandardsSearchArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """JSON: {"standards": [the fields of a Standard, with id and governs]}."""
        wanted = StandardsSearchArguments.read(arguments)
        if not wanted.query.strip() or len(wanted.query) > QUERY:
            raise UserError(f"query: 1 to {QUERY} characters")
        try:
            hits = await self.standards.search(
                self.shelf,
                wanted.query,
                path=normal(wanted.path) if wanted.path else "",
                language=(wanted.language or "").lower(),
                limit=SECTIONS,
            )
        except Retryable as error:  # a review does not wait for an index: it says that it could not be searched
            raise Refused(str(error)) from error
        return told(hits)


def told(hits: Sequence[Hit]) -> str:
    """What a search found, as JSON: the fields of each Standard, with its id and whether it governs."""
    found: list[dict[str, object]] = []
    room = CHARACTERS
    for hit in hits:
        room -= len(hit.standard.text)
        if not found or room >= 0:
            found.append({"id": hit.standard.id, "governs": hit.governs, **asdict(hit.standard)})
    return json.dumps({"standards": found}, ensure_ascii=False)


def offer(desk: ToolContext) -> Tool | None:
    """Where the team has standards."""
    return SearchStandards(desk.standards, desk.shelf) if desk.shelf.documents else None

"""`search_standards`: sections of the team's standards about a subject."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field

from bot.core.findings.standard import Hit, Shelf
from bot.errors import Refused, Retryable, UserError
from bot.interfaces import Standards, Tool
from bot.model.tools import Arguments, ToolContext, normal

SECTIONS = 5
CHARACTERS = 22_000  # of all sections as JSON; below the limit of a tool's answer, which would cut the JSON
QUERY = 500


class StandardsSearchArguments(Arguments):
    """The subject, and the language or file that the rules hold for."""

    query: Annotated[str, Field(description="A few words: error handling in views")]
    language: Annotated[str | None, Field(description="Only rules for this language, lower case; null: any.")]
    path: Annotated[str | None, Field(description="Only rules that hold for this file; null: any.")]


@dataclass(frozen=True, slots=True)
class SearchStandards:
    """Answers with sections and their ids: the model may cite only sections that a search returned."""

    standards: Standards
    shelf: Shelf
    name: str = "search_standards"
    description: str = (
        "Search the team's coding standards. Cite a section by its id, and only one with governs: true; "
        "quote its text exactly."
    )
    parameters: Mapping[str, Any] = field(default_factory=StandardsSearchArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns {"standards": [the fields of a Standard, with id and governs]}. Raises Refused without an index."""
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
        except Retryable as error:  # a review does not wait for an index; it reports that the search failed
            raise Refused(str(error)) from error
        return hits_as_json(hits)


def hits_as_json(hits: Sequence[Hit]) -> str:
    """Returns the results of a search as JSON: the fields of each Standard, with its id and whether it governs.

    The first section is always included; of one that is too long the beginning, which may be cited like any other.
    """
    rows: list[dict[str, object]] = []
    room = CHARACTERS
    for hit in hits:
        row = _row(hit)
        if not rows and _size(row) > room:
            row = _beginning(hit, room)
        if not rows or _size(row) <= room:
            rows.append(row)
        room -= _size(row)
    return json.dumps({"standards": rows}, ensure_ascii=False)


def _row(hit: Hit) -> dict[str, object]:
    return {"id": hit.standard.id, "governs": hit.governs, **asdict(hit.standard)}


def _size(row: Mapping[str, object]) -> int:
    return len(json.dumps(row, ensure_ascii=False))


def _beginning(hit: Hit, room: int) -> dict[str, object]:
    """Returns a section with as much text as fits into `room` characters of JSON, and the number of characters left out."""
    lengths = range(min(len(hit.standard.text), room))
    fitting = bisect_right(lengths, room, key=lambda length: _size(_shortened(hit, length))) - 1
    return _shortened(hit, max(fitting, 0))


def _shortened(hit: Hit, length: int) -> dict[str, object]:
    return {**_row(hit), "text": hit.standard.text[:length], "characters_left_out": len(hit.standard.text) - length}


def offer(context: ToolContext) -> Tool | None:
    """Returns the tool if the team has standards."""
    return SearchStandards(context.standards, context.shelf) if context.shelf.documents else None

"""`list_files`: the files of the repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field

from bot.errors import UserError
from bot.interfaces import Tool
from bot.model.tools import Arguments, Files, ToolContext, Version

FILES = 400
PATTERN = 200


class ListArguments(Arguments):
    """The pattern and the version."""

    pattern: Annotated[str, Field(description="A glob on the whole path; * also crosses folders: src/*test*.py")]
    side: Annotated[Version, Field(description="head: as the pull request leaves it; base: as it was before.")]


@dataclass(frozen=True, slots=True)
class ListFiles:
    """Lists paths and sizes, never contents."""

    files: Files
    name: str = "list_files"
    description: str = "List the repository's files that match a pattern, with their sizes in bytes."
    parameters: Mapping[str, Any] = field(default_factory=ListArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns a heading with the count, then one file a line."""
        wanted = ListArguments.read(arguments)
        if len(wanted.pattern) > PATTERN:
            raise UserError("the pattern is too long")
        entries = await self.files.entries(wanted.side)
        found = sorted(path for path in entries if fnmatchcase(path, wanted.pattern))
        heading = f"{len(found)} files at {wanted.side} match" + (f"; the first {FILES}:" if len(found) > FILES else "")
        return "\n".join((heading, *(f"{path} ({entries[path].size})" for path in found[:FILES])))


def offer(context: ToolContext) -> Tool:
    """Returns the tool; every pull request has it."""
    return ListFiles(context.files)

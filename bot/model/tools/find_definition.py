"""`find_definition`: the place and the source of a function, type or constant."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from bot.core.code.diff import Diff
from bot.core.code.syntax import definitions, has_grammar
from bot.errors import Refused, UserError
from bot.interfaces import Tool
from bot.model.tools import Arguments, Files, Searcher, ToolContext

SYMBOL = re.compile(r"[\w$@]{2,100}(?:(?:\.|::|#|->)[\w$@]{1,100}){0,5}")
SEPARATOR = re.compile(r"::|#|->")
FILES = 20
SHOWN = 5
LINES = 40


class DefinitionArguments(Arguments):
    """The name."""

    symbol: Annotated[str, Field(description="A name, qualified or not: total, Cart.total, Cart::total")]


@dataclass(frozen=True, slots=True)
class FindDefinition:
    """Looks in the changed files first, then in the files where a search finds the name."""

    files: Files
    diff: Diff
    searcher: Searcher | None
    name: str = "find_definition"
    description: str = "Find where a function, type or constant is defined at the head, with its source."
    parameters: Mapping[str, Any] = field(default_factory=DefinitionArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns each definition with its place and numbered lines, or a sentence that there is none."""
        symbol = DefinitionArguments.read(arguments).symbol
        if not SYMBOL.fullmatch(symbol):
            raise UserError("symbol: a name such as total or Cart.total")
        wanted = SEPARATOR.sub(".", symbol)
        found: list[str] = []
        async for path, text in self._candidates(wanted.rpartition(".")[2]):
            found += [
                _shown(path, text, line, end)
                for name, line, end in definitions(path, text)
                if f".{name}".endswith(f".{wanted}")
            ]
        where = "the repository" if self.searcher else "the changed files"
        return "\n\n".join(found[:SHOWN]) or f"no definition of {symbol} was found in {where}"

    async def _candidates(self, word: str) -> AsyncIterator[tuple[str, str]]:
        changed = [file.path for file in self.diff if file.path in await self.files.entries("head")]
        paths = dict.fromkeys((*changed, *await self._searched(word)))
        for path in [path for path in paths if has_grammar(path)][:FILES]:
            text = await self._text(path)
            if word in text:
                yield path, text

    async def _searched(self, word: str) -> list[str]:
        if self.searcher is None:
            return []
        try:
            return [match.path for match in await self.searcher.grep(word, "head", word=True)]
        except Refused:  # too large to search: only the changed files are left
            return []

    async def _text(self, path: str) -> str:
        try:
            return await self.files.text(path, "head")
        except (UserError, Refused):  # binary or too large: it has no definitions
            return ""


def offer(context: ToolContext) -> Tool:
    """Returns the tool; every pull request has it."""
    return FindDefinition(context.files, context.diff, context.searcher)


def _shown(path: str, text: str, line: int, end: int) -> str:
    last = min(end, line + LINES - 1)
    lines = text.split("\n")[line - 1 : last]
    return "\n".join((f"{path}:{line}-{end}", *(f"{number} {row}" for number, row in enumerate(lines, line))))

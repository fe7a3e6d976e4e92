"""Functions the model may call: read-only, one file each, bound in code to one pull request.

A module here that has `offer(desk)` is a tool: adding one is adding a file. The model chooses a path, a line or a number;
it never chooses a repository, a host or a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import PurePosixPath
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.core.claims.prompt import strict_schema
from bot.core.code.diff import Diff
from bot.core.code.pull_request import PullRequest
from bot.core.findings.standard import Shelf
from bot.errors import TooLarge, UserError
from bot.interfaces import Check, CodeHost, Standards, Tool, TreeFile

Version = Literal["head", "base"]

LARGEST = 1024 * 1024  # bytes; a larger file is not read for a model
LONGEST = 4096  # characters of a path
MATCHES = 500  # lines that a search returns


class Arguments(BaseModel):
    """What a model sends. Every field is required and nothing else is allowed, as strict schemas want it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def schema_for_models(cls) -> Mapping[str, Any]:
        """The strict JSON schema of these arguments."""
        return strict_schema(cls)

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> Self:
        """The checked arguments. Raises UserError with a sentence for the model, which never repeats its input."""
        try:
            return cls.model_validate(dict(arguments))
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            raise UserError(
                "; ".join(f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in problems[:5])
            ) from error


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A line that a search found."""

    path: str
    line: int
    text: str


class Searcher(Protocol):
    """Finds text in one version of the repository."""

    async def grep(self, text: str, version: Version, *, word: bool = False, under: str = "") -> tuple[TextMatch, ...]:
        """Lines that contain `text` (as a whole `word`), in files under that folder. Raises Refused if it cannot."""


@dataclass(frozen=True, slots=True)
class Files:
    """The two commits of a pull request, read by object id through the host. Lists are kept; contents are not."""

    host: CodeHost
    pull: PullRequest
    _trees: dict[str, dict[str, TreeFile]] = field(default_factory=dict)

    async def entries(self, version: Version) -> Mapping[str, TreeFile]:
        """Every file of a version, by path."""
        commit = self.pull.head_sha if version == "head" else self.pull.base_sha
        if commit not in self._trees:
            tree = await self.host.tree(self.pull.ref, commit)
            self._trees[commit] = {entry.path: entry for entry in tree}
        return self._trees[commit]

    async def text(self, path: str, version: Version) -> str:
        """A file's text; undecodable bytes are replaced. Raises UserError for a path that is not a file there."""
        entries = await self.entries(version)
        entry = entries.get(normal(path))
        if entry is None:
            raise UserError(f"there is no such file at {version}{_meant(path, entries)}")
        if entry.size > LARGEST:
            raise TooLarge(f"the file has {entry.size} bytes; at most {LARGEST} are read")
        content = await self.host.blob(self.pull.ref, entry.blob)
        if b"\0" in content[:8000]:
            raise UserError(f"a binary file of {entry.size} bytes")
        return content.decode(errors="replace")


Searching = Callable[[Files], Searcher]
"""Makes what searches the repository of a pull request."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """All that a job's tools may look at. `searcher` is None where nothing can search the repository."""

    host: CodeHost
    pull: PullRequest
    diff: Diff
    standards: Standards
    shelf: Shelf
    files: Files
    searcher: Searcher | None = None
    checks: Sequence[Check] = ()


def offered(desk: ToolContext, names: Collection[str] | None = None) -> tuple[Tool, ...]:
    """The tools for a job, by name in a fixed order; of all of them, or of those in `names`."""
    tools = [module.offer(desk) for module in _modules().values()]
    return tuple(
        sorted((tool for tool in tools if tool and (names is None or tool.name in names)), key=lambda tool: tool.name)
    )


def known() -> tuple[str, ...]:
    """The names of all the tools there are, for whatever job."""
    return tuple(_modules())


def _modules() -> Mapping[str, ModuleType]:
    """Each tool's module by the tool's name."""
    found = {one.name: import_module(f"{__name__}.{one.name}") for one in iter_modules(__path__)}
    return {name: module for name, module in found.items() if hasattr(module, "offer")}


def normal(path: str) -> str:
    """A path inside the repository in its one spelling. Raises UserError for any way out of it."""
    if not path or "\0" in path or path.startswith("/") or ".." in path.split("/") or len(path) > LONGEST:
        raise UserError("denied: a path is relative to the repository's root, without `..`")
    return str(PurePosixPath(path))


def _meant(path: str, entries: Mapping[str, TreeFile]) -> str:
    name = PurePosixPath(path).name
    near = [known for known in entries if PurePosixPath(known).name == name][:5]
    return f"; did you mean {', '.join(near)}?" if near else "; list_files shows what there is"

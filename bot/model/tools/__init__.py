"""The functions that the model may call: read-only, one file each, limited by code to one pull request.

A module here with a function `offer` is a tool: a new tool is a new file. The model chooses a path, a line or a
number; it never chooses a repository, a host or a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import PurePosixPath
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Literal, Protocol, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.core.claims.prompt import strict_schema
from bot.core.code.compare import is_binary
from bot.core.code.diff import Diff
from bot.core.code.pull_request import PostedComment, PullRequest, written_before
from bot.core.findings.standard import Shelf
from bot.errors import Refused, TooLarge, UserError
from bot.interfaces import Check, CodeHost, Standards, Tool, TreeFile

Version = Literal["head", "base"]

LARGEST = 1024 * 1024  # bytes of a file
LONGEST = 4096  # characters of a path
MATCHES = 500  # lines that a search returns


class Arguments(BaseModel):
    """The arguments of a tool call. The schema requires every field and allows no other, as strict schemas demand.

    Servers without strict schemas leave out nullable fields; such a field is null.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def schema_for_models(cls) -> Mapping[str, Any]:
        """Returns the strict JSON schema of these arguments."""
        return strict_schema(cls)

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> Self:
        """Returns the checked arguments. Raises UserError with a message for the model that does not repeat its input."""
        nullable = (name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation))
        try:
            return cls.model_validate({**dict.fromkeys(nullable), **arguments})
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            raise UserError(
                "; ".join(
                    f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}" for problem in problems[:5]
                )
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
        """Returns lines that contain `text` (as a whole `word`), in files of that folder. Raises Refused if it cannot."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a pull request's two commits, read by object id through the host. Caches lists, not contents."""

    host: CodeHost
    pull: PullRequest
    _trees: dict[str, dict[str, TreeFile]] = field(default_factory=dict)

    async def entries(self, version: Version) -> Mapping[str, TreeFile]:
        """Returns every file of a version, by path."""
        commit = self.pull.head_sha if version == "head" else self.pull.base_sha
        if commit not in self._trees:
            tree = await self.host.tree(self.pull.ref, commit)
            self._trees[commit] = {entry.path: entry for entry in tree}
        return self._trees[commit]

    async def text(self, path: str, version: Version) -> str:
        """Returns a file's text, with undecodable bytes replaced. Raises UserError for a path that is not a file there."""
        entries = await self.entries(version)
        entry = entries.get(normal(path))
        if entry is None:
            raise UserError(f"there is no such file at {version}{_similar_paths(path, entries)}")
        if entry.size > LARGEST:
            raise TooLarge(f"the file has {entry.size} bytes; at most {LARGEST} are read")
        content = await self.host.blob(self.pull.ref, entry.blob)
        if is_binary(content):
            raise UserError(f"a binary file of {entry.size} bytes")
        return content.decode(errors="replace")

    async def texts(self, paths: Iterable[str], version: Version) -> dict[str, str]:
        """Returns the texts of several files by path, read together; without those that do not exist, are binary or too large."""
        entries = await self.entries(version)
        wanted = {path: entries[path] for path in paths if path in entries and entries[path].size <= LARGEST}
        contents = await self.host.blobs(self.pull.ref, [entry.blob for entry in wanted.values()])
        texts = {}
        for path, entry in wanted.items():
            match contents[entry.blob]:
                case bytes() as content if not is_binary(content):
                    texts[path] = content.decode(errors="replace")
                case Refused() as error if not isinstance(error, TooLarge):
                    raise error
        return texts


SearcherFactory = Callable[[Files], Searcher]
"""Makes the searcher of a pull request's repository."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What the tools of a job may read. `searcher` is None if the repository cannot be searched.

    `asked` is the kind and the id of the comment that asked a question: comments written after it are not shown.
    """

    host: CodeHost
    pull: PullRequest
    diff: Diff
    standards: Standards
    shelf: Shelf
    files: Files
    searcher: Searcher | None = None
    checks: Sequence[Check] = ()
    asked: tuple[str, int] | None = None

    async def comments(self) -> tuple[PostedComment, ...]:
        """Returns the comments of the pull request that the model may see."""
        comments = await self.host.comments(self.pull.ref)
        return comments if self.asked is None else written_before(comments, *self.asked)


def tools_for(context: ToolContext, names: Collection[str] | None = None) -> tuple[Tool, ...]:
    """Returns the tools of a job, sorted by name: all of them, or those in `names`."""
    tools = [module.offer(context) for module in _modules().values()]
    return tuple(
        sorted((tool for tool in tools if tool and (names is None or tool.name in names)), key=lambda tool: tool.name)
    )


def tool_names() -> tuple[str, ...]:
    """Returns the names of all tools of all jobs."""
    return tuple(_modules())


def _modules() -> Mapping[str, ModuleType]:
    """Returns each tool's module by the tool's name."""
    modules = {found.name: import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)}
    return {name: module for name, module in modules.items() if hasattr(module, "offer")}


def normal(path: str) -> str:
    """Returns the normal form of a path inside the repository. Raises UserError for a path that leads outside."""
    if not path or "\0" in path or path.startswith("/") or ".." in path.split("/") or len(path) > LONGEST:
        raise UserError("denied: a path is relative to the repository's root, without `..`")
    return str(PurePosixPath(path))


def _similar_paths(path: str, entries: Mapping[str, TreeFile]) -> str:
    name = PurePosixPath(path).name
    near = [other for other in entries if PurePosixPath(other).name == name][:5]
    return f"; did you mean {', '.join(near)}?" if near else "; list_files shows what there is"

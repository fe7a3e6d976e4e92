"""What a review reads: the policy and the standards of the base branch, the change and its files at the head."""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TypeVar

from bot.core.code.diff import Diff, FileDiff, whole_content
from bot.core.code.generated import PathAttributes
from bot.core.code.plan import CoverageRow, FileState, Plan, limit_to_paths, plan
from bot.core.code.pull_request import PullRequest
from bot.core.policy import PATH, LayeredPolicy, Policy, PolicyLayer, merge_layers
from bot.deadline import compute, within
from bot.errors import NotFound, Refused, TooLarge
from bot.interfaces import READING, CodeHost, Step

T = TypeVar("T")

ORGANISATION = "organisation defaults"
_POLICY_SECONDS = 1.0
"""CPU seconds to read the policy files of a review."""


async def material(step: Step, name: str, read: Callable[[], Awaitable[T]]) -> T:
    """Reads immutable material within a step, so that the engine retries it, but does not journal it, because it is large.

    After a crash the journal has only the fact, and the material is read once more, as a step of the next number.
    """
    kept: list[T] = []

    async def keep() -> int:
        kept.append(await read())
        return len(kept)

    turn = 0
    while not kept:
        turn += 1
        await step(f"{name}{READING}{turn}", keep, int)
    return kept[0]


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The policy that holds, a sentence for each thing in its files that does not, and which file set what."""

    policy: Policy
    problems: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()


async def read_policy(host: CodeHost, pull: PullRequest) -> PolicyFile:
    """The policy at the base commit, never at the head, over the organisation's defaults. Unreadable files do not count."""
    layers: list[PolicyLayer] = []
    trouble: list[str] = []
    for name, read in ((ORGANISATION, _organisations), (PATH, _repositorys)):
        try:
            content = await read(host, pull)
        except Refused as error:
            trouble.append(f"{name} could not be read ({error}); the defaults apply")
        else:
            layers += [PolicyLayer(name, content.decode(errors="replace"))] if content is not None else []
    try:
        found = await merged(layers)
    except TooLarge as error:
        trouble.append(f"the settings could not be read ({error}); the defaults apply")
        found = LayeredPolicy(Policy())
    return PolicyFile(found.policy, (*trouble, *map(str, found.problems)), found.sources)


async def merged(layers: Sequence[PolicyLayer]) -> LayeredPolicy:
    """The settings of policy files, later ones over earlier ones. Raises TooLarge if they take too long to read."""
    return await compute(within, _POLICY_SECONDS, lambda: merge_layers(layers))


async def _organisations(host: CodeHost, pull: PullRequest) -> bytes | None:
    try:
        return await host.organisation_file(pull.ref, PATH)
    except NotFound:
        return None


async def _repositorys(host: CodeHost, pull: PullRequest) -> bytes | None:
    entries = await host.tree(pull.ref, pull.base_sha)
    entry = next((entry for entry in entries if entry.path == PATH), None)
    return await host.blob(pull.ref, entry.blob) if entry else None


@dataclass(frozen=True, slots=True)
class Change:
    """What is under review: the diff, what of it is read, and the head's text of those files.

    `unread` has a row for each file whose text was needed and could not be had. `builtins` are the names that each folder's
    ruff configuration on the base branch declares. Nothing of this is journaled: it is read again by object id, through
    the host's cache.
    """

    diff: Diff
    plan: Plan
    heads: Mapping[str, str]
    unread: tuple[CoverageRow, ...] = ()
    builtins: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def builtins_at(self, path: str) -> frozenset[str]:
        """The names that the nearest configuration above `path` declares as defined everywhere."""
        folders = [str(folder) for folder in PurePosixPath(path).parents]
        return next((self.builtins[folder] for folder in folders if folder in self.builtins), frozenset())


async def read_change(
    host: CodeHost, pull: PullRequest, policy: Policy, needed: Callable[[str], bool], paths: Collection[str] = ()
) -> Change:
    """Read the diff, decide what is reviewed (of `paths` alone, if any are named), and read those files at the head
    that are `needed` whole.
    """
    diff = await host.diff(pull)
    settings, trouble = await _settings(host, pull, diff)
    attributes = PathAttributes.of({path: text for path, text in settings.items() if path.endswith(ATTRIBUTES)})
    whole = await compute(plan, diff, policy, attributes=attributes)
    planned = limit_to_paths(whole, paths)
    heads = await _heads(host, pull, [file for file in planned.files if needed(file.path)])
    return Change(
        diff,
        replace(planned, notes=(*planned.notes, *trouble)),
        {path: content.decode(errors="replace") for path, content in heads.items() if isinstance(content, bytes)},
        tuple(
            CoverageRow(path, FileState.FAILED, f"only its changed lines were read: {content}")
            for path, content in heads.items()
            if isinstance(content, Refused)
        ),
        _builtins(settings),
    )


async def _heads(host: CodeHost, pull: PullRequest, files: Sequence[FileDiff]) -> dict[str, bytes | Refused]:
    """The head's version of files, by path. What the diff holds whole is not asked for; the rest is read together."""
    known = await compute(lambda: {file.path: whole_content(file) for file in files})
    contents = await host.blobs(pull.ref, [file.blob for file in files if known[file.path] is None])
    return {file.path: contents[file.blob] if (content := known[file.path]) is None else content for file in files}


ATTRIBUTES = ".gitattributes"
_RUFF = (".ruff.toml", "ruff.toml", "pyproject.toml")
"""The files of ruff's configuration, first the one that wins. https://docs.astral.sh/ruff/configuration/#config-file-discovery"""
_MOST_SETTINGS, _LARGEST_SETTINGS = 20, 64_000  # files, and bytes of one


async def _settings(host: CodeHost, pull: PullRequest, diff: Diff) -> tuple[dict[str, str], tuple[str, ...]]:
    """The texts of the base branch's files that say something about changed paths, by path, and what could not be read."""
    above = {str(folder) for file in diff for folder in PurePosixPath(file.path).parents}
    python = {str(folder) for file in diff if file.path.endswith(".py") for folder in PurePosixPath(file.path).parents}
    names = {str(PurePosixPath(folder, ATTRIBUTES)) for folder in above}
    names |= {str(PurePosixPath(folder, name)) for folder in python for name in _RUFF}
    try:
        entries = [entry for entry in await host.tree(pull.ref, pull.base_sha) if entry.path in names]
        entries.sort(key=lambda entry: (entry.path.count("/"), entry.path))
        near = [entry for entry in entries if entry.size <= _LARGEST_SETTINGS][:_MOST_SETTINGS]
        contents = await host.blobs(pull.ref, [entry.blob for entry in near])
        refused = next((content for content in contents.values() if isinstance(content, Refused)), None)
        if refused:
            raise refused
    except Refused as error:
        return {}, (f"`{ATTRIBUTES}` of the base branch could not be read: {error}",)
    texts = ((entry.path, contents[entry.blob]) for entry in near)
    return {path: content.decode(errors="replace") for path, content in texts if isinstance(content, bytes)}, ()


def _builtins(settings: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """The names that ruff's configuration declares, by folder. It is read as data: nothing else in it has an effect."""
    found: dict[str, frozenset[str]] = {}
    for name in _RUFF:
        for path in (path for path in settings if PurePosixPath(path).name == name):
            try:
                table = tomllib.loads(settings[path])
            except tomllib.TOMLDecodeError:
                continue  # ruff itself refuses such a file
            tool = table.get("tool", {}) if name == "pyproject.toml" else {"ruff": table}
            ruff = tool.get("ruff") if isinstance(tool, dict) else None
            if isinstance(ruff, dict) and isinstance(names := ruff.get("builtins", []), list):
                found.setdefault(str(PurePosixPath(path).parent), frozenset(map(str, names)))
    return found

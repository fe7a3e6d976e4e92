"""What a review reads: the policy and the standards of the base branch, the change and its files at the head."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bot.core.code.diff import Diff, FileDiff
from bot.core.code.plan import CoverageRow, FileState, Plan, limit_to_paths, plan
from bot.core.code.pull_request import PullRequest
from bot.core.policy import PATH, Policy, PolicyLayer, merge_layers
from bot.errors import NotFound, Refused
from bot.interfaces import CodeHost, Step

T = TypeVar("T")

ORGANISATION = "organisation defaults"
_AT_ONCE = 10
"""Files read from the host at the same time."""


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
        await step(f"{name}, reading {turn}", keep, int)
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
    found = merge_layers(layers)
    return PolicyFile(found.policy, (*trouble, *map(str, found.problems)), found.sources)


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

    `unread` has a row for each file whose text was needed and could not be had. Nothing of this is journaled: it is read again
    by object id, through the host's cache.
    """

    diff: Diff
    plan: Plan
    heads: Mapping[str, str]
    unread: tuple[CoverageRow, ...] = ()


async def read_change(
    host: CodeHost, pull: PullRequest, policy: Policy, needed: Callable[[str], bool], paths: Collection[str] = ()
) -> Change:
    """Read the diff, decide what is reviewed (of `paths` alone, if any are named), and read those files at the head
    that are `needed` whole.
    """
    diff = await host.diff(pull)
    planned = limit_to_paths(plan(diff, policy), paths)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(file: FileDiff) -> str | CoverageRow:
        async with gate:
            try:
                content = await host.blob(pull.ref, file.blob)
            except Refused as error:
                return CoverageRow(file.path, FileState.FAILED, f"only its changed lines were read: {error}")
        return content.decode(errors="replace")

    wanted = [file for file in planned.files if needed(file.path)]
    texts = await asyncio.gather(*(read(file) for file in wanted))
    pairs = list(zip(wanted, texts, strict=True))
    return Change(
        diff,
        planned,
        {file.path: text for file, text in pairs if isinstance(text, str)},
        tuple(text for _, text in pairs if isinstance(text, CoverageRow)),
    )

"""What a review reads: the policy and the standards of the base branch, the change and its files at the head."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bot.errors import Refused
from bot.interfaces import CodeHost, Step
from bot.review.coverage import Covered, State
from bot.review.diff import Diff, FileDiff
from bot.review.plan import Plan, plan
from bot.review.policy import PATH, Policy, parse
from bot.review.pull_request import PullRequest

T = TypeVar("T")

_AT_ONCE = 10
"""Files read from the host at the same time."""


async def material(step: Step, name: str, read: Callable[[], Awaitable[T]]) -> T:
    """Read what never changes, within a step so that the engine retries it, but without journaling it: it is large.

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
    """The policy that holds, and a sentence for each thing in its file that does not."""

    policy: Policy
    problems: tuple[str, ...] = ()


async def read_policy(host: CodeHost, pull: PullRequest) -> PolicyFile:
    """The policy at the base commit, never at the head. Without a readable file the defaults hold."""
    try:
        entries = await host.tree(pull.ref, pull.base_sha)
        entry = next((entry for entry in entries if entry.path == PATH), None)
        if entry is None:
            return PolicyFile(Policy())
        content = await host.blob(pull.ref, entry.blob)
    except Refused as error:
        return PolicyFile(Policy(), (f"{PATH} could not be read ({error}); the defaults hold",))
    policy, problems = parse(content.decode(errors="replace"))
    return PolicyFile(policy, tuple(str(problem) for problem in problems))


@dataclass(frozen=True, slots=True)
class Change:
    """What is under review: the diff, what of it is read, and the head's text of those files.

    `unread` has a row for each file whose text was needed and could not be had. Nothing of this is journaled: it is read again
    by object id, through the host's cache.
    """

    diff: Diff
    plan: Plan
    heads: Mapping[str, str]
    unread: tuple[Covered, ...] = ()


async def read_change(host: CodeHost, pull: PullRequest, policy: Policy, needed: Callable[[str], bool]) -> Change:
    """Read the diff, decide what is reviewed, and read at the head those of its files that are `needed` whole."""
    diff = await host.diff(pull)
    planned = plan(diff, policy)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(file: FileDiff) -> str | Covered:
        async with gate:
            try:
                content = await host.blob(pull.ref, file.blob)
            except Refused as error:
                return Covered(file.path, State.FAILED, f"only its changed lines were read: {error}")
        return content.decode(errors="replace")

    wanted = [file for file in planned.files if needed(file.path)]
    texts = await asyncio.gather(*(read(file) for file in wanted))
    pairs = list(zip(wanted, texts, strict=True))
    return Change(
        diff,
        planned,
        {file.path: text for file, text in pairs if isinstance(text, str)},
        tuple(text for _, text in pairs if isinstance(text, Covered)),
    )

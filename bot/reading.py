"""What is read of the base branch before a review: the policy, and the documents of the shelf."""

from __future__ import annotations

from dataclasses import dataclass

from bot.errors import Refused
from bot.interfaces import CodeHost
from bot.review.policy import PATH, Policy, parse
from bot.review.pull_request import PullRequest


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The policy that holds, and a sentence for each thing in its file that does not."""

    policy: Policy
    problems: tuple[str, ...] = ()


async def read_policy(host: CodeHost, pull: PullRequest) -> PolicyFile:
    """The policy at the base commit, never at the head. Without a readable file the defaults hold."""
    entries = await host.tree(pull.ref, pull.base_sha)
    entry = next((entry for entry in entries if entry.path == PATH), None)
    if entry is None:
        return PolicyFile(Policy())
    try:
        content = await host.blob(pull.ref, entry.blob)
    except Refused as error:
        return PolicyFile(Policy(), (f"{PATH} could not be read ({error}); the defaults hold",))
    policy, problems = parse(content.decode(errors="replace"))
    return PolicyFile(policy, tuple(str(problem) for problem in problems))

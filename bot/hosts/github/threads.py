"""Review threads, which only GraphQL has: lists them with who resolved them, and resolves one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bot.core.code.pull_request import PullRef
from bot.hosts.github.auth import RESOLVE, Grant
from bot.hosts.github.client import GitHubClient
from bot.hosts.github.payloads import ThreadAnswer, ThreadsAnswer

_LIST = """
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        nodes { id isResolved resolvedBy { __typename login } comments(first: 1) { nodes { databaseId } } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""
_RESOLVE = """
mutation($thread: ID!) {
  resolveReviewThread(input: {threadId: $thread}) { thread { isResolved } }
}
"""


async def resolve(client: GitHubClient, ref: PullRef, comment: int) -> bool:
    """Resolves the thread that `comment` opened; False if there is none. Raises Forbidden."""
    grant = Grant.of(ref, RESOLVE)
    async for thread in threads(client, grant, ref):
        if any(opening.id == comment for opening in thread.comments.nodes):
            if not thread.resolved:
                async with client.turn(grant) as write:
                    await client.graphql(grant, _RESOLVE, {"thread": thread.id}, write.ready)
            return True
    return False


async def threads(client: GitHubClient, grant: Grant, ref: PullRef) -> AsyncIterator[ThreadAnswer]:
    """Yields every review thread of the pull request, with the comment that opened it. Raises Forbidden and NotFound."""
    owner, _, name = ref.repo.partition("/")
    after: str | None = None
    while True:
        where: dict[str, Any] = {"owner": owner, "name": name, "number": ref.number, "after": after}
        data = await client.graphql(grant, _LIST, where)
        page = ThreadsAnswer.model_validate(data["repository"]["pullRequest"]["reviewThreads"])
        for thread in page.nodes:
            yield thread
        if not page.page.more:
            return
        after = page.page.end

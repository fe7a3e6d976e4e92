"""Review threads, which only GraphQL knows (part of hosts/github.py): find the one that a comment opened, resolve it."""

from __future__ import annotations

from typing import Any

from bot.hosts.github_auth import RESOLVE, Grant
from bot.hosts.github_client import GitHubClient
from bot.hosts.github_models import Thread, Threads
from bot.review.pull_request import PullRef

_FIND = """
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        nodes { id isResolved comments(first: 1) { nodes { databaseId } } }
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
    """Resolve the thread that `comment` opened; False if there is none. Raises Forbidden."""
    grant = Grant.of(ref, RESOLVE)
    thread = await _find(client, grant, ref, comment)
    if thread is not None and not thread.resolved:
        await client.graphql(grant, _RESOLVE, {"thread": thread.id})
    return thread is not None


async def _find(client: GitHubClient, grant: Grant, ref: PullRef, comment: int) -> Thread | None:
    owner, _, name = ref.repo.partition("/")
    after: str | None = None
    while True:
        where: dict[str, Any] = {"owner": owner, "name": name, "number": ref.number, "after": after}
        data = await client.graphql(grant, _FIND, where)
        page = Threads.model_validate(data["repository"]["pullRequest"]["reviewThreads"])
        for thread in page.nodes:
            if any(one.id == comment for one in thread.comments.nodes):
                return thread
        if not page.page.more:
            return None
        after = page.page.end

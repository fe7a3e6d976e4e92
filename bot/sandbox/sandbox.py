"""The sandbox GitHub in one object, with one App installed.

Git objects are cached by their full ids: they never change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from cachetools import Cache, LRUCache
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount

from bot.hosts.git import MEGABYTE, Git, Pairs
from bot.sandbox import pages, registration
from bot.sandbox.api import analysis as analysis_api
from bot.sandbox.api import app as app_api
from bot.sandbox.api import auth, oauth
from bot.sandbox.api import check as check_api
from bot.sandbox.api import code as code_api
from bot.sandbox.api import git as git_api
from bot.sandbox.api import graphql as graphql_api
from bot.sandbox.api import issue as issue_api
from bot.sandbox.api import pull as pull_api
from bot.sandbox.api import review as review_api
from bot.sandbox.world import history, hooks, writer
from bot.sandbox.world.faults import PREFIX, Fault, Faults
from bot.sandbox.world.people import PullRequest
from bot.sandbox.world.repo import Repo
from bot.sandbox.world.state import App, Installation, Repository, User, World
from bot.sandbox.world.traffic import Delivery, Recorded

VERBS = frozenset({"cat-file", "diff", "log", "ls-tree", "merge-base", "rev-parse"})
_FIXED = re.compile(r"-.*|blob|\^?[0-9a-f]{40}(\^\{\w+\})?")
_NAMED = re.compile(r"\^?[0-9a-f]{40}")
_ENTRY = 200  # bytes beside the answer


@dataclass(frozen=True, slots=True)
class KeptGit(Git):
    """A Git that keeps answers, 32 MB of them."""

    kept: Cache[tuple[str, ...], bytes] = field(
        default_factory=lambda: LRUCache(32 * MEGABYTE, lambda out: len(out) + _ENTRY), repr=False, compare=False
    )

    async def _git(self, arguments: Sequence[str], stdin: bytes = b"", more: Pairs = ()) -> tuple[int, bytes, bytes]:
        key = tuple(arguments)
        if stdin or more or not _never_changes(key):
            return await Git._git(self, arguments, stdin, more)  # noqa: SLF001 - super() does not work with slots
        if (out := self.kept.get(key)) is not None:
            return 0, out, b""
        code, out, error = await Git._git(self, arguments)  # noqa: SLF001 - as above
        if not code and len(out) < MEGABYTE:
            self.kept[key] = out
        return code, out, error


def _never_changes(arguments: tuple[str, ...]) -> bool:
    """Whether a reading command names full ids only, so that its answer may be kept. A missing object may still arrive."""
    verb, *rest = arguments
    return verb in VERBS and all(map(_FIXED.fullmatch, rest)) and any(map(_NAMED.match, rest))


PERMISSIONS = {
    "metadata": "read",
    "contents": "read",
    "issues": "read",
    "pull_requests": "write",
    "checks": "write",
    "merge_queues": "read",
    "security_events": "read",
    "actions": "read",
}
EVENTS = (
    "pull_request",
    "issue_comment",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "check_run",
    "check_suite",
    "merge_group",
    "push",
)
REST = (
    *app_api.ENDPOINTS,
    *pull_api.ENDPOINTS,
    *review_api.ENDPOINTS,
    *issue_api.ENDPOINTS,
    *check_api.ENDPOINTS,
    *analysis_api.ENDPOINTS,
    *code_api.ENDPOINTS,
    *code_api.LAST,
)


class Clock:
    """A clock that only `advance` moves. In seconds since 1970."""

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self.seconds = start

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Moves the clock forward."""
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A GitHub to play with. `asgi` serves the API (at its root and at /api/v3) and the pages."""

    world: World
    asgi: Faults

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        url: str = "http://sandbox.test",
        secret: str = "sandbox-webhook-secret",  # noqa: S107 - the sandbox's own, and only the sandbox's
        slug: str = "review-assistant",
        app_id: int = 1234,
        clock: Callable[[], float] = time.time,
    ) -> Sandbox:
        """An empty GitHub that keeps its repositories in `directory`."""
        keys = auth.key_pair()
        bot = User(app_id, f"{slug}[bot]", "Bot")
        app = App(app_id, slug, keys.private, keys.public, bot, PERMISSIONS, EVENTS)
        world = World(directory, url.rstrip("/"), app, secret, clock)
        world.users[bot.login] = bot
        return cls(world, Faults(_asgi(world), world))

    async def repository(
        self,
        full_name: str,
        files: history.Files | None = None,
        *,
        private: bool = False,
        installed: bool = True,
        source: Git | None = None,
    ) -> Repo:
        """A new repository whose default branch holds `files`; with `source` it sees that repository's objects."""
        owner, _, name = full_name.partition("/")
        number = self.world.next_id()
        repo = Repository(
            id=number,
            owner=self.world.user(owner),
            name=name,
            git=KeptGit(self.world.directory / f"{number}.git"),
            private=private,
        )
        await writer.init(repo.git)
        if source:
            await writer.borrow(repo.git, source)
        if files is not None:
            await history.commit(self.world, repo, repo.default_branch, files, "First commit", None)
        self.world.repositories[full_name.lower()] = repo
        if installed:
            self._installation(repo.owner).repositories.append(repo.id)
        return Repo(self.world, repo)

    async def borrow(self, full_name: str, source: Git, base: str, head: str) -> PullRequest:
        """A pull request for two revisions of a repository on disk; nothing is copied and nothing is checked out."""
        repo = await self.repository(full_name, source=source, private=True)
        tip, change = await source.resolve(base), await source.resolve(head)
        await writer.point(repo.state.git, "refs/heads/main", tip)
        repo.state.branches["main"] = tip
        entry = await repo.state.git.about(change)
        title, _, body = entry.message.partition("\n")
        return await repo.open_pull(title or head, body.strip(), author=entry.author or "alice", head=change)

    def install(self, owner: str, permissions: Mapping[str, str] | None = None) -> Installation:
        """The App's installation on an account, with other permissions if they are given."""
        installation = self._installation(self.world.user(owner))
        if permissions is not None:
            installation.permissions = dict(permissions)
        return installation

    def plan(self, *faults: Fault) -> None:
        """Adds faults: see faults.py."""
        self.asgi.plan(*faults)

    async def deliver(self, client: httpx.AsyncClient, url: str = "/webhooks/github") -> list[Delivery]:
        """Send the pending webhooks to the product, oldest first."""
        return await hooks.deliver(self.world, client, url)

    def client(self) -> httpx.AsyncClient:
        """A client that speaks to the sandbox without a socket."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.asgi), base_url=self.world.api)

    @property
    def deliveries(self) -> list[Delivery]:
        """Every webhook so far, each with its `headers` and `body`."""
        return self.world.deliveries

    @property
    def requests(self) -> list[Recorded]:
        """Every request to the API so far."""
        return self.world.requests

    def _installation(self, owner: User) -> Installation:
        found = (one for one in self.world.installations.values() if one.account == owner)
        known = next(found, None)
        if known is None:
            known = Installation(id=self.world.next_id(), account=owner, permissions=dict(self.world.app.permissions))
            self.world.installations[known.id] = known
        return known


def _asgi(world: World) -> Starlette:
    rest = [*(endpoint.route(world) for endpoint in REST), registration.conversion(world)]
    graphql = [endpoint.route(world) for endpoint in graphql_api.ENDPOINTS]
    routes = [
        *oauth.routes(world),
        Mount(PREFIX, routes=rest),
        Mount("/api", routes=graphql),
        *graphql,
        *git_api.routes(world),
        *analysis_api.routes(world),
        *registration.routes(world),
        *pages.routes(world),
        *rest,
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


async def _no_route(_: Request, error: Exception) -> Response:
    """Returns GitHub's 404 for paths without an endpoint."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse(
        {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": str(status)}, status
    )

"""Requests to GitHub's REST and GraphQL APIs: authorised, paced, bounded; errors become errors of ours.

It retries only a refused token, once; the engine owns all other retries.
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx
import structlog
from githubkit import GitHub, Response, UnauthAuthStrategy
from githubkit.exception import RequestError, RequestFailed
from pydantic import TypeAdapter, ValidationError

from bot.errors import Forbidden, HostLimited, NotFound, OperatorTrouble, Outage, Refused, TooLarge
from bot.hosts.github.auth import GitHubApp, GivenToken, Grant, MintedToken, Tokens
from bot.hosts.github.health import GitHubHealth, RequestOutcome, TroubleKind, connection_error, trouble
from bot.hosts.github.lane import LocalLane, ReadyToWrite, WriteLane
from bot.hosts.github.payloads import AppAccount, GraphQLAnswer, GraphQLError
from bot.hosts.github.refusals import SECONDARY_LIMIT_SECONDS, Unauthorized, WebPage, is_page, refusal
from bot.hosts.github.transport import (
    KeptOpen,
    from_store,
    opened,
    page,
    remote,
    same_origin,
    stays_below,
    vetted,
    web,
)
from bot.interfaces import Connection, Remote

T = TypeVar("T")
log = structlog.get_logger()

PER_PAGE = 100
PAGES = 100
API_VERSION = "2022-11-28"  # the one that github.com and every supported GHES know
JSON = "application/vnd.github+json"
RAW = "application/vnd.github.raw+json"
ANSWER = 64 * 1024 * 1024  # bytes
REDIRECTS = {301, 302, 307, 308}
ACTIONS = AppAccount(id=15368, slug="github-actions")
"""The App of GitHub Actions, whose installation GITHUB_TOKEN belongs to."""
_CREDENTIALS = partial(trouble, TroubleKind.CREDENTIALS)


@dataclass(frozen=True, slots=True)
class GitHubRequest:
    """One call. `path` comes from `path()` or is the address of a further page."""

    method: str
    path: str
    params: Mapping[str, str | int] | None = None
    body: Mapping[str, Any] | None = None
    accept: str = JSON
    limit: int = ANSWER  # bytes of the answer


@dataclass(frozen=True, slots=True)
class GitHubAnswer:
    """A whole answer. `next_page` and `moved_to` are addresses as GitHub gave them."""

    content: bytes
    next_page: str | None = None
    moved_to: str | None = None

    def read(self, kind: type[T]) -> T:
        """The content as `kind`. Raises Outage: the page may come from a proxy or an outage."""
        try:
            value: T = _adapter(cast("Hashable", kind)).validate_json(self.content)
        except ValidationError as error:
            raise Outage(f"GitHub's answer is not what it documents ({error.error_count()} errors)") from None
        return value


@dataclass(frozen=True, slots=True)
class GitHubWriter:
    """Writes in one turn. `ready` is for a GraphQL mutation in it."""

    send: Callable[[GitHubRequest], Awaitable[GitHubAnswer]]
    ready: ReadyToWrite

    async def __call__(self, method: str, address: str, body: Mapping[str, Any] | None = None) -> GitHubAnswer:
        """Sends one write."""
        return await self.send(GitHubRequest(method, address, body=body))


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", kind))


def path(*segments: str | int) -> str:
    """Returns an address below the API's root. Percent-encodes each segment, so that it stays one segment.

    Raises NotFound for "", ".", ".." and text with a NUL, which name no object of GitHub.
    """
    for segment in map(str, segments):
        if segment in {"", ".", ".."} or "\0" in segment:
            raise NotFound(f"{segment!r} cannot be part of an address")
    return "/" + "/".join(quote(str(segment), safe="", errors="surrogatepass") for segment in segments)


def repository(repo: str, *segments: str | int) -> str:
    """Returns an address inside the repository octo/name. Raises NotFound if `repo` has another form."""
    owner, _, name = repo.partition("/")
    return path("repos", owner, name, *segments)


class GitHubClient:
    """Sends requests as the App or under a grant.

    `url` is the API's root ("https://HOST/api/v3" on GHES). `transport` replaces the network. Writes of an
    installation go one at a time through `lane`, or, in a process that writes alone, `spacing` seconds apart; they carry none of `secrets`. `health` records what keeps us from GitHub.
    """

    def __init__(  # noqa: PLR0913 - what an operator sets, and what a test replaces
        self,
        app: GitHubApp | GivenToken,
        url: str = "https://api.github.com",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        spacing: float = 1.0,
        lane: WriteLane | None = None,
        clock: Callable[[], float] = time.time,
        secrets: Collection[str] = (),
        connection: Connection | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self.health = GitHubHealth(url)
        self._clock, self._secrets = clock, secrets
        self._connection = connection or Connection()
        self._transport: Callable[[], httpx.AsyncBaseTransport] = lambda: transport or opened(self._connection)
        self._wire = KeptOpen(self._url, self._transport)
        self._github: GitHub[UnauthAuthStrategy] = GitHub(
            base_url=url,
            user_agent="review-assistant",
            follow_redirects=False,
            timeout=httpx.Timeout(10, read=30),
            async_transport=self._wire,
            http_cache=False,
            auto_retry=False,
        )
        self._app = ACTIONS if isinstance(app, GivenToken) else None
        self._tokens = app if isinstance(app, GivenToken) else Tokens(app, self._exchange, clock)
        self._lane = lane or LocalLane(spacing)
        self._limited: dict[int, float] = {}

    async def get(self, grant: Grant, address: str, params: Mapping[str, str | int] | None = None) -> GitHubAnswer:
        """Reads one object."""
        return await self._granted(grant, GitHubRequest("GET", address, params))

    async def raw(self, grant: Grant, address: str, limit: int, accept: str = RAW) -> bytes:
        """Reads a file's bytes, or an object in the form `accept`. Raises TooLarge over `limit` of them."""
        return (await self._granted(grant, GitHubRequest("GET", address, accept=accept, limit=limit))).content

    async def stored(self, grant: Grant, address: str, limit: int) -> bytes:
        """Reads a file that GitHub keeps in a store of its own, to which it redirects; the store gets no token of ours.

        Raises TooLarge over `limit` bytes, and Refused if the store does not answer with the file.
        """
        request = GitHubRequest("GET", address, limit=limit)
        answer = await self._with_token(grant, lambda token: self._call(token, request))
        if answer.moved_to is None:
            return answer.content
        url = self._url.join(answer.moved_to)
        if url.scheme != "https" and not same_origin(url, self._url):
            raise NotFound("GitHub redirects to an address without encryption")
        return await from_store(self._transport(), url, limit)

    async def pages(
        self, grant: Grant, address: str, params: Mapping[str, str | int] | None = None
    ) -> AsyncGenerator[GitHubAnswer, None]:
        """Reads a list page by page, by GitHub's Link header. Raises TooLarge over the limit of pages."""
        request = GitHubRequest("GET", address, {"per_page": PER_PAGE, **(params or {})})
        for _ in range(PAGES):
            answer = await self._granted(grant, request)
            yield answer
            if answer.next_page is None:
                return
            request = GitHubRequest("GET", self._further(answer.next_page, address, grant))
        raise TooLarge(f"{address} has more than {PAGES} pages")

    async def every(
        self, grant: Grant, address: str, kind: type[list[T]], params: Mapping[str, str | int] | None = None
    ) -> list[T]:
        """Reads a whole list, whose pages are of `kind`."""
        return [item async for page in self.pages(grant, address, params) for item in page.read(kind)]

    @asynccontextmanager
    async def turn(self, grant: Grant, *, courtesy: bool = False) -> AsyncIterator[GitHubWriter]:
        """A turn to write: one at a time for each installation, in all processes. What is looked up in it stays true."""
        async with self._lane.turn(grant.installation, courtesy=courtesy) as ready:

            async def send(request: GitHubRequest) -> GitHubAnswer:
                return await self._granted(grant, replace(request, body=vetted(request.body, self._secrets)), ready)

            yield GitHubWriter(send, ready)

    async def write(
        self, grant: Grant, method: str, address: str, body: Mapping[str, Any] | None = None
    ) -> GitHubAnswer:
        """Writes in a turn of its own."""
        async with self.turn(grant) as write:
            return await write(method, address, body)

    async def graphql(
        self,
        grant: Grant,
        query: str,
        variables: Mapping[str, Any],
        ready: ReadyToWrite | None = None,
        *,
        limit: int = ANSWER,
    ) -> dict[str, Any]:
        """Sends a GraphQL query; a mutation in the turn of `ready`.

        Raises Forbidden or NotFound as REST does, and TooLarge over `limit` bytes.
        """
        root = str(self._url).rstrip("/").removesuffix("/v3")
        request = GitHubRequest("POST", f"{root}/graphql", body={"query": query, "variables": variables}, limit=limit)
        answer = (await self._granted(grant, request, ready)).read(GraphQLAnswer)
        if answer.errors or answer.data is None:
            error = answer.errors[0] if answer.errors else GraphQLError()
            raise {"FORBIDDEN": Forbidden, "RATE_LIMITED": HostLimited}.get(error.type, NotFound)(
                f"GraphQL: {error.message}"
            )
        return answer.data

    async def remote(self, grant: Grant) -> Remote:
        """Returns the URL and the credential with which git fetches the repository of a grant."""
        address = path(*grant.repo.split("/"))
        return remote(self._url, address, await self._token(grant), self._connection)

    def page(self, address: str) -> str:
        """`address` if it is a page of a pull request or issue on this GitHub; nothing if it leads elsewhere."""
        if not (safe := page(self._url, address)) and address:
            log.warning("an address of a page is not this GitHub's", address=address[:200], github=str(self._url))
        return safe

    async def as_app(self, address: str, params: Mapping[str, str | int] | None = None) -> GitHubAnswer:
        """Reads something that belongs to the App itself. Raises OperatorTrouble if GitHub does not accept the App.

        `address` comes from `path()` or is the address of a further page.
        """
        request = GitHubRequest("GET", address if address.startswith("/") else self._own(address), params)
        try:
            return await self._sent_as_app(request)
        except Unauthorized as refused:
            if not self._tokens.correct(refused.date):
                raise self._recorded(
                    _CREDENTIALS(f"GitHub does not accept the App's credentials ({refused})")
                ) from None
        try:
            return await self._sent_as_app(request)
        except Unauthorized as refused:
            raise self._recorded(_CREDENTIALS(f"GitHub does not accept the App's credentials ({refused})")) from None

    async def pages_as_app(self, address: str, most: int) -> AsyncGenerator[GitHubAnswer, None]:
        """Reads a list that belongs to the App itself, at most `most` pages of it."""
        answer = await self.as_app(address, {"per_page": PER_PAGE})
        yield answer
        for _ in range(1, most):
            if answer.next_page is None:
                return
            answer = await self.as_app(answer.next_page)
            yield answer

    async def app(self) -> AppAccount:
        """Returns our own App; asks GitHub once."""
        return self._app or await self.introduce()

    async def introduce(self) -> AppAccount:
        """Asks GitHub who we are. Raises OperatorTrouble if it does not accept our credentials."""
        try:
            self._app = (await self.as_app(path("app"))).read(AppAccount)
        except NotFound as error:
            raise self._recorded(_CREDENTIALS(f"GitHub knows no App with our id ({error})")) from error
        return self._app

    @property
    def name(self) -> str:
        """The login of our App without its suffix `[bot]`; empty until GitHub has told it."""
        return self._app.slug if self._app else ""

    @property
    def web(self) -> str:
        """The root of GitHub's own pages, without a slash at its end."""
        return str(web(self._url)).rstrip("/")

    @property
    def owner(self) -> int:
        """The id of the account that owns our App; 0 until GitHub has told it."""
        return self._app.owner.id if self._app and self._app.owner else 0

    @property
    def clock_offset(self) -> float:
        """Seconds by which GitHub's clock is ahead of ours, as far as GitHub refused a JWT for it; otherwise 0."""
        return self._tokens.offset

    async def close(self) -> None:
        """Closes the connections of the running event loop."""
        await self._wire.close()

    async def _granted(self, grant: Grant, request: GitHubRequest, ready: ReadyToWrite | None = None) -> GitHubAnswer:
        """Sends a request under a grant; a write when its turn is `ready`, with nothing in between."""
        return await self._with_token(grant, lambda token: self._limited_send(token, request, grant, ready))

    async def _with_token(self, grant: Grant, send: Callable[[str], Awaitable[GitHubAnswer]]) -> GitHubAnswer:
        """Sends with a token of the grant; a refused token is replaced once."""
        token = await self._token(grant)
        try:
            return await send(token)
        except Unauthorized:
            self._tokens.forget(grant, token)
        return await send(await self._token(grant))

    async def _limited_send(
        self, token: str, request: GitHubRequest, grant: Grant, ready: ReadyToWrite | None
    ) -> GitHubAnswer:
        """Sends a request, unless GitHub limits the installation; keeps the limit that it is answered with."""
        left = self._limited.get(grant.installation, 0.0) - self._clock()
        if left > 0:
            raise HostLimited("GitHub limits the requests of this installation", left, undone=True)
        if ready is not None:
            await ready()
        try:
            return await self._send(token, request, grant)
        except HostLimited as limited:
            if limited.after:
                self._limited[grant.installation] = self._clock() + limited.after
                await self._lane.limit(grant.installation, limited.after)
            raise

    async def _token(self, grant: Grant) -> str:
        """A token for `grant`. Raises OperatorTrouble if GitHub does not accept the App or suspended the installation."""
        try:
            return await self._tokens.token(grant)
        except Unauthorized as error:
            raise self._recorded(_CREDENTIALS(f"GitHub does not accept the App's credentials ({error})")) from error
        except Forbidden as error:
            cause = f"GitHub gives no token for installation {grant.installation} ({error})"
            raise self._recorded(trouble(TroubleKind.SUSPENDED, cause), grant.installation) from error
        except NotFound:
            if grant.installation:
                await self.app()  # without an App of our id, GitHub finds no installation either
            raise

    async def _sent_as_app(self, request: GitHubRequest, token: str = "", installation: int = 0) -> GitHubAnswer:
        """Sends a request of the App itself. Raises OperatorTrouble if another server than GitHub answers."""
        try:
            answer = await self._call(token or self._tokens.app_token(), request)
        except WebPage as error:
            raise self._recorded(trouble(TroubleKind.ADDRESS, f"{self._url} is not GitHub's API ({error})")) from error
        if answer.moved_to is not None:
            raise self._recorded(trouble(TroubleKind.ADDRESS, f"{self._url} is not GitHub's API: it redirects"))
        self.health.accepted(installation)
        return answer

    def _recorded(self, error: OperatorTrouble, installation: int = 0) -> OperatorTrouble:
        self.health.failed(error, installation)
        return error

    async def _exchange(self, app_token: str, installation: int, body: Mapping[str, Any]) -> MintedToken:
        address = path("app", "installations", installation, "access_tokens")
        request = GitHubRequest("POST", address, body=body)
        return (await self._sent_as_app(request, app_token, installation)).read(MintedToken)

    async def _send(self, token: str, request: GitHubRequest, grant: Grant | None = None) -> GitHubAnswer:
        answer = await self._call(token, request)
        if answer.moved_to is None:
            return answer
        where = self._moved(answer.moved_to, grant)
        answer = await self._call(token, replace(request, path=where, params=None))
        if answer.moved_to is not None:
            raise NotFound("GitHub redirects twice")
        return answer

    async def _call(self, token: str, request: GitHubRequest) -> GitHubAnswer:
        """Sends one request and records how it went."""
        try:
            answer = await self._answered(token, request)
        except HostLimited:
            self.health.counted(RequestOutcome.LIMITED)
            raise
        except WebPage:
            self.health.counted(RequestOutcome.FAILED)
            raise
        except Outage as error:
            self.health.counted(RequestOutcome.FAILED)
            self.health.failed(error)
            raise
        except Refused:
            self.health.counted(RequestOutcome.REFUSED)
            self.health.succeeded()
            raise
        self.health.counted(RequestOutcome.ANSWERED)
        if answer.moved_to is None:
            self.health.succeeded()
        return answer

    async def _answered(self, token: str, request: GitHubRequest) -> GitHubAnswer:
        headers = {"Authorization": f"Bearer {token}", "Accept": request.accept, "X-GitHub-Api-Version": API_VERSION}
        body = None if request.body is None else json.dumps(request.body, ensure_ascii=False).encode(errors="replace")
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = await self._github.arequest(
                request.method, request.path, params=request.params, content=body, headers=headers, stream=True
            )
            self.health.limited(response.headers)
            content = await _content(response, request.limit)
            if is_page(response.headers) and request.accept == JSON and response.status_code not in REDIRECTS:
                raise WebPage("a web page answers instead of GitHub's API")
            return _answer(response, content)
        except RequestFailed as failed:
            refused = failed.response
            raise refusal(refused.status_code, refused.headers, refused.content, self._clock()) from None
        except RequestError as failed:
            raise _failure(failed.exc, request) from None
        except (httpx.RequestError, httpx.InvalidURL) as failed:  # outside githubkit's own net
            raise _failure(failed, request) from None
        except ValueError:  # githubkit reads `retry-after` as an integer; a proxy may send a date
            raise HostLimited("GitHub asked to wait", SECONDARY_LIMIT_SECONDS) from None

    def _own(self, address: str) -> str:
        """`address`, if it lies below the configured API. Raises NotFound."""
        url = self._url.join(address)
        if not same_origin(url, self._url) or not stays_below(url, self._url.path):
            raise NotFound("GitHub redirects to another host")
        return str(url)

    def _further(self, link: str, address: str, grant: Grant) -> str:
        """Returns the address of a further page of the list at `address`, which GitHub may name by the repository's id.

        Raises NotFound if it is another list.
        """
        where, root = httpx.URL(self._own(link)), self._url.path.rstrip("/")
        below = address.removeprefix(repository(grant.repo)) if address.startswith(repository(grant.repo)) else None
        homes = {root + address}
        if grant.repo_id and below is not None:
            homes.add(root + path("repositories", grant.repo_id) + below)
        if where.raw_path.partition(b"?")[0].decode("ascii") not in homes:
            raise NotFound("a further page belongs to another list")
        return str(where)

    def _moved(self, location: str, grant: Grant | None) -> str:
        """Returns the target of a redirect, if it is the same repository under its new name. Raises NotFound.

        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
        """
        where = self._own(location)
        if grant is None or not grant.repo_id:
            raise NotFound("GitHub redirects, and the target may be another repository")
        home = self._url.path.rstrip("/") + path("repositories", grant.repo_id)
        if not stays_below(httpx.URL(where), home):
            raise NotFound("GitHub redirects to another repository")
        return where


def _answer(response: Response[Any], content: bytes) -> GitHubAnswer:
    moved_to = response.headers.get("location", "") if response.status_code in REDIRECTS else None
    return GitHubAnswer(content, response.raw_response.links.get("next", {}).get("url"), moved_to)


async def _content(response: Response[Any], limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.aiter_bytes():
            size += len(part)
            if size > limit:
                raise TooLarge(f"more than {limit:,} bytes")
            parts.append(part)
    finally:
        await response.raw_response.aclose()
    return b"".join(parts)


def _failure(error: Exception, request: GitHubRequest) -> Exception:
    """Returns the error for a failure below HTTP: Outage for the network; our own errors and bugs unchanged."""
    if isinstance(error, httpx.InvalidURL):
        return NotFound("too long for an address")
    if isinstance(error, httpx.RequestError):
        return connection_error(error, f"{request.method} {request.path}")
    return error

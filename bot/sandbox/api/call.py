"""One request to the API: authenticated, authorised, counted, and answered the way GitHub answers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.errors import Refused
from bot.sandbox.api import auth
from bot.sandbox.world.rules import Rejected
from bot.sandbox.world.state import Issue, Pull, Repository, Token, User, World
from bot.sandbox.world.traffic import Recorded

VERSIONS = ("2022-11-28", "2026-03-10")
SHA = re.compile(r"[0-9a-f]{40}")
BUSY = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "5000", "x-ratelimit-used": "0", "x-ratelimit-reset": "0"}


@dataclass(slots=True)
class Call:
    """A request that was let in. `token` is None when the App itself calls."""

    world: World
    request: Request
    token: Token | None
    body: dict[str, Any]
    found: Repository | None

    @property
    def repo(self) -> Repository:
        """The repository in the path."""
        if self.found is None:
            raise Rejected(404, "Not Found")
        return self.found

    @property
    def me(self) -> User:
        """Who acts: the App's bot."""
        return self.world.app.bot

    def number(self, name: str = "number") -> int:
        """A number in the path."""
        return int(self.request.path_params[name])

    def text(self, name: str) -> str:
        """A string in the path, decoded."""
        return str(self.request.path_params[name])

    @property
    def issue(self) -> Issue:
        """The issue or pull request in the path: 410 once deleted, 301 once moved."""
        issue = self.repo.issues.get(self.number())
        if issue is None:
            raise Rejected(404, "Not Found")
        if issue.deleted:
            raise Rejected(410, "This issue was deleted")
        if issue.moved:
            raise Rejected(301, "Moved Permanently", headers={"Location": issue.moved})
        return issue

    @property
    def pull(self) -> Pull:
        """The pull request in the path."""
        issue = self.repo.issues.get(self.number())
        if not isinstance(issue, Pull):
            raise Rejected(404, "Not Found")
        return issue

    def accepts(self, word: str) -> bool:
        """Whether a media type such as "diff" or "raw" is asked for."""
        return bool(re.search(rf"application/vnd\.github\.(v3\.)?{word}\b", self.request.headers.get("accept", "")))

    async def commit(self, ref: str) -> str:
        """The commit that a branch name or a full id names; nothing else ever reaches git."""
        name = ref.removeprefix("refs/").removeprefix("heads/")
        if tip := self.repo.branches.get(name):
            return tip
        if not SHA.fullmatch(ref):
            raise Rejected(422, f"No commit found for SHA: {ref[:100]}")
        try:
            return await self.repo.git.resolve(ref)
        except Refused as error:
            raise Rejected(422, f"No commit found for SHA: {ref[:100]}") from error

    def page(self, items: Sequence[Any], *, wrap: str = "") -> Response:
        """One page of a list, with the others in `Link`; `wrap` puts it into an object with its total."""
        size = min(max(_int(self.request.query_params.get("per_page"), 30), 1), 100)
        page = max(_int(self.request.query_params.get("page"), 1), 1)
        last = max(1, -(-len(items) // size))
        shown = list(items[(page - 1) * size : page * size])
        body: Any = {"total_count": len(items), wrap: shown} if wrap else shown
        turns = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        wanted = [
            rel for rel in turns if (rel in ("prev", "first") and page > 1) or (rel in ("next", "last") and page < last)
        ]
        links = [f'<{self.request.url.include_query_params(page=turns[rel])}>; rel="{rel}"' for rel in wanted]
        return JSONResponse(body, headers={"Link": ", ".join(links)} if links else {})


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and path of GitHub's API. `needs` are the permissions of which one is enough; `app`: by JWT only."""

    method: str
    path: str
    handler: Handler
    needs: tuple[str, ...] = ()
    app: bool = False

    def route(self, world: World) -> Route:
        """The endpoint as the web framework wants it."""

        async def answer(request: Request) -> Response:
            return await _answer(world, self, request)

        return Route(self.path, answer, methods=[self.method])


async def _answer(world: World, endpoint: Endpoint, request: Request) -> Response:
    limits = dict(BUSY)
    try:
        call = await _let_in(world, endpoint, request)
        if call.token:
            limits = auth.spend(world, call.token)
        response = await endpoint.handler(call)
    except Rejected as rejected:
        response = _refusal(rejected)
    for name, value in limits.items():
        response.headers.setdefault(name, value)
    response.headers["X-GitHub-Request-Id"] = f"SAND:{len(world.requests):08X}"
    response.headers["X-GitHub-Api-Version-Selected"] = request.headers.get("x-github-api-version", VERSIONS[0])
    return _unchanged(request, response)


async def _let_in(world: World, endpoint: Endpoint, request: Request) -> Call:
    version = request.headers.get("x-github-api-version", VERSIONS[0])
    if version not in VERSIONS:
        raise Rejected(400, f'The version "{version[:50]}" is not supported.')
    record: Recorded = request.scope["sandbox.record"]
    token = None
    credential = auth.bearer(request.headers.get("authorization"))
    if endpoint.app:
        auth.check_jwt(world, credential)
        record.caller = "app"
    else:
        token = auth.authenticate(world, credential)
        record.caller, record.token = "installation", token.text
        record.permissions, record.repositories = token.permissions, token.repositories
    record.body = body = _json(await request.body())
    call = Call(world, request, token, body, _repository(world, request))
    if token and "repo" in request.path_params:
        auth.authorize(token, call.repo, endpoint.needs, request.method)
    return call


def _repository(world: World, request: Request) -> Repository | None:
    place = request.path_params
    return world.repository(place["owner"], place["repo"]) if "repo" in place else None


def _json(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Rejected(400, "Problems parsing JSON") from error
    if not isinstance(body, dict):
        raise Rejected(400, "Body should be a JSON object")
    return body


def _refusal(rejected: Rejected) -> Response:
    body = {"message": rejected.message, "documentation_url": "https://docs.github.com/rest"}
    more = {"errors": rejected.errors} if rejected.errors else {}
    return JSONResponse(body | more | {"status": str(rejected.status)}, rejected.status, rejected.headers)


def _unchanged(request: Request, response: Response) -> Response:
    """A 304 where the client already has the answer."""
    if request.method != "GET" or response.status_code != 200:  # noqa: PLR2004 - OK
        return response
    tag = f'W/"{hashlib.sha256(bytes(response.body)).hexdigest()}"'
    response.headers["ETag"] = tag
    if request.headers.get("if-none-match") != tag:
        return response
    kept = {name: value for name, value in response.headers.items() if name not in ("content-length", "content-type")}
    return Response(status_code=304, headers=kept)


def _int(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else default  # noqa: PLR2004 - digits


def done(status: int = 204) -> Response:
    """An answer without a body."""
    return Response(status_code=status)


def ok(body: Any, status: int = 200) -> Response:  # noqa: ANN401 - any JSON value
    """An answer in JSON."""
    return JSONResponse(body, status)

"""Faults on demand: the nth call of an endpoint fails, before or after its work is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.sandbox.world.state import World
from bot.sandbox.world.traffic import Recorded

PREFIX = "/api/v3"


@dataclass(slots=True)
class Fault:
    """What goes wrong with calls number `nth` .. `nth + times - 1` of `method` on paths like `path` (both are globs).

    `after`: the work is done and only the answer is lost. `status` 0 drops the connection, -1 never answers; `cut` ends
    the connection in the middle of the body. `page` is a body in HTML.
    """

    method: str
    path: str
    status: int
    message: str = "Server Error"
    headers: Mapping[str, str] = field(default_factory=dict)
    nth: int = 1
    times: int = 1
    after: bool = False
    cut: bool = False
    page: str = ""
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Counts a matching call. Returns whether this one fails."""
        if not fnmatchcase(method, self.method) or not fnmatchcase(path, self.path):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


def outage() -> Fault:
    """GitHub is down: a 502 to everything, until the fault is removed from what is planned."""
    return Fault("*", "*", 502, "Bad Gateway", times=1_000_000)


def server_error(method: str, path: str, *, status: int = 500, nth: int = 1, times: int = 1) -> Fault:
    """A 5xx; nothing was done."""
    return Fault(method, path, status, nth=nth, times=times)


def lost_answer(method: str, path: str, *, nth: int = 1) -> Fault:
    """The work is done, but the answer is a 502."""
    return Fault(method, path, 502, nth=nth, after=True)


def dropped(method: str, path: str, *, nth: int = 1, after: bool = True) -> Fault:
    """The work is done (unless `after` is false) and the connection breaks before the answer."""
    return Fault(method, path, 0, nth=nth, after=after)


def hang(method: str, path: str) -> Fault:
    """No answer until the client goes away."""
    return Fault(method, path, -1)


def bad_credentials(method: str, path: str) -> Fault:
    """A 401 although the token is good, as right after it was minted."""
    return Fault(method, path, 401, "Bad credentials")


def not_found(method: str, path: str, *, nth: int = 1) -> Fault:
    """A 404 for something that is there, as right after it was made."""
    return Fault(method, path, 404, "Not Found", nth=nth)


def secondary_limit(method: str, path: str, *, retry_after: int | None = None, status: int = 403) -> Fault:
    """The secondary rate limit, with or without `retry-after`; `status` 403 or 429."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return Fault(method, path, status, message, headers)


class Faults:
    """ASGI middleware: passes requests on, unless a fault applies, and records the answers."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self.app = app
        self.world = world
        self.planned: list[Fault] = []

    def plan(self, *faults: Fault) -> None:
        """Adds these faults."""
        self.planned += faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_api(scope["path"]):
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(PREFIX)
        record = Recorded(scope["method"], path)
        self.world.requests.append(record)
        scope["sandbox.record"] = record

        async def note(message: Message) -> None:
            record.status = message.get("status", record.status)
            await send(message)

        struck = [fault for fault in self.planned if fault.strikes(record.method, path)]
        if not struck:
            await self.app(scope, receive, note)
            return
        fault = struck[0]
        if fault.after:
            await self.app(scope, receive, _nowhere)
        record.fault = f"{fault.status} {fault.message}"
        await _fail(fault, receive, note)


async def _fail(fault: Fault, receive: Receive, send: Send) -> None:
    if fault.status < 0:
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    body = json.dumps({"message": fault.message, "documentation_url": "https://docs.github.com/rest"}).encode()
    kind = "application/json; charset=utf-8"
    if fault.page:
        body, kind = fault.page.encode(), "text/html"
    given = {"content-type": kind, "content-length": str(len(body))} | dict(fault.headers)
    headers = [(name.encode(), value.encode()) for name, value in given.items()]
    await send({"type": "http.response.start", "status": fault.status or 200, "headers": headers})
    if fault.status == 0:
        raise httpx.ReadTimeout("the sandbox dropped the connection")
    if fault.cut:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        raise httpx.ReadTimeout("the sandbox cut its answer off")
    await send({"type": "http.response.body", "body": body})


async def _nowhere(message: Message) -> None:
    """Discards an answer that must not arrive."""


def _is_api(path: str) -> bool:
    return (
        path.startswith(("/api/", "/repos/", "/app/", "/installation/", "/search/", "/graphql", "/app-manifests/"))
        or path == "/app"
    )

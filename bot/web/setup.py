"""Set-up in the browser: a server without an App registers one, starts to work with it, and offers the first review.

All of it is behind a link that works once, and ends half an hour after the last step.
https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.core.code.pull_request import PullRef
from bot.errors import AssistantError, Outage, Refused, Retryable, UserError
from bot.interfaces import Connection, Installations, OpenPull
from bot.job import Job, Trigger
from bot.web.pages import STYLE, message, page, style
from bot.web.setup_app import (
    GitHubServer,
    RegisteredApp,
    as_lines,
    manifest,
    obstacle,
    register,
    store,
    variables,
)

log = structlog.get_logger()

MINUTES = 30
"""Minutes that the link is valid, and that set-up stays open after the App is connected."""
_COOKIE = "assistant-setup"
_STATES = 8
_FORM = 4096  # bytes
_INSTALLATIONS, _REPOSITORIES = 5, 30
"""Installations, and repositories of each, in which the newest pull request is looked for."""


@dataclass(frozen=True, slots=True)
class ConnectedServer:
    """The server at work for an App: its web application, what the App sees on GitHub, and what takes a job."""

    asgi: ASGIApp
    installations: Installations
    submit: Callable[[Job], Awaitable[bool]]


Activate = Callable[[Mapping[str, str]], Awaitable[ConnectedServer]]


@dataclass(frozen=True, slots=True)
class SetUpPlace:
    """Where a server is set up: its address for browsers, the GitHub it belongs to, and the file of the App's secrets.

    `public` says whether GitHub reaches the address; `app` is app.yml.
    """

    base: str
    public: bool
    server: GitHubServer
    app: Mapping[str, Any]
    file: Path
    connection: Connection


@dataclass(frozen=True, slots=True)
class _Installed:
    """What the App sees: its repositories, and the newest pull request that could be reviewed now."""

    repositories: Sequence[PullRef]
    newest: OpenPull | None


class SetUp:
    """The web application of a server without an App, and after `activate` that of the connected server.

    `activate` starts the server with the App's settings and returns it. `clock` is in seconds of a monotonic clock.
    """

    def __init__(self, place: SetUpPlace, activate: Activate, clock: Callable[[], float] = time.monotonic) -> None:
        self._place, self._activate, self._clock = place, activate, clock
        self._token, self._session, self._proof = (secrets.token_urlsafe(32) for _ in range(3))
        self._unused, self._ends = True, clock() + MINUTES * 60
        self._states: dict[str, GitHubServer] = {}
        self._lock = asyncio.Lock()
        self._app: RegisteredApp | None = None
        self._settings: Mapping[str, str] = {}
        self._connected: ConnectedServer | None = None
        self._chosen: OpenPull | None = None
        views = {
            "/setup": (self._show, "GET"),
            "/setup/callback": (self._callback, "GET"),
            "/setup/settings": (self._show_settings, "GET"),
            "/setup/review": (self._review, "POST"),
        }
        waiting = {"/": _waiting, "/livez": _alive, "/readyz": _alive, STYLE: style}
        self._pages = Starlette(
            routes=[
                *(Route(path, self._while_open(view), methods=[method]) for path, (view, method) in views.items()),
                *(Route(path, view, methods=["GET"]) for path, view in waiting.items()),
            ]
        )
        self._pages.router.redirect_slashes = False

    @property
    def link(self) -> str:
        """The address that begins set-up. It works once."""
        return f"{self._place.base}/setup?{urlencode({'token': self._token})}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "lifespan" or self._connected is None or scope["path"].split("/")[1:2] == ["setup"]
        await (self._pages if ours or self._connected is None else self._connected.asgi)(scope, receive, send)

    def _while_open(self, view: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if self._clock() < self._ends:
                return await view(request)
            if self._connected is not None:
                return message(
                    "Set-up is over", "This server is connected. Its pages of set-up are closed.", status=404
                )
            again = "Stop the server and start it again: it prints a new link."
            return message("The link has expired", f"Set-up was open for {MINUTES} minutes. {again}", status=404)

        return answer

    def _knows(self, request: Request) -> bool:
        return hmac.compare_digest(request.cookies.get(_COOKIE, "").encode(), self._session.encode())

    async def _show(self, request: Request) -> Response:
        """GET /setup"""
        given = request.query_params.get("token", "").encode()
        if self._unused and hmac.compare_digest(given, self._token.encode()):
            self._unused = False
            answer = RedirectResponse("/setup", 303)  # the link leaves the address bar and the history
            secure = self._place.base.startswith("https://")
            answer.set_cookie(_COOKIE, self._session, path="/setup", httponly=True, samesite="lax", secure=secure)
            return answer
        if not self._knows(request):
            return message(
                "Open the link of this server",
                "Set-up belongs to the person who started the server. Open the link that it printed; the link works once, in "
                "one browser. For a new one, stop the server and start it again.",
                status=403,
            )
        if self._connected is None:
            return self._show_registration(request)
        return await self._show_installation(self._connected)

    def _show_registration(self, request: Request) -> Response:
        """The page with the permissions and the button that sends the manifest to GitHub."""
        organisation = request.query_params.get("organisation", "").strip()
        address, wrong = request.query_params.get("server", "").strip(), ""
        state = secrets.token_urlsafe(32)
        server = self._place.server
        try:
            server = GitHubServer.named(address) if address else server
            action = server.registration(organisation, state)
        except UserError as error:
            wrong, action = str(error), server.registration("", state)
        self._states = dict([*self._states.items(), (state, server)][-_STATES:])
        answer = page(
            "setup.html",
            form_targets=[server.pages],
            action=action,
            manifest=json.dumps(manifest(self._place.app, self._place.base, public=self._place.public)),
            permissions=self._place.app["default_permissions"],
            organisation=organisation,
            server=server.pages.partition("://")[2],
            address=address,
            wrong=wrong,
            public=self._place.public,
            obstacle=obstacle(self._place.file),
            file=str(self._place.file),
        )
        answer.headers["Referrer-Policy"] = "strict-origin"  # so that GitHub sees where the form comes from
        return answer

    async def _callback(self, request: Request) -> Response:
        """GET /setup/callback: GitHub sends the person back with a code; the state proves that the registration began here."""
        state = request.query_params.get("state", "")
        code = request.query_params.get("code", "")
        async with self._lock:
            server = next((known for one, known in self._states.items() if _equal(one, state)), None)
            if server is None or not code:
                return message(
                    "This registration is not known here",
                    "Its link was used before, or the server was started anew in the meantime. Open the link that the server "
                    "printed last and begin again. An App that GitHub made without being connected can be deleted there.",
                    status=403,
                )
            try:
                app = await register(server, code, self._place.connection)
            except Outage as error:
                text = f"{error}. Load this page again in a moment: the code stays valid for an hour."
                return message("GitHub does not answer", text, status=503)
            except UserError as error:
                self._states.pop(state)
                return message("GitHub did not register the App", f"{error} Begin again at /setup.", status=400)
            self._states.clear()
            return await self._connect(app, server)

    async def _connect(self, app: RegisteredApp, server: GitHubServer) -> Response:
        """Stores the secrets and starts the server; sends the person to install the App."""
        self._app, self._settings = app, variables(app, server, public=self._place.public)
        install, trouble = f"{app.html_url}/installations/new", ""
        try:
            store(self._settings, self._place.file)
        except OSError as error:
            trouble = f"The secrets could not be stored in {self._place.file}: {error.strerror or error}."
            log.error("the App's secrets are not stored", file=str(self._place.file), reason=error.strerror)  # noqa: TRY400
        try:
            self._connected = await self._activate(self._settings)
        except (AssistantError, OSError) as error:
            log.error("the server does not start", reason=str(error))  # noqa: TRY400 - the reason is enough
            trouble += f" The server does not start: {error}. Correct this and start it again."
        self._ends = self._clock() + MINUTES * 60
        log.info("App registered", app=app.slug, id=app.id, stored=not trouble)
        if trouble:
            return self._settings_page(trouble.strip(), install)
        return RedirectResponse(install, 303)

    async def _show_settings(self, request: Request) -> Response:
        """GET /setup/settings: what to copy where no disk lasts"""
        if not self._knows(request) or self._app is None:
            return message("Nothing here", "There are no settings to show.", status=404)
        return self._settings_page("", f"{self._app.html_url}/installations/new")

    def _settings_page(self, trouble: str, install: str) -> Response:
        lines = as_lines(self._settings)
        return page("setup_settings.html", trouble=trouble, lines=lines, install=install)

    async def _show_installation(self, connected: ConnectedServer) -> Response:
        """Waits for the installation; then shows what the App sees and offers the first review."""
        found, wrong = _Installed((), None), ""
        try:
            found = await _look(connected.installations)
        except (Retryable, Refused) as error:
            wrong = f"GitHub does not answer now ({error}). This page tries again."
        self._chosen = found.newest
        return page(
            "setup_installed.html" if found.repositories else "setup_waiting.html",
            install=f"{self._app.html_url}/installations/new" if self._app else "",
            repositories=[one.repo for one in found.repositories],
            newest=str(found.newest.ref) if found.newest else "",
            proof=self._proof,
            wrong=wrong,
            public=self._place.public,
        )

    async def _review(self, request: Request) -> Response:
        """POST /setup/review: starts the first review and ends set-up"""
        if not self._knows(request) or self._connected is None or self._app is None:
            return message("Nothing here", "Open /setup first.", status=403)
        form = await _form(request)
        if not _equal(form.get("proof", ""), self._proof):
            return message("Nothing here", "Open /setup first.", status=403)
        self._ends = self._clock()
        pull = self._chosen
        if pull is None or form.get("end"):
            return message(
                "Set-up is over", "Each pull request that is opened or pushed to is reviewed from now on.", status=200
            )
        name = f"setup/{pull.ref.repo_id}/{pull.ref.number}/{pull.head_sha}"
        await self._connected.submit(Job(name, pull.ref, Trigger.SET_UP, pull.head_sha))
        pages = self._app.html_url.partition("/apps/")[0].partition("/github-apps/")[0]
        return page("setup_started.html", pull=str(pull.ref), address=f"{pages}/{pull.ref.repo}/pull/{pull.ref.number}")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a short form; of a long one those at its beginning."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _FORM:
            break
    return dict(parse_qsl(body[:_FORM].decode(errors="replace")))


def _equal(known: str, given: str) -> bool:
    return hmac.compare_digest(known.encode(), given.encode())


async def _look(view: Installations) -> _Installed:
    """What the App sees on GitHub. Drafts are not chosen: their authors do not want a review yet."""
    repositories: list[PullRef] = []
    for installation in (await view.installations())[:_INSTALLATIONS]:
        if not installation.suspended:
            repositories += (await view.repositories(installation.id))[:_REPOSITORIES]
    pulls = [pull for one in repositories for pull in await view.open_pulls(one) if not pull.draft]
    return _Installed(repositories, max(pulls, key=lambda pull: pull.created, default=None))


async def _waiting(_: Request) -> Response:
    """GET /: that this server waits for its set-up"""
    return message(
        "This server waits for its set-up",
        "The person who started it finds a link in its output, and opens it.",
        status=200,
    )


async def _alive(_: Request) -> Response:
    """GET /livez and /readyz: the server can do what it is there for now, which is set-up"""
    return JSONResponse({"status": "ok", "waits for": "set-up"})

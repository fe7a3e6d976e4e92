"""Who may look: people of this machine with the key that the server prints, or people who sign in with GitHub.

Sessions are encrypted cookies: the server keeps none, so that any of several processes answers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from cachetools import TTLCache
from cryptography.fernet import Fernet, InvalidToken
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.errors import Forbidden, Outage
from bot.web.dashboard import Viewer
from bot.web.oauth import GitHubSignIn, ReadableRepositories, SignedInPerson
from bot.web.pages import message, routes, security_headers

log = structlog.get_logger()

SESSION, SIGN_IN = 8 * 3600, 600
"""Seconds that a session lasts at most, and that a sign-in may take."""
_REMEMBERED, _PEOPLE = 300, 1_000
"""Seconds for which what a person may read is not asked again, and for how many people it is remembered."""
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_PAGES = re.compile(r"/(dashboard|reviews(/[0-9a-f]{16})?)(\?[\w=&.%:+~-]*)?", re.ASCII)
_MANY = "You may read more repositories than GitHub lists for us: some are missing here."


def derived_key(secret: str, purpose: str) -> bytes:
    """Returns a key for one purpose from the App's private key, the same in every process."""
    return hmac.new(secret.encode(), f"assistant {purpose}".encode(), hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class LocalDoor:
    """Lets in who is on this machine and has the key. `key` is in the link that the server prints at its start."""

    key: str = field(repr=False)

    @classmethod
    def of(cls, secret: str) -> LocalDoor:
        """The door whose key follows from the App's private key."""
        return cls(derived_key(secret, "local dashboard").hex()[:32])

    def routes(self) -> list[Route]:
        """The way in."""
        return routes({"/auth/local": self.enter})

    async def enter(self, request: Request) -> Response:
        """GET /auth/local?key=…: keeps the key in a cookie."""
        if not _is_local(request) or not _same(request.query_params.get("key", ""), self.key):
            return _no_key()
        answer = _to("/dashboard")
        answer.set_cookie("assistant-key", self.key, max_age=SESSION, httponly=True, samesite="strict")
        return answer

    async def __call__(self, request: Request) -> Viewer | Response:
        """The operator, or a page that says how to get in."""
        if _is_local(request) and _same(request.cookies.get("assistant-key", ""), self.key):
            return Viewer("this machine", None)
        return _no_key()


def _is_local(request: Request) -> bool:
    """Whether a request comes from this machine, to a name of this machine, and through no proxy that says so."""
    try:
        near = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
    name = urlsplit(f"//{request.headers.get('host', '')}").hostname
    return near and name in {"127.0.0.1", "localhost", "::1"} and not any(one in request.headers for one in _FORWARDED)


def _no_key() -> Response:
    text = (
        "The dashboard opens on this machine only, with the link that the server logs at its start. To open it for a "
        "team, set ASSISTANT_DASHBOARD=github."
    )
    return message("The dashboard is closed", text, status=403)


class GitHubDoor:
    """Lets in who signs in with GitHub; each person sees the repositories that this person may read there.

    `address` is the public address of this server. The people in `admins` (logins) and the one with the id that `owner`
    returns see everything.
    """

    def __init__(
        self, sign_in: GitHubSignIn, address: str, secret: str, admins: frozenset[str], owner: Callable[[], int]
    ) -> None:
        self._sign_in, self._address = sign_in, address.rstrip("/")
        self._admins, self._owner = admins, owner
        self._box = Fernet(base64.urlsafe_b64encode(derived_key(secret, "sessions")))
        self._secure = address.startswith("https:")
        self._cookie = "__Host-assistant" if self._secure else "assistant"
        self._readable: TTLCache[str, ReadableRepositories] = TTLCache(_PEOPLE, _REMEMBERED)

    def routes(self) -> list[Route]:
        """The way in and out."""
        pages = {"/auth/login": self.login, "/auth/callback": self.callback, "/auth/bye": self.bye}
        return [*routes(pages), *routes({"/auth/logout": self.logout}, methods=["POST"])]

    async def __call__(self, request: Request) -> Viewer | Response:
        """The person who signed in; otherwise the way to GitHub and back."""
        person = self._person(request)
        if person is None:
            return self._ask(request)
        try:
            readable = await self._repositories(person.token)
        except Forbidden:
            return self._ask(request)
        except Outage as error:
            return message("GitHub does not answer", f"{error}. Try again in a minute.", status=503)
        return self._viewer(person, readable)

    async def login(self, request: Request) -> Response:
        """GET /auth/login: goes to GitHub, with a state and a PKCE challenge of this browser only."""
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        wanted = request.query_params.get("next", "")
        kept = {"state": state, "verifier": verifier, "next": wanted if _PAGES.fullmatch(wanted) else "/dashboard"}
        answer = _to(self._sign_in.address(self._redirect, state, verifier))
        self._keep(answer, f"{self._cookie}-state", kept, SIGN_IN)
        return answer

    async def callback(self, request: Request) -> Response:
        """GET /auth/callback?code=…&state=…: the session begins, and the page that was asked for is shown."""
        kept = self._read(request, f"{self._cookie}-state", SIGN_IN)
        if kept is None or not _same(request.query_params.get("state", ""), kept["state"]):
            text = "This sign-in was not started in this browser, or took longer than ten minutes. Start it again."
            return message("Sign in again", text, status=400)
        try:
            code = request.query_params.get("code", "")
            person = await self._sign_in.person(code, self._redirect, kept["verifier"])
            await self._repositories(person.token)
        except (Forbidden, Outage) as error:
            log.warning("a sign-in failed", reason=str(error))
            return message("The sign-in failed", f"{error}. Start it again at /dashboard.", status=403)
        answer = _to(kept["next"])
        answer.delete_cookie(f"{self._cookie}-state", secure=self._secure, httponly=True)
        self._keep(answer, self._cookie, asdict(person), SESSION)
        return answer

    async def logout(self, request: Request) -> Response:
        """POST /auth/logout: the session ends, here and at GitHub."""
        person = self._person(request)
        if person is not None:
            self._readable.pop(person.token, None)
            with suppress(Forbidden, Outage):  # the token ends by itself within hours
                await self._sign_in.revoke(person.token)
        answer = _to("/auth/bye")
        answer.delete_cookie(self._cookie, secure=self._secure, httponly=True)
        return answer

    async def bye(self, _: Request) -> Response:
        """GET /auth/bye"""
        return message("Signed out", "The session has ended. Open /dashboard to sign in again.", status=200)

    @property
    def _redirect(self) -> str:
        return f"{self._address}/auth/callback"

    def _viewer(self, person: SignedInPerson, readable: ReadableRepositories) -> Viewer:
        if person.login.lower() in self._admins or person.id == self._owner():
            return Viewer(person.login, None, signed_in=True)
        notice = "" if readable.complete else _MANY
        if not readable.ids:
            notice = "The App is not installed on a repository that you may read."
        return Viewer(person.login, tuple(sorted(readable.ids)), signed_in=True, notice=notice)

    async def _repositories(self, token: str) -> ReadableRepositories:
        known = self._readable.get(token)
        if known is None:
            known = self._readable[token] = await self._sign_in.repositories(token)
        return known

    def _person(self, request: Request) -> SignedInPerson | None:
        kept = self._read(request, self._cookie, SESSION)
        person = SignedInPerson(**kept) if kept else None
        return person if person and person.expires > time.time() else None

    def _ask(self, request: Request) -> Response:
        asked = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        return _to(f"/auth/login?next={quote(asked, safe='')}")

    def _keep(self, answer: Response, name: str, value: dict[str, Any], seconds: int) -> None:
        sealed = self._box.encrypt(json.dumps(value).encode()).decode()
        answer.set_cookie(name, sealed, max_age=seconds, httponly=True, samesite="lax", secure=self._secure)

    def _read(self, request: Request, name: str, seconds: int) -> dict[str, Any] | None:
        """What a cookie of ours holds; None if there is none, it is too old, or somebody else made it."""
        try:
            value = json.loads(self._box.decrypt(request.cookies.get(name, "").encode(), ttl=seconds))
        except InvalidToken:
            return None
        return value if isinstance(value, dict) else None


def _same(first: str, second: str) -> bool:
    return hmac.compare_digest(first.encode(), second.encode())


def _to(address: str) -> Response:
    return RedirectResponse(address, 302, headers=security_headers())

"""Sign-in with GitHub: who a person is, and which repositories of the App this person may read.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from bot.errors import Forbidden, Outage
from bot.hosts.github.transport import opened, web
from bot.interfaces import Connection

T = TypeVar("T", bound=BaseModel)

_PER_PAGE, _MOST_PAGES = 100, 50
"""Entries of a page, and pages that are read for one person: 5,000 repositories."""
_SECONDS = 10.0
_DAY = 8 * 3600.0
"""Seconds for which GitHub gives a token that expires."""


@dataclass(frozen=True, slots=True)
class SignedInPerson:
    """A person who signed in, with a token that reads as this person until `expires` (seconds since 1970)."""

    id: int
    login: str
    token: str = field(repr=False)
    expires: float


@dataclass(frozen=True, slots=True)
class ReadableRepositories:
    """The ids of the App's repositories that a person may read; `complete` unless there are too many to list."""

    ids: frozenset[int]
    complete: bool = True


class _TokenAnswer(BaseModel):
    access_token: str = ""
    expires_in: float = _DAY
    error: str = ""


class _UserAnswer(BaseModel):
    id: int
    login: str


class _Id(BaseModel):
    id: int


class _InstallationPage(BaseModel):
    installations: list[_Id]


class _RepositoryPage(BaseModel):
    repositories: list[_Id]


class GitHubSignIn:
    """GitHub's web flow with PKCE (RFC 7636), for the App with this client id and secret. `url` is the API's root."""

    def __init__(self, client: tuple[str, str], url: str, connection: Connection) -> None:
        self._id, self._secret = client
        self._api = httpx.URL(url)
        self._web = web(self._api)
        self._connection = connection

    def address(self, redirect: str, state: str, verifier: str) -> str:
        """Returns the address at which a person signs in. GitHub sends the person back to `redirect` with `state`."""
        asked = {
            "client_id": self._id,
            "redirect_uri": redirect,
            "state": state,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{self._web.copy_with(path='/login/oauth/authorize')}?{urlencode(asked)}"

    async def person(self, code: str, redirect: str, verifier: str) -> SignedInPerson:
        """Exchanges the code of a person who came back. Raises Forbidden for a code that is not good, and Outage."""
        asked = {
            "client_id": self._id,
            "client_secret": self._secret,
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }
        url = self._web.copy_with(path="/login/oauth/access_token")
        answer = await self._read(httpx.Request("POST", url, data=asked), _TokenAnswer)
        if not answer.access_token:
            raise Forbidden(f"GitHub does not accept the sign-in ({answer.error[:60] or 'no token'})")
        user = await self._get("/user", answer.access_token, _UserAnswer)
        return SignedInPerson(user.id, user.login, answer.access_token, time.time() + answer.expires_in)

    async def repositories(self, token: str) -> ReadableRepositories:
        """Returns what the person of a token may read of the App's repositories. Raises Forbidden if it has expired."""
        found: set[int] = set()
        pages = 0
        installations: list[int] = []
        while pages < _MOST_PAGES:
            pages += 1
            at = f"/user/installations?per_page={_PER_PAGE}&page={pages}"
            part = (await self._get(at, token, _InstallationPage)).installations
            installations += [one.id for one in part]
            if len(part) < _PER_PAGE:
                break
        for installation in installations:
            page = 0
            while True:
                if pages >= _MOST_PAGES:
                    return ReadableRepositories(frozenset(found), complete=False)
                page, pages = page + 1, pages + 1
                at = f"/user/installations/{installation}/repositories?per_page={_PER_PAGE}&page={page}"
                some = (await self._get(at, token, _RepositoryPage)).repositories
                found |= {one.id for one in some}
                if len(some) < _PER_PAGE:
                    break
        return ReadableRepositories(frozenset(found))

    async def revoke(self, token: str) -> None:
        """Ends a token. Raises Forbidden or Outage if GitHub does not do that now."""
        url = f"{str(self._api).rstrip('/')}/applications/{self._id}/token"
        basic = base64.b64encode(f"{self._id}:{self._secret}".encode()).decode()
        request = httpx.Request(
            "DELETE", url, json={"access_token": token}, headers={"Authorization": f"Basic {basic}"}
        )
        await self._send(request)

    async def _get(self, at: str, token: str, kind: type[T]) -> T:
        headers: Mapping[str, str] = {"Authorization": f"Bearer {token}"}
        request = httpx.Request("GET", f"{str(self._api).rstrip('/')}{at}", headers=headers)
        return await self._read(request, kind)

    async def _read(self, request: httpx.Request, kind: type[T]) -> T:
        response = await self._send(request)
        try:
            return TypeAdapter(kind).validate_json(response.content)
        except ValidationError:
            raise Outage("GitHub's answer to the sign-in is not what it documents") from None

    async def _send(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept"] = "application/json"
        try:
            async with httpx.AsyncClient(transport=opened(self._connection), timeout=_SECONDS) as client:
                response = await client.send(request)
        except httpx.HTTPError as error:
            raise Outage(f"GitHub cannot be reached to sign in ({type(error).__name__})") from error
        if response.is_client_error:
            raise Forbidden(f"GitHub refuses the sign-in (status {response.status_code})")
        if not response.is_success:
            raise Outage(f"GitHub fails to sign in (status {response.status_code})")
        return response


def challenge(verifier: str) -> str:
    """Returns the S256 challenge of a PKCE verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()

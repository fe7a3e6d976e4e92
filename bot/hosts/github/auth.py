"""Credentials for GitHub: the App's JWT, and installation tokens with the least permissions.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import jwt
from cachetools import LRUCache
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import RSAAlgorithm

from bot.core.code.pull_request import PullRef
from bot.errors import ConfigurationError, NotFound
from bot.hosts.github.refusals import Unauthorized
from bot.hosts.github.transport import PerLoop

# The least permissions for reading, for posting and for resolving threads; app.yml grants no more.
READ = (("contents", "read"), ("issues", "read"), ("metadata", "read"), ("pull_requests", "read"))
WRITE = (("checks", "write"), ("metadata", "read"), ("pull_requests", "write"))
RESOLVE = (("contents", "write"), ("metadata", "read"), ("pull_requests", "write"))
REPORTS = (
    ("actions", "read"),
    ("contents", "read"),
    ("metadata", "read"),
    ("pull_requests", "read"),
    ("security_events", "read"),
)
"""For repositories whose policy has the key `sarif`."""

METADATA = (("metadata", "read"),)

JWT_SECONDS = 9 * 60
JWT_BACKDATED = 60
EARLY = 60.0  # seconds before its expiry at which a credential counts as expired
REMEMBERED = 4096
_NO_KEY = (
    "the private key of the GitHub App is not an RSA key in PEM form without a passphrase; GitHub makes one under "
    "App settings > Private keys"
)


@dataclass(frozen=True, slots=True)
class GitHubApp:
    """The GitHub App: its id or client id, and its private key as PEM."""

    id: str
    private_key: str = field(repr=False)

    def checked(self) -> GitHubApp:
        """This App. Raises ConfigurationError if its private key cannot sign."""
        _signing_key(self.private_key)
        return self

    def spellings(self) -> tuple[bytes, ...]:
        """The key in the spellings that PEM has for it: the same for every spelling that was given, PKCS#1 first."""
        key = _signing_key(self.private_key)
        forms = (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8)
        plain = [key.private_bytes(Encoding.PEM, form, NoEncryption()).strip() for form in forms]
        return (*plain, *(pem.replace(b"\n", b"\r\n") for pem in plain))


@dataclass(frozen=True, slots=True)
class Grant:
    """The permissions of a token in one repository, or, without `repo`, in all repositories of the installation."""

    installation: int
    repo: str
    repo_id: int
    permissions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, ref: PullRef, permissions: tuple[tuple[str, str], ...]) -> Grant:
        """`permissions` in the repository of `ref`."""
        return cls(ref.installation, ref.repo, ref.repo_id, permissions)

    @property
    def body(self) -> dict[str, Any]:
        """The request body that creates exactly such a token."""
        name = self.repo.partition("/")[2]
        if not name:
            return {"permissions": dict(self.permissions)}
        where = {"repository_ids": [self.repo_id]} if self.repo_id else {"repositories": [name]}
        return {**where, "permissions": dict(self.permissions)}


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A token and its expiry. `repr` never shows the token."""

    token: str = field(repr=False)
    expires_at: datetime


Exchange = Callable[[str, int, Mapping[str, Any]], Awaitable[MintedToken]]


class Tokens:
    """Credentials, minted when needed and kept until a minute before they expire: one request per grant at a time.

    `exchange` sends (JWT, installation, body) to GitHub; `clock` is seconds since 1970. If GitHub refuses the
    JWT because our clock is wrong, its `Date` header corrects the clock.
    """

    def __init__(self, app: GitHubApp, exchange: Exchange, clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._exchange = exchange
        self._clock = clock
        self.offset = 0.0
        self._jwt = ("", 0.0)
        self._minted: LRUCache[Grant, MintedToken] = LRUCache(REMEMBERED)
        self._locks: PerLoop[WeakValueDictionary[Grant, asyncio.Lock]] = PerLoop(WeakValueDictionary)

    async def token(self, grant: Grant) -> str:
        """Returns a token for `grant`. Raises NotFound without an installation, and what minting raises."""
        if not grant.installation:
            raise NotFound(f"{grant.repo} came without an installation of this App")
        locks = self._locks()
        lock = locks.setdefault(grant, asyncio.Lock())
        async with lock:
            kept = self._minted.get(grant)
            if kept is None or kept.expires_at.timestamp() - EARLY <= self._now():
                kept = self._minted[grant] = await self._mint(grant)
            return kept.token

    def forget(self, grant: Grant, token: str) -> None:
        """Drops a token that GitHub refused, so that the next caller gets a new one."""
        kept = self._minted.get(grant)
        if kept is not None and kept.token == token:
            del self._minted[grant]

    def app_token(self) -> str:
        """Returns the JWT that authenticates the App itself. Raises ConfigurationError if the private key cannot sign."""
        token, expires = self._jwt
        now = self._now()
        if now < expires - EARLY:
            return token
        expires = int(now) + JWT_SECONDS
        claims = {"iat": int(now) - JWT_BACKDATED, "exp": expires, "iss": self._app.id}
        token = jwt.encode(claims, _signing_key(self._app.private_key), algorithm="RS256")
        self._jwt = (token, float(expires))
        return token

    def correct(self, date: float | None) -> bool:
        """Corrects our clock by GitHub's; returns whether it changed."""
        offset = 0.0 if date is None else date - self._clock()
        if date is None or abs(offset - self.offset) < EARLY / 2:
            return False
        self.offset = offset
        self._jwt = ("", 0.0)
        return True

    async def _mint(self, grant: Grant) -> MintedToken:
        try:
            return await self._exchange(self.app_token(), grant.installation, grant.body)
        except Unauthorized as refused:
            if not self.correct(refused.date):
                raise
        return await self._exchange(self.app_token(), grant.installation, grant.body)

    def _now(self) -> float:
        return self._clock() + self.offset


@dataclass(frozen=True, slots=True)
class GivenToken:
    """In place of `Tokens`: one token that another program minted, such as GITHUB_TOKEN of GitHub Actions."""

    text: str = field(repr=False)
    offset: float = 0.0

    async def token(self, grant: Grant) -> str:
        """Returns the token for every grant: the program that minted it chose its permissions."""
        return self.text

    def forget(self, grant: Grant, token: str) -> None:
        """Does nothing: there is no other token."""

    def app_token(self) -> str:
        """Returns the token."""
        return self.text

    def correct(self, date: float | None) -> bool:
        """Returns False: a clock cannot make this token valid."""
        return False


@lru_cache(maxsize=8)
def _signing_key(pem: str) -> RSAPrivateKey:
    """Returns the key in `pem`. Raises ConfigurationError if it is not an RSA key.

    Reading and checking a key takes about 30 ms, far more than signing with it.
    """
    try:
        key = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem)
    except (jwt.PyJWTError, ValueError, TypeError) as error:  # among them a key with a passphrase
        raise ConfigurationError(_NO_KEY) from error
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(_NO_KEY)
    return key

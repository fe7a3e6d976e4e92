"""Authentication: the App by a signed JWT, or one of its installations by a token with limited permissions.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.sandbox.world.rules import Rejected
from bot.sandbox.world.state import Installation, Repository, Token, World
from bot.sandbox.world.traffic import Window

HOUR = 3600
LONGEST = 600  # seconds a JWT may live
TOKEN_LENGTH = 520  # installation tokens are that long since 2026-04
LEVELS = ("none", "read", "write", "admin")
FORBIDDEN = "Resource not accessible by integration"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An RSA key in PEM: the private half as GitHub lets one download it (PKCS#1)."""

    private: str
    public: str


@cache
def key_pair() -> KeyPair:
    """The App's key, made once per process: making one takes a good part of a second."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private.decode(), public.decode())


def bearer(authorization: str | None) -> str:
    """The credential of an Authorization header."""
    scheme, _, credential = (authorization or "").partition(" ")
    if not credential:
        raise Rejected(401, "Requires authentication")
    if scheme.lower() not in ("bearer", "token"):
        raise Rejected(401, "Bad credentials")
    return credential.strip()


def check_jwt(world: World, text: str) -> None:
    """Checks that the caller is the App. Raises a 401 otherwise."""
    try:
        claims = jwt.decode(
            text, world.app.public_key, algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
        )
    except jwt.PyJWTError as error:
        raise Rejected(401, "A JSON web token could not be decoded") from error
    now = world.clock()
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(expires, int) or expires <= now:
        raise Rejected(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the "
            "assertion expires",
        )
    if expires > now + LONGEST + 1:
        raise Rejected(401, "'Expiration time' claim ('exp') is too far in the future")
    if not isinstance(issued, int) or issued > now + 1:
        raise Rejected(
            401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        )
    if str(claims.get("iss")) not in (str(world.app.id), f"Iv23sandbox{world.app.id}"):
        raise Rejected(404, "Integration not found")


def mint(world: World, installation: Installation, wish: Mapping[str, Any]) -> Token:
    """A token for an hour, narrowed to the repositories and permissions that were asked for."""
    number = world.next_id()
    token = Token(
        text=_secret(world.app.id, number),
        installation=installation,
        repositories=_repositories(world, installation, wish),
        permissions=_permissions(installation, wish.get("permissions")),
        expires=world.clock() + HOUR,
    )
    world.tokens[token.text] = token
    return token


def _repositories(world: World, installation: Installation, wish: Mapping[str, Any]) -> frozenset[int]:
    seen = {repo.id: repo for repo in world.repositories.values() if repo.id in installation.repositories}
    names = {name.lower() for name in wish.get("repositories") or ()}
    ids = set(wish.get("repository_ids") or ())
    if not names and not ids:
        return frozenset(seen)
    chosen = {number for number, repo in seen.items() if number in ids or repo.name.lower() in names}
    if len(chosen) < len(ids) or not names <= {seen[number].name.lower() for number in chosen}:
        raise Rejected(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    return frozenset(chosen)


def _permissions(installation: Installation, wish: Mapping[str, str] | None) -> Mapping[str, str]:
    granted = installation.permissions
    if not wish:
        return dict(granted)
    if any(LEVELS.index(granted.get(name, "none")) < _level(level) for name, level in wish.items()):
        raise Rejected(422, "The permissions requested are not granted to this installation.")
    return {"metadata": "read"} | dict(wish)


def _level(word: str) -> int:
    if word not in LEVELS[1:]:
        raise Rejected(422, f'Invalid request.\n\n"{word}" is not a permission level.')
    return LEVELS.index(word)


def _secret(app: int, number: int) -> str:
    seed = hashlib.shake_256(f"{app}/{number}".encode()).digest(TOKEN_LENGTH)
    return f"ghs_{app}_{base64.urlsafe_b64encode(seed).decode()}"[:TOKEN_LENGTH]


def authenticate(world: World, text: str) -> Token:
    """The token behind a credential that is still good."""
    token = world.tokens.get(text)
    if token is None or token.expires <= world.clock():
        raise Rejected(401, "Bad credentials")
    if token.installation.suspended:
        raise Rejected(403, "This installation has been suspended")
    return token


def authorize(token: Token, repository: Repository, needs: Iterable[str], method: str) -> None:
    """Refuse a token that may not do what it asks. `needs` are alternatives like "issues:read".

    What it does not see is 404; a public repository can be read by every token, as on GitHub.
    """
    needs = tuple(needs)
    if repository.id not in token.repositories:
        if repository.private:
            raise Rejected(404, "Not Found")
        if method == "GET":
            return
        raise Rejected(403, FORBIDDEN)
    if repository.archived and method != "GET":
        raise Rejected(403, "Repository was archived so is read-only.")
    if needs and not any(may(token, need) for need in needs):
        accepted = "; ".join(need.replace(":", "=") for need in needs)
        raise Rejected(403, FORBIDDEN, headers={"X-Accepted-GitHub-Permissions": accepted})


def may(token: Token, need: str) -> bool:
    """Whether the token carries a permission like "contents:write"."""
    name, _, level = need.partition(":")
    return LEVELS.index(token.permissions.get(name, "none")) >= LEVELS.index(level)


def spend(world: World, token: Token) -> dict[str, str]:
    """Count a request against the hour's primary limit; the headers that say so. Raises 403 when it is used up."""
    now = world.clock()
    window = world.windows.get(token.installation.id)
    if window is None or window.reset <= now:
        window = world.windows[token.installation.id] = Window(now + HOUR)
    window.used += 1
    remaining = max(0, world.rate_limit - window.used)
    headers = {
        "x-ratelimit-limit": str(world.rate_limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-used": str(min(window.used, world.rate_limit)),
        "x-ratelimit-reset": str(int(window.reset)),
        "x-ratelimit-resource": "core",
    }
    if window.used > world.rate_limit:
        raise Rejected(403, f"API rate limit exceeded for installation ID {token.installation.id}.", headers=headers)
    return headers

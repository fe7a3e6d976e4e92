"""Registers a GitHub App from its manifest: the manifest, the exchange of GitHub's code, and the file of the secrets.

https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import yaml
from pydantic import BaseModel, Field, ValidationError

from bot.errors import Outage, UserError
from bot.hosts.github.transport import opened
from bot.interfaces import Connection

NO_ADDRESS = "https://no-address.invalid/webhooks/github"
"""The webhook's address of a server without a public one. GitHub wants one; names below .invalid never exist (RFC 6761)."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?", re.IGNORECASE)
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}")
_PLAIN = re.compile(r"[\w.:/+=@-]{1,500}", re.ASCII)
_PEM = re.compile(r"-----BEGIN [A-Z ]{1,40}-----[\sA-Za-z0-9+/=]{1,20000}-----END [A-Z ]{1,40}-----\s*")
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class GitHubServer:
    """A GitHub: the address of its pages and the root of its API, both without a slash at the end."""

    pages: str
    api: str

    @classmethod
    def of_api(cls, api: str) -> GitHubServer:
        """The server whose API is at `api`: https://api.github.com or https://HOST/api/v3."""
        parts = urlsplit(api)
        host = parts.netloc if parts.path.strip("/") else parts.netloc.removeprefix("api.")
        return cls(f"{parts.scheme}://{host}", api.rstrip("/"))

    @classmethod
    def named(cls, address: str) -> GitHubServer:
        """The server that a person calls `address`: a host name, or https:// and a host name. Raises UserError."""
        host = address.strip().removeprefix("https://").rstrip("/").lower()
        if not _HOST.fullmatch(host):
            raise UserError("The address of a GitHub server is a host name, such as github.my-company.com.")
        cloud = host.removeprefix("www.").removeprefix("api.")
        if cloud == "github.com" or cloud.endswith(".ghe.com"):
            return cls(f"https://{cloud}", f"https://api.{cloud}")
        return cls(f"https://{host}", f"https://{host}/api/v3")

    def registration(self, organisation: str, state: str) -> str:
        """The page that takes a manifest, for a person or an organisation. Raises UserError for a name that is none."""
        if organisation and not _ACCOUNT.fullmatch(organisation):
            raise UserError("The name of an organisation has letters, digits and hyphens only.")
        owner = f"/organizations/{organisation}" if organisation else ""
        return f"{self.pages}{owner}/settings/apps/new?state={quote(state)}"

    def owns(self, address: str) -> bool:
        """Whether an address is a page of this server."""
        mine, theirs = urlsplit(self.pages), urlsplit(address)
        return (mine.scheme, mine.netloc) == (theirs.scheme, theirs.netloc)


class RegisteredApp(BaseModel):
    """GitHub's answer to the code: the App and its secrets, which `repr` does not show."""

    id: int
    slug: str = Field(pattern=r"^[\w-]+$")
    html_url: str
    client_id: str = ""
    pem: str = Field(repr=False)
    webhook_secret: str = Field(repr=False)
    client_secret: str = Field("", repr=False)


def read_manifest(text: str) -> dict[str, Any]:
    """The contents of app.yml."""
    return dict(yaml.safe_load(text))


def manifest(app: Mapping[str, Any], base: str, *, public: bool) -> dict[str, Any]:
    """The manifest for GitHub: `app` (app.yml) with the addresses of the server at `base`, and a name that is free.

    `public` says whether GitHub reaches the server there.
    """
    return {
        **app,
        "name": f"{app['name']}-{secrets.token_hex(2)}",
        "url": base,
        "hook_attributes": {"url": f"{base}/webhooks/github" if public else NO_ADDRESS, "active": True},
        "redirect_url": f"{base}/setup/callback",
        "setup_url": f"{base}/setup",
        "callback_urls": [f"{base}/auth/callback"],
    }


async def register(server: GitHubServer, code: str, connection: Connection) -> RegisteredApp:
    """Exchanges GitHub's code for the App. Raises UserError if GitHub refuses it, and Outage if another try may succeed."""
    address = f"{server.api}/app-manifests/{quote(code, safe='')}/conversions"
    try:
        async with httpx.AsyncClient(transport=opened(connection), timeout=_SECONDS) as client:
            answer = await client.post(address, headers={"Accept": "application/vnd.github+json"})
    except httpx.HTTPError as error:
        raise Outage(f"{server.api} did not answer ({type(error).__name__})") from error
    if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Outage(f"{server.api} answered with the error {answer.status_code}")
    if answer.status_code != httpx.codes.CREATED:
        raise UserError(
            f"GitHub does not accept the code of this registration (error {answer.status_code}). A code is valid for an "
            "hour and works once."
        )
    try:
        app = RegisteredApp.model_validate_json(answer.content)
    except ValidationError:
        raise UserError(f"{server.api} did not answer with an App, so it is not GitHub's API.") from None
    plain = (app.client_id, app.client_secret, app.webhook_secret)
    if not server.owns(app.html_url) or not all(not one or _PLAIN.fullmatch(one) for one in plain):
        raise UserError(f"{server.api} answered with an App of another server, so nothing was stored.")
    if not app.webhook_secret or not _PEM.fullmatch(app.pem):
        raise UserError("GitHub sent no private key or no webhook secret. Delete the App on GitHub and begin again.")
    return app


def variables(app: RegisteredApp, server: GitHubServer, *, public: bool) -> dict[str, str]:
    """The settings of a server for this App, by variable; each value is one line."""
    settings = {
        "GITHUB_APP_ID": str(app.id),
        "GITHUB_PRIVATE_KEY": app.pem.strip().replace("\r", "").replace("\n", "\\n"),
        "GITHUB_WEBHOOK_SECRET": app.webhook_secret,
        "GITHUB_CLIENT_ID": app.client_id,
        "GITHUB_CLIENT_SECRET": app.client_secret,
        "GITHUB_API_URL": server.api,
    }
    return {name: value for name, value in settings.items() if value} | (
        {} if public else {"ASSISTANT_POLL_DELIVERIES": "true"}
    )


def as_lines(settings: Mapping[str, str]) -> str:
    """Settings as the lines of a .env file."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def store(settings: Mapping[str, str], file: Path) -> None:
    """Writes settings to a file that only its owner may read, all of it or nothing. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as opened_file:
            opened_file.write("# The GitHub App of this server, written by its set-up. It holds secrets.\n")
            opened_file.write(as_lines(settings))
            opened_file.flush()
            os.fsync(opened_file.fileno())
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def obstacle(file: Path) -> str:
    """Why `store` could not write this file now; empty if it can."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            return ""
    except OSError as error:
        return f"{file.parent} cannot be written: {error.strerror or error}"

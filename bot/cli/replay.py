"""Requests to a running server: replays a stored delivery, and asks whether the server is ready."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import httpx

from bot.errors import Refused, UserError
from bot.settings import Settings


def replay(settings: Settings, file: Path, url: str, event: str) -> str:
    """Send a stored delivery, signed with our secret; returns the server's answer. Raises Refused for an error status."""
    headers, body = _stored(file, event, settings.github_app_id)
    secrets = settings.webhook_secrets
    if not secrets:
        raise UserError("GITHUB_WEBHOOK_SECRET is not set: the delivery cannot be signed")
    headers["x-hub-signature-256"] = "sha256=" + hmac.new(secrets[0], body, hashlib.sha256).hexdigest()
    try:
        answer = httpx.post(f"{url.rstrip('/')}/webhooks/github", content=body, headers=headers, timeout=30)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refused(f"{url} does not answer: {error}") from error
    said = f"{answer.status_code} {answer.text}"
    if not answer.is_success:
        raise Refused(f"{url} answered {said}")
    return said


def _stored(file: Path, event: str, app: str) -> tuple[dict[str, str], bytes]:
    """Reads a delivery as GitHub shows it ({"request": {"headers", "payload"}}), as {"headers", "payload"}, or a payload alone."""
    try:
        stored = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is not a stored delivery: {error}") from error
    if not isinstance(stored, dict):
        raise UserError(f"{file} is not a stored delivery: it does not hold a JSON object")
    inner = stored.get("request", stored)
    known = inner.get("headers") if isinstance(inner, dict) else None
    payload = inner["payload"] if isinstance(inner, dict) and "payload" in inner else stored
    headers = {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": str(uuid4()),
        "x-github-hook-installation-target-id": app if app.isdecimal() else "",
    }
    if isinstance(known, Mapping):
        wanted = ("x-github-event", "x-github-delivery", "x-github-hook-installation-target-id")
        headers |= {name.lower(): str(value) for name, value in known.items() if name.lower() in wanted}
    if not "".join(headers.values()).isascii():
        raise UserError(f"{file} is not a stored delivery: one of its headers is not ASCII")
    return headers, payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()


def healthy(settings: Settings, *, live: bool = False) -> bool:
    """Returns whether the server on this machine is ready; with `live` only whether it answers."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    try:
        return httpx.get(f"http://{host}:{settings.port}/{'livez' if live else 'readyz'}", timeout=5).is_success
    except httpx.HTTPError:
        return False

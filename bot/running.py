"""The long-running verbs: serve, work, replay, and the question whether a server is well."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from socket import create_server
from socket import socket as Socket  # noqa: N812 - a class, in spite of its name
from typing import Any
from uuid import uuid4

import httpx
import structlog
import uvicorn

from bot.app import App, build
from bot.errors import Refused, UserError
from bot.logs import configure
from bot.server import serve as application
from bot.settings import Settings, unknown_variables

log = structlog.get_logger()


def serve(settings: Settings, *, work: bool) -> None:
    """Receive deliveries until SIGTERM; with `work`, do the jobs too. The engine starts before the web server."""
    configure()
    app = _started(settings, work=work)
    try:
        uvicorn.run(http(app), host=settings.host, port=settings.port, log_config=None, access_log=False)
    finally:
        app.stop()


def work(settings: Settings) -> None:
    """Do jobs until SIGTERM."""
    configure()
    app = _started(settings, work=True)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    done.wait()
    app.stop()


def http(app: App) -> Any:  # noqa: ANN401 - an ASGI application; its class belongs to the server
    """The ASGI application of an app."""
    return application(app.engine, app.settings.webhook_secrets, app.ready)


def _started(settings: Settings, *, work: bool) -> App:
    for sentence in unknown_variables():
        log.warning(sentence)
    app = build(settings)
    app.start(work=work)
    log.info("started", worker=work, model=settings.model_api, github=settings.github_api_url)
    return app


class Server(uvicorn.Server):
    """A web server beside others in one event loop, on a socket that is bound already; signals are the caller's."""

    def __init__(self, asgi: Any, socket: Socket) -> None:  # noqa: ANN401 - an ASGI application
        super().__init__(uvicorn.Config(asgi, log_config=None, access_log=False, lifespan="off"))
        self._socket = socket

    async def run_here(self) -> None:
        """Serve until `should_exit`."""
        await self.serve(sockets=[self._socket])

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        """Leave signals alone."""
        return nullcontext()


def listen() -> tuple[Socket, str]:
    """A socket on a free port of this machine, and its URL."""
    bound = create_server(("127.0.0.1", 0))
    return bound, f"http://127.0.0.1:{bound.getsockname()[1]}"


def replay(settings: Settings, file: Path, url: str, event: str) -> str:
    """Send a stored delivery, signed with our own secret; what the server answered."""
    headers, body = _stored(file, event)
    secrets = settings.webhook_secrets
    if not secrets:
        raise UserError("GITHUB_WEBHOOK_SECRET is not set: the delivery cannot be signed")
    headers["x-hub-signature-256"] = "sha256=" + hmac.new(secrets[0], body, hashlib.sha256).hexdigest()
    try:
        answer = httpx.post(f"{url.rstrip('/')}/webhooks/github", content=body, headers=headers, timeout=30)
    except httpx.HTTPError as error:
        raise Refused(f"{url} does not answer: {error}") from error
    return f"{answer.status_code} {answer.text}"


def _stored(file: Path, event: str) -> tuple[dict[str, str], bytes]:
    """A delivery as GitHub shows it ({"request": {"headers", "payload"}}), as {"headers", "payload"}, or a bare payload."""
    try:
        stored = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is not a stored delivery: {error}") from error
    if not isinstance(stored, dict):
        raise UserError(f"{file} is not a stored delivery: it holds no JSON object")
    inner = stored.get("request", stored)
    known = inner.get("headers") if isinstance(inner, dict) else None
    payload = inner["payload"] if isinstance(inner, dict) and "payload" in inner else stored
    headers = {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": str(uuid4()),
    }
    if isinstance(known, Mapping):
        wanted = ("x-github-event", "x-github-delivery", "x-github-hook-installation-target-id")
        headers |= {name.lower(): str(value) for name, value in known.items() if name.lower() in wanted}
    return headers, payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()


def healthy(settings: Settings) -> bool:
    """Whether the server on this machine says that it is ready."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    try:
        return httpx.get(f"http://{host}:{settings.port}/readyz", timeout=5).is_success
    except httpx.HTTPError:
        return False

"""`assistant serve` and `assistant work`: run until SIGTERM."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from socket import AF_INET, IPPROTO_TCP, SOCK_STREAM
from socket import socket as Socket  # noqa: N812 - a class, in spite of its name
from typing import Any

import structlog
import uvicorn
from pydantic import SecretStr

from bot.app import App, build
from bot.cli.doctor import Health, examine_locally
from bot.cli.progress import configure
from bot.errors import ConfigurationError
from bot.interfaces import Connection
from bot.server import bounded_protocol
from bot.server import serve as application
from bot.settings import Settings
from bot.storage.figures import Figures
from bot.storage.runs import RunLog
from bot.web.dashboard import Dashboard
from bot.web.oauth import GitHubSignIn
from bot.web.pages import front
from bot.web.session import GitHubDoor, LocalDoor

log = structlog.get_logger()

_GRACE = 5
"""Seconds that open requests have to end after SIGTERM."""


def serve(settings: Settings, *, work: bool) -> None:
    """Receive deliveries until SIGTERM; with `work`, do the jobs too. The engine starts before the web server."""
    with _started(settings, work=work) as app:
        uvicorn.run(
            http(app),
            http=bounded_protocol(),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE,
        )


def work(settings: Settings, metrics_port: int | None = None) -> None:
    """Do jobs until SIGTERM. Serves `/metrics` at HOST on a port of its own, if one is given."""
    with _started(settings, work=True) as app:
        if metrics_port is not None:
            app.telemetry.metrics.serve(settings.host, metrics_port)
        threading.Event().wait()


def http(app: App) -> Any:  # noqa: ANN401 - an ASGI application; its class belongs to the server
    """The ASGI application of an app: the webhook, health and metrics, and the pages for people."""
    app_id = app.settings.github_app_id
    server = application(
        app.telemetry.engine(app.engine),
        app.settings.webhook_secrets,
        app.ready,
        app=app_id if app_id.isdecimal() else "",
        name=lambda: app.client.name,
        metrics=app.telemetry.metrics,
    )
    server.router.routes.extend([*front(), *_dashboard(app)])
    return server


def _dashboard(app: App) -> list[Any]:
    """The routes of the dashboard, behind the door that the settings name. Raises ConfigurationError."""
    settings, client = app.settings, app.client
    if settings.assistant_dashboard == "off":
        return []
    figures, runs = Figures(app.ledger.database), RunLog(app.ledger.database)
    door: GitHubDoor | LocalDoor = LocalDoor.of(settings.private_key)
    if settings.assistant_dashboard == "github":
        connection = Connection(settings.proxy_for(settings.github_api_url), settings.ca_file)
        admins = frozenset(name.strip().lower() for name in settings.assistant_admins.split(","))
        sign_in = GitHubSignIn(_client(settings), settings.github_api_url, connection)
        door = GitHubDoor(sign_in, settings.public_url, settings.private_key, admins, lambda: client.owner)
    dashboard = Dashboard(figures, runs, door, client.web, app.engine.queue_depth)
    return [*dashboard.routes(), *door.routes()]


def _client(settings: Settings) -> tuple[str, str]:
    """The client id and secret of the sign-in. Raises ConfigurationError if something that it needs is not set."""
    secret = settings.github_client_secret.get_secret_value()
    needed = {
        "GITHUB_CLIENT_ID": settings.github_client_id,
        "GITHUB_CLIENT_SECRET": secret,
        "PUBLIC_URL": settings.public_url,
    }
    if missing := [name for name, value in needed.items() if not value]:
        raise ConfigurationError(f"ASSISTANT_DASHBOARD=github also needs {', '.join(missing)}")
    return settings.github_client_id, secret


@contextmanager
def _started(settings: Settings, *, work: bool) -> Iterator[App]:
    """The app of a server, which takes its leave whenever SIGTERM comes: uvicorn passes the signal on when it is done."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    configure()
    for one in examine_locally(settings):
        if one.health in {Health.WARNING, Health.TROUBLE}:
            log.warning(one.found, subject=one.subject, cure=one.cure)
    for sentence in settings.weak_secrets:
        log.warning(sentence)
    be_private()
    app = build(settings)
    forget_environment()
    try:
        app.start(work=work)
        threading.Thread(target=app.greet, name="greeting", daemon=True).start()
        gc.collect()
        gc.freeze()  # what exists now stays: a collection in the middle of an acknowledgement gets shorter
        log.info("started", worker=work, model=settings.model_api, github=settings.github_api_url)
        if settings.assistant_dashboard == "local" and settings.host in {"127.0.0.1", "localhost", "::1"}:
            key = LocalDoor.of(settings.private_key).key
            log.info("dashboard", address=f"http://{settings.host}:{settings.port}/auth/local?key={key}")
        yield app
    finally:
        app.stop()
        log.info("stopped")


def forget_environment() -> None:
    """Takes every secret out of this process's environment, also out of the block that /proc/PID/environ shows.

    Call it when the settings are read: neither children nor readers of the process environment see the secrets then.
    """
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    for name in [name for name in os.environ if name.upper() in SECRET_VARIABLES]:
        if library is not None:
            library.getenv.restype, library.getenv.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
            if at := library.getenv(os.fsencode(name)):
                ctypes.memset(at, 0, len(os.environb[os.fsencode(name)]))
        del os.environ[name]


SECRET_VARIABLES = frozenset(
    name.upper()
    for name, field in Settings.model_fields.items()
    if field.annotation is SecretStr or name in {"database_url", "https_proxy", "http_proxy"}
)
"""The variables that hold a secret or may hold one."""


def be_private() -> None:
    """Lets no other process of the same user read this one's memory or environment, and writes no core dump (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


_PR_SET_DUMPABLE = 4


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
    bound = Socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)  # named: else asyncio leaves Nagle's delay on
    bound.bind(("127.0.0.1", 0))
    bound.listen(128)
    return bound, f"http://127.0.0.1:{bound.getsockname()[1]}"

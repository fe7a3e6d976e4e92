"""`assistant serve` and `assistant work`: run until SIGTERM."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from socket import AF_INET, IPPROTO_TCP, SOCK_STREAM
from socket import socket as Socket  # noqa: N812 - a class, in spite of its name
from typing import Any

import structlog
import typer
import uvicorn
from pydantic import SecretStr

from bot.app import App, build, bundled
from bot.cli.doctor import Health, examine_locally
from bot.cli.progress import configure
from bot.credentials import stored_app
from bot.errors import ConfigurationError
from bot.hosts.github.installations import GitHubInstallations
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
from bot.web.setup import MINUTES, ConnectedServer, SetUp, SetUpPlace
from bot.web.setup_app import GitHubServer, read_manifest

log = structlog.get_logger()

_NOT_STARTED = 3
"""The exit code where the port is taken."""
_SWITCH = 0.001
"""Seconds after which a thread that computes gives way. Python's 5 ms add up: an answer to a request has to wait for it several times."""
_GRACE = 5
"""Seconds that open requests have to end after SIGTERM."""


def serve(settings: Settings, *, work: bool) -> None:
    """Receive deliveries until SIGTERM; with `work`, do the jobs too. Without an App, set-up comes first.

    The engine starts before the web server.
    """
    if not settings.names_app:
        _set_up(settings, work=work)
        return
    with _started(settings, work=work) as app:
        _run(http(app), settings)


def _set_up(settings: Settings, *, work: bool) -> None:
    """Serve the pages that register an App, and from then on the server that works with it."""
    _begin(settings)
    forget_environment()
    apps: list[App] = []

    async def activate(variables: Mapping[str, str]) -> ConnectedServer:
        app = build(settings.with_variables(variables))
        apps.append(app)
        await asyncio.to_thread(_start, app, work=work)
        return ConnectedServer(http(app), GitHubInstallations(app.client), app.engine.submit)

    page = SetUp(_place(settings), activate)
    invitation = (
        f"\nNo GitHub App is connected. Set one up here; the link works once, for {MINUTES} minutes:\n\n  {page.link}\n"
    )
    try:
        _run(page, settings, lambda: typer.echo(invitation))
    finally:
        for app in apps:
            app.stop()
        log.info("stopped")


def _place(settings: Settings) -> SetUpPlace:
    """Where this server is set up. Its address comes from the settings, never from a request."""
    here = "127.0.0.1" if settings.host in {"0.0.0.0", "::", "localhost"} else settings.host  # noqa: S104 - compared only
    here = f"[{here}]" if ":" in here else here
    base = settings.public_url.rstrip("/") or f"http://{here}:{settings.port}"
    return SetUpPlace(
        base,
        bool(settings.public_url),
        GitHubServer.of_api(settings.github_api_url),
        read_manifest(bundled("app.yml").read_text(encoding="utf-8")),
        stored_app(settings.assistant_data),
        Connection(settings.proxy_for(settings.github_api_url), settings.ca_file),
    )


class _AnnouncedServer(uvicorn.Server):
    """A web server that calls `announce` as soon as it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[Socket] | None = None) -> None:
        """Listens."""
        await super().startup(sockets)
        if self.started:
            self._announce()


def _run(asgi: Any, settings: Settings, announce: Callable[[], None] = lambda: None) -> None:  # noqa: ANN401 - an ASGI application
    config = uvicorn.Config(
        asgi,
        http=bounded_protocol(),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = _AnnouncedServer(config, announce)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(_NOT_STARTED)


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
    _begin(settings)
    app = build(settings)
    forget_environment()
    try:
        _start(app, work=work)
        yield app
    finally:
        app.stop()
        log.info("stopped")


def _begin(settings: Settings) -> None:
    """Ends on SIGTERM, configures the log, and logs what the quick half of `doctor` finds."""
    sys.setswitchinterval(_SWITCH)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    configure()
    for one in examine_locally(settings):
        if one.health in {Health.WARNING, Health.TROUBLE}:
            log.warning(one.found, subject=one.subject, cure=one.cure)
    for sentence in settings.weak_secrets:
        log.warning(sentence)
    be_private()


def _start(app: App, *, work: bool) -> None:
    app.start(work=work)
    threading.Thread(target=app.greet, name="greeting", daemon=True).start()
    gc.freeze()  # what the start made stays: a collection in the middle of an acknowledgement gets shorter
    log.info("started", worker=work, model=app.settings.model_api, github=app.settings.github_api_url)
    if app.settings.assistant_dashboard == "local" and app.settings.host in {"127.0.0.1", "localhost", "::1"}:
        key = LocalDoor.of(app.settings.private_key).key
        log.info("dashboard", address=f"http://{app.settings.host}:{app.settings.port}/auth/local?key={key}")


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

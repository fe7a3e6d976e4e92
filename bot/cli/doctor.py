"""`assistant doctor`: examines the installation, and names each trouble with its cause and its cure."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter

from bot.app import build_checks, build_model
from bot.checks.jail_cell import obstacle
from bot.checks.scan import find_program
from bot.cli.progress import configure
from bot.cli.standards import CommittedStandards
from bot.core.costs import Usage
from bot.errors import AssistantError, ConfigurationError, OperatorTrouble, Refused, UserError
from bot.hosts.github.auth import READ, REPORTS, RESOLVE, WRITE, GitHubApp
from bot.hosts.github.client import GitHubClient
from bot.interfaces import Connection, Model, ModelAnswer
from bot.model.probe import WORD, probe
from bot.settings import Settings, unknown_variables
from bot.storage.database import OLDEST_SQLITE
from bot.webhook import EVENTS

OPENAI = "https://api.openai.com/v1"
WEBHOOK = "/webhooks/github"
_LEAST_DISK = 1024**3
_SHORTEST_SECRET = 16
_LAST = 20  # deliveries that are looked at
_SECONDS = 10.0
_PROBE_SECONDS = 60.0
_PROBED = "Model answers"
_CLOCK = 60  # seconds that GitHub's clock may differ from ours
_LEVELS = {"": 0, "read": 1, "write": 2}
_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_OBJECTS: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(list[dict[str, Any]])


class Health(StrEnum):
    """The result of one examination. A warning does not stop the product; a trouble stops a part of it."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was examined, its health, what was found, and for a warning or a trouble what to do about it."""

    subject: str
    health: Health
    found: str
    cure: str = ""


def run(*, as_json: bool) -> int:
    """Read the settings, examine everything and print it. Returns 1 if there is a trouble, else 0."""
    configure("WARNING")
    logging.disable()  # a row says what the log would say
    try:
        settings = Settings.read()
    except ConfigurationError as error:
        found = [Diagnosis("Settings", Health.TROUBLE, str(error), "Correct it; see `docs/reference/settings.md`.")]
    else:
        found = examine_locally(settings) + asyncio.run(examine_remotely(settings))
    finally:
        logging.disable(logging.NOTSET)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))  # noqa: T201 - this is the output
    else:
        for one in found:
            print(f"{one.health.value:8} {one.subject}: {one.found}")  # noqa: T201 - this is the output
            if one.cure:
                print(f"         -> {one.cure}")  # noqa: T201 - this is the output
    return int(any(one.health is Health.TROUBLE for one in found))


def examine_locally(settings: Settings) -> list[Diagnosis]:
    """The quick half, without a network: settings, files and this machine."""
    variables = [
        Diagnosis("Settings", Health.WARNING, sentence, "Correct the name, or remove the variable.")
        for sentence in unknown_variables()
    ]
    return [
        *variables,
        *_settings(settings),
        _key(settings),
        *_secret(settings),
        _certificates(settings),
        _database(settings),
        _disk(settings.assistant_data),
        _user(),
        _confinement(settings),
        *_analysers(settings),
        _model_settings(settings),
    ]


async def examine_remotely(
    settings: Settings, transport: httpx.AsyncBaseTransport | None = None, model: Model | None = None
) -> list[Diagnosis]:
    """The other half: GitHub, the model's server, and the standards of the current folder's repository.

    `transport` replaces the network, and `model` the one that the settings name.
    """
    server = await _model_server(settings, transport)
    found = [*await _github(settings, transport), server]
    if server.health in {Health.OK, Health.WARNING}:
        found.append(await _understanding(model or build_model(settings, b"doctor")))
    return [*found, await _port(settings), await _standards()]


def _settings(settings: Settings) -> Iterator[Diagnosis]:
    missing, impossible = settings.missing, settings.impossible
    if settings.connects_to_github and missing:
        yield Diagnosis("Settings", Health.TROUBLE, f"Not set: {', '.join(missing)}", "Set them; see `README.md`.")
    for sentence in impossible:
        found, _, cure = sentence.partition("; ")
        yield Diagnosis("Settings", Health.TROUBLE, found, f"{cure[:1].upper()}{cure[1:]}.")


def _key(settings: Settings) -> Diagnosis:
    if not settings.connects_to_github:
        return Diagnosis("GitHub App", Health.SKIPPED, "No App is set; `assistant serve` sets one up")
    try:
        GitHubApp(settings.github_app_id, settings.private_key).checked()
    except ConfigurationError as error:
        cure = "Generate a private key on the App's settings page and set GITHUB_PRIVATE_KEY_FILE to the file."
        return Diagnosis("Private key", Health.TROUBLE, str(error), cure)
    return Diagnosis("Private key", Health.OK, "It can sign")


def _secret(settings: Settings) -> Iterator[Diagnosis]:
    if not settings.impossible and any(len(secret) < _SHORTEST_SECRET for secret in settings.webhook_secrets):
        cure = "Make one with `openssl rand -hex 32` and set it here and on the App's settings page."
        yield Diagnosis("Webhook secret", Health.WARNING, f"It has fewer than {_SHORTEST_SECRET} characters", cure)


def _certificates(settings: Settings) -> Diagnosis:
    try:
        file = settings.ca_file
    except ConfigurationError as error:
        return Diagnosis("Certificates", Health.TROUBLE, str(error), "Point SSL_CERT_FILE to a PEM file.")
    return Diagnosis("Certificates", Health.OK, f"The public authorities and {file}" if file else "The public ones")


def _database(settings: Settings) -> Diagnosis:
    url = settings.database
    if not url.startswith("sqlite"):
        return Diagnosis("Database", Health.OK, f"Postgres at {urlsplit(url).hostname}")
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        cure = "Use a Python with SQLite 3.35 or newer, or Postgres."
        return Diagnosis("Database", Health.TROUBLE, f"SQLite {sqlite3.sqlite_version} is too old", cure)
    file = Path(url.removeprefix("sqlite:///"))
    place = _existing(file)
    if (file.exists() and not file.is_file()) or not os.access(place, os.W_OK):
        cure = "Set ASSISTANT_DATA to a folder that this user may write."
        return Diagnosis("Database", Health.TROUBLE, f"{place} cannot be written", cure)
    if not (place.is_dir() or place == file):
        return Diagnosis("Database", Health.TROUBLE, f"{place} is not a folder", "Set ASSISTANT_DATA to a folder.")
    return Diagnosis("Database", Health.OK, f"SQLite {sqlite3.sqlite_version}, {file}")


def _disk(folder: Path) -> Diagnosis:
    free = shutil.disk_usage(_existing(folder)).free
    found = f"{free / _LEAST_DISK:.1f} GB are free"
    if free < _LEAST_DISK:
        return Diagnosis("Disk", Health.WARNING, found, "Free some space, or set ASSISTANT_DATA to a larger disk.")
    return Diagnosis("Disk", Health.OK, found)


def _user() -> Diagnosis:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        cure = "Run it as a user of its own, as the image and `examples/deploy/assistant.service` do."
        return Diagnosis("User", Health.WARNING, "It runs as root, so a flaw in it reaches the whole machine", cure)
    return Diagnosis("User", Health.OK, "Not root")


async def _port(settings: Settings) -> Diagnosis:
    """Whether `assistant serve` can listen, or a server of ours does."""
    host, port = settings.host, settings.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, port))
        except OSError as error:
            taken = error
        else:
            return Diagnosis("Port", Health.OK, f"{host}:{port} is free" if port else "The system chooses one")
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(trust_env=False, timeout=_SECONDS) as client:
            answer = await client.get(httpx.URL(scheme="http", host=here, port=port, path="/livez"))
        if answer.is_success:
            return Diagnosis("Port", Health.OK, f"A server answers at {host}:{port}")
    cure = "Stop the program that has it, or set HOST and PORT to an address of this machine that is free."
    return Diagnosis("Port", Health.TROUBLE, f"Nothing can listen at {host}:{port}: {taken.strerror}", cure)


def _confinement(settings: Settings) -> Diagnosis:
    reason = obstacle()
    if not reason:
        return Diagnosis("Confinement", Health.OK, "Landlock and seccomp confine external checks")
    if settings.assistant_unconfined_checks:
        cure = "Run the server on Linux 5.13 or newer with Landlock."
        return Diagnosis("Confinement", Health.WARNING, f"External checks run unconfined: {reason}", cure)
    cure = "Use Linux 5.13 or newer with Landlock, or accept the risk with ASSISTANT_UNCONFINED_CHECKS=true."
    return Diagnosis("Confinement", Health.TROUBLE, f"External checks do not run: {reason}", cure)


def _analysers(settings: Settings) -> Iterator[Diagnosis]:
    if shutil.which("git") is None:
        yield Diagnosis("git", Health.TROUBLE, "There is no program `git` in PATH", "Install git.")
    offered = ", ".join(check.name for check in build_checks(settings))
    unknown = sorted(set(settings.checks or ()) - {check.name for check in build_checks(settings)})
    if unknown:
        cure = f"Correct ASSISTANT_CHECKS; the checks found are: {offered or 'none'}."
        yield Diagnosis("Checks", Health.TROUBLE, f"There is no check {', '.join(unknown)}", cure)
    else:
        yield Diagnosis("Checks", Health.OK, offered)
    if find_program("zizmor") is None:
        cure = "pip install 'review-assistant[actions]'; the install grows from 236 to 263 MB."
        yield Diagnosis("zizmor", Health.SKIPPED, "Not installed: of workflows only our own rules are checked", cure)


def _model_settings(settings: Settings) -> Diagnosis:
    if settings.model_api == "offline":
        if settings.openai_base_url and settings.assistant_model_api == "auto":
            found = "OPENAI_BASE_URL is set, but without OPENAI_API_KEY no model is asked"
            return Diagnosis("Model", Health.WARNING, found, "Set ASSISTANT_MODEL_API=chat, or the key.")
        return Diagnosis("Model", Health.OK, "None: reviews run checks only")
    try:
        build_model(settings.model_copy(update={"ssl_cert_file": None}), b"doctor")  # certificates have their own row
    except ConfigurationError as error:
        return Diagnosis("Model", Health.TROUBLE, str(error), "Correct this setting; see `docs/how-to/models.md`.")
    able = "as listed in ASSISTANT_CAPABILITIES" if settings.capabilities else "judged by the server's address"
    return Diagnosis("Model", Health.OK, f"{', '.join(settings.models)} by {settings.model_api}; capabilities {able}")


async def _github(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> list[Diagnosis]:
    if not settings.connects_to_github or settings.missing or settings.impossible:
        return [Diagnosis("GitHub", Health.SKIPPED, "Not asked: the settings of the App come first")]
    try:
        app = GitHubApp(settings.github_app_id, settings.private_key).checked()
        connection = Connection(settings.proxy_for(settings.github_api_url), settings.ca_file)
        client = GitHubClient(app, settings.github_api_url, transport=transport, connection=connection)
    except ConfigurationError:
        return [Diagnosis("GitHub", Health.SKIPPED, "Not asked: the key and the certificates come first")]
    try:
        await client.introduce()
        return [
            *_app(settings, await _read(client, "/app", _OBJECT)),
            _clock(client),
            *await _deliveries(client, settings),
        ]
    except OperatorTrouble as error:
        return [Diagnosis("GitHub", Health.TROUBLE, str(error), error.cure)]
    except AssistantError as error:
        cure = "Check GITHUB_API_URL, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and the firewall."
        return [Diagnosis("GitHub", Health.TROUBLE, f"{settings.github_api_url}: {error}", cure)]
    finally:
        await client.close()


async def _read(client: GitHubClient, address: str, kind: TypeAdapter[Any]) -> Any:  # noqa: ANN401 - the kind's type
    return kind.validate_json((await client.as_app(address)).content)


def _app(settings: Settings, app: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Compares what the App may do and receives with what the product needs: the contents of app.yml."""
    yield Diagnosis("GitHub App", Health.OK, f"{app['slug']} (id {app['id']}) at {settings.github_api_url}")
    wanted: dict[str, str] = {"merge_queues": "read"}  # for its event
    for name, level in (*READ, *WRITE, *(RESOLVE if settings.assistant_resolve_threads else ())):
        wanted[name] = max(level, wanted.get(name, ""), key=_LEVELS.__getitem__)
    granted = app.get("permissions") or {}
    lacking = _lacking(granted, wanted)
    without_reports = _lacking(granted, {name: level for name, level in REPORTS if name not in wanted})
    page = f"Change it on the App's settings page ({app.get('html_url', '')}) under Permissions & events"
    if lacking:
        cure = f"{page}; then an owner accepts it for each installation."
        yield Diagnosis("Permissions", Health.TROUBLE, f"The App lacks {', '.join(lacking)}", cure)
    else:
        yield Diagnosis("Permissions", Health.OK, "All that a review needs")
    if without_reports:
        found = f"The App lacks {', '.join(without_reports)}: no repository can have the policy key `sarif`"
        yield Diagnosis("SARIF reports", Health.WARNING, found, f"{page}, if repositories want it.")
    else:
        yield Diagnosis("SARIF reports", Health.OK, "The App may read code scanning and artifacts")
    unheard = sorted(EVENTS - set(app.get("events") or ()))
    if unheard:
        found = f"The App does not subscribe to {', '.join(unheard)}"
        yield Diagnosis("Events", Health.TROUBLE, found, f"{page}.")
    else:
        yield Diagnosis("Events", Health.OK, "As in app.yml")


def _lacking(granted: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The permissions that are wanted and not granted."""
    return [
        f"{name}: {level}"
        for name, level in sorted(wanted.items())
        if _LEVELS.get(granted.get(name, ""), 2) < _LEVELS[level]
    ]


def _clock(client: GitHubClient) -> Diagnosis:
    offset = client.clock_offset
    if abs(offset) > _CLOCK:
        cure = "Set this machine's clock, for example with `timedatectl set-ntp true`."
        return Diagnosis("Clock", Health.WARNING, f"It differs from GitHub's by {offset:.0f} s", cure)
    return Diagnosis("Clock", Health.OK, "GitHub accepts it")


async def _deliveries(client: GitHubClient, settings: Settings) -> list[Diagnosis]:
    """Examines the webhook's address, the last delivery and the installations.

    With ASSISTANT_POLL_DELIVERIES the server fetches the deliveries, so it does not matter that GitHub reaches no address.
    """
    config = await _read(client, "/app/hook/config", _OBJECT)
    last = (await _read(client, f"/app/hook/deliveries?per_page={_LAST}", _OBJECTS))[:1]
    installations = await _read(client, "/app/installations", _OBJECTS)
    if settings.assistant_poll_deliveries:
        fetched = "The server fetches what GitHub cannot deliver (ASSISTANT_POLL_DELIVERIES)"
        return [Diagnosis("Deliveries", Health.OK, fetched), _installations(installations)]
    return [_hook(config, urlsplit(settings.public_url).hostname), *map(_delivery, last), _installations(installations)]


def _hook(config: Mapping[str, Any], public: str | None) -> Diagnosis:
    """Examines the webhook that GitHub calls; `public` is the host of PUBLIC_URL."""
    url = str(config.get("url") or "")
    parts = urlsplit(url)
    cure = f"Set the webhook of the App to https://YOUR-HOST{WEBHOOK} with content type application/json."
    if not parts.hostname:
        return Diagnosis("Webhook", Health.TROUBLE, "The App has no webhook address", cure)
    if parts.hostname == "example.com" or parts.hostname.endswith(".example.com"):
        return Diagnosis("Webhook", Health.TROUBLE, f"Its address is the example's: {url}", cure)
    if parts.hostname.endswith(".invalid"):
        cure += " Set PUBLIC_URL too; or set ASSISTANT_POLL_DELIVERIES=true, and the server fetches the deliveries."
        return Diagnosis("Webhook", Health.TROUBLE, "Set-up gave the App an address that does not exist", cure)
    if parts.path != WEBHOOK:
        return Diagnosis("Webhook", Health.TROUBLE, f"Its address {url} does not end in {WEBHOOK}", cure)
    if config.get("content_type") != "json":
        return Diagnosis("Webhook", Health.TROUBLE, "Its content type is not application/json", cure)
    if str(config.get("insecure_ssl", "0")) != "0":
        found = "GitHub does not verify the server's certificate"
        return Diagnosis("Webhook", Health.WARNING, found, "Enable SSL verification on the App's settings page.")
    if public and parts.hostname != public:
        found = f"GitHub calls {parts.hostname}, but PUBLIC_URL names {public}"
        return Diagnosis("Webhook", Health.WARNING, found, "Correct the one that is wrong, if both lead to one server.")
    return Diagnosis("Webhook", Health.OK, url)


def _delivery(last: Mapping[str, Any]) -> Diagnosis:
    status = last.get("status_code") or 0
    found = f"The last one ({last.get('event')}, {last.get('delivered_at')}) was answered with {status or 'nothing'}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Diagnosis("Deliveries", Health.OK, found)
    cures: dict[int, str] = {
        HTTPStatus.UNAUTHORIZED: "Set the same secret in GITHUB_WEBHOOK_SECRET and on the App's settings page.",
        HTTPStatus.NOT_FOUND: f"Another program answers: the address must lead to this server and end in {WEBHOOK}.",
    }
    other = "Check that the server runs and that GitHub can reach its address; then redeliver on the App's page."
    return Diagnosis("Deliveries", Health.TROUBLE, found, cures.get(status, other))


def _installations(found: list[dict[str, Any]]) -> Diagnosis:
    suspended = [one["account"]["login"] for one in found if one.get("suspended_at")]
    if not found:
        cure = "Install it on your repositories: the App's public page has a button."
        return Diagnosis("Installations", Health.TROUBLE, "The App is not installed anywhere", cure)
    if suspended:
        cure = "An owner of the account ends the suspension under Settings > GitHub Apps."
        return Diagnosis("Installations", Health.WARNING, f"Suspended: {', '.join(suspended)}", cure)
    return Diagnosis("Installations", Health.OK, f"{len(found)}")


async def _model_server(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> Diagnosis:
    """Asks the model's server for its models: it needs the address and the key, and costs nothing."""
    if settings.model_api == "offline":
        return Diagnosis("Model server", Health.SKIPPED, "Not asked: no model is set")
    if settings.impossible:
        return Diagnosis("Model server", Health.SKIPPED, "Not asked: the settings come first")
    url = settings.openai_base_url or OPENAI
    key = settings.openai_api_key.get_secret_value()
    try:
        proxy, context = settings.proxy_for(url) or None, httpx.create_ssl_context(trust_env=False)
        if settings.ca_file:
            context.load_verify_locations(settings.ca_file)
        async with httpx.AsyncClient(
            transport=transport, proxy=None if transport else proxy, verify=context, trust_env=False, timeout=_SECONDS
        ) as client:
            answer = await client.get(
                f"{url.rstrip('/')}/models", headers={"Authorization": f"Bearer {key}"} if key else {}
            )
    except ConfigurationError:
        return Diagnosis("Model server", Health.SKIPPED, "Not asked: the certificates come first")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        cure = "Check OPENAI_BASE_URL, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and that the server runs."
        return Diagnosis("Model server", Health.TROUBLE, f"{url} does not answer ({type(error).__name__})", cure)
    return _judged(settings, url, answer)


def _judged(settings: Settings, url: str, answer: httpx.Response) -> Diagnosis:
    if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        found = f"{url} does not accept the key ({answer.status_code})"
        return Diagnosis("Model server", Health.TROUBLE, found, "Set OPENAI_API_KEY to a valid key of this server.")
    names: set[str] = set()
    with suppress(ValueError, TypeError, KeyError, AttributeError):  # another shape: a server without a list of models
        names = {str(one["id"]) for one in answer.json()["data"]}
    if not answer.is_success or not names:
        cure = "Check OPENAI_BASE_URL; if the server lists no models, ignore this."
        return Diagnosis("Model server", Health.WARNING, f"{url} lists no models ({answer.status_code})", cure)
    if unknown := [name for name in settings.models if name not in names]:
        cure = f"Set ASSISTANT_MODEL to a model of the server, for example {', '.join(sorted(names)[:3])}."
        return Diagnosis("Model server", Health.TROUBLE, f"{url} does not offer {', '.join(unknown)}", cure)
    return Diagnosis("Model server", Health.OK, f"{url} offers {', '.join(settings.models)}")


async def _understanding(model: Model) -> Diagnosis:
    """Asks the model one small question that needs a tool and an answer in a schema."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            answer, spent = await probe(model)
    except TimeoutError:
        cure = "Look at the load of the model's server; a review waits longer than the doctor."
        return Diagnosis(_PROBED, Health.WARNING, f"No answer within {_PROBE_SECONDS:.0f} s", cure)
    except AssistantError as error:
        cure = "Check OPENAI_API_KEY, ASSISTANT_MODEL and ASSISTANT_MODEL_API; see `docs/how-to/models.md`."
        return Diagnosis(_PROBED, Health.TROUBLE, str(error), cure)
    finally:
        await model.close()
    return _understood(model.name, answer, _price_of(spent))


def _understood(name: str, answer: ModelAnswer, cost: str) -> Diagnosis:
    if answer.value is None:
        cure = "Try another ASSISTANT_MODEL_API, or list what the server understands in ASSISTANT_CAPABILITIES."
        return Diagnosis(_PROBED, Health.TROUBLE, f"{name} gives no answer in a schema: {answer.reason} ({cost})", cure)
    if answer.toolless or not answer.looked_up:
        found = f"{name} answers in a schema, but does not use tools ({cost})"
        return Diagnosis(
            "Model", Health.WARNING, found, "Reviews show it whole files instead; see `docs/how-to/models.md`."
        )
    if answer.value["word"].strip().lower() != WORD:
        found = f"{name} uses tools, and does not say what they answered ({cost})"
        return Diagnosis(_PROBED, Health.WARNING, found, "Expect weak reviews; choose a stronger model.")
    return Diagnosis(_PROBED, Health.OK, f"{name} answers in a schema and uses tools ({cost})")


def _price_of(spent: Usage) -> str:
    dollars = "an unknown price" if spent.dollars is None else f"${spent.dollars:.4f}"
    return f"asked in {spent.calls} calls, {spent.tokens} tokens, {dollars}"


async def _standards() -> Diagnosis:
    try:
        found = (await CommittedStandards.of(Path())).shelf.documents
    except (UserError, Refused):
        return Diagnosis("Standards", Health.SKIPPED, "The current folder is not a repository with a commit")
    if not found:
        cure = "Add a document such as docs/standards/python.md; `docs/how-to/standards.md` lists the places."
        return Diagnosis("Standards", Health.WARNING, "The last commit here has no documents", cure)
    return Diagnosis("Standards", Health.OK, f"{len(found)} documents in the last commit here")


def _existing(place: Path) -> Path:
    """The place itself, or the nearest folder above it that exists."""
    return next((one for one in (place, *place.absolute().parents) if one.exists()), Path("/"))

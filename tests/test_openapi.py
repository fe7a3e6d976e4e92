"""Generated requests: schemathesis reads a description of the server's HTTP interface, and nothing may answer 5xx."""

import hashlib
import hmac
import json
import uuid
from collections import Counter
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from bot.errors import ConfigurationError, NotDurable
from bot.interfaces import Connection
from bot.server import serve
from bot.storage.database import Database
from bot.storage.figures import Figures
from bot.storage.runs import RunLog
from bot.web.dashboard import Dashboard, Viewer
from bot.web.oauth import GitHubSignIn
from bot.web.session import GitHubDoor, LocalDoor
from bot.web.setup import SetUp, SetUpPlace
from bot.web.setup_app import GitHubServer
from bot.webhook import EVENTS, Payload
from tests.support.deliveries import SECRET, comment, payload

MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
TEXT = {"type": "string"}
GITHUB = "x-github-"
FORM = "application/x-www-form-urlencoded"


class Stored:
    """An engine that takes every job, or none."""

    def __init__(self):
        self.full, self.jobs = False, set()

    async def submit(self, job):
        if self.full:
            raise NotDurable("the disk is full")
        new = job.id not in self.jobs
        self.jobs.add(job.id)
        return new


def with_nulls(schema):
    """The JSON schema of a payload, in which GitHub may also send null for every field."""
    for part in (schema, *schema.get("$defs", {}).values()):
        part["properties"] = {
            name: {"anyOf": [field, {"type": "null"}]} for name, field in part.get("properties", {}).items()
        }
    return schema


def described():
    """The HTTP interface in OpenAPI 3.1: the webhook with its headers and body, health, metrics, the dashboard, sign-in and set-up."""
    answers = {"responses": {"default": {"description": "any answer"}}}

    def page(*names, place="query"):
        parameters = [{"name": name, "in": place, "required": place == "path", "schema": TEXT} for name in names]
        return {"get": {"parameters": parameters, **answers}}

    form = {"type": "object", "properties": {"proof": TEXT, "pull": TEXT}}
    body = with_nulls(Payload.model_json_schema(ref_template="#/components/schemas/{model}"))
    parts = body.pop("$defs")
    headers = {
        f"{GITHUB}event": {"enum": [*sorted(EVENTS), "ping", "installation", "star"]},
        f"{GITHUB}delivery": {"type": "string", "format": "uuid"},
        f"{GITHUB}hook-installation-target-id": {"type": "string", "pattern": "^[0-9]{1,20}$"},
    }
    webhook = {
        "parameters": [{"name": name, "in": "header", "required": True, "schema": kind} for name, kind in headers.items()],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": {
                "pull request": {"value": payload()}, "comment": {"value": comment("/assistant help")},
            }}},
        },
        **answers,
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": "review-assistant", "version": "1"},
        "components": {"schemas": parts},
        "paths": {
            "/webhooks/github": {"post": webhook},
            "/livez": page(),
            "/readyz": page(),
            "/metrics": page(),
            "/dashboard": page("days", "repo"),
            "/reviews": page("before", "job", "repo", "end"),
            "/reviews/{page}": page("page", place="path"),
            "/auth/local": page("key"),
            "/auth/login": page("next"),
            "/auth/callback": page("code", "state"),
            "/auth/logout": {"post": answers},
            "/setup": page("token", "organisation", "server"),
            "/setup/callback": page("code", "state"),
            "/setup/settings": page(),
            "/setup/review": {"post": {"requestBody": {"content": {FORM: {"schema": form}}}, **answers}},
        },
    }


def map_case(_, case):
    """A hook of schemathesis: signs the bytes of a body as GitHub does, so that they reach the parser."""
    if case.path == "/webhooks/github":
        case.body = case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=str).encode()
        case.headers["x-hub-signature-256"] = "sha256=" + hmac.new(SECRET, case.body, hashlib.sha256).hexdigest()
    return case


def completed(case, without=()):
    """The case with the envelope that GitHub always sends, and no generated field of `without`: it gets past the parser."""
    with suppress(ValueError):
        given = json.loads(case.body)
        if isinstance(given, dict):
            fields = {name: value for name, value in given.items() if name not in without}
            case.body = json.dumps(comment("/assistant help") | payload() | fields).encode()
    case.headers["x-github-delivery"] = str(uuid.uuid5(uuid.NAMESPACE_OID, case.body.hex()))
    case.headers["x-github-hook-installation-target-id"] = "99"
    return map_case(None, case)


def opened(case):
    """A pull request that was opened: the rest is generated."""
    case.headers["x-github-event"] = "pull_request"
    return completed(case, without=payload())


@pytest.fixture
def engine():
    return Stored()


@pytest.fixture
def unready():
    """What does not work, by name; a test may fill it."""
    return {}


def set_up_of_nobody(folder):
    """The pages of set-up, on which no App was registered yet."""

    async def activate(_):
        raise ConfigurationError("nothing to start")

    server = GitHubServer.of_api("https://api.github.test")
    app = {"name": "assistant", "default_permissions": {"contents": "read"}, "default_events": []}
    place = SetUpPlace(
        "https://bot.test", public=True, server=server, app=app, file=folder / "app.env", connection=Connection()
    )
    return SetUp(place, activate)


@pytest.fixture
def description(engine, unready, tmp_path):
    """The described server, whose dashboard is open, over a database of its own."""

    async def ready():
        return unready

    async def door(_):
        return Viewer("a test", None)

    async def queue():
        return {}

    with Database(f"sqlite:///{tmp_path}/ledger.db") as database:
        app = serve(engine, (SECRET,), ready)
        app.routes.extend(Dashboard(Figures(database), RunLog(database), door, "https://github.test", queue).routes())
        app.routes.extend(LocalDoor("key").routes())
        sign_in = GitHubSignIn(("client", "secret"), "https://github.test", Connection())
        app.routes.extend(GitHubDoor(sign_in, "https://bot.test", "key", frozenset(), lambda: 0).routes())
        set_up = set_up_of_nobody(tmp_path)
        app.routes.append(Route("/setup{rest:path}", set_up))

        def in_the_persons_browser(context, case):
            if case.path.startswith("/setup"):
                case.headers["cookie"] = f"assistant-setup={set_up._session}"
            return map_case(context, case)

        found = schemathesis.openapi.from_dict(described())
        found.app = app
        found.hook("map_case")(in_the_persons_browser)
        yield found


def answers(description, examples, path="/webhooks/github", *, most=499):
    """Counts the answers of one path by status and, for the webhook, by what they say. None is above `most`."""
    counts = Counter()
    (method,) = description.raw_schema["paths"][path]
    cases = [description[path][method].as_strategy(generation_mode=mode) for mode in MODES]
    kinds = [st.one_of(cases)]
    if path == "/webhooks/github":
        kinds += [cases[0].map(completed), cases[0].map(opened)]

    def call(case):
        answer = case.call()
        assert answer.status_code <= most, (case.as_curl_command(), answer.text)
        said = answer.json()["status"] if path == "/webhooks/github" and b"{" in answer.content else ""
        counts.update([answer.status_code, said])

    for kind in kinds:
        bounds = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        bounds(given(case=kind)(call))()
    return counts


def check(description, examples):
    """Every path answers below 500, and the webhook's requests get past the signature and past the parser."""
    paths = [path for path in description.raw_schema["paths"] if path != "/webhooks/github"]
    found = {path: answers(description, examples // 3, path) for path in paths}
    hook = answers(description, examples)

    assert hook["accepted"] > 0 == hook[401], hook
    assert set(found) >= {"/livez", "/readyz", "/metrics", "/dashboard", "/reviews", "/reviews/{page}"}
    assert found["/dashboard"][200] > 0 < found["/reviews"][200]
    assert found["/setup"][200] > 0 == found["/auth/callback"][200]


def test_no_generated_request_gets_a_5xx(description):
    check(description, 10)


@pytest.mark.long
def test_no_generated_request_gets_a_5xx_in_many_tries(description):
    check(description, 1_000)


def test_a_503_is_said_only_while_something_does_not_work(description, engine, unready):
    engine.full = True
    unready["database"] = "does not answer"
    hook = answers(description, 6, most=503)
    ready = answers(description, 1, "/readyz", most=503)

    assert hook[503] == hook["unavailable"] > 0 == hook["accepted"], hook
    assert ready[503] > 0 == ready[200]

"""The front door, through HTTP."""

import asyncio
import gzip
import hashlib
import hmac
import json
import socket

import httpx
import pytest
import uvicorn

from bot.errors import NotDurable
from bot.server import bounded_protocol, serve
from bot.webhook import LIMIT
from tests.support.deliveries import SECRET, comment, payload, signed

UNPROVEN = {"x-hub-signature-256": "sha256=" + "0" * 64}
"""A well-formed signature that our secret did not make."""


class Shelf:
    """An engine that stores jobs by id, or says that it cannot."""

    def __init__(self):
        self.jobs, self.broken = {}, False

    async def submit(self, job):
        if self.broken:
            raise NotDurable("the disk is full")
        new = job.id not in self.jobs
        self.jobs[job.id] = job
        return new


async def well():
    return {}


@pytest.fixture
def engine():
    return Shelf()


@pytest.fixture
def post(engine):
    app = serve(engine, (b"new-secret", SECRET), well)

    def send(headers, body):
        async def request():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
                return await client.post("/webhooks/github", headers=headers, content=body)

        return asyncio.run(request())

    return send


def test_a_signed_delivery_is_accepted_after_it_was_stored(post, engine):
    answer = post(*signed(payload()))

    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"
    assert [str(job.pull) for job in engine.jobs.values()] == ["octo/shop#3"]


def test_a_redelivery_is_a_duplicate_and_the_other_apps_delivery_is_not(post, engine):
    headers, body = signed(payload())

    statuses = [post(headers, body).json()["status"] for _ in range(3)]
    other = post({**headers, "x-github-hook-installation-target-id": "100"}, body).json()["status"]

    assert statuses == ["accepted", "duplicate", "duplicate"]
    assert other == "accepted"
    assert len(engine.jobs) == 2


@pytest.mark.parametrize("secret", [b"new-secret", SECRET])
def test_two_secrets_are_valid_while_one_is_rotated(post, secret):
    assert post(*signed(payload(), secret=secret)).status_code == 202


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("sha1=" + "0" * 40, id="sha1"),
        pytest.param("sha256=" + "0" * 64, id="wrong"),
        pytest.param("sha256=" + "0" * 63, id="short"),
        pytest.param(b"sha256=\xe9" + b"0" * 63, id="not-ascii"),
        pytest.param("sha256=" + "A" * 64, id="upper-case"),
        pytest.param("sha256=" + "0" * 10_000, id="long"),
    ],
)
def test_without_our_signature_nothing_is_stored(post, engine, signature):
    headers, body = signed(payload())
    headers.pop("x-hub-signature-256")
    if signature is not None:
        headers["x-hub-signature-256"] = signature

    assert post(headers, body).status_code == 401
    assert not engine.jobs


def test_a_valid_sha1_signature_alone_is_refused(post, engine):
    headers, body = signed(payload())
    headers.pop("x-hub-signature-256")
    headers["x-hub-signature"] = "sha1=" + hmac.new(SECRET, body, hashlib.sha1).hexdigest()

    assert post(headers, body).status_code == 401
    assert not engine.jobs


def test_an_empty_secret_signs_nothing(engine):
    app = serve(engine, (b"",), well)

    async def request():
        headers, body = signed(payload(), secret=b"")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://bot") as client:
            return await client.post("/webhooks/github", headers=headers, content=body)

    assert asyncio.run(request()).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"action": NaN}', id="nan"),
        pytest.param(b'{"action": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", id="deep"),
        pytest.param(b'{"action": "\xff"}', id="not-utf-8"),
        pytest.param(gzip.compress(b"0" * 10_000_000), id="gzip-bomb"),
    ],
)
def test_signed_nonsense_is_400_with_a_reason(post, engine, body):
    answer = post(*signed(body))

    assert answer.status_code == 400
    assert answer.json()["reason"]
    assert not engine.jobs


@pytest.mark.parametrize(
    "header",
    [
        {"x_github_event": "../../x"},
        {"x_github_event": ""},
        {"x_github_delivery": ""},
        {"x_github_delivery": "42"},
        {"x_github_hook_installation_target_id": "../1"},
    ],
    ids="-".join,
)
def test_headers_that_github_never_sends_are_400(post, header):
    assert post(*signed(payload(), **header)).status_code == 400


def test_a_form_encoded_webhook_is_told_how_to_be_set_up(post):
    answer = post(*signed(payload(), content_type="application/x-www-form-urlencoded"))

    assert answer.status_code == 415
    assert "application/json" in answer.json()["reason"]
    assert post(*signed(payload(), content_type="application/json; charset=utf-8")).status_code == 202


def test_a_body_over_25_mb_is_refused_while_it_is_read(engine):
    read = 0

    async def endless():
        nonlocal read
        while read < 4 * LIMIT:
            read += 1 << 20
            yield b" " * (1 << 20)

    async def request():
        transport = httpx.ASGITransport(app=serve(engine, (SECRET,), well))
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            return await client.post("/webhooks/github", headers=UNPROVEN, content=endless())

    assert asyncio.run(request()).status_code == 413
    assert read <= LIMIT + (2 << 20)


def test_a_body_that_stays_away_is_refused_in_time(engine, monkeypatch):
    monkeypatch.setattr("bot.server.BODY_TIMEOUT", 0.01)

    async def slow():
        yield b"{"
        await asyncio.Event().wait()

    async def request():
        transport = httpx.ASGITransport(app=serve(engine, (SECRET,), well))
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            return await client.post("/webhooks/github", headers=UNPROVEN, content=slow())

    assert asyncio.run(request()).status_code == 408


def test_a_sender_that_hangs_up_is_no_error_of_ours(engine):
    scope = {"type": "http", "method": "POST", "path": "/webhooks/github", "query_string": b""}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in UNPROVEN.items()]
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(serve(engine, (SECRET,), well)(scope, receive, send))

    assert (sent[0]["status"], engine.jobs) == (408, {})


def test_an_announced_length_over_25_mb_is_refused_before_it_is_read(post):
    headers, body = signed(payload())

    assert post({**headers, "content-length": str(LIMIT + 1)}, body).status_code == 413


@pytest.mark.parametrize(
    ("event", "content"),
    [
        ("ping", {"zen": "Keep it logically awesome."}),
        ("star", {"action": "created"}),
        ("pull_request", payload("auto_merge_enabled")),
        ("pull_request", payload("a_new_action")),
        ("pull_request", {key: value for key, value in payload().items() if key != "installation"}),
        ("pull_request", payload(repository=None)),
        ("issue_comment", comment("nice work")),
        ("issue_comment", comment("/assistant review", issue={"number": 3})),
        ("check_run", payload("rerequested", check_run={"id": 1, "external_id": "someone else's"})),
    ],
    ids=["ping", "unknown-event", "action", "new-action", "no-installation", "no-repository", "talk", "issue", "check"],
)
def test_what_is_no_work_is_2xx_with_a_reason(post, engine, event, content):
    answer = post(*signed(content, event))

    assert answer.status_code in {200, 202}
    assert answer.json()["status"] == "skipped"
    assert answer.json()["reason"]
    assert not engine.jobs


def test_what_cannot_be_stored_is_503(post, engine):
    engine.broken = True

    assert post(*signed(payload())).status_code == 503


def test_health_and_metrics_answer(engine):
    async def broken():
        return {"database": "unreachable"}

    async def ask():
        transport = httpx.ASGITransport(app=serve(engine, (SECRET,), broken))
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            headers, body = signed(payload())
            await client.post("/webhooks/github", headers=headers, content=body)
            return [await client.get(path) for path in ("/livez", "/readyz", "/metrics")]

    live, ready, metrics = asyncio.run(ask())

    assert live.status_code == 200
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "database": "unreachable"})
    assert 'assistant_deliveries_total{status="accepted"} 1.0' in metrics.text


def test_a_delivery_that_shows_text_it_never_parsed_cannot_exist(post):
    """A body that is not signed is not looked at: invalid JSON and valid JSON get the same answer."""
    answers = [post({"x-hub-signature-256": "sha256=" + "0" * 64}, body) for body in (b"{", json.dumps({}).encode())]

    assert answers[0].json() == answers[1].json()


def test_without_a_well_formed_signature_no_byte_of_the_body_is_read(engine):
    async def unread():
        raise AssertionError("the body is read")
        yield b""

    async def request(headers):
        transport = httpx.ASGITransport(app=serve(engine, (SECRET,), well))
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            return await client.post("/webhooks/github", headers=headers, content=unread())

    for headers in ({}, {"x-hub-signature-256": "sha256=0"}, {"x-hub-signature": "sha1=" + "0" * 40}):
        answer = asyncio.run(request(headers))

        assert (answer.status_code, answer.headers["connection"]) == (401, "close")


def test_bodies_in_flight_share_one_bound_and_give_it_back(engine, monkeypatch):
    monkeypatch.setattr("bot.server.BODIES", 3_000)
    headers, body = signed(payload())
    assert 200 < len(body) < 1_000

    async def story():
        transport = httpx.ASGITransport(app=serve(engine, (SECRET,), well))
        release = asyncio.Event()

        async def held():
            yield b"x" * 2_900
            await release.wait()

        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            first = asyncio.create_task(client.post("/webhooks/github", headers=UNPROVEN, content=held()))
            await asyncio.sleep(0.05)
            during = await client.post("/webhooks/github", headers=headers, content=body)
            release.set()
            return (
                (await first).status_code,
                during,
                await client.post("/webhooks/github", headers=headers, content=body),
            )

    first, during, after = asyncio.run(story())

    assert (first, during.status_code, after.status_code) == (401, 503, 202)
    assert "deliver it again" in during.json()["reason"]


@pytest.mark.parametrize("path", ["/livez/", "/webhooks/github/", "//evil.example/livez/"])
def test_no_address_is_answered_with_a_redirect_to_a_host_of_the_callers_choice(engine, path):
    async def request():
        transport = httpx.ASGITransport(app=serve(engine, (SECRET,), well))
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            return await client.get(path, headers={"host": "evil.example"})

    answer = asyncio.run(request())

    assert answer.status_code in {404, 405}
    assert "location" not in answer.headers


def test_a_delivery_for_another_app_is_refused(engine):
    app = serve(engine, (SECRET,), well, app="99")

    async def request(**changes):
        headers, body = signed(payload(), **changes)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://bot") as client:
            return (await client.post("/webhooks/github", headers=headers, content=body)).status_code

    name = "x_github_hook_installation_target_id"
    assert [asyncio.run(request(**{name: target})) for target in ("99", "98", "", "099")] == [202, 400, 400, 400]


def test_half_of_a_surrogate_pair_does_not_lose_a_delivery(post, engine):
    told = json.dumps(comment("/assistant ask x \ud83d and \udc00 but \U0001f600 \\ud83d"))

    answer = post(*signed(told.encode(), "issue_comment"))

    assert answer.status_code == 202
    assert [job.text for job in engine.jobs.values()] == ["/assistant ask x \ufffd and \ufffd but \U0001f600 \\ud83d"]


def test_a_null_field_does_not_lose_a_delivery(post):
    contents = [
        ("pull_request", payload(pull_request={"number": 3, "head": None, "merged": None}, label=None, changes=None)),
        ("pull_request", payload(pull_request={"number": 4, "head": {"sha": None}}, sender={"login": None, "id": None})),
        ("issue_comment", comment("/assistant help", comment={
            "id": 11, "body": "/assistant help", "user": {"login": None, "type": None}, "author_association": None,
        })),
        ("check_suite", payload("rerequested", check_suite={"head_sha": None, "pull_requests": None})),
        ("star", {"action": None, "repository": None, "installation": None, "sender": None}),
    ]  # fmt: skip

    answers = [post(*signed(content, event)) for event, content in contents]

    assert [answer.json()["status"] for answer in answers] == ["accepted"] * 3 + ["skipped"] * 2


@pytest.mark.parametrize(
    "parts",
    [
        {"pull_request": {"number": 10**30, "head": {"sha": "a"}}},
        {"pull_request": {"number": -1, "head": {"sha": "a"}}},
        {"repository": {"id": 2**63, "full_name": "octo/shop"}},
    ],
)
def test_a_number_that_no_database_holds_is_400(post, engine, parts):
    assert post(*signed(payload(**parts))).status_code == 400
    assert not engine.jobs


@pytest.mark.parametrize(
    "external", ["review/" + "9" * 5_000 + "/1/x", "review/\u0664/1/x", "review/42/" + "1" * 4_400]
)
def test_a_check_run_with_an_impossible_number_is_not_ours(post, external):
    content = payload("rerequested", check_run={"id": 1, "head_sha": "a", "external_id": external})

    assert post(*signed(content, "check_run")).json()["status"] == "skipped"


def test_a_merge_group_is_named_by_the_last_part_of_its_branch(post, engine):
    for branch in ("refs/heads/gh-readonly-queue/main/pr-7-" + "a" * 40, "gh-readonly-queue/a/b/pr-8-c"):
        post(
            *signed(payload("checks_requested", merge_group={"head_sha": "a" * 40, "head_ref": branch}), "merge_group")
        )
    hostile = "gh-readonly-queue/" * 50_000 + "pr-"
    post(*signed(payload("checks_requested", merge_group={"head_sha": "a" * 40, "head_ref": hostile}), "merge_group"))

    assert [job.pull.number for job in engine.jobs.values()] == [7, 8, 0]


def test_connections_without_a_request_are_closed_in_time_and_bounded_in_number(engine):
    async def story():
        app, bound = serve(engine, (SECRET,), well), socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", http=bounded_protocol(4, 0.3)))
        running, port = asyncio.create_task(server.serve(sockets=[bound])), bound.getsockname()[1]
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for _, writer in silent[1:]:
            writer.write(b"GET /livez HTTP/1.1\r\nX-A: ")
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        dropped = [one.at_eof() for one, _ in silent]
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        answered = (await reader.readline(), writer.close())[0]
        await asyncio.sleep(0.5)
        closed = [one.at_eof() for one, _ in silent]
        for _, open_writer in silent:
            open_writer.close()
        server.should_exit = True
        await running
        return dropped, answered, closed

    dropped, answered, closed = asyncio.run(story())

    assert dropped == [True, False, False, False], "the oldest idle connection makes room"
    assert answered == b"HTTP/1.1 200 OK\r\n"
    assert closed == [True] * 4

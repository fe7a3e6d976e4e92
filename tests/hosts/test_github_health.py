"""What only the operator can mend is told apart, logged once with its cure, shown by readiness, and over when it is."""

import asyncio
import ssl

import httpx
import pytest
from structlog.testing import CapturingLogger

from bot import errors
from bot.hosts.github import health
from bot.hosts.github.auth import READ, Grant
from bot.interfaces import Connection
from tests.support.github_client import API, REF, ScriptedGitHub, answer, scripted

GRANT = Grant.of(REF, READ)
PULL = "/repos/octo/shop/pulls/1"
TOKENS = "/app/installations/7/access_tokens"
PAGE = httpx.Response(404, html="<!DOCTYPE html><title>Page not found - GitHub Enterprise</title>")
APP = answer(body={"id": 1, "slug": "bot"})


def untrusted():
    error = httpx.ConnectError("certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError(1, "self-signed certificate in certificate chain")
    error.__cause__.verify_message = "self-signed certificate in certificate chain"
    return error


TROUBLES = {
    "a key of another App": ("credentials", TOKENS, answer(401, {"message": "A JSON web token could not be decoded"})),
    "a suspended installation": ("suspended", TOKENS, answer(403, {"message": "This installation was suspended"})),
    "a server without the API": ("address", TOKENS, PAGE),
    "a login page": ("address", TOKENS, httpx.Response(302, headers={"location": "https://login.test/"})),
    "a page that answers 200": ("address", TOKENS, httpx.Response(200, html="<html>Welcome</html>")),
    "a proxy that wants a password": ("proxy", TOKENS, httpx.Response(407, html="<html>Proxy</html>")),
    "a proxy that refuses": ("proxy", TOKENS, httpx.ProxyError("403 Forbidden")),
    "an untrusted certificate": ("certificate", TOKENS, untrusted()),
    "no server": ("unreachable", TOKENS, httpx.ConnectError("connection refused")),
}


@pytest.fixture(autouse=True)
def log(monkeypatch):
    """The lines of the log: (level, fields)."""
    logger = CapturingLogger()
    monkeypatch.setattr(health, "log", logger)
    return logger.calls


def twice(client):
    """Reads two times; what was raised first."""

    async def read():
        with pytest.raises(errors.Outage) as caught:
            await client.get(GRANT, PULL)
        return caught.value

    return (asyncio.run(read()), asyncio.run(read()))[0]


def levels(log):
    return [(line.method_name, line.kwargs["kind"]) for line in log]


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_of_the_operators_is_logged_once_with_its_cure_and_ends(name, log, monkeypatch):
    monkeypatch.setattr(health, "_LASTING", 0.0)
    kind, path, refusal = TROUBLES[name]
    script = ScriptedGitHub().on("POST", path, refusal).on("GET", "/app", APP).on("GET", PULL, answer())
    client = scripted(script)

    error = twice(client)
    problems, count = client.health.problems(), client.health.counts[kind]
    script.on("POST", path, lambda _: script._token())
    asyncio.run(client.get(GRANT, PULL))

    assert isinstance(error, errors.OperatorTrouble) == (kind != "unreachable")
    assert levels(log) == [("error", kind), ("info", kind)]
    assert log[0].kwargs["cause"]
    assert log[0].kwargs["cure"]
    assert list(problems) == [f"github {kind}"]
    assert count == 1
    assert client.health.problems() == {}


def test_one_suspended_installation_among_others_leaves_the_server_ready(log):
    script = ScriptedGitHub().on("POST", TOKENS, answer(403, {"message": "suspended"})).on("GET", PULL, answer())
    client = scripted(script)
    asyncio.run(client.get(Grant(8, "octo/other", 43, READ), PULL))

    twice(client)

    assert [line.kwargs["installation"] for line in log] == [7]
    assert client.health.problems() == {}
    assert client.health.standing()["suspended"] == 1


def test_a_github_that_is_away_for_a_moment_leaves_the_server_ready(log):
    now = [100.0]
    watched = health.GitHubHealth(API, clock=lambda: now[0])

    watched.failed(errors.Outage("refused"))
    at_once = watched.problems()
    now[0] += 15

    assert at_once == {}
    assert list(watched.problems()) == ["github unreachable"]
    assert levels(log) == [("error", "unreachable")]


def test_a_few_server_errors_are_no_trouble_of_the_operators(log):
    client = scripted(ScriptedGitHub().on("GET", PULL, answer(), answer(502), answer(502), answer()))
    asyncio.run(client.get(GRANT, PULL))

    twice(client)

    assert (log, client.health.problems()) == ([], {})


def test_an_app_that_github_does_not_know_has_wrong_credentials(log):
    client = scripted(ScriptedGitHub().on("POST", TOKENS, answer(404, {"message": "Integration not found"})))

    assert twice(client).kind == "credentials"
    assert levels(log) == [("error", "credentials")]


def test_an_installation_that_is_gone_is_refused_at_once():
    script = ScriptedGitHub().on("POST", TOKENS, answer(404, {"message": "Not Found"})).on("GET", "/app", APP)
    with pytest.raises(errors.NotFound):
        asyncio.run(scripted(script).get(GRANT, PULL))


def test_requests_take_the_way_of_the_proxy():
    seen = []

    async def story():
        async def proxy(reader, writer):
            seen.append((await reader.readline()).decode())
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            client = scripted(None, connection=Connection(f"http://127.0.0.1:{port}"))
            with pytest.raises(errors.OperatorTrouble) as caught:
                await client.introduce()
            await client.close()
        return caught.value

    assert asyncio.run(story()).kind == "proxy"
    assert seen == [f"CONNECT {API.removeprefix('https://')}:443 HTTP/1.1\r\n"]

"""GitHub, git and the model are reached through the operator's proxy, and trust a private authority. On loopback."""

import asyncio

import pytest

from bot.app import build
from bot.app_openai import build_model, endpoint_of
from bot.errors import ConfigurationError, Refused, Retryable
from bot.hosts.git import Git
from bot.interfaces import Connection, Remote
from bot.sandbox.api.auth import key_pair
from bot.settings import Settings
from tests.support.conversation import YES, Journal, prompt
from tests.support.forward_proxy import ForwardProxy, https_server
from tests.support.model_turns import completion, says
from tests.support.scripted_model import FreeAccount

ANSWERS = {
    "/api/v3/app": {"id": 1234, "slug": "reviewer", "name": "Reviewer", "permissions": {}, "events": []},
    "/v1/chat/completions": completion(says(YES), {"model": "m", "messages": []}),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with https_server(tmp_path_factory.mktemp("tls"), ANSWERS) as (port, ca):
        yield port, ca


def settings(folder, port, **changes):
    there = f"https://localhost:{port}"
    fields = {
        "github_app_id": "1234",
        "github_private_key": key_pair().private,
        "github_webhook_secret": "0123456789abcdef",
        "github_api_url": f"{there}/api/v3",
        "assistant_model_api": "chat",
        "assistant_model": "m",
        "openai_base_url": f"{there}/v1",
        "assistant_data": folder,
    }
    return Settings.read(_env_file=None, **fields | changes)


async def github(chosen):
    """Asks GitHub who the App is."""
    app = build(chosen)
    try:
        return (await app.client.as_app("/app")).content
    finally:
        await app.client.close()
        app.ledger.database.close()


async def model(chosen):
    """Asks the model."""
    asked = build_model(chosen, b"secret")
    try:
        return (await asked.ask(prompt(), (), Journal(), FreeAccount())).value
    finally:
        await asked.close()


@pytest.mark.parametrize("ask", [github, model])
def test_a_request_goes_through_the_proxy_and_trusts_the_private_authority(ask, server, tmp_path):
    port, ca = server
    with ForwardProxy(port) as proxy:
        assert asyncio.run(ask(settings(tmp_path, port, https_proxy=proxy.url, ssl_cert_file=ca)))
        assert set(proxy.seen) == {f"CONNECT localhost:{port} HTTP/1.1"}
        proxy.seen.clear()
        direct = settings(tmp_path, port, https_proxy=proxy.url, ssl_cert_file=ca, no_proxy="example.com, localhost")
        assert asyncio.run(ask(direct))
        assert proxy.seen == []


@pytest.mark.parametrize("ask", [github, model])
def test_without_the_private_authority_its_certificate_is_refused(ask, server, tmp_path):
    with pytest.raises(Retryable):
        asyncio.run(ask(settings(tmp_path, server[0])))


@pytest.mark.parametrize("ask", [github, model])
def test_the_environment_alone_changes_no_connection(ask, server, tmp_path, monkeypatch):
    port, ca = server
    chosen = settings(tmp_path, port, ssl_cert_file=ca)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    assert asyncio.run(ask(chosen))


async def fetched(remote):
    copy = await Git.temporary(fetched)
    await copy.fetch(remote, ("a" * 40,))


def test_git_fetches_through_the_proxy():
    with ForwardProxy() as proxy:
        remote = Remote("http://git.test/octo/shop.git", "Basic x", Connection(proxy.url))
        with pytest.raises(Refused):
            asyncio.run(fetched(remote))
    assert proxy.seen[0].startswith("GET http://git.test/octo/shop.git/info/refs?")


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://api.github.com", False),
        ("github.com", "https://api.github.com", True),
        (".github.com", "https://api.github.com", True),
        ("*.github.com", "https://api.github.com", True),
        ("hub.com", "https://api.github.com", False),
        ("localhost,127.0.0.1", "http://127.0.0.1:11434/v1", True),
        ("10.0.0.0/8", "https://10.1.2.3/api/v3", True),
        ("10.0.0.0/8", "https://11.1.2.3/api/v3", False),
        ("::1", "http://[::1]:8080/v1", True),
        ("ghe.corp:8443", "https://ghe.corp:8443/api/v3", True),
        ("ghe.corp:8443", "https://ghe.corp/api/v3", False),
        ("*", "https://api.openai.com/v1", True),
        ("GHE.Corp", "https://ghe.corp/api/v3", True),
    ],
)
def test_hosts_of_no_proxy_are_reached_directly(no_proxy, url, direct):
    chosen = Settings.read(_env_file=None, https_proxy="http://p:1", http_proxy="http://q:2", no_proxy=no_proxy)
    through = "http://p:1" if url.startswith("https") else "http://q:2"
    assert chosen.proxy_for(url) == ("" if direct else through)


def test_a_wrong_proxy_or_certificate_stops_the_start_and_a_password_is_a_secret(tmp_path):
    (tmp_path / "empty.pem").write_text("none")
    for path, words in ((tmp_path / "empty.pem", "SSL_CERT_FILE"), (tmp_path / "nowhere.pem", "No such file")):
        with pytest.raises(ConfigurationError, match=words):
            endpoint_of(settings(tmp_path, 1, ssl_cert_file=path))
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        settings(tmp_path, 1, https_proxy="proxy:3128")
    assert "pa55-word-0123" in settings(tmp_path, 1, https_proxy="http://me:pa55-word-0123@proxy:3128").secrets

"""`assistant doctor`: each broken configuration is named by its cause and its cure."""

import asyncio
import itertools
import json
import os
import shutil
import socket
import threading
from contextlib import closing
from dataclasses import replace
from email.utils import formatdate
from io import BytesIO
from types import SimpleNamespace

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from bot.app import build_model
from bot.cli import doctor
from bot.cli.commands import main
from bot.cli.doctor import Health, examine_locally, examine_remotely
from bot.cli.serve import Server, listen
from bot.core.costs import Usage
from bot.errors import ConfigurationError
from bot.interfaces import ModelAnswer, ToolUse
from bot.sandbox.api.auth import key_pair
from bot.sandbox.sandbox import PERMISSIONS, Sandbox
from bot.settings import Settings
from bot.web.setup_app import NO_ADDRESS
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, fails, says

SOUND = {
    "GITHUB_APP_ID": "1234",
    "GITHUB_PRIVATE_KEY": key_pair().private,
    "GITHUB_WEBHOOK_SECRET": "0123456789abcdef",
    "GITHUB_API_URL": "http://sandbox.test/api/v3",
    "PORT": "0",
    "ASSISTANT_MODEL_API": "chat",
    "ASSISTANT_MODEL": "llama",
    "OPENAI_BASE_URL": "http://models.test/v1",
}


class Network(httpx.AsyncBaseTransport):
    """The sandbox GitHub and a model server; `page` answers for GitHub, `models` is the model server's answer."""

    def __init__(self, folder):
        self.sandbox = Sandbox.create(folder / "github")
        self.github = httpx.ASGITransport(self.sandbox.asgi)
        self.page = None
        self.models = httpx.Response(200, json={"data": [{"id": "llama"}]})
        self.other = BytesIO()  # what another program holds

    async def handle_async_request(self, request):
        if request.url.host == "models.test":
            return self.models
        if isinstance(self.page, Exception):
            raise self.page
        answer = self.page or await self.github.handle_async_request(request)
        answer.headers["date"] = formatdate(self.sandbox.world.clock(), usegmt=True)
        return answer

    def app(self, **changes):
        self.sandbox.world.app = replace(self.sandbox.world.app, **changes)

    async def lose_a_delivery(self, status):
        repo = await self.sandbox.repository("octo/shop", {"a.py": "x = 1\n"})
        await repo.open_pull("T", "", {"a.py": "x = 2\n"})
        answer = httpx.MockTransport(lambda _: httpx.Response(status))
        async with httpx.AsyncClient(transport=answer) as client:
            await self.sandbox.deliver(client, "http://ours.test/webhooks/github")


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A sound installation in an empty folder."""
    for name in [name for name in os.environ if name.startswith(("ASSISTANT_", "GITHUB_", "OPENAI_", "DATABASE_"))]:
        monkeypatch.delenv(name)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in SOUND.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    (tmp_path / "file").write_text("no certificate")
    network = Network(tmp_path)
    network.sandbox.install("octo")
    yield network
    network.other.close()


def examined(network):
    settings = Settings.read()
    return examine_locally(settings) + asyncio.run(examine_remotely(settings, network, Obliging()))


class Obliging:
    """A model that does what it is asked."""

    name = "llama"

    async def ask(self, prompt, tools, _step, account):
        await account.settle("one", Usage(input=90, output=10))
        word = await tools[0]({})
        return ModelAnswer({"word": word}, looked_up=(ToolUse(tools[0].name, {}, word),))

    async def close(self):
        pass


def test_a_sound_installation_has_no_trouble_and_no_warning(network):
    found = {one.subject: one for one in examined(network)}

    assert {one.health for one in found.values()} == {Health.OK, Health.SKIPPED}
    assert "review-assistant (id 1234)" in found["GitHub App"].found
    assert found["Model server"].found == "http://models.test/v1 offers llama"
    assert set(found) >= {"Private key", "Database", "Disk", "Confinement", "Checks", "Permissions", "Events", "Clock"}


OTHER_KEY = (
    generate_private_key(65537, 2048)
    .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    .decode()
)


@pytest.mark.parametrize(
    ("variables", "subject", "words"),
    [
        ({"GITHUB_API_URL": "https://github.com"}, "Settings", "Write https://api.github.com."),
        ({"GITHUB_API_URL": "https://api.github.com/api/v3"}, "Settings", "Write https://api.github.com."),
        ({"GITHUB_API_URL": "https://git.corp.test"}, "Settings", "Write https://git.corp.test/api/v3."),
        ({"GITHUB_API_URL": "https://octo.ghe.com"}, "Settings", "Write https://api.octo.ghe.com."),
        ({"GITHUB_APP_ID": "review-bot"}, "Settings", "Write the number or the client id"),
        ({"GITHUB_WEBHOOK_SECRET": "…"}, "Settings", "GITHUB_WEBHOOK_SECRET is a placeholder"),
        ({"GITHUB_WEBHOOK_SECRET": ""}, "Settings", "Not set: GITHUB_WEBHOOK_SECRET"),
        ({"GITHUB_WEBHOOK_SECRET": "short"}, "Settings", "Make one with `openssl rand -hex 32`"),
        ({"GITHUB_WEBHOOK_SECRET": "0123456789abc"}, "Webhook secret", "fewer than 16 characters"),
        ({"GITHUB_APPID": "1"}, "Settings", "did you mean GITHUB_APP_ID?"),
        ({"GITHUB_SECRET": "x"}, "Settings", "did you mean GITHUB_WEBHOOK_SECRET?"),
        ({"ASSISTANT_EFORT": "low"}, "Settings", "did you mean ASSISTANT_EFFORT?"),
        ({"OPENAI_API_BASE": "http://x"}, "Settings", "did you mean OPENAI_BASE_URL?"),
        ({"GITHUB_APP_ID": "99"}, "GitHub", "Compare GITHUB_APP_ID and the private key"),
        ({"GITHUB_PRIVATE_KEY": OTHER_KEY}, "GitHub", "Compare GITHUB_APP_ID and the private key"),
        ({"GITHUB_PRIVATE_KEY": "hello"}, "Private key", "is not an RSA key in PEM form"),
        ({"ASSISTANT_MODEL_API": "responses", "OPENAI_BASE_URL": ""}, "Settings", "Set OPENAI_API_KEY."),
        ({"ASSISTANT_MODEL_API": "chat", "OPENAI_BASE_URL": ""}, "Settings", "Set OPENAI_BASE_URL, or OPENAI_API_KEY."),
        ({"OPENAI_BASE_URL": "https://api.openai.com/v1"}, "Settings", "needs a key"),
        ({"OPENAI_BASE_URL": "http://models.test/v1/models"}, "Model", "write http://models.test/v1"),
        ({"ASSISTANT_MODEL_API": "auto"}, "Model", "Set ASSISTANT_MODEL_API=chat"),
        ({"ASSISTANT_MODEL": "gpt-9"}, "Model server", "for example llama"),
        ({"SSL_CERT_FILE": "file"}, "Certificates", "SSL_CERT_FILE cannot be used"),
        ({"ASSISTANT_DATA": "file"}, "Database", "Set ASSISTANT_DATA to a folder"),
        ({"ASSISTANT_CHECKS": "ruff,ruf"}, "Checks", "There is no check ruf"),
    ],
)
def test_a_wrong_variable_is_named_with_its_cure(network, monkeypatch, variables, subject, words):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = [one for one in examined(network) if one.health in {Health.WARNING, Health.TROUBLE}]

    assert [one.subject for one in found] == [subject]
    assert words in f"{found[0].found} {found[0].cure}"
    assert found[0].cure


def probed(script, api, **settings):
    """What the doctor says of a model server that follows a script and then repeats its last turn, and the server."""
    server = ModelServer(itertools.chain(script, itertools.repeat(script[-1])))
    named = {"assistant_model_api": api, "openai_base_url": "http://models.test/v1", "openai_api_key": "sk-x"}
    model = build_model(Settings.read(_env_file=None, **(named | settings)), b"doctor")
    model.endpoint.transport = server.transport()
    return asyncio.run(doctor._understanding(model)), server


WORD = says({"word": "Quicksilver"})


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize(
    ("script", "health", "words"),
    [
        ([calls(("get_word", {})), WORD], Health.OK, "answers in a schema and uses tools (asked in "),
        ([WORD], Health.WARNING, "does not use tools"),
        ([calls(("get_word", {})), says({"word": "lead"})], Health.WARNING, "does not say what they answered"),
        ([says("{no"), says("sorry")], Health.TROUBLE, "gives no answer in a schema"),
        ([calls(("get_word", {}))] * 9, Health.TROUBLE, "gives no answer in a schema"),
        ([fails(401)], Health.TROUBLE, "does not accept the key"),
        ([fails(404, "model_not_found")], Health.TROUBLE, "does not know the model"),
    ],
)
def test_what_a_model_understands_is_asked_in_four_calls_at_most_and_the_cost_is_said(api, script, health, words):
    found, server = probed(script, api)

    assert (found.health, words in found.found) == (health, True), found
    assert len(server.asked) <= 4
    assert server.rejected == []
    assert found.cure or health is Health.OK


def no_landlock(_, monkeypatch):
    monkeypatch.setattr(doctor, "obstacle", lambda: "this kernel offers no Landlock")


def slow_clock(network, _):
    network.sandbox.world.clock = lambda: 1_767_225_600.0


def called_elsewhere(network, monkeypatch):
    network.sandbox.world.hook_url = "https://old.test/webhooks/github"
    monkeypatch.setenv("PUBLIC_URL", "https://bot.test")


def used_port(network, monkeypatch):
    network.other = socket.socket()
    network.other.bind(("127.0.0.1", 0))
    monkeypatch.setenv("PORT", str(network.other.getsockname()[1]))


BROKEN_ELSEWHERE = {
    "User": (lambda _, patch: patch.setattr(os, "geteuid", lambda: 0), "as the image and `examples/deploy/"),
    "Disk": (
        lambda _, patch: patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5)),
        "Free some space",
    ),
    "Port": (used_port, "set HOST and PORT"),
    "PUBLIC_URL": (called_elsewhere, "GitHub calls old.test, but PUBLIC_URL names bot.test"),
    "Confinement": (no_landlock, "ASSISTANT_UNCONFINED_CHECKS=true"),
    "Permissions": (lambda net, _: net.app(permissions=PERMISSIONS | {"checks": "read"}), "checks: write"),
    "SARIF reports": (
        lambda net, _: net.app(permissions=PERMISSIONS | {"actions": ""}),
        "lacks actions: read: no repository can have the policy key `sarif`",
    ),
    "Events": (lambda net, _: net.app(events=("pull_request",)), "does not subscribe to check_run, check_suite"),
    "Webhook": (lambda net, _: setattr(net.sandbox.world, "hook_url", "https://a.test/hooks"), "end in /webhooks"),
    "Deliveries": (lambda net, _: asyncio.run(net.lose_a_delivery(401)), "Set the same secret"),
    "Installations": (lambda net, _: net.sandbox.world.installations.clear(), "not installed"),
    "Clock": (slow_clock, "Set this machine's clock"),
    "GitHub": (lambda net, _: setattr(net, "page", httpx.ConnectError("refused")), "HTTPS_PROXY"),
    "Model server": (lambda net, _: setattr(net, "models", httpx.Response(401)), "OPENAI_API_KEY to a valid key"),
}


@pytest.mark.parametrize("subject", BROKEN_ELSEWHERE)
def test_what_is_wrong_on_github_or_on_a_server_is_named_with_its_cure(network, monkeypatch, subject):
    break_it, words = BROKEN_ELSEWHERE[subject]
    break_it(network, monkeypatch)
    found = [one for one in examined(network) if one.health in {Health.WARNING, Health.TROUBLE}]

    assert [one.subject for one in found] == ["Webhook" if subject == "PUBLIC_URL" else subject]
    assert words in f"{found[0].found} {found[0].cure}"


def test_a_port_on_which_our_own_server_answers_is_sound(network, monkeypatch):
    with closing(listen()[0]) as bound:
        monkeypatch.setenv("PORT", str(bound.getsockname()[1]))
        server = Server(Starlette(routes=[Route("/livez", lambda _: Response())]), bound)
        thread = threading.Thread(target=lambda: asyncio.run(server.run_here()), daemon=True)
        thread.start()
        (found,) = [one for one in examined(network) if one.subject == "Port"]
        server.should_exit = True
        thread.join()

    assert (found.health, "A server answers" in found.found) == (Health.OK, True)


def test_a_server_without_an_address_is_sound_as_long_as_it_fetches_the_deliveries(network, monkeypatch):
    network.sandbox.world.hook_url = NO_ADDRESS
    asyncio.run(network.lose_a_delivery(502))
    troubles = [one for one in examined(network) if one.health is Health.TROUBLE]
    monkeypatch.setenv("ASSISTANT_POLL_DELIVERIES", "true")
    fetched = [one for one in examined(network) if one.health is Health.TROUBLE]

    assert [one.subject for one in troubles] == ["Webhook", "Deliveries"]
    assert "ASSISTANT_POLL_DELIVERIES=true" in troubles[0].cure
    assert fetched == []


def test_a_web_page_and_a_suspended_installation_are_named(network):
    next(iter(network.sandbox.world.installations.values())).suspended = True
    assert "Suspended: octo" in [one.found for one in examined(network)]

    network.page = httpx.Response(404, html="<!DOCTYPE html><title>Page not found</title>")
    (found,) = [one for one in examined(network) if one.health is Health.TROUBLE]
    assert (found.subject, "is not GitHub's API" in found.found) == ("GitHub", True)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GITHUB_API_URL", "api.github.com", "GHES: https://HOST/api/v3"),
        ("DATABASE_URL", "mysql://x", "postgresql://"),
        ("HTTPS_PROXY", "proxy:3128", "Proxy for GitHub"),
        ("PORT", "http", "valid integer"),
        ("ASSISTANT_MODEL_API", "claude", "'chat' or 'offline'"),
        ("ASSISTANT_MODEL_OPTIONS", "{", "is not JSON"),
    ],
)
def test_a_setting_of_a_wrong_form_is_a_trouble_in_words_without_a_pattern(monkeypatch, capsys, name, value, words):
    monkeypatch.setenv(name, value)
    code = doctor.run(as_json=True)
    [row] = json.loads(capsys.readouterr().out)

    assert (code, row["subject"], row["health"]) == (1, "Settings", "trouble")
    assert name in row["found"]
    assert words in row["found"]
    assert not {"^", "$", "\\"} & set(row["found"])


@pytest.mark.usefixtures("network")
def test_the_command_exits_with_1_for_trouble_and_prints_json(monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_API_URL", "https://github.com")
    monkeypatch.setenv("ASSISTANT_MODEL_API", "offline")
    monkeypatch.setattr("sys.argv", ["assistant", "doctor", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    rows = json.loads(capsys.readouterr().out)

    assert ended.value.code == 1
    assert [row["subject"] for row in rows if row["health"] == "trouble"] == ["Settings"]
    with pytest.raises(
        ConfigurationError, match=r"GITHUB_API_URL: https://github.com is not GitHub's API; write https://"
    ):
        Settings.read().require_app()


@pytest.mark.usefixtures("network")
def test_a_github_out_of_reach_is_one_row_and_nothing_else_is_printed(monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9/api/v3")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    code = doctor.run(as_json=True)
    rows = {row["subject"]: row for row in json.loads(capsys.readouterr().out)}

    assert code == 1
    assert [subject for subject, row in rows.items() if row["health"] == "trouble"] == ["GitHub", "Model server"]
    assert "firewall" in rows["GitHub"]["cure"]
    assert "that the server runs" in rows["Model server"]["cure"]


def test_an_analyser_that_is_not_installed_is_named_with_the_way_to_get_it(network, monkeypatch):
    monkeypatch.setattr(doctor, "find_program", lambda _: None)
    found = {one.subject: one for one in examined(network)}

    assert found["zizmor"].health is Health.SKIPPED
    assert "review-assistant[actions]" in found["zizmor"].cure

"""Set-up's own rules: who may see it, when it ends, what goes to GitHub, and a sentence for each thing that goes wrong."""

import json
import re
import stat
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from bot.app import bundled
from bot.credentials import stored_app
from bot.errors import ConfigurationError, UserError
from bot.interfaces import Connection
from bot.sandbox.world.faults import server_error
from bot.settings import Settings
from bot.web.setup import MINUTES, ConnectedServer, SetUp, SetUpPlace
from bot.web.setup_app import NO_ADDRESS, GitHubServer, read_manifest
from tests.support.set_up import sandbox_on_loopback

BASE = "http://127.0.0.1:8000"
MANIFEST = read_manifest(bundled("app.yml").read_text())


@pytest.fixture(scope="module")
def github(tmp_path_factory):
    with sandbox_on_loopback(tmp_path_factory.mktemp("github")) as served:
        yield served


class Nothing:
    """What an App sees that is installed nowhere."""

    async def installations(self):
        return ()


class Stage:
    """A SetUp with a clock that the test moves, in a browser; `activated` are the settings of the started servers."""

    def __init__(self, github, folder, base=BASE, *, public=False, fails=""):
        self.now, self.activated, self.fails = 0.0, [], fails
        self.file = stored_app(folder)
        server = GitHubServer.of_api(f"{github.url}/api/v3")
        place = SetUpPlace(base, public, server, MANIFEST, self.file, Connection())
        self.setup = SetUp(place, self.activate, lambda: self.now)
        self.browser = self.stranger()

    async def activate(self, variables):
        if self.fails:
            raise ConfigurationError(self.fails)
        self.activated.append(variables)
        working = Starlette(routes=[Route("/readyz", lambda _: PlainTextResponse("works"))])
        return ConnectedServer(working, Nothing(), None)

    def stranger(self):
        return TestClient(self.setup, base_url=BASE, follow_redirects=False)

    def enter(self):
        answer = self.browser.get(self.setup.link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/setup")
        return self.browser.get("/setup")

    def confirmed(self, github, page=None):
        """The callback's address after the person confirmed the registration on GitHub."""
        page = page or self.enter()
        action = unescape(re.search(r'action="(\S+)" class="go"', page.text)[1])
        manifest = unescape(re.search(r'name="manifest" value="(.*?)"', page.text)[1])
        code = f"code-{len(github.sandbox.world.manifests)}-{id(self)}"
        github.sandbox.world.manifests[code] = json.loads(manifest)
        return f"/setup/callback?code={code}&state={parse_qs(urlsplit(action).query)['state'][0]}"


@pytest.fixture
def stage(github, tmp_path):
    return Stage(github, tmp_path)


def test_the_link_works_once_in_one_browser_for_half_an_hour(stage):
    assert stage.stranger().get("/setup").status_code == 403
    assert stage.stranger().get("/setup?token=guess").status_code == 403
    assert stage.enter().status_code == 200
    assert stage.stranger().get(stage.setup.link).status_code == 403
    assert "The link has expired" not in stage.browser.get("/setup").text
    stage.now = MINUTES * 60
    assert stage.browser.get("/setup").status_code == 404
    assert "prints a new link" in stage.browser.get("/setup").text


def test_strangers_see_no_page_of_set_up_and_no_secret(stage, github):
    callback = stage.confirmed(github)
    for path in ("/setup", "/setup/settings", "/setup/callback", "/setup/callback?code=x&state=y"):
        assert stage.stranger().get(path).status_code in {403, 404}, path
    assert stage.browser.get(callback).status_code == 303
    for path in ("/setup", "/setup/settings"):
        assert stage.stranger().get(path).status_code in {403, 404}, path
    assert stage.stranger().post("/setup/review", data={"proof": ""}).status_code == 403
    assert stage.browser.post("/setup/review", data={"proof": "guess"}).status_code == 403


def test_the_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(github, tmp_path):
    for base, secure in ((BASE, False), ("https://bot.example.org", True)):
        stage = Stage(github, tmp_path, base)
        cookie = stage.browser.get(f"/setup?{urlsplit(stage.setup.link).query}").headers["set-cookie"]
        assert {"HttpOnly", "SameSite=lax", "Path=/setup"} <= set(cookie.split("; "))
        assert ("Secure" in cookie) == secure


def test_the_manifest_is_app_yml_with_this_servers_addresses_and_never_those_of_the_host_header(github, tmp_path):
    for public, hook in ((False, NO_ADDRESS), (True, f"{BASE}/webhooks/github")):
        stage = Stage(github, tmp_path, public=public)
        stage.enter()
        page = stage.browser.get("/setup", headers={"host": "evil.example"})
        sent = json.loads(unescape(re.search(r'name="manifest" value="(.*?)"', page.text)[1]))
        assert sent["hook_attributes"]["url"] == hook
        assert sent["redirect_url"] == f"{BASE}/setup/callback"
        assert sent["public"] is False
        assert {name: sent[name] for name in ("default_permissions", "default_events")} == {
            name: MANIFEST[name] for name in ("default_permissions", "default_events")
        }
        assert "evil" not in page.text


@pytest.mark.parametrize(
    ("query", "action"),
    [
        ("organisation=octo-org", "/organizations/octo-org/settings/apps/new?state="),
        ("server=github.my-company.test", "https://github.my-company.test/settings/apps/new?state="),
        ("server=https://octo.ghe.com/", "https://octo.ghe.com/settings/apps/new?state="),
        ("server=github.com&organisation=o", "https://github.com/organizations/o/settings/apps/new?state="),
    ],
)
def test_an_organisation_or_another_server_is_one_field(stage, query, action):
    stage.enter()
    page = stage.browser.get(f"/setup?{query}")

    assert action in unescape(page.text)
    origin = urlsplit(re.search(r'action="(http\S+)" class="go"', page.text)[1])
    assert f"form-action 'self' {origin.scheme}://{origin.netloc};" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "query", ["organisation=a/b", "organisation=a%3Fb", "server=http://x.test", "server=a/b", "server=a@b"]
)
def test_names_that_are_none_are_a_sentence_and_change_no_address(stage, query, github):
    stage.enter()
    page = stage.browser.get(f"/setup?{query}")

    assert 'role="alert"' in page.text
    assert f'action="{github.url}/settings/apps/new?state=' in page.text


def test_servers_have_the_api_that_github_documents():
    assert GitHubServer.named("github.com") == GitHubServer("https://github.com", "https://api.github.com")
    assert GitHubServer.named("a.ghe.com") == GitHubServer("https://a.ghe.com", "https://api.a.ghe.com")
    assert GitHubServer.named("ghes.test:8443") == GitHubServer(
        "https://ghes.test:8443", "https://ghes.test:8443/api/v3"
    )
    assert GitHubServer.of_api("https://ghes.test/api/v3").pages == "https://ghes.test"
    assert GitHubServer.of_api("https://api.github.com").pages == "https://github.com"
    assert not GitHubServer.named("github.com").owns("https://github.com.evil.test/apps/x")
    with pytest.raises(UserError):
        GitHubServer.named("javascript:alert(1)")


def test_the_callback_stores_the_secrets_starts_the_server_and_sends_to_the_installation(
    stage, github, tmp_path, monkeypatch
):
    answer = stage.browser.get(stage.confirmed(github))
    app = github.sandbox.world.app
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_APP_ID", "GITHUB_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
    stored = Settings.read(assistant_data=tmp_path)

    assert (answer.status_code, answer.headers["location"]) == (303, f"{github.url}/apps/{app.slug}/installations/new")
    assert stat.S_IMODE(stage.file.stat().st_mode) == 0o600
    assert list(stage.file.parent.iterdir()) == [stage.file]
    assert stage.activated[0]["GITHUB_APP_ID"] == stored.github_app_id == str(app.id)
    assert stored.require_app().private_key == app.private_key.strip()
    assert stored.webhook_secrets == (github.sandbox.world.secret.encode(),)
    assert (stored.github_api_url, stored.assistant_poll_deliveries) == (f"{github.url}/api/v3", True)
    assert stage.browser.get("/readyz").text == "works"
    assert "not installed anywhere yet" in stage.browser.get("/setup").text
    monkeypatch.setenv("GITHUB_APP_ID", "77")
    assert not Settings.read(assistant_data=tmp_path).webhook_secrets, "another App's secret is not this one's"


def test_a_state_is_used_once_and_after_a_restart_not_at_all(stage, github, tmp_path):
    callback = stage.confirmed(github)
    restarted = Stage(github, tmp_path)
    restarted.enter()

    assert "started anew" in restarted.browser.get(callback).text
    assert not stage.file.exists()
    assert stage.browser.get(callback).status_code == 303
    assert stage.browser.get(callback).status_code == 403
    assert len(stage.activated) == 1


def test_a_code_that_github_does_not_know_is_a_sentence(stage, github):
    callback = stage.confirmed(github).replace("code=", "code=wrong-")
    answer = stage.browser.get(callback)

    assert (answer.status_code, "valid for an hour and works once" in unescape(answer.text)) == (400, True)
    assert (stage.activated, stage.file.exists()) == ([], False)


def test_while_github_is_down_the_same_page_can_be_loaded_again(stage, github):
    callback = stage.confirmed(github)
    github.sandbox.plan(server_error("POST", "/app-manifests/*/conversions"))
    down = stage.browser.get(callback)

    assert (down.status_code, "Load this page again" in down.text) == (503, True)
    assert stage.browser.get(callback).status_code == 303


def test_secrets_that_cannot_be_stored_are_shown_once_to_be_copied(stage, github):
    stage.file.parent.parent.mkdir(exist_ok=True)
    stage.file.parent.write_text("a file where the folder should be")
    warned = stage.enter()
    page = stage.browser.get(stage.confirmed(github, warned))

    assert "cannot be stored here" in warned.text
    assert (page.status_code, "could not be stored" in page.text) == (200, True)
    for line in (
        f"GITHUB_APP_ID={github.sandbox.world.app.id}",
        "GITHUB_PRIVATE_KEY=-----BEGIN",
        "kubectl create secret",
    ):
        assert line in page.text
    assert len(stage.activated) == 1, "the server works until its next start"
    assert stage.stranger().get("/setup/settings").status_code == 404


def test_a_server_that_cannot_start_says_why_and_keeps_the_secrets(github, tmp_path):
    stage = Stage(github, tmp_path, fails="ASSISTANT_MODEL_API=chat cannot reach a model; set OPENAI_BASE_URL")
    page = stage.browser.get(stage.confirmed(github))

    assert "The server does not start: ASSISTANT_MODEL_API=chat" in page.text
    assert stage.file.exists()


def test_an_app_of_another_server_is_not_stored(stage, github, monkeypatch):
    monkeypatch.setattr(
        "bot.sandbox.world.shape.app", lambda _: {"id": 1, "slug": "x", "html_url": "https://evil.test/apps/x"}
    )
    answer = stage.browser.get(stage.confirmed(github))

    assert (answer.status_code, "another server" in answer.text, stage.file.exists()) == (400, True, False)


def test_every_permission_is_explained(stage):
    rows = re.findall(r'<th scope="row">.*?</th><td>.*?</td><td>(.*?)</td>', stage.enter().text)

    assert len(rows) == len(MANIFEST["default_permissions"])
    assert all(len(row.split()) > 3 for row in rows)


def test_a_server_that_waits_is_alive_and_tells_strangers_no_more(stage):
    assert stage.stranger().get("/livez").json()["status"] == stage.stranger().get("/readyz").json()["status"] == "ok"
    assert stage.stranger().post("/webhooks/github").status_code == 404
    assert "token" not in stage.stranger().get("/").text

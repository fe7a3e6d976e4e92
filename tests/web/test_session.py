"""Sign-in with GitHub: the web flow with state and PKCE, sessions, and what each person may see."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from bot.cli.serve import http
from bot.errors import ConfigurationError
from bot.sandbox.api.oauth import CLIENT_SECRET
from tests.support.product import RunningProduct

PUBLIC = "http://127.0.0.1"


@pytest.fixture(scope="module")
def product():
    product = RunningProduct(
        assistant_dashboard="github",
        github_client_id="Iv23sandbox1234",
        github_client_secret=CLIENT_SECRET,
        public_url=PUBLIC,
        assistant_admins="root, Boss",
    )
    product.play(product.app.client.introduce())
    yield product
    product.close()


@pytest.fixture(scope="module")
def pulls(product):
    """A reviewed pull request in a repository of alice's, and one in a repository that only bob may read."""
    mine = product.open()
    repo = product.repository()
    repo.user("alice", "none")
    repo.user("bob", "read")
    theirs = product.open(repo=repo)
    product.settle()
    return mine, theirs


@pytest.fixture
def browser(product):
    base = product.here.webhook.removesuffix("/webhooks/github")
    with httpx.Client(base_url=base) as client:
        yield client


def visit(browser, address):
    """Follows one redirect: the public address is this server."""
    return browser.get(address.removeprefix(PUBLIC) if address.startswith(f"{PUBLIC}/") else address)


def sign_in(product, browser, login, page="/reviews"):
    """Signs in as `login` and returns the page that was asked for."""
    product.sandbox.world.visitor = login
    answer = browser.get(page)
    while answer.is_redirect:
        answer = visit(browser, answer.headers["location"])
    return answer


def test_people_see_the_repositories_that_they_may_read(product, browser, pulls):
    mine, theirs = (f"{pull.repo.full_name}#{pull.number}" for pull in pulls)
    shown = sign_in(product, browser, "alice").text

    assert mine in shown
    assert theirs not in shown
    assert theirs.partition("#")[0] not in browser.get("/dashboard").text
    assert "Queue" not in browser.get("/dashboard").text


def test_the_details_of_the_check_run_lead_to_the_page_of_the_review(product, browser, pulls):
    (run,) = pulls[0].check_runs()
    sign_in(product, browser, "alice")
    shown = visit(browser, run.details_url)

    assert shown.status_code == 200
    assert f"{pulls[0].repo.full_name}#{pulls[0].number}" in shown.text


def test_a_review_that_a_person_may_not_read_looks_like_none(product, browser, pulls):
    with httpx.Client(base_url=browser.base_url) as bobs:
        listed = sign_in(product, bobs, "bob").text
    row = next(row for row in listed.split("<tr>") if f"{pulls[1].repo.full_name}#" in row)
    path = row.partition('href="')[2].partition('"')[0]
    sign_in(product, browser, "alice")

    assert browser.get(path).status_code == 404
    assert browser.get(path).text == browser.get(f"/reviews/{'0' * 16}").text


@pytest.mark.parametrize("login", ["octo", "root", "boss"])
def test_the_apps_owner_and_the_named_admins_see_everything(product, browser, pulls, login):
    shown = sign_in(product, browser, login).text

    assert all(f"{pull.repo.full_name}#{pull.number}" in shown for pull in pulls)
    assert "Queue" in browser.get("/dashboard").text


def test_a_person_without_a_repository_is_told_why_the_page_is_empty(product, browser, pulls):
    shown = sign_in(product, browser, "mallory").text

    assert "not installed on a repository that you may read" in shown
    assert pulls[0].repo.full_name not in shown


def test_the_session_is_a_cookie_that_no_script_reads_and_no_other_key_makes(product, browser):
    product.sandbox.world.visitor = "alice"
    first = browser.get("/dashboard")
    to_github = visit(browser, first.headers["location"])
    asked = parse_qs(urlsplit(to_github.headers["location"]).query)
    back = visit(browser, browser.get(to_github.headers["location"]).headers["location"])
    session = next(value for value in back.headers.get_list("set-cookie") if value.startswith("assistant="))

    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{PUBLIC}/auth/callback"]
    assert "HttpOnly" in session
    assert "SameSite=lax" in session
    assert "alice" not in session
    with httpx.Client(base_url=browser.base_url, cookies={"assistant": "forged"}) as other:
        assert other.get("/dashboard").is_redirect


@pytest.mark.parametrize("query", ["", "code=code-1&state=other", "code=x&state=é"])
def test_a_sign_in_that_this_browser_did_not_start_is_refused(browser, query):
    visit(browser, "/auth/login")

    assert browser.get(f"/auth/callback?{query}").status_code == 400


def test_a_code_counts_once(product, browser):
    product.sandbox.world.visitor = "alice"
    to_github = visit(browser, "/auth/login")
    back = browser.get(to_github.headers["location"]).headers["location"].removeprefix(PUBLIC)
    kept = dict(browser.cookies)

    assert browser.get(back).is_redirect
    with httpx.Client(base_url=browser.base_url, cookies=kept) as thief:
        assert thief.get(back).status_code == 403


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/webhooks/github"])
def test_a_sign_in_leads_to_our_own_pages_only(product, browser, target):
    product.sandbox.world.visitor = "alice"
    to_github = browser.get("/auth/login", params={"next": target})
    back = visit(browser, browser.get(to_github.headers["location"]).headers["location"])

    assert back.headers["location"] == "/dashboard"


def test_signing_out_ends_the_session_here_and_at_github(product, browser):
    sign_in(product, browser, "alice")
    tokens = len(product.sandbox.world.person_tokens)
    left = browser.post("/auth/logout")

    assert left.headers["location"] == "/auth/bye"
    assert len(product.sandbox.world.person_tokens) == tokens - 1
    assert browser.get("/dashboard").is_redirect
    assert "The session has ended" in browser.get("/auth/bye").text


def test_what_a_person_may_read_is_asked_page_by_page_and_remembered(product, browser):
    world = product.sandbox.world
    repos = [product.repository() for _ in range(101)]
    for repo in repos:
        repo.user("carol", "read")
    before = len(world.requests)
    assert "not installed" not in sign_in(product, browser, "carol").text
    first = [one.path for one in world.requests[before:] if "/repositories" in one.path]
    browser.get("/dashboard")

    assert len(first) == 2
    assert len([one for one in world.requests[before:] if "/repositories" in one.path]) == 2


def test_without_a_setting_that_it_needs_the_server_does_not_start_with_sign_in(product):
    changed = product.app.settings.model_copy(update={"public_url": ""})
    app = replace(product.app, settings=changed)
    with pytest.raises(ConfigurationError, match="also needs PUBLIC_URL"):
        http(app)


def test_the_dashboard_can_be_switched_off(product):
    changed = product.app.settings.model_copy(update={"assistant_dashboard": "off"})
    app = replace(product.app, settings=changed)
    client = TestClient(http(app), base_url="http://127.0.0.1")

    assert client.get("/dashboard").status_code == 404
    assert client.get("/auth/local").status_code == 404

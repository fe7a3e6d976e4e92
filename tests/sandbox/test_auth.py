"""The sandbox lets in whom GitHub lets in: the App by its key, a token as far as it reaches and as long as it lasts."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.sandbox.sandbox import PERMISSIONS, Clock
from tests.support.sandbox_pull import PULL, REPO, scenario


@scenario
async def test_the_app_is_let_in_by_its_key(github):
    assert (await github.as_app("GET", "/app")).json()["slug"] == "review-assistant"


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": 1}, "must be a numeric value representing the future time"),
        ({"exp": 10**10}, "is too far in the future"),
        ({"iat": 10**10}, "must be an Integer representing the time"),
        ({"iss": "999"}, "Integration not found"),
    ],
)
@scenario
async def test_a_jwt_lives_ten_minutes_at_most_and_names_the_app(github, claims, words):
    answer = await github.as_app("GET", "/app", **claims)
    assert answer.status_code in (401, 404)
    assert words in answer.json()["message"]


@scenario
async def test_a_jwt_by_another_key_or_algorithm_is_refused(github):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = jwt.encode({"iss": "1234"}, None, algorithm="none")
    for token in (github.app_jwt(key=other), unsigned, "nonsense"):
        github.token = token
        assert (await github("GET", "/app", status=401)).json()["message"] == "A JSON web token could not be decoded"


@scenario
async def test_a_token_does_not_open_the_apps_endpoints_nor_the_jwt_a_repository(github):
    await github("GET", "/app", status=401)
    assert (await github.as_app("GET", REPO)).status_code == 401


@scenario
async def test_without_credentials_there_is_nothing(github):
    github.token = None
    assert (await github("GET", REPO, status=401)).json()["message"] == "Requires authentication"
    github.token = "ghs_invented"
    assert (await github("GET", REPO, status=401)).json()["message"] == "Bad credentials"


@scenario
async def test_a_token_is_long_and_lasts_an_hour(github):
    clock = github.sandbox.world.clock = Clock()
    github.token = await github.mint()
    assert len(github.token) == 520
    assert github.token.startswith("ghs_")
    clock.advance(3599)
    await github("GET", REPO, status=200)
    clock.advance(1)
    await github("GET", REPO, status=401)


@scenario
async def test_a_token_reaches_only_the_repositories_it_was_made_for(github):
    hidden = await github.sandbox.repository("octo/hidden", {"x": "1"}, private=True)
    shown = await github.sandbox.repository("octo/shown", {"x": "1"})
    github.token = await github.mint(repository_ids=[github.shop.state.id])
    await github("GET", REPO, status=200)
    await github("GET", f"/repos/{hidden.state.full_name}", status=404)
    await github("GET", f"/repos/{shown.state.full_name}", status=200)  # public
    shown.open_issue("A bug")
    await github("POST", f"/repos/{shown.state.full_name}/issues/1/comments", {"body": "Hi."}, 403)
    github.token = await github.mint(repositories=["hidden"])
    await github("GET", f"/repos/{hidden.state.full_name}", status=200)


@scenario
async def test_a_token_cannot_ask_for_more_than_the_installation_has(github):
    number = github.sandbox.install("octo").id
    for wish in ({"permissions": {"contents": "write"}}, {"repositories": ["elsewhere"]}, {"repository_ids": [1]}):
        answer = await github.as_app("POST", f"/app/installations/{number}/access_tokens", wish)
        assert answer.status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{PULL}/reviews", {"event": "COMMENT", "body": "Hi."}),
        ("POST", f"{REPO}/issues/1/comments", {"body": "Hi."}),
        ("POST", f"{REPO}/issues/1/labels", {"labels": ["x"]}),
        ("DELETE", f"{REPO}/issues/1/labels/x", None),
        ("POST", f"{REPO}/check-runs", {"name": "assistant", "head_sha": "0" * 40}),
    ],
)
@scenario
async def test_a_token_that_may_only_read_writes_nothing(github, method, path, body):
    read = dict.fromkeys(PERMISSIONS, "read")
    github.token = await github.mint(permissions=read)
    answer = await github(method, path, body, 403)
    assert answer.json()["message"] == "Resource not accessible by integration"
    assert "write" in answer.headers["x-accepted-github-permissions"]
    assert github.events == []


@pytest.mark.parametrize(
    ("permission", "allowed", "denied"),
    [
        ("contents", f"{REPO}/contents/a.py", PULL),
        ("pull_requests", PULL, f"{REPO}/contents/a.py"),
        ("checks", f"{REPO}/commits/main/check-runs", f"{PULL}/reviews"),
        ("metadata", f"{REPO}/collaborators/octo/permission", f"{REPO}/git/trees/main"),
    ],
)
@scenario
async def test_each_endpoint_asks_for_its_own_permission(github, permission, allowed, denied):
    github.token = await github.mint(permissions={permission: "read"})
    await github("GET", allowed, status=200)
    await github("GET", denied, status=403)


@scenario
async def test_an_issue_needs_another_permission_than_a_pull_request(github):
    github.shop.open_issue("A bug")
    github.token = await github.mint(permissions={"pull_requests": "write"})
    await github("POST", f"{REPO}/issues/1/comments", {"body": "On the pull request."}, 201)
    await github("GET", f"{REPO}/issues/2", status=403)
    github.token = await github.mint(permissions={"issues": "read"})
    await github("GET", f"{REPO}/issues/2", status=200)
    await github("POST", f"{REPO}/issues/2/comments", {"body": "On the issue."}, 403)


@scenario
async def test_a_suspended_installation_and_an_archived_repository_say_so(github):
    github.shop.state.archived = True
    await github.review(status=403)
    github.sandbox.install("octo").suspended = True
    answer = await github("GET", REPO, status=403)
    assert answer.json()["message"] == "This installation has been suspended"


@scenario
async def test_the_hours_requests_are_counted_and_refused_when_used_up(github):
    first = await github("GET", REPO)
    assert int(first.headers["x-ratelimit-remaining"]) == 4999
    github.sandbox.world.rate_limit = 2
    await github("GET", REPO, status=200)
    refused = await github("GET", REPO, status=403)
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "rate limit exceeded" in refused.json()["message"]


@scenario
async def test_an_unknown_api_version_is_refused(github):
    await github("GET", REPO, status=200, X_GitHub_Api_Version="2022-11-28")
    await github("GET", REPO, status=400, X_GitHub_Api_Version="1999-01-01")


@scenario
async def test_what_did_not_change_is_304(github):
    first = await github("GET", REPO)
    again = await github("GET", REPO, status=304, If_None_Match=first.headers["etag"])
    assert again.content == b""


@scenario
async def test_every_request_is_written_down_with_its_token(github):
    github.token = await github.mint(permissions={"contents": "read"})
    await github("GET", PULL, status=403)
    seen = github.sandbox.requests[-1]
    assert (seen.method, seen.path, seen.status, seen.caller) == ("GET", PULL, 403, "installation")
    assert (seen.token, seen.permissions) == (github.token, {"metadata": "read", "contents": "read"})

"""The sandbox lets in whom GitHub lets in: the App by its key, a token as far as it reaches and as long as it lasts."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.sandbox.sandbox import PERMISSIONS, Clock
from tests.support.sandbox_pull import PULL, REPO, scenario


@scenario
async def test_the_app_is_let_in_by_its_key(octo):
    assert (await octo.as_app("GET", "/app")).json()["slug"] == "review-assistant"


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
async def test_a_jwt_lives_ten_minutes_at_most_and_names_the_app(octo, claims, words):
    answer = await octo.as_app("GET", "/app", **claims)
    assert answer.status_code in (401, 404)
    assert words in answer.json()["message"]


@scenario
async def test_a_jwt_by_another_key_or_algorithm_is_refused(octo):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = jwt.encode({"iss": "1234"}, None, algorithm="none")
    for token in (octo.app_jwt(key=other), unsigned, "nonsense"):
        octo.token = token
        assert (await octo("GET", "/app", status=401)).json()["message"] == "A JSON web token could not be decoded"


@scenario
async def test_a_token_does_not_open_the_apps_endpoints_nor_the_jwt_a_repository(octo):
    await octo("GET", "/app", status=401)
    assert (await octo.as_app("GET", REPO)).status_code == 401


@scenario
async def test_without_credentials_there_is_nothing(octo):
    octo.token = None
    assert (await octo("GET", REPO, status=401)).json()["message"] == "Requires authentication"
    octo.token = "ghs_invented"
    assert (await octo("GET", REPO, status=401)).json()["message"] == "Bad credentials"


@scenario
async def test_a_token_is_long_and_lasts_an_hour(octo):
    clock = octo.sandbox.world.clock = Clock()
    octo.token = await octo.mint()
    assert len(octo.token) == 520
    assert octo.token.startswith("ghs_")
    clock.advance(3599)
    await octo("GET", REPO, status=200)
    clock.advance(1)
    await octo("GET", REPO, status=401)


@scenario
async def test_a_token_reaches_only_the_repositories_it_was_made_for(octo):
    hidden = await octo.sandbox.repository("octo/hidden", {"x": "1"}, private=True)
    shown = await octo.sandbox.repository("octo/shown", {"x": "1"})
    octo.token = await octo.mint(repository_ids=[octo.shop.state.id])
    await octo("GET", REPO, status=200)
    await octo("GET", f"/repos/{hidden.state.full_name}", status=404)
    await octo("GET", f"/repos/{shown.state.full_name}", status=200)  # public
    shown.open_issue("A bug")
    await octo("POST", f"/repos/{shown.state.full_name}/issues/1/comments", {"body": "Hi."}, 403)
    octo.token = await octo.mint(repositories=["hidden"])
    await octo("GET", f"/repos/{hidden.state.full_name}", status=200)


@scenario
async def test_a_token_cannot_ask_for_more_than_the_installation_has(octo):
    number = octo.sandbox.install("octo").id
    for wish in ({"permissions": {"contents": "write"}}, {"repositories": ["elsewhere"]}, {"repository_ids": [1]}):
        answer = await octo.as_app("POST", f"/app/installations/{number}/access_tokens", wish)
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
async def test_a_token_that_may_only_read_writes_nothing(octo, method, path, body):
    read = dict.fromkeys(PERMISSIONS, "read")
    octo.token = await octo.mint(permissions=read)
    answer = await octo(method, path, body, 403)
    assert answer.json()["message"] == "Resource not accessible by integration"
    assert "write" in answer.headers["x-accepted-github-permissions"]
    assert octo.events == []


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
async def test_each_endpoint_asks_for_its_own_permission(octo, permission, allowed, denied):
    octo.token = await octo.mint(permissions={permission: "read"})
    await octo("GET", allowed, status=200)
    await octo("GET", denied, status=403)


@scenario
async def test_an_issue_needs_another_permission_than_a_pull_request(octo):
    octo.shop.open_issue("A bug")
    octo.token = await octo.mint(permissions={"pull_requests": "write"})
    await octo("POST", f"{REPO}/issues/1/comments", {"body": "On the pull request."}, 201)
    await octo("GET", f"{REPO}/issues/2", status=403)
    octo.token = await octo.mint(permissions={"issues": "read"})
    await octo("GET", f"{REPO}/issues/2", status=200)
    await octo("POST", f"{REPO}/issues/2/comments", {"body": "On the issue."}, 403)


@scenario
async def test_a_suspended_installation_and_an_archived_repository_say_so(octo):
    octo.shop.state.archived = True
    await octo.review(status=403)
    octo.sandbox.install("octo").suspended = True
    answer = await octo("GET", REPO, status=403)
    assert answer.json()["message"] == "This installation has been suspended"


@scenario
async def test_the_hours_requests_are_counted_and_refused_when_used_up(octo):
    first = await octo("GET", REPO)
    assert int(first.headers["x-ratelimit-remaining"]) == 4999
    octo.sandbox.world.rate_limit = 2
    await octo("GET", REPO, status=200)
    refused = await octo("GET", REPO, status=403)
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "rate limit exceeded" in refused.json()["message"]


@scenario
async def test_an_unknown_api_version_is_refused(octo):
    await octo("GET", REPO, status=200, X_GitHub_Api_Version="2022-11-28")
    await octo("GET", REPO, status=400, X_GitHub_Api_Version="1999-01-01")


@scenario
async def test_what_did_not_change_is_304(octo):
    first = await octo("GET", REPO)
    again = await octo("GET", REPO, status=304, If_None_Match=first.headers["etag"])
    assert again.content == b""


@scenario
async def test_every_request_is_written_down_with_its_token(octo):
    octo.token = await octo.mint(permissions={"contents": "read"})
    await octo("GET", PULL, status=403)
    seen = octo.sandbox.requests[-1]
    assert (seen.method, seen.path, seen.status, seen.caller) == ("GET", PULL, 403, "installation")
    assert (seen.token, seen.permissions) == (octo.token, {"metadata": "read", "contents": "read"})

"""Requests to GitHub: where they may go, with which token, and what each refusal becomes."""

import asyncio
import json
import logging
import time
import traceback
from urllib.parse import unquote

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import errors
from bot.hosts.github.auth import READ, WRITE, GitHubApp, Grant
from bot.hosts.github.client import GitHubClient, path, repository
from bot.hosts.github.transport import ERROR_BYTES
from bot.sandbox.api.auth import key_pair
from tests.support.github_client import API, NOW, REF, ScriptedGitHub, answer, scripted, sent

GRANT = Grant.of(REF, READ)
PULL = "/repos/octo/shop/pulls/1"


def read(script, address=PULL, grant=GRANT, **settings):
    return asyncio.run(scripted(script, **settings).get(grant, address))


def refused(*answers, **settings):
    """The error that comes of these answers to a read."""
    with pytest.raises(errors.AssistantError) as caught:
        read(ScriptedGitHub().on("GET", PULL, *answers), **settings)
    return caught.value


# Where requests may go


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6))
def test_no_segment_of_an_address_can_leave_its_place(segments):
    try:
        address = path(*segments)
    except errors.NotFound:
        assert any(segment in {".", ".."} or "\0" in segment for segment in segments)
        return
    raw = httpx.URL(API).join(address).raw_path
    assert raw.count(b"/") == len(segments)
    assert not {b"?", b"#"} & {raw[at : at + 1] for at in range(len(raw))}
    assert [unquote(part) for part in address.split("/")[1:]] == [
        segment.encode(errors="surrogatepass").decode(errors="replace") for segment in segments
    ]


@pytest.mark.parametrize("segment", ["", ".", "..", "a\0b"])
def test_what_nothing_on_github_is_called_is_refused(segment):
    with pytest.raises(errors.NotFound):
        path("repos", segment)


@pytest.mark.parametrize("repo", ["octo", "", "octo/", "/shop", "../..", "octo/.."])
def test_a_repository_has_an_owner_and_a_name(repo):
    with pytest.raises(errors.NotFound):
        repository(repo, "pulls")


@pytest.mark.parametrize("segment", ["../../../user", "a#b", "a?b", "%2e%2e", "a\\b", "x" * 4096, "a\nb", "é/\udcff"])
def test_a_hostile_segment_stays_below_its_repository(segment):
    script = ScriptedGitHub()
    with pytest.raises(errors.NotFound):
        read(script, repository("octo/shop", "labels", segment))
    assert script.asked[-1].url.raw_path.startswith(b"/repos/octo/shop/labels/")
    assert script.asked[-1].url.raw_path.count(b"/") == 5


def test_an_address_without_end_is_not_found():
    with pytest.raises(errors.NotFound):
        read(ScriptedGitHub(), repository("octo/shop", "labels", "x" * 70_000))


def test_an_enterprise_host_keeps_its_prefix():
    script = ScriptedGitHub().on("GET", f"/api/v3{PULL}", answer(body={"number": 1}))
    client = GitHubClient(
        GitHubApp("1", key_pair().private), "https://ghes.test/api/v3", transport=script, clock=lambda: NOW
    )
    asyncio.run(client.get(GRANT, PULL))
    assert [str(one.url) for one in script.asked] == [
        "https://ghes.test/api/v3/app/installations/7/access_tokens",
        f"https://ghes.test/api/v3{PULL}",
    ]


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/repos/octo/shop/labels?page=2",
        "http://api.github.test/repos/octo/shop/labels?page=2",
        "https://api.github.test:8443/repos/octo/shop/labels?page=2",
        "https://api.github.test@evil.test/labels?page=2",
        f"{API}/repos/octo/secret/labels?page=2",
        f"{API}/repositories/43/labels?page=2",
        f"{API}/repositories/42/issues?page=2",
        f"{API}/repos/octo/shop/labels%2f..%2f..%2fsecret?page=2",
        f"{API}/repos/octo/shop/labels/../../secret/labels",
    ],
)
def test_pages_never_lead_to_another_host_or_list(link):
    script = ScriptedGitHub().on("GET", "/repos/octo/shop/labels", answer(body=[1], link=f'<{link}>; rel="next"'))
    with pytest.raises(errors.NotFound):
        asyncio.run(scripted(script).every(GRANT, "/repos/octo/shop/labels", list[int]))
    assert len(script.said()) == 1


def test_pages_of_an_enterprise_host_stay_in_its_api():
    script = ScriptedGitHub().on("GET", "/api/v3/labels", answer(body=[1], link=f'<{API}/login?page=2>; rel="next"'))
    client = GitHubClient(GitHubApp("1", key_pair().private), f"{API}/api/v3", transport=script, clock=lambda: NOW)
    with pytest.raises(errors.NotFound):
        asyncio.run(client.every(GRANT, "/labels", list[int]))


def test_pages_are_read_to_the_last_one():
    second = answer(body=[3])
    first = answer(body=[1, 2], link=f'<{API}/repositories/42/labels?page=2>; rel="next", <{API}/x>; rel="last"')
    script = ScriptedGitHub().on("GET", "/repos/octo/shop/labels", first).on("GET", "/repositories/42/labels", second)
    assert asyncio.run(scripted(script).every(GRANT, "/repos/octo/shop/labels", list[int])) == [1, 2, 3]
    assert dict(script.asked[1].url.params) == {"per_page": "100"}
    assert dict(script.asked[2].url.params) == {"page": "2"}


@pytest.mark.parametrize(
    ("api", "pages"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://api.octo.ghe.com/", "https://octo.ghe.com"),
        ("https://ghes.test/api/v3", "https://ghes.test"),
        ("http://127.0.0.1:8080/api/v3", "http://127.0.0.1:8080"),
    ],
)
def test_the_address_of_a_page_leads_to_this_github_or_nowhere(api, pages):
    client = GitHubClient(GitHubApp("1", key_pair().private), api, clock=lambda: NOW)
    good = [
        f"{pages}/octo/shop/pull/7",
        f"{pages}/a.b/c-d_e/issues/7#issuecomment-12",
        f"{pages}/o/r/pull/1#discussion_r5",
    ]
    authority = pages.partition("://")[2]
    bad = [
        "https://evil.test/octo/shop/pull/7",
        f"{pages}.evil.test/octo/shop/pull/7",
        f"https://{authority}@evil.test/octo/shop/pull/7",
        f"https://x:y@{authority}/octo/shop/pull/7",
        f"ftp://{authority}/octo/shop/pull/7",
        f"{pages}:8443/octo/shop/pull/7",
        f"{pages}/octo/shop/pull/7?x=evil",
        f"{pages}/octo/../pull/7",
        f"{pages}/octo/shop%2f..%2fevil/pull/7",
        f"{pages}/octo/shop/pull/7/../../issues/new",
        f"{pages}/octo/shop/issues/new",
        f"{pages}/octo/shop/pull/7)[x](https://evil.test",
        f"{pages}/octo/shop/pull/7\n",
        f"//{authority}/octo/shop/pull/7",
        "javascript:alert(1)",
        "",
    ]

    assert [client.page(address) for address in good] == good
    assert [address for address in bad if client.page(address)] == []


def test_a_list_without_end_is_too_large():
    script = ScriptedGitHub().on("GET", "/labels", answer(body=[1], link=f'<{API}/labels>; rel="next"'))
    with pytest.raises(errors.TooLarge):
        asyncio.run(scripted(script).every(GRANT, "/labels", list[int]))


def test_a_renamed_repository_is_followed_by_its_id():
    moved = answer(301, location=f"{API}/repositories/42/pulls/1?a=b")
    script = ScriptedGitHub().on("GET", PULL, moved).on("GET", "/repositories/42/pulls/1", answer(body={"number": 1}))
    got = asyncio.run(scripted(script).get(GRANT, PULL, {"a": "b"}))
    assert json.loads(got.content) == {"number": 1}
    assert [one.url.query for one in script.asked[1:]] == [b"a=b", b"a=b"]


def test_a_write_to_a_renamed_repository_is_sent_again_as_it_was():
    moved = answer(307, location=f"{API}/repositories/42/labels")
    script = (
        ScriptedGitHub().on("POST", "/repos/octo/shop/labels", moved).on("POST", "/repositories/42/labels", answer(201))
    )
    asyncio.run(scripted(script).write(GRANT, "POST", "/repos/octo/shop/labels", {"name": "x"}))
    assert [sent(one) for one in script.asked[1:]] == [{"name": "x"}] * 2


@pytest.mark.parametrize(
    "location",
    [
        f"{API}/repositories/43/issues/5",
        f"{API}/repositories/420/issues/5",
        f"{API}/repositories/42/../43/issues/5",
        f"{API}/repositories/42%2f..%2f43/issues/5",
        f"{API}/repositories/42/%2e%2e%2f43/issues/5",
        f"{API}/repositories/42/%252e%252e/43/issues/5",
        f"{API}/repositories/42/..%5c43/issues/5",
        f"{API}/user",
        "https://evil.test/repositories/42/pulls/1",
        "",
        PULL,
    ],
)
def test_a_redirect_to_anything_else_is_not_found(location):
    script = ScriptedGitHub().on("GET", PULL, answer(301, location=location))
    with pytest.raises(errors.NotFound):
        read(script)
    assert len(script.said()) == 1


def test_a_redirect_is_not_followed_where_the_repository_has_no_known_id():
    moved = answer(301, location=f"{API}/repositories/42/pulls/1")
    with pytest.raises(errors.NotFound):
        read(ScriptedGitHub().on("GET", PULL, moved), grant=Grant(7, "octo/shop", 0, READ))


@pytest.mark.parametrize(
    "body", [b"[" * 16_000, b'{"a":' * 3_000, b"\xff" * 100, b'{"message": {}, "errors": 5}', b"null", b"NaN"]
)
def test_an_error_with_any_body_is_one_of_our_errors(body):
    refused = httpx.Response(403, content=body, headers={"content-type": "application/json"})
    with pytest.raises(errors.AssistantError):
        read(ScriptedGitHub().on("GET", PULL, refused))


def test_two_redirects_are_one_too_many():
    again = f"{API}/repositories/42/pulls/1"
    script = (
        ScriptedGitHub().on("GET", PULL, answer(301, location=again)).on("GET", "/repositories/42/pulls/1", answer(301))
    )
    with pytest.raises(errors.NotFound):
        read(script)


# With which token


def test_twenty_calls_at_once_mint_one_token():
    script = ScriptedGitHub().on("GET", PULL, answer())

    async def run():
        client = scripted(script)
        await asyncio.gather(*(client.get(GRANT, PULL) for _ in range(20)))

    asyncio.run(run())
    assert script.tokens == 1
    assert len({one.headers["authorization"] for one in script.asked[1:]}) == 1


def test_a_token_is_for_one_repository_and_no_more_than_is_needed():
    script = ScriptedGitHub().on("GET", PULL, answer()).on("POST", PULL, answer())

    async def run():
        client = scripted(script)
        await client.get(GRANT, PULL)
        await client.write(Grant.of(REF, WRITE), "POST", PULL, {})
        await client.get(Grant(7, "octo/shop", 0, READ), PULL)

    asyncio.run(run())
    asked = [sent(one) for one in script.asked if one.url.path == "/app/installations/7/access_tokens"]
    reading = {"contents": "read", "issues": "read", "metadata": "read", "pull_requests": "read"}
    writing = {"checks": "write", "metadata": "read", "pull_requests": "write"}
    assert asked == [
        {"repository_ids": [42], "permissions": reading},
        {"repository_ids": [42], "permissions": writing},
        {"repositories": ["shop"], "permissions": reading},
    ]
    assert len({one.headers["authorization"] for one in script.asked if one.url.path == PULL}) == 3


def test_a_token_is_used_until_a_minute_before_it_expires():
    clock = [NOW]
    token = answer(201, {"token": "ghs_1", "expires_at": "2027-01-15T09:00:00.250Z"})  # NOW + 3600
    script = ScriptedGitHub().on("POST", "/app/installations/7/access_tokens", token).on("GET", PULL, answer())

    async def run():
        client = scripted(script, clock=lambda: clock[0])
        for clock[0] in (NOW, NOW + 3539, NOW + 3541):
            await client.get(GRANT, PULL)

    asyncio.run(run())
    assert [one.method for one in script.asked] == ["POST", "GET", "GET", "POST", "GET"]


def test_a_refused_token_is_minted_once_more():
    script = ScriptedGitHub().on("GET", PULL, answer(401, {"message": "Bad credentials"}), answer(body={"number": 1}))
    read(script)
    assert script.tokens == 2
    assert script.said() == [("GET", PULL)] * 2


def test_a_token_refused_to_many_at_once_is_replaced_once():
    def judge(request):
        stale = "ghs_secret1x" in request.headers["authorization"]
        return answer(401) if stale else answer()

    script = ScriptedGitHub().on("GET", PULL, judge)

    async def run():
        client = scripted(script)
        await asyncio.gather(*(client.get(GRANT, PULL) for _ in range(5)))

    asyncio.run(run())
    assert script.tokens == 2


def test_a_second_refusal_is_forbidden():
    script = ScriptedGitHub().on("GET", PULL, answer(401, {"message": "Bad credentials"}))
    with pytest.raises(errors.Forbidden, match="Bad credentials"):
        read(script)
    assert script.tokens == 2


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_wrong_clock_is_set_by_githubs(skew):
    true = NOW + skew
    seen = []

    def judge(request):
        claims = _claims(request)
        seen.append(claims)
        if claims["iat"] > true or not true < claims["exp"] <= true + 600:
            return answer(401, {"message": "'Issued at' claim ('iat') must be ..."}, date=_date(true))
        return answer(201, {"token": "ghs_1", "expires_at": "2028-01-01T00:00:00Z"})

    script = ScriptedGitHub().on("POST", "/app/installations/7/access_tokens", judge).on("GET", PULL, answer())
    read(script)
    assert [claims["iat"] for claims in seen] == [NOW - 60, true - 60]
    assert [claims["exp"] for claims in seen] == [NOW + 540, true + 540]
    assert {claims["iss"] for claims in seen} == {"1234"}


def test_a_key_that_github_does_not_know_is_the_operators_trouble_after_one_try():
    unknown = answer(401, {"message": "A JSON web token could not be decoded"}, date=_date(NOW))
    script = ScriptedGitHub().on("POST", "/app/installations/7/access_tokens", unknown)
    with pytest.raises(errors.OperatorTrouble) as caught:
        read(script)
    assert caught.value.kind == "credentials"
    assert len(script.asked) == 1


@pytest.mark.parametrize("key", ["-----BEGIN NONSENSE-----", key_pair().public])
def test_a_key_that_cannot_sign_is_the_operators_to_mend(key):
    client = GitHubClient(GitHubApp("1", key), API, transport=ScriptedGitHub())
    with pytest.raises(errors.ConfigurationError, match="private key"):
        asyncio.run(client.get(GRANT, PULL))


def test_without_an_installation_nothing_is_asked():
    script = ScriptedGitHub()
    with pytest.raises(errors.NotFound, match="installation"):
        read(script, grant=Grant(0, "octo/shop", 42, READ))
    assert not script.asked


def test_no_token_and_no_key_in_what_is_logged_or_raised(caplog):
    caplog.set_level(logging.DEBUG)
    broken = answer(201, {"token": "ghs_secretsecret"})  # no expires_at
    for script in (
        ScriptedGitHub().on("GET", PULL, answer(401)),
        ScriptedGitHub().on("GET", PULL, httpx.ReadTimeout("slow")),
        ScriptedGitHub().on("GET", PULL, answer(500)),
        ScriptedGitHub().on("POST", "/app/installations/7/access_tokens", broken),
    ):
        with pytest.raises(errors.AssistantError) as caught:
            read(script)
        caplog.records.append(logging.makeLogRecord({"msg": "".join(traceback.format_exception(caught.value))}))
        caplog.records.append(logging.makeLogRecord({"msg": repr([caught.value, GitHubApp("1", key_pair().private)])}))
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "ghs_" not in logged
    assert "eyJ" not in logged
    assert "PRIVATE KEY" not in logged


def test_nothing_is_sent_to_another_host_than_the_configured_one():
    script = ScriptedGitHub()
    client = scripted(script)
    with pytest.raises(errors.Forbidden, match=r"evil\.test"):
        asyncio.run(client.get(GRANT, "https://evil.test/steal"))
    assert [one.url.host for one in script.asked] == ["api.github.test"]


def test_calls_one_after_the_other_share_a_connection():
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        while line := await reader.readline():
            length = 0
            while (header := await reader.readline()).strip():
                name, _, value = header.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            await reader.readexactly(length)
            token = {"token": "ghs_1", "expires_at": "2099-01-01T00:00:00Z"}
            body = json.dumps(token if line.startswith(b"POST") else {}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = GitHubClient(GitHubApp("1", key_pair().private), f"http://127.0.0.1:{port}")
        for _ in range(5):
            await client.get(GRANT, PULL)
        await client.close()
        for writer in connections:
            await writer.wait_closed()
        server.close()
        await server.wait_closed()

    asyncio.run(run())
    assert len(connections) == 1


# What each refusal becomes


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Unprocessable),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (406, errors.TooLarge),
        (409, errors.Refused),
        (410, errors.NotFound),
        (413, errors.TooLarge),
        (418, errors.Refused),
        (422, errors.Unprocessable),
        (451, errors.Forbidden),
        (408, errors.Outage),
        (500, errors.Outage),
        (502, errors.Outage),
        (503, errors.Outage),
    ],
)
def test_every_status_is_an_error_of_ours(status, kind):
    error = refused(answer(status, {"message": "in GitHub's words"}))
    assert type(error) is kind
    assert str(error) == f"GitHub {status}: in GitHub's words"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "No", "errors": ["plain"]}, "No; plain"),
        (
            {"message": "No", "errors": [{"resource": "R", "field": "f", "code": "c", "message": "m"}]},
            "No; R f c m",
        ),
        ({"message": "No", "errors": "odd"}, "No"),
        ([1], "[1]"),
        ({}, "no message"),
    ],
)
def test_a_rejection_keeps_githubs_words(body, words):
    assert str(refused(httpx.Response(422, json=body))) == f"GitHub 422: {words}"


def test_a_refusal_that_is_no_json_is_cut_short():
    error = refused(httpx.Response(502, content=b"<html>" + b"x" * 100_000))
    assert type(error) is errors.Outage
    assert len(str(error)) < 1100


SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}


@pytest.mark.parametrize(
    ("answered", "after"),
    [
        (answer(403, {"message": "no"}, retry_after="17"), 17),
        (answer(429, {"message": "no"}, retry_after="17"), 17),
        (answer(403, SECONDARY), 60),
        (answer(403, SECONDARY, x_ratelimit_remaining="0", x_ratelimit_reset=str(NOW + 900)), 60),
        (answer(403, SECONDARY, retry_after="90"), 90),
        (answer(429, {"message": "slow down"}), 60),
        (answer(403, {"message": "no"}, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), 60),
        (answer(403, {"message": "no"}, x_ratelimit_remaining="0", x_ratelimit_reset=str(NOW + 900)), 901),
        (answer(429, {"message": "no"}, x_ratelimit_remaining="0", x_ratelimit_reset=str(NOW - 5)), 1),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(answered, after):
    error = refused(answered)
    assert isinstance(error, errors.RateLimited)
    assert error.after == after


def test_the_reset_is_measured_by_githubs_clock():
    limits = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(NOW + 900)}
    error = refused(answer(403, {"message": "no"}, date=_date(NOW + 600), **limits))
    assert error.after == 301


def test_a_forbidden_call_is_no_rate_limit_while_calls_remain():
    error = refused(answer(403, {"message": "Resource not accessible"}, x_ratelimit_remaining="4999"))
    assert type(error) is errors.Forbidden


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("half an answer"),
        httpx.PoolTimeout("busy"),
    ],
)
def test_a_failing_network_is_worth_another_try(failure):
    error = refused(failure)
    assert type(error) is errors.Outage
    assert type(failure).__name__ in str(error)


def test_an_answer_that_breaks_off_is_worth_another_try():
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b"{"
            raise httpx.ReadError("reset")

    script = ScriptedGitHub().on("GET", PULL, lambda _: httpx.Response(200, stream=Broken()))
    with pytest.raises(errors.Retryable):
        read(script)
    script = ScriptedGitHub().on("GET", PULL, lambda _: httpx.Response(500, stream=Broken()))
    with pytest.raises(errors.Retryable):
        read(script)


def test_a_defect_of_our_own_is_not_taken_for_the_network():
    with pytest.raises(ZeroDivisionError):
        read(ScriptedGitHub().on("GET", PULL, ZeroDivisionError()))


def test_nothing_is_sent_twice_on_our_own_account():
    script = ScriptedGitHub().on("POST", PULL, answer(502))
    with pytest.raises(errors.Retryable):
        asyncio.run(scripted(script).write(GRANT, "POST", PULL, {}))
    assert len(script.said("POST")) == 1


def test_an_answer_that_is_not_what_github_documents_is_worth_another_try():
    got = read(ScriptedGitHub().on("GET", PULL, httpx.Response(200, content=b"<html>please log in</html>")))
    with pytest.raises(errors.Retryable):
        got.read(dict[str, int])


def test_a_file_is_read_up_to_its_bound():
    script = ScriptedGitHub().on("GET", "/blob", httpx.Response(200, content=b"x" * 100))
    client = scripted(script)
    assert asyncio.run(client.raw(GRANT, "/blob", 100)) == b"x" * 100
    with pytest.raises(errors.TooLarge):
        asyncio.run(client.raw(GRANT, "/blob", 99))
    assert script.asked[-1].headers["accept"] == "application/vnd.github.raw+json"


def test_text_that_is_no_unicode_still_arrives():
    script = ScriptedGitHub().on("POST", PULL, answer())
    asyncio.run(scripted(script).write(GRANT, "POST", PULL, {"body": "caf\udce9 ☕"}))
    assert sent(script.asked[-1]) == {"body": "caf? ☕"}


# Writing


def test_writes_of_an_installation_go_one_at_a_time_and_others_do_not_wait():
    busy, most = {7: 0, 8: 0}, {7: 0, 8: 0, "all": 0}

    class Slow(ScriptedGitHub):
        async def handle_async_request(self, request):
            if request.url.path.startswith("/app"):
                return await super().handle_async_request(request)
            one = int(request.url.path.rpartition("/")[2])
            busy[one] += 1
            most[one], most["all"] = max(most[one], busy[one]), max(most["all"], sum(busy.values()))
            await asyncio.sleep(0.001)
            busy[one] -= 1
            return answer()

    async def run():
        client = scripted(Slow())
        grants = [Grant(number, "octo/shop", 42, WRITE) for number in (7, 8)]
        await asyncio.gather(*(client.write(one, "POST", f"/x/{one.installation}") for one in grants * 5))

    asyncio.run(run())
    assert most == {7: 1, 8: 1, "all": 2}


def test_writes_keep_their_distance():
    script = ScriptedGitHub().on("POST", "/x", answer(), answer(500), answer())
    began = time.monotonic()

    async def run():
        client = scripted(script, spacing=0.02)
        for _ in range(3):
            try:
                await client.write(GRANT, "POST", "/x")
            except errors.Retryable:
                continue

    asyncio.run(run())
    assert time.monotonic() - began >= 0.04


def test_a_client_serves_one_event_loop_after_the_other():
    client = scripted(ScriptedGitHub().on("GET", PULL, answer()))
    for _ in range(2):
        asyncio.run(client.get(GRANT, PULL))


def _claims(request):
    token = request.headers["authorization"].removeprefix("Bearer ")
    off = {"verify_exp": False, "verify_iat": False}
    return jwt.decode(token, key_pair().public, algorithms=["RS256"], options=off)


def _date(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def test_the_body_of_an_error_is_read_up_to_its_bound():
    taken = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):
            nonlocal taken
            while True:
                taken += 4096
                yield b"x" * 4096

    script = ScriptedGitHub().on("GET", PULL, lambda _: httpx.Response(422, stream=Endless()))
    with pytest.raises(errors.Unprocessable):
        read(script)
    assert taken <= 2 * ERROR_BYTES

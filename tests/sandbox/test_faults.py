"""Bad days on demand: each fault strikes exactly the call it was planned for, before or after the work was done."""

import asyncio

import httpx
import pytest

from bot.sandbox.world import faults
from tests.support.sandbox_pull import PULL, REPO, scenario

REVIEWS = "/repos/*/pulls/*/reviews"


@scenario
async def test_a_server_error_does_nothing_and_passes(github):
    github.sandbox.plan(faults.server_error("POST", REVIEWS, times=2))
    await github.review(status=500)
    await github.review(status=500)
    assert github.pull.reviews == []
    await github.review(status=200)


@scenario
async def test_a_lost_answer_is_a_review_that_was_posted(github):
    github.sandbox.plan(faults.lost_answer("POST", REVIEWS))
    await github.review(status=502)
    assert len((await github("GET", f"{PULL}/reviews")).json()) == 1


@scenario
async def test_a_dropped_connection_comes_after_the_work(github):
    github.sandbox.plan(faults.dropped("POST", REVIEWS, nth=2))
    await github.review()
    with pytest.raises(httpx.ReadTimeout):
        await github.review()
    assert len(github.pull.reviews) == 2


@scenario
async def test_a_call_that_hangs_is_given_up_by_its_caller(github):
    github.sandbox.plan(faults.hang("GET", REPO))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await github("GET", REPO)
    await github("GET", REPO, status=200)


@pytest.mark.parametrize(("status", "retry_after"), [(403, 7), (403, None), (429, 1)])
@scenario
async def test_the_secondary_limit_may_or_may_not_say_how_long(github, status, retry_after):
    github.sandbox.plan(faults.secondary_limit("POST", REVIEWS, status=status, retry_after=retry_after))
    body = {"event": "COMMENT", "body": "Hi."}
    refused = await github("POST", f"{PULL}/reviews", body, status)
    assert "secondary rate limit" in refused.json()["message"]
    assert refused.headers.get("retry-after") == (str(retry_after) if retry_after else None)
    assert github.pull.reviews == []


@scenario
async def test_a_good_token_or_a_new_thing_may_be_unknown_for_a_moment(github):
    github.sandbox.plan(faults.bad_credentials("GET", REPO), faults.not_found("GET", PULL))
    await github("GET", REPO, status=401)
    await github("GET", REPO, status=200)
    await github("GET", PULL, status=404)
    await github("GET", PULL, status=200)


@scenario
async def test_a_fault_is_written_down_beside_what_was_answered(github):
    github.sandbox.plan(faults.lost_answer("POST", REVIEWS))
    await github.review(status=502)
    seen = github.sandbox.requests[-1]
    assert (seen.status, seen.fault, seen.caller) == (502, "502 Server Error", "installation")


@scenario
async def test_faults_strike_under_either_root_of_the_api(github):
    github.sandbox.plan(faults.server_error("GET", REPO))
    assert (await github("GET", "http://sandbox.test/api/v3/repos/octo/shop")).status_code == 500
    assert (await github("GET", "http://api.github.com/repos/octo/shop")).status_code == 200

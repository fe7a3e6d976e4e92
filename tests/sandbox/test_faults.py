"""Bad days on demand: each fault strikes exactly the call it was planned for, before or after the work was done."""

import asyncio

import httpx
import pytest

from bot.sandbox.world import faults
from tests.support.sandbox_pull import PULL, REPO, scenario

REVIEWS = "/repos/*/pulls/*/reviews"


@scenario
async def test_a_server_error_does_nothing_and_passes(octo):
    octo.sandbox.plan(faults.server_error("POST", REVIEWS, times=2))
    await octo.review(status=500)
    await octo.review(status=500)
    assert octo.pull.reviews == []
    await octo.review(status=200)


@scenario
async def test_a_lost_answer_is_a_review_that_was_posted(octo):
    octo.sandbox.plan(faults.lost_answer("POST", REVIEWS))
    await octo.review(status=502)
    assert len((await octo("GET", f"{PULL}/reviews")).json()) == 1


@scenario
async def test_a_dropped_connection_comes_after_the_work(octo):
    octo.sandbox.plan(faults.dropped("POST", REVIEWS, nth=2))
    await octo.review()
    with pytest.raises(httpx.ReadTimeout):
        await octo.review()
    assert len(octo.pull.reviews) == 2


@scenario
async def test_a_call_that_hangs_is_given_up_by_its_caller(octo):
    octo.sandbox.plan(faults.hang("GET", REPO))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await octo("GET", REPO)
    await octo("GET", REPO, status=200)


@pytest.mark.parametrize(("status", "retry_after"), [(403, 7), (403, None), (429, 1)])
@scenario
async def test_the_secondary_limit_may_or_may_not_say_how_long(octo, status, retry_after):
    octo.sandbox.plan(faults.secondary_limit("POST", REVIEWS, status=status, retry_after=retry_after))
    body = {"event": "COMMENT", "body": "Hi."}
    refused = await octo("POST", f"{PULL}/reviews", body, status)
    assert "secondary rate limit" in refused.json()["message"]
    assert refused.headers.get("retry-after") == (str(retry_after) if retry_after else None)
    assert octo.pull.reviews == []


@scenario
async def test_a_good_token_or_a_new_thing_may_be_unknown_for_a_moment(octo):
    octo.sandbox.plan(faults.bad_credentials("GET", REPO), faults.not_found("GET", PULL))
    await octo("GET", REPO, status=401)
    await octo("GET", REPO, status=200)
    await octo("GET", PULL, status=404)
    await octo("GET", PULL, status=200)


@scenario
async def test_a_fault_is_written_down_beside_what_was_answered(octo):
    octo.sandbox.plan(faults.lost_answer("POST", REVIEWS))
    await octo.review(status=502)
    seen = octo.sandbox.requests[-1]
    assert (seen.status, seen.fault, seen.caller) == (502, "502 Server Error", "installation")


@scenario
async def test_faults_strike_under_either_root_of_the_api(octo):
    octo.sandbox.plan(faults.server_error("GET", REPO))
    assert (await octo("GET", "http://sandbox.test/api/v3/repos/octo/shop")).status_code == 500
    assert (await octo("GET", "http://api.github.com/repos/octo/shop")).status_code == 200

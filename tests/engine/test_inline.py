"""Steps without a database, and the tests' engine on them."""

import asyncio
from dataclasses import dataclass

import pytest

from bot.core.code.pull_request import PullRef
from bot.errors import RateLimited, Refused, Retryable, Superseded
from bot.interfaces import Handlers
from bot.job import Job, Route, RouteDecision, Trigger
from tests.support.inline_engine import InlineEngine

JOB = Job("local/1", PullRef("local", 1), Trigger.OPENED)


@dataclass(frozen=True)
class Found:
    """A step's result."""

    lines: tuple[int, ...]


def run(review, route=Route.REVIEW):
    """What the handlers reported at the end."""
    said = []

    async def router(_job, _step):
        return RouteDecision(route, "head")

    def end(word):
        async def handler(_job, reason, _step):
            said.append((word, reason))
            return word

        return handler

    async def answer(job, _step):
        said.append(("answered", job.id))
        return "answered"

    engine = InlineEngine(Handlers(router, review, answer, end("abandoned"), end("failed")))

    async def twice():
        return await engine.submit(JOB), await engine.submit(JOB)

    assert asyncio.run(twice()) == (True, False)
    return said


def test_a_result_is_journaled_as_json_and_answers_for_the_step():
    did = []

    async def review(_job, step):
        async def find():
            did.append("found")
            return Found(lines=(1, 2))

        assert await step("find", find, Found) == await step("find", find, Found) == Found(lines=(1, 2))
        return "done"

    run(review)

    assert did == ["found"]


def test_a_question_is_answered_and_a_review_that_gives_way_says_so():
    async def review(_job, _step):
        raise Superseded("the head moved")

    assert run(review) == [("abandoned", "the head moved")]
    assert run(review, Route.ANSWER) == [("answered", "local/1")]
    assert run(review, Route.NOTHING) == []


def test_short_trouble_is_waited_out(monkeypatch):
    monkeypatch.setattr("bot.engine.journal.delay", lambda *_: 0.0)
    tries = []

    async def review(_job, step):
        async def flaky():
            tries.append(len(tries))
            if len(tries) < 4:
                raise Retryable("502")
            return len(tries)

        assert await step("flaky", flaky, int) == 4
        return "done"

    run(review)

    assert len(tries) == 4


@pytest.mark.parametrize("error", [RateLimited("come back in an hour", after=3600), Refused("no")])
def test_what_waiting_does_not_mend_reaches_the_caller(error):
    async def review(_job, step):
        async def broken():
            raise error

        return await step("broken", broken, str)

    with pytest.raises(type(error)):
        run(review)

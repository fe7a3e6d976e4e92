"""The durable engine through `submit`: how jobs end. One engine serves all of these tests."""

import asyncio
import json
import logging
from dataclasses import replace

import pytest

from bot.engine.durable import Pace
from bot.errors import Refused, Retryable, Superseded, UserError
from bot.interfaces import Handlers
from bot.job import Route, RouteDecision, Trigger
from tests.support.engine_stage import A, B, World, done, ingested, reviews, started, until
from tests.support.run_records import run_records

pytest_plugins = ["tests.support.engine_stage"]
PACE = Pace(debounce=1.5, poll=0.02, patience=1.0, retry=0.001)


class Stage:
    """Handlers for an engine that serves several tests; each test sets its own world."""

    def __init__(self):
        self.world = World()

    def handlers(self):
        def now(name):
            async def handler(*arguments):
                return await getattr(self.world.handlers(), name)(*arguments)

            return handler

        return Handlers(*(now(name) for name in ("route", "review", "answer", "abandon", "fail")))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One engine and its stage, for the tests that leave no unfinished jobs."""
    stage, file = Stage(), tmp_path_factory.mktemp("shared") / "jobs.db"
    with started(f"sqlite:///{file}", stage.handlers(), PACE) as engine:
        yield engine, stage


@pytest.fixture
def play(shared, world):
    """Runs a story on the shared engine."""
    engine, stage = shared
    stage.world = world
    return lambda story: asyncio.run(asyncio.wait_for(story(engine), 30))


def test_the_same_delivery_a_hundred_times_at_once_is_one_review(play, world, job):
    async def story(engine):
        new = await asyncio.gather(*[engine.submit(job("same")) for _ in range(100)])
        await done(engine)
        return new

    assert sorted(play(story)) == [False] * 99 + [True]
    assert world.words("reviewed") == [job("same").id]


def test_a_body_that_comes_again_under_another_id_is_no_second_job(play, world, job, caplog):
    first, replayed = (replace(job(name), digest="d" * 64) for name in ("captured", "replayed"))

    async def story(engine):
        new = [await engine.submit(delivery) for delivery in (first, replayed, first)]
        return [*new, await engine.submit(replace(job("other"), digest="e" * 64)), await done(engine)]

    assert play(story)[:4] == [True, False, False, True]
    assert {replayed.id, first.id} - set(world.words("reviewed")) == {replayed.id}
    assert f"{replayed.id} repeats the body of {first.id}" in caplog.text


def test_twenty_quick_pushes_are_one_review_of_the_newest_head(play, world, job):
    heads = []

    async def review(_job, _step):
        heads.append(world.head)
        return "posted"

    async def story(engine):
        world.review = review
        for number in range(20):
            world.head = f"{number:040}"
            await engine.submit(job(number, Trigger.PUSHED))
            await ingested(engine, job(number))
        await done(engine)
        return await reviews(engine, job(0))

    ends = [record.status for record in play(story)]

    assert heads == [f"{19:040}"]
    assert sorted(ends) == ["cancelled"] * 19 + ["done"]
    assert world.words("abandoned") == [job(number).id for number in range(19)]


def test_a_newer_head_stops_the_running_review_and_says_so(play, world, job, caplog):
    logging.getLogger("dbos").addHandler(caplog.handler)
    started = []

    async def review(this, step):
        async def work():
            started.append(this.id)
            await asyncio.sleep(0 if this.id.endswith("second") else 60)

        await step("work", work, type(None))
        return "posted"

    async def story(engine):
        world.review = review
        await engine.submit(job("first"))
        await until(lambda: started)
        world.head = B
        await engine.submit(job("second"))
        await until(lambda: len(started) == 2)
        await done(engine)
        return await reviews(engine, job("first"))

    ends = {record.id.rpartition("/")[2]: record.status for record in play(story)}
    logging.getLogger("dbos").removeHandler(caplog.handler)

    assert ends == {"first": "cancelled", "second": "done"}
    assert ("abandoned", job("first").id, "replaced by a review of bbbbbbb") in world.told
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_head_is_reviewed_again_only_by_force(play, world, job):
    async def story(engine):
        for name, forced in (("opened", False), ("again", False), ("asked", True)):
            world.routed = RouteDecision(Route.REVIEW, A, forced=forced)
            await engine.submit(job(name))
            await done(engine)
        [record] = await run_records(engine, job("again").id)
        return record

    assert play(story).word == "aaaaaaa was reviewed already"
    assert world.words("reviewed") == [job("opened").id, job("asked").id]


def test_a_look_at_a_part_of_a_head_is_no_review_of_it(play, world, job):
    async def story(engine):
        part = replace(job("part", Trigger.COMMAND), text="/assistant review docs")
        for one, forced in ((part, True), (job("ready", Trigger.READY), False)):
            world.routed = RouteDecision(Route.REVIEW, A, forced=forced)
            await engine.submit(one)
            await done(engine)

    play(story)

    assert world.words("reviewed") == [job("part").id, job("ready").id]


@pytest.mark.parametrize(
    ("asked", "then", "expected"),
    [
        ("/assistant review full", (Trigger.READY, ""), ("full", 7)),
        ("/assistant review", (Trigger.READY, ""), ("changes", 7)),
        ("/assistant review docs", (Trigger.READY, ""), ("full", 7)),
        ("/assistant review full", (Trigger.COMMAND, "/assistant review security"), ("full", 8)),
        ("/assistant review full", (Trigger.RERUN, "rerun"), ("full", 8)),
    ],
)
def test_what_replaces_a_review_that_was_asked_for_does_its_work_too(play, world, job, asked, then, expected):
    reviewed = []

    async def review(this, step):
        reviewed.append(this)
        await step("work", lambda: asyncio.sleep(60 if len(reviewed) == 1 else 0), type(None))
        return "posted"

    async def story(engine):
        world.review = review
        await engine.submit(replace(job("asked", Trigger.COMMAND), text=asked, comment=7))
        await until(lambda: reviewed)
        world.head = B
        trigger, text = then
        await engine.submit(replace(job("then", trigger), text=text, comment=0 if trigger is Trigger.READY else 8))
        await done(engine)

    play(story)

    assert [(job.scope.scope, job.comment) for job in reviewed[1:]] == [expected]


def test_what_was_asked_for_is_routed_once_more_where_the_head_moved_on(play, world, job):
    async def review(this, _step):
        if this.id == job("asked").id:
            raise Superseded("the head moved")
        return "posted"

    async def story(engine):
        world.review = review
        await engine.submit(job("asked", Trigger.LABEL))
        await done(engine)

    play(story)

    assert world.words("reviewed") == [job("asked").id, f"{job('asked').id}/again"]


def test_a_closed_pull_request_stops_its_reviews(play, world, job):
    async def story(engine):
        await engine.submit(job("push", Trigger.PUSHED))
        await ingested(engine, job("push"))
        world.routed = RouteDecision(Route.STOP, reason="closed")
        await engine.submit(job("close"))
        await done(engine)
        return await reviews(engine, job("push"))

    assert [record.status for record in play(story)] == ["cancelled"]
    assert world.told == [("abandoned", job("push").id, "closed")]


def test_an_operator_stops_reviews_and_the_pull_request_says_so(play, world, job):
    async def story(engine):
        await engine.submit(job("push", Trigger.PUSHED))
        await ingested(engine, job("push"))
        stopped = await engine.cancel(job("push").pull, "stopped by an operator")
        await done(engine)
        return stopped

    assert len(play(story)) == 1
    assert world.told == [("abandoned", job("push").id, "stopped by an operator")]


def test_a_question_is_answered_and_nothing_is_done_about_nothing(play, world, job):
    async def story(engine):
        world.routed = RouteDecision(Route.ANSWER, A)
        await engine.submit(job("question"))
        await done(engine)
        world.routed = RouteDecision(Route.NOTHING, reason="no use")
        await engine.submit(job("nothing"))
        return await done(engine, job("nothing"))

    [record] = play(story)

    assert (record.status, record.word) == ("done", "no use")
    assert world.told == [("answered", job("question").id)]


def test_steps_under_way_end_before_a_run_is_laid_aside(play, world, job):
    did = []

    async def review(_job, step):
        async def limited():
            did.append("limited")
            if did.count("limited") == 1:
                raise Retryable("later", after=1.1)

        async def slow():
            await asyncio.sleep(0.2)
            did.append("slow")

        async def later():
            did.append("later")

        async def chain():
            await step("slow", slow, type(None))
            await step("later", later, type(None))

        await asyncio.gather(step("limited", limited, type(None)), chain())
        return "posted"

    async def story(engine):
        world.review = review
        await engine.submit(job("both"))
        await done(engine)

    play(story)

    assert did[:2] == ["limited", "slow"]
    assert sorted(did) == ["later", "limited", "limited", "slow"]


def test_what_goes_on_failing_is_given_up_after_eight_tries(play, world, job):
    tries = []

    async def review(this, step):
        async def broken():
            tries.append(this.id)
            raise Retryable("GitHub 502")

        return await step("broken", broken, str)

    async def story(engine):
        world.review = review
        await engine.submit(job("unlucky"))
        await done(engine)

    play(story)

    assert len(tries) == 8
    assert world.told[-1] == ("failed", job("unlucky").id, "GitHub 502")


@pytest.mark.parametrize(
    ("error", "end", "told"),
    [
        (Refused("no access"), "failed", ("failed", "no access")),
        (UserError("no such verb"), "failed", ("failed", "no such verb")),
        (KeyError("secret"), "failed", ("failed", "an internal error (KeyError)")),
        (Superseded("the head moved"), "superseded", ("abandoned", "the head moved")),
    ],
)
def test_no_run_ends_without_a_word(play, world, job, error, end, told):
    async def review(_job, _step):
        raise error

    async def story(engine):
        world.review = review
        await engine.submit(job("bad"))
        await done(engine)
        return await reviews(engine, job("bad"))

    assert [record.status for record in play(story)] == [end]
    assert world.told[-1] == (told[0], job("bad").id, told[1])


def test_an_internal_error_is_logged_as_one_line_without_local_variables(play, world, job, caplog):
    """The tests log as the product does; structlog's default would print every local variable of every frame."""

    async def review(_job, _step):
        total = "what the variable holds"
        raise KeyError(len(total))

    async def story(engine):
        world.review = review
        await engine.submit(job("broken"))
        await done(engine)

    play(story)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    [handler] = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    line = handler.format(record)

    assert json.loads(line)["event"] == "run failed"
    assert "KeyError: 23" in json.loads(line)["exception"]
    assert "what the variable holds" not in line.replace('total = \\"what the variable holds\\"', "")


def test_a_run_that_takes_too_long_fails_in_sight(play, world, job, monkeypatch):
    monkeypatch.setattr("bot.engine.workflows._LIMIT", 0.2)

    async def review(_job, step):
        return await step("hang", lambda: asyncio.sleep(60, "never"), str)

    async def story(engine):
        world.review = review
        await engine.submit(job("slow"))
        await done(engine)

    play(story)

    assert world.told[-1] == ("failed", job("slow").id, "not finished after 0 minutes")


def test_the_database_flushes_every_commit_to_the_disk(shared):
    engine, _ = shared
    with engine._open.engine.connect() as connection:
        raw = connection.connection.driver_connection
        pragmas = [
            raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode", "auto_vacuum")
        ]

    assert pragmas == [2, "wal", 2]

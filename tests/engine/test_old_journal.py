"""A review that an earlier version began is finished by this one, from the earlier version's database.

old_journal.sql is the SQLite engine database of a worker of that version, as SQL, after a SIGKILL in the middle of the
second model pass. Only its times and the worker's name were replaced. The class names have changed since; the workflow
names, the step names and the fields of the results must not.
"""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.interfaces import Handlers
from tests.support.engine_stage import done, rows, started, until
from tests.support.killed_review import World
from tests.support.model_server import canonical

REVIEW = "review/1/1//delivery/1/old"
JOURNALED = [
    "pull",
    "started",
    "policy",
    "change, reading 1",
    "checks",
    "shelf",
    "standards, reading 1",
    "citations",
    "recalled",
    "background",
    "find/correctness/1/call-1",
    "find/correctness/1/tool-1-1",
    "find/correctness/1/tool-1-2",
    "find/correctness/1/call-2",
    "find/security/1/call-1",
    "find/security/1/tool-1-1",
    "find/security/1/tool-1-2",
]
LEFT_TO_DO = [
    "change, reading 2",
    "standards, reading 2",
    "paths, reading 1",
    "find/security/1/call-2",
    "refute",
    "verify/1/call-1",
    "verify/1/facts, reading 1",
    "suggestions",
    "publish",
    "settled",
    "concluded",
    "recorded",
]
STEPS = "SELECT function_name, output FROM operation_outputs WHERE workflow_uuid=? ORDER BY function_id"


@pytest.fixture
def url(tmp_path):
    """The earlier version's database."""
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.executescript(Path(__file__).with_name("old_journal.sql").read_text())
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def world(tmp_path, url):
    """The model server of that time: it knows what it answered, and rejects an answer that comes back changed."""
    world = World(tmp_path)
    for name, output in rows(url, STEPS, REVIEW):
        if "/call-" in name:
            answer = json.loads(json.loads(output)["ok"]["raw"])
            world.server.emitted |= {canonical(item) for item in answer["output"]}
    yield world
    world.ledger.database.close()


def test_a_review_of_an_earlier_version_ends_with_one_review_and_repeats_no_call(url, world):
    async def unexpected(*_):
        raise AssertionError("only the review was left to run")

    async def review(job, step):
        return await world.live(step, job)

    async def story(engine):
        await until(lambda: world.host is not None)
        await done(engine)

    before = rows(url, STEPS, REVIEW)
    assert [name for name, _ in before] == JOURNALED
    with started(url, Handlers(unexpected, review, unexpected, unexpected, unexpected)) as engine:
        asyncio.run(asyncio.wait_for(story(engine), 30))
    after = rows(url, STEPS, REVIEW)

    assert after[: len(before)] == before, "what was journaled stays, and answers"
    assert [name for name, _ in after[len(before) :]] == [*LEFT_TO_DO, "engine/record"]
    assert len(world.server.asked) == 2, "one call of the security pass, one to verify"
    assert not world.server.rejected
    [post] = world.host.reviews
    assert [(comment.path, comment.line) for comment in post.comments] == [("app.py", 2)]
    assert "It divides by zero" in post.comments[0].body
    assert rows(url, "SELECT status FROM workflow_status WHERE workflow_uuid=?", REVIEW) == [("SUCCESS",)]

"""A lease is held by one process at a time, keeps its state, and its rounds come at the start and then in their time."""

import asyncio
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from bot.engine import leases
from bot.engine.leases import GIVEN_UP, WAITS, CrashRecords, Leases, Rounds
from bot.engine.queue import Runs
from bot.engine.tables import TABLES


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def engine(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/jobs.db")
    TABLES.create_all(engine)
    yield engine
    engine.dispose()


def test_one_holder_at_a_time_has_a_lease_and_the_next_one_finds_its_state(engine):
    clock = Clock()
    first, second = (Leases(engine, name, clock) for name in ("first", "second"))

    assert first.take("look", 30) == {}
    assert second.take("look", 30) is None
    first.store("look", {"seen": 7})
    assert second.take("look", 30) == {"seen": 7}
    assert first.take("look", 30) is None
    first.store("look", {"seen": 1})  # too late: the lease is another's
    clock.now += 31
    assert first.take("look", 30) == {"seen": 7}


def test_rounds_begin_at_once_in_spite_of_an_earlier_process_and_pass_their_state_on(engine):
    seen = []

    async def work(state):
        await asyncio.sleep(0)
        seen.append(state.get("count", 0))
        return {"count": state.get("count", 0) + 1}

    for _ in range(2):  # two processes, one after the other, each far from its second round
        rounds = Rounds(Leases(engine, f"worker {len(seen)}"), "look", 3600.0, work)
        rounds.start()
        deadline = time.monotonic() + 10
        wanted = len(seen) + 1
        while len(seen) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        rounds.stop()

    assert seen == [0, 1]


def test_rounds_stop_in_the_middle_of_their_work(engine):
    begun = []

    async def work(_):
        begun.append(True)
        await asyncio.sleep(3600)

    rounds = Rounds(Leases(engine, "worker"), "look", 3600.0, work)
    rounds.start()
    while not begun:
        time.sleep(0.01)
    before = time.monotonic()
    rounds.stop()

    assert time.monotonic() - before < 5


def test_a_round_ends_early_when_its_process_was_superseded(engine):
    epochs, begun, ended = [1], [], []

    async def work(_):
        begun.append(True)
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    rounds = Rounds(Leases(engine, "worker"), "look", 3600.0, work, lambda: epochs[-1])
    rounds.start()
    while not begun:
        time.sleep(0.01)
    epochs.append(2)
    while not ended:
        time.sleep(0.01)
    rounds.stop()


def test_a_long_round_keeps_its_lease(engine, monkeypatch):
    """It takes longer than the lease lasts; a second process looks all the while, and ends the round when it has the lease."""
    monkeypatch.setattr(leases, "_HELD", 0.9)
    first, second, ended = Leases(engine, "first"), Leases(engine, "second"), []

    async def work(_):
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(time.monotonic())

    rounds = Rounds(first, "look", 3600.0, work)
    rounds.start()
    time.sleep(0.3)
    tries = []
    for _ in range(10):
        time.sleep(0.15)
        tries.append(second.take("look", 0.01))
    assert tries == [None] * 10
    assert not ended
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE assistant_leases SET holder='second', until=9e9")
    deadline = time.monotonic() + 5
    while not ended and time.monotonic() < deadline:
        time.sleep(0.01)
    rounds.stop()
    assert ended


@pytest.fixture
def history(engine, monkeypatch):
    """Charges crashes at times that a test says; the verdict comes at the time of the last one, or `later`."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    records = CrashRecords(engine)

    def play(*crashes, later=0.0):
        for number, (seconds, progress) in enumerate(crashes):
            now[0] += seconds
            records.charge(f"worker{now[0]}-{number}/1", progress)
        now[0] += later
        return records.verdict("review/1")

    return play


def test_a_run_without_a_crash_goes_on_at_once(history):
    assert (history().wait, history((5, {"review/2": 3})).wait) == (0.0, 0.0)


def test_the_first_crash_costs_no_wait_and_the_next_ones_more_and_more(history):
    waits = [history((1000, {"review/1": 3})).wait for _ in range(7)]

    assert waits[0] == 0.0
    assert all(least <= wait <= 2 * least for wait, least in zip(waits, WAITS, strict=True))
    assert history(later=600).wait == 0.0


def test_a_step_forward_forgives_the_crashes_before_it(history):
    history(*[(60, {"review/1": 3})] * 7)

    assert history((60, {"review/1": 4})) == history((1000, {"review/1": 5})).__class__(0.0, given_up=False)


def test_reading_again_after_a_crash_is_no_step_forward():
    """Otherwise a crash loop would call the model again at once, after each crash, until the budget is spent."""

    def progress(*names):
        client = SimpleNamespace(list_workflow_steps=lambda _row, **_: [{"function_name": n} for n in names])
        return Runs(client).progress("review/1")

    before = progress("engine/record", "policy", "change, reading 1", "verify/1/facts, reading 1")
    assert before == 3
    assert progress("policy", "change, reading 1", "verify/1/facts, reading 1", "change, reading 2") == before
    assert progress("policy", "change, reading 1", "change, reading 2", "paths, reading 1", "checks") == before + 1


def test_a_run_that_kills_every_worker_is_given_up(history):
    assert not history(*[(60, {"review/1": 3})] * (GIVEN_UP - 1)).given_up
    assert history((60, {"review/1": 3})).given_up


def test_a_run_is_not_given_up_while_workers_also_die_without_it(history):
    """A crash loop of another cause: the run waits, and the workers go on dying."""
    for _ in range(GIVEN_UP):
        verdict = history((60, {"review/1": 3, "review/2": 1}), (60, {"review/2": 1}))
    assert not verdict.given_up

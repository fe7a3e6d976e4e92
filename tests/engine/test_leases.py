"""A lease is held by one process at a time, keeps its state, and its rounds come at the start and then in their time."""

import asyncio
import time

import pytest
import sqlalchemy as sa

from bot.engine.leases import TABLES, Leases, Rounds


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

"""Writes to GitHub from two processes on one database: one after another, none in a limit, none of a superseded worker."""

import asyncio
import time
from itertools import groupby, pairwise

import pytest

from bot.core.code.pull_request import PullRef
from bot.engine.lanes import DatabaseLanes
from bot.engine.leases import WorkerLease
from bot.errors import HostLimited, LeaseLost
from bot.hosts.github.auth import WRITE, Grant
from bot.hosts.github.publisher import GitHubPublisher
from bot.job import Job, Trigger
from bot.sandbox.world.faults import secondary_limit
from tests.support.engine_stage import create_tables
from tests.support.github_client import connect, hosted, post
from tests.support.product import RunningProduct

pytest_plugins = ["tests.support.postgres"]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    url = f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else request.getfixturevalue("new_postgres")()
    create_tables(url)
    return url


@pytest.fixture
def process(url):
    """Makes workers with a lease, as processes of their own have it."""
    leases = []

    def start():
        lease = WorkerLease(url)
        lease.take(lambda _: None)
        leases.append(lease)
        return lease

    yield start
    for lease in leases:
        lease.engine.dispose()


def play(story):
    return asyncio.run(asyncio.wait_for(story, 30))


def test_writes_of_two_processes_come_one_by_one_spaced_and_in_turn(process):
    spacing, wrote = 0.15, []
    lanes = {name: DatabaseLanes(process(), spacing) for name in "ab"}

    async def write(name):
        async with lanes[name].turn(7) as ready:
            await ready()
            start = time.monotonic()
            await asyncio.sleep(0.01)
            wrote.append((start, time.monotonic(), name))

    async def story():
        await asyncio.gather(*(write(name) for _ in range(4) for name in "ab"))

    play(story())

    gaps = [later[0] - earlier[1] for earlier, later in pairwise(wrote)]
    assert len(wrote) == 8
    assert min(gaps) >= spacing * 0.9
    assert max(len(list(group)) for _, group in groupby(name for *_, name in wrote)) <= 2


def test_installations_do_not_wait_for_each_other(process):
    lanes = DatabaseLanes(process(), 5.0)

    async def story():
        async with lanes.turn(1) as first, lanes.turn(2) as second:
            await first()
            await second()

    play(story())


def test_a_pause_is_kept_between_the_writes_of_one_turn_and_none_after_a_look(process):
    lanes = DatabaseLanes(process(), 0.6)

    async def story():
        begun = time.monotonic()
        for _ in range(5):
            async with lanes.turn(7):
                pass
        async with lanes.turn(7) as ready:
            await ready()
            first = time.monotonic()
            await ready()
            return first - begun, time.monotonic() - first

    looks, pause = play(story())

    assert looks < 5 * 0.6
    assert pause >= 0.6


def test_a_secondary_limit_that_one_process_meets_stops_the_writes_of_all(process, tmp_path):
    """Forty comments from two workers: one goes into the limit, none after it, and all are posted when it ends."""

    async def story():
        here = await hosted(tmp_path / "github", {"a.py": "a = 1\n"})
        repo, clock = here.repo, here.sandbox.world.clock
        repo.user("alice", "write")
        pull = await repo.open_pull("One", "Two.", {"a.py": "a = 2\n"})
        ref = here.ref(pull)
        publishers = [
            GitHubPublisher(connect(here.sandbox, lane=DatabaseLanes(process(), 0.0, clock))) for _ in range(2)
        ]
        here.sandbox.plan(secondary_limit("POST", "/repos/*/comments", retry_after=120))
        job = Job("delivery/1", ref, Trigger.COMMAND)

        async def all_of_them():
            says = (publishers[n % 2].reply(job, f"Number {n}", f"<!-- key {n:02} -->") for n in range(40))
            return await asyncio.gather(*says, return_exceptions=True)

        def comments():
            return len(here.asked("POST", "/comments"))

        first, at_once = await all_of_them(), comments()
        clock.advance(60)
        second, in_between = await all_of_them(), comments()
        clock.advance(61)
        third, after = await all_of_them(), comments()
        return first, at_once, second, in_between, third, after

    first, at_once, second, in_between, third, after = play(story())

    assert {type(each) for each in (*first, *second)} == {HostLimited}
    assert (at_once, in_between, after) == (1, 1, 41)
    assert all(100 < each.after <= 120 for each in first)
    assert len(set(third)) == 40


def test_a_superseded_worker_cannot_write(process, tmp_path):
    """It slept between its look for the marker and its post; meanwhile another worker posted. One review stands."""

    async def story():
        here = await hosted(tmp_path / "github", {"a.py": "a = 1\n"})
        pull = await here.repo.open_pull("One", "Two.", {"a.py": "a = 2\n"})
        zombie, other = process(), process()
        slow = connect(here.sandbox, lane=DatabaseLanes(zombie, 0.0))
        quick = GitHubPublisher(connect(here.sandbox, lane=DatabaseLanes(other, 0.0)))
        ref = here.ref(pull)
        change = await here.host.pull_request(ref)
        address = f"/repos/{ref.repo}/pulls/{ref.number}/reviews"
        review = post(change.head_sha)
        async with slow.turn(Grant.of(ref, WRITE)) as write:
            assert other.supersede(other.workers()[zombie.holder])
            await quick.review(change, review)
            with pytest.raises(LeaseLost):
                await write("POST", address, {"event": "COMMENT", "body": review.body})
        with pytest.raises(LeaseLost):
            await GitHubPublisher(slow).review(change, review)
        zombie.take(lambda _: None)
        await GitHubPublisher(slow).review(change, review)
        return here.asked("POST", "/reviews"), pull.reviews

    posts, reviews = play(story())

    assert (len(posts), len(reviews)) == (1, 1)


def test_the_turn_of_a_dead_worker_ends_with_its_lease(process):
    dead, other = process(), process()

    async def story():
        async with DatabaseLanes(dead, 0.0).turn(7):
            waiting = asyncio.ensure_future(enter(DatabaseLanes(other, 0.0)))
            await asyncio.sleep(0.2)
            before = waiting.done()
            assert other.supersede(other.workers()[dead.holder])
            await waiting
            return before

    async def enter(lanes):
        async with lanes.turn(7) as ready:
            await ready()

    assert not play(story())


def test_a_courtesy_waits_for_nobody_and_holds_nobody_up(process):
    """Forty strangers' refusals come while a maintainer's answers wait: none of them takes a slot."""
    here, there = DatabaseLanes(process(), 0.05), DatabaseLanes(process(), 0.05)
    wrote = []

    async def refusal(lanes):
        async with lanes.turn(7, courtesy=True) as ready:
            await ready()
            wrote.append("refusal")

    async def answer():
        async with here.turn(7) as ready:
            await ready()
            wrote.append("answer")

    async def story():
        answers = [asyncio.ensure_future(answer()) for _ in range(3)]
        await asyncio.sleep(0.02)
        refused = await asyncio.gather(*(refusal(lanes) for lanes in (here, there) * 20), return_exceptions=True)
        await asyncio.gather(*answers)
        await asyncio.sleep(0.1)
        await refusal(there)
        return refused

    refused = play(story())

    assert {type(each) for each in refused} == {HostLimited}
    assert all(each.after > 60 for each in refused)
    assert wrote == ["answer"] * 3 + ["refusal"]


def test_strangers_do_not_hold_up_a_maintainer():
    """Nine strangers command, then a maintainer. In a queue, nine refusals a second apart would come before the answer."""
    product = RunningProduct(assistant_write_spacing=1.0)
    try:
        pull = product.open()
        product.settle()
        before = len(product.sandbox.requests)
        for number in range(9):
            pull.comment(f"stranger{number}", "/assistant review")
        pull.comment("alice", "/assistant help")
        product.play(product.here.deliver())
        deadline = time.monotonic() + 30
        while not (said := [comment.body for comment in pull.state.comments if "/assistant resume" in comment.body]):
            assert time.monotonic() < deadline, pull.state.comments
            time.sleep(0.05)
        writes = [one for one in product.sandbox.requests[before:] if one.method == "POST"]
        refusals = [one for one in writes if one.path.endswith("/comments") and "cannot use commands" in str(one.body)]
    finally:
        product.close()

    assert len(said) == 1
    assert len(refusals) <= 4


def test_a_lane_that_could_not_be_freed_is_free_for_the_same_process(process):
    """The database was away at the end of the turn."""
    lease = process()
    lanes = DatabaseLanes(lease, 0.0)
    away = WorkerLease("sqlite:////nowhere/at/all.db")

    async def story():
        async with lanes.turn(7):
            lanes._lease = away
        lanes._lease = lease
        async with lanes.turn(7) as ready:
            await ready()

    play(story())
    away.engine.dispose()


def test_a_worker_without_a_lease_takes_no_turn(process):
    lease = process()
    lease.release()

    async def story():
        async with DatabaseLanes(lease, 0.0).turn(7):
            raise AssertionError("it has no lease")

    with pytest.raises(LeaseLost):
        play(story())


def test_a_pull_request_without_an_installation_has_a_lane_too(process):
    async def story():
        grant = Grant.of(PullRef("octo/shop", 1), WRITE)
        async with DatabaseLanes(process(), 0.0).turn(grant.installation) as ready:
            await ready()

    play(story())

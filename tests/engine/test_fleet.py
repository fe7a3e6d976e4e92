"""Real workers that are killed, stopped and woken, and a real database that restarts: each pull request has one review."""

import asyncio
import random
import signal

import pytest

from tests.support.fleet import QUICK, Fleet

pytest_plugins = ["tests.support.postgres"]

REAL = {"debounce": 0.0, "poll": 0.1}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def database(request):
    return "" if request.param == "sqlite" else request.getfixturevalue("new_postgres")()


def play(story, patience=120):
    return asyncio.run(asyncio.wait_for(story, patience))


async def a_woken_worker(fleet, silence):
    """The first worker stops between its look for the marker and its post; the second one takes over."""
    before = []

    def stop(method, path):
        about_to_post = before[-1:] == [("GET", "reviews")] and method == "GET" and path.endswith("/pulls/1")
        before.append((method, path.rpartition("/")[2]))
        if about_to_post and not fleet.stopped:
            fleet.stopped = True
            fleet.signal(first, signal.SIGSTOP)

    fleet.stopped, fleet.github.seen = False, stop
    first = await fleet.start()
    [pull] = await fleet.open()
    await fleet.until(lambda: fleet.stopped, 30, "the first worker was to post")
    second = await fleet.start()
    await fleet.settled(silence + 30)
    fleet.signal(first, signal.SIGCONT)
    await fleet.until(lambda: "this worker starts anew" in fleet.logs(first), 30, "the woken worker begins anew")
    fleet.signal(second, signal.SIGKILL)
    await fleet.open()
    await fleet.settled(60)
    return first, pull


def test_a_woken_worker_leaves_one_review_says_so_and_works_on(database, tmp_path):
    async def story():
        async with Fleet(tmp_path, database) as fleet:
            first, pull = await a_woken_worker(fleet, QUICK["silence"])
            posts = [one.path for one in fleet.sandbox.requests if one.method == "POST" and "/reviews" in one.path]
            return fleet.figures(), len(pull.reviews), posts, fleet.logs(first)

    figures, reviews, posts, log = play(story())

    assert (figures.reviewed, figures.doubled, figures.stuck) == (2, 0, 0)
    assert (reviews, sum("/pulls/1/" in path for path in posts)) == (1, 1)
    assert "this worker was superseded: another one has its jobs" in log


def test_restarts_of_postgres_cost_no_review_and_repeat_few_calls(postgres_server, new_postgres, tmp_path):
    async def story():
        async with Fleet(tmp_path, new_postgres(), seconds=0.3) as fleet:
            await restarts(fleet, postgres_server, workers=2, pulls=6, times=2, every=1.5)
            return fleet.figures()

    figures = play(story())

    assert (figures.reviewed, figures.doubled, figures.stuck) == (6, 0, 0)
    assert figures.repeated <= 2, figures  # a call whose answer came while the database was away


async def restarts(fleet, server, *, workers, pulls, times, every):
    """Restarts the database under the work; new pull requests come in between."""
    for _ in range(workers):
        await fleet.start()
    for _ in range(times):
        await fleet.open(pulls // times)
        await asyncio.sleep(every / 2)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.ensure_postgres_running)
        await asyncio.sleep(every / 2)
    await fleet.settled(120)


def test_a_crash_loop_ends_with_every_pull_request_reviewed(database, tmp_path):
    """No life is long enough for an answer of the model. After the loop the jobs go on, and none was given up."""

    async def story():
        async with Fleet(tmp_path, database, seconds=0.6, waits=(0.0, 0.1, 0.2)) as fleet:
            await fleet.start()
            await fleet.open(3)
            for _ in range(6):
                await asyncio.sleep(0.5)
                fleet.signal(fleet.pids[-1], signal.SIGKILL)
                await fleet.start()
            await fleet.settled(60)
            return fleet.figures()

    figures = play(story())

    assert (figures.reviewed, figures.doubled, figures.stuck) == (3, 0, 0), figures


@pytest.mark.long
def test_six_restarts_of_postgres_under_sixty_pull_requests(postgres_server, new_postgres, tmp_path, capsys):
    async def story():
        async with Fleet(tmp_path, new_postgres(), pace=REAL, seconds=2.0) as fleet:
            await restarts(fleet, postgres_server, workers=2, pulls=60, times=6, every=18)
            return fleet.figures()

    figures = play(story(), 600)

    with capsys.disabled():
        print(f"\n6 restarts of Postgres in 110 s: {figures}")  # noqa: T201 - the figures are what the run is for
    assert (figures.reviewed, figures.doubled, figures.stuck) == (60, 0, 0)
    assert figures.repeated <= figures.calls * 0.05


@pytest.mark.long
def test_a_woken_worker_at_the_real_pace(database, tmp_path, capsys):
    async def story():
        async with Fleet(tmp_path, database, pace=REAL) as fleet:
            await a_woken_worker(fleet, 45)
            return fleet.figures()

    figures = play(story(), 300)

    with capsys.disabled():
        print(f"\na woken worker: {figures}")  # noqa: T201 - the figures are what the run is for
    assert (figures.reviewed, figures.doubled, figures.stuck) == (2, 0, 0)


@pytest.mark.long
def test_forty_kills_of_workers(database, tmp_path, capsys):
    async def story():
        chance = random.Random(14)
        async with Fleet(tmp_path, database, pace=REAL, seconds=0.5) as fleet:
            alive = [await fleet.start() for _ in range(3)]
            for kill in range(40):
                if kill % 8 == 0:
                    await fleet.open(9)
                await asyncio.sleep(chance.uniform(0.3, 1.5))
                fleet.signal(alive.pop(chance.randrange(len(alive))), signal.SIGKILL)
                alive.append(await fleet.start())
            await fleet.settled(300)
            return fleet.figures()

    figures = play(story(), 600)

    with capsys.disabled():
        print(f"\n40 kills: {figures}")  # noqa: T201 - the figures are what the run is for
    assert (figures.reviewed, figures.doubled, figures.stuck) == (45, 0, 0)


@pytest.mark.long
def test_a_crash_loop_of_twenty_five_kills(database, tmp_path, capsys):
    async def story():
        async with Fleet(tmp_path, database, pace=REAL, seconds=4.0) as fleet:
            await fleet.start()
            await fleet.open(8)
            for _ in range(25):
                await asyncio.sleep(2)
                fleet.signal(fleet.pids[-1], signal.SIGKILL)
                await fleet.start()
            await fleet.settled(400)
            return fleet.figures()

    figures = play(story(), 600)

    with capsys.disabled():
        print(f"\na crash loop of 25 kills: {figures}")  # noqa: T201 - the figures are what the run is for
    assert (figures.reviewed, figures.doubled, figures.stuck) == (8, 0, 0)

"""GitHub is down for 8 minutes and for two hours, at a thousandth of the time; the server is down during five events."""

import asyncio
import os
import subprocess
import sys
import time

import pytest

from bot.engine.durable import Pace
from bot.sandbox.world.faults import outage
from tests.support.invariants import World, shown, violations
from tests.support.product_with_model import ProductWithModel
from tests.support.served import Process, served, until
from tests.support.small_review import BASE, SETTINGS, code, script

THOUSANDTH = Pace(debounce=0, poll=0.02, patience=0.06, retry=0.002, reconcile=0.3)
"""The default pace with a thousandth of its waits: of the retries, the patience and the looks for lost work."""


@pytest.fixture(scope="module")
def product():
    product = ProductWithModel(script, pace=THOUSANDTH, **SETTINGS)
    yield product
    product.close()


def review(product, number):
    return product.play(product.repository(BASE).open_pull(f"Pull {number}", "", code(number)))


@pytest.mark.parametrize("minutes", [8, pytest.param(120, marks=pytest.mark.long)])
def test_all_is_reviewed_after_an_outage_of_github(product, minutes):
    whole = review(product, 0)
    product.settle()
    down = outage()
    pulls = [review(product, number) for number in range(1, 4)]
    product.sandbox.plan(down)
    product.play(product.here.deliver())
    pulls += [review(product, number) for number in range(4, 6)]
    product.play(product.here.deliver())
    product.play(asyncio.sleep(minutes * 60 / 1000))
    refused = down.seen
    product.sandbox.asgi.planned.clear()
    product.settle()

    assert refused >= len(pulls)
    assert refused <= 30 * len(pulls) * minutes, "the attempts become rare"
    assert [shown(pull) for pull in pulls] == [shown(whole)] * len(pulls)
    assert violations(World(product.sandbox, product.app.settings.database)) == []


def command(here, port):
    """The real `assistant serve`, with settings for this sandbox only."""
    names = {name.upper(): str(value) for name, value in here.settings.items()}
    environment = {"PATH": os.environ["PATH"], "HOME": str(here.folder), "PORT": str(port), "ASSISTANT_DEBOUNCE": "0"}
    with (here.folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", "serve"], env=environment | names, cwd=here.folder, stdout=log, stderr=log
        )
    here.processes.append(served_process := Process(process.pid, port, process))
    return served_process


async def five_events(folder):
    async with served(folder) as here:
        server = command(here, here.port)
        await server.ready()
        repo = await here.repository("shop")
        await here.open(repo, 0)
        await here.deliver(server)
        accepted = here.sandbox.deliveries[-1].code
        await server.kill()
        for number in range(1, 5):
            await here.open(repo, number)
        here.pulls[1].comment("alice", "/assistant review full")
        await here.deliver(server)
        missed = [delivery.code for delivery in here.sandbox.deliveries[1:]]
        started = time.monotonic()
        server = command(here, here.port)
        await server.ready()
        await until(lambda: not here.open_ends() and not here.unfinished(), here.trouble)
        seconds = time.monotonic() - started
        await server.kill()
        return accepted, missed, seconds, here.pulls, here.violations()


def test_five_events_during_a_downtime_are_five_reviews_within_a_minute_of_the_start(tmp_path):
    """The server is killed in the middle of a review, too: the restart finishes that one."""
    accepted, missed, seconds, pulls, found = asyncio.run(five_events(tmp_path))

    assert accepted == 202
    assert missed == [0] * 5
    assert seconds < 60
    assert [len(pull.reviews) for pull in pulls] == [1] * 5
    assert found == []

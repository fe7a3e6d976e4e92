"""A real server is killed before and after each point of the pipeline, P0-P15; all invariants hold after its restart."""

import asyncio
import signal

import pytest

from tests.support.served import served, shown
from tests.support.server_to_kill import FAILPOINTS


async def story(folder, points):
    """A life for each point, which dies there during the review of a pull request of its own, and a last one.

    Also returns the number of lives that died: the first review that never comes to its point ends the series.
    """
    async with served(folder) as here:
        process = await here.start()
        await process.ready()
        repo = await here.repository("reference")
        whole = await here.open(repo, 0)
        await here.deliver(process)
        await here.whole()
        expected = shown(whole)
        await process.kill()
        died = 0
        for number, point in enumerate(points, 1):
            process = await here.start(point=point)
            await process.ready()
            await here.whole()
            process.send(signal.SIGUSR1)
            await here.open(await here.repository(f"shop-{number}"), number)
            await here.deliver(process)
            if not await here.dies(process):
                break
            died = number
        process = await here.start()
        await process.ready()
        await here.whole()
        return expected, here.violations(expected), len(here.model.asked), here.model.rejected, died


def check(folder, points, least):
    expected, violations, asked, rejected, died = asyncio.run(story(folder, points))

    assert (expected.reviews, len(expected.comments), expected.conclusions) == (1, 1, ("neutral",))
    assert violations == []
    assert rejected == []
    assert died >= least
    pulls = min(died + 1, len(points))
    assert 2 * pulls <= asked - 2 <= 2 * pulls + 2  # at most the call at whose end it died


QUICK = [f"{name} {'after' if number % 2 else 'before'}" for number, name in enumerate(FAILPOINTS)]
OTHER = [f"{name} {'before' if number % 2 else 'after'}" for number, name in enumerate(FAILPOINTS)]


REQUESTS = [f"request {number} {when}" for number in range(1, 40) for when in ("before", "after")]
PLANS = {
    "one side of each point": (QUICK, len(QUICK)),
    "the other side": pytest.param(OTHER, len(OTHER), marks=pytest.mark.long),
    "each request to GitHub": pytest.param(REQUESTS, 16, marks=pytest.mark.long),
}


@pytest.mark.parametrize(("points", "least"), PLANS.values(), ids=PLANS)
def test_a_server_killed_at_any_point_of_the_pipeline_loses_and_doubles_nothing(tmp_path, points, least):
    check(tmp_path, points, least)

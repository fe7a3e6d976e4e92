"""A real server is killed before and after each point of the pipeline, P0-P15; all invariants hold after its restart."""

import asyncio
import signal

import pytest

from tests.support.served import served, shown
from tests.support.server_to_kill import FAILPOINTS


async def story(folder, points):
    """A life for each point, which dies there during the review of a pull request of its own, and a last one."""
    async with served(folder) as here:
        process = await here.start()
        await process.ready()
        repo = await here.repository("reference")
        whole = await here.open(repo, 0)
        await here.deliver(process)
        await here.whole()
        expected = shown(whole)
        await process.kill()
        for number, point in enumerate(points, 1):
            process = await here.start(point=point)
            await process.ready()
            await here.whole()
            process.send(signal.SIGUSR1)
            await here.open(await here.repository(f"shop-{number}"), number)
            await here.deliver(process)
            await process.gone()
        process = await here.start()
        await process.ready()
        await here.whole()
        return expected, here.violations(expected), len(here.model.asked), here.model.rejected


def check(folder, points):
    expected, violations, asked, rejected = asyncio.run(story(folder, points))

    assert (expected.reviews, len(expected.comments), expected.conclusions) == (1, 1, ("neutral",))
    assert violations == []
    assert rejected == []
    assert 2 * len(points) <= asked - 2 <= 2 * len(points) + 2  # at most the call at whose end it died


QUICK = [f"{name} {'after' if number % 2 else 'before'}" for number, name in enumerate(FAILPOINTS)]
OTHER = [f"{name} {'before' if number % 2 else 'after'}" for number, name in enumerate(FAILPOINTS)]


REQUESTS = [f"request {number} {when}" for number in range(1, 26) for when in ("before", "after")]
PLANS = {
    "one side of each point": QUICK,
    "the other side": pytest.param(OTHER, marks=pytest.mark.long),
    "each request to GitHub": pytest.param(REQUESTS, marks=pytest.mark.long),
}


@pytest.mark.parametrize("points", PLANS.values(), ids=PLANS)
def test_a_server_killed_at_any_point_of_the_pipeline_loses_and_doubles_nothing(tmp_path, points):
    check(tmp_path, points)

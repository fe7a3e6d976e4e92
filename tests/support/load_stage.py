"""The real server on a stage for load: beside a sandbox GitHub, a scripted model, and a process that sends requests."""

import asyncio
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.sandbox.world import hooks
from tests.support.assistant_process import AssistantProcess
from tests.support.load_generator import fire, request
from tests.support.served import Served, served

PATIENCE = 600.0
"""Seconds that the work of a run may take after its load."""


@dataclass(frozen=True)
class LoadStage:
    """A world with a server that is ready."""

    world: Served
    server: AssistantProcess

    async def fire(self, shots):
        """Sends requests, each with its second, from another process; returns their answers."""
        return await fire(self.server.port, shots)

    async def send(self, deliveries, at=()):
        """Sends deliveries, all at once or at these seconds; GitHub notes how each went."""
        at = at or [0.0] * len(deliveries)
        hits = await self.fire([delivered(one, when) for one, when in zip(deliveries, at, strict=True)])
        for one, hit in zip(deliveries, hits, strict=True):
            if not one.code:
                hooks.settle(one, hit.status)
        return hits

    def pending(self, event, action=None):
        """The deliveries of an event that are not sent yet."""
        waiting = [one for one in self.world.sandbox.deliveries if one.code is None and one.event == event]
        return [one for one in waiting if action in {None, one.action}]

    async def broken(self):
        """Waits until all work has ended; returns the invariants that do not hold, in words."""
        await self.world.whole(PATIENCE)
        found = await asyncio.to_thread(self.world.violations)
        return [f"{one.invariant} {one.where}: {one.what}" for one in found]


@asynccontextmanager
async def load_stage(*command, url="", **settings):
    """`assistant serve`, or another command, at its own pace; no debounce, and no limit of requests to GitHub."""
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        async with served(Path(folder), url, assistant_debounce=0, **settings) as world:
            world.sandbox.world.rate_limit = 10**6
            server = await AssistantProcess.start(world.settings, *command, log=world.folder / "log")
            try:
                await server.ready()
                yield LoadStage(world, server)
            finally:
                await server.end()


def delivered(delivery, at=0.0):
    """The request of a delivery."""
    return at, request("POST", "/webhooks/github", delivery.headers.items(), delivery.body)

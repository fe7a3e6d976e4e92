"""What a server costs that does nothing: CPU from its start until it is ready, CPU while it waits, and the room of old reviews.

`assistant serve` is a process of its own, at its real pace; a sandbox GitHub and a scripted model are beside it. A small review
has one file with one finding and two calls of the model.

    python benchmarks/idle.py [--seconds 60] [--reviews 60] [--json]
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.engine.database import EngineDatabase, closing_engine
from bot.engine.queue import Runs, client
from bot.engine.workers import RETENTION, tidy
from tests.support.assistant_process import AssistantProcess
from tests.support.served import served

SETTLED = 5.0
WARM = 10
AIMS = {
    "CPU seconds from start to ready": 2.0,
    "percent of a core while idle": 1.0,
    "KB of a small review after a day": 20.0,
}


async def start(settings: dict[str, object]) -> tuple[AssistantProcess, float]:
    """Starts `assistant serve`; returns it with its CPU seconds when it was ready."""
    server = await AssistantProcess.start(settings)
    await server.ready()
    return server, server.cpu


def used(url: str) -> int:
    """Bytes in pages that hold something."""
    with closing_engine(EngineDatabase(url).engine()) as engine, engine.connect() as connection:
        pages, free, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def a_day_later(url: str) -> None:
    """Does what a worker does every hour, as if all runs had ended a day ago."""
    database = EngineDatabase(url)
    with closing_engine(database.engine()) as engine:
        rows = client(engine, patient=False)
        tidy(Runs(rows), database, RETENTION, timedelta(0))
        rows.destroy()


async def measure(seconds: float, reviews: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with served(Path(folder)) as here:
            say("a server starts on an empty database")
            server, figures["CPU seconds from first start to ready"] = await start(here.settings)
            await server.end()
            say("it starts again")
            server, figures["CPU seconds from start to ready"] = await start(here.settings)
            await asyncio.sleep(SETTLED)
            say(f"it waits for {seconds:.0f} s")
            before, began = server.cpu, time.monotonic()
            await asyncio.sleep(seconds)
            figures["percent of a core while idle"] = (server.cpu - before) / (time.monotonic() - began) * 100
            await server.end()
            say(f"{reviews} small reviews")
            process = await here.start()
            await process.ready()
            repo = await here.repository("shop")
            sizes = []
            for number in range(WARM + reviews):
                if number == WARM:
                    await here.whole()
                    sizes.append(used(here.url))
                await here.open(repo, number)
                await here.deliver(process)
            await here.whole()
            await process.kill()
            sizes.append(used(here.url))
            a_day_later(here.url)
            # the warm reviews lost their journals too: what is left of them is as much as of each other
            figures["KB of a small review"] = (sizes[1] - sizes[0]) / reviews / 1024
            gone = (sizes[1] - used(here.url)) / (WARM + reviews) / 1024
            figures["KB of a small review after a day"] = figures["KB of a small review"] - gone
    return figures


def say(words: str) -> None:
    print(f"… {words}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long the server waits")
    parser.add_argument("--reviews", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.seconds, options.reviews))
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        aim = f"   (aim: under {AIMS[name]:g})" if name in AIMS else ""
        print(f"{value:8.2f}  {name}{aim}")


if __name__ == "__main__":
    main()

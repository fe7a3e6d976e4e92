"""What one review costs without a model: CPU, memory, requests to GitHub and time, for three sizes of pull request.

Our server and the sandbox GitHub are processes of their own, so that what the sandbox needs is not counted; every size
gets a new server. A round is a new pull request, from its delivery to its concluded check run; the first one, which
also indexes the standards, is shown apart. CPU includes the analysers we start, and the engine's own rows.

    python benchmarks/review.py [--rounds 5]
"""

import argparse
import asyncio
import multiprocessing
import random
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bot.app import build, bundled
from bot.cli.progress import configure
from bot.cli.serve import Server
from bot.engine.durable import DurableEngine, Pace
from bot.job import Job, decide
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world.repo import Repo
from bot.settings import Settings
from bot.webhook import parse

SIZES = {"small": (2, 40), "mixed": (4, 40), "medium": (30, 1_500), "large": (300, 20_000)}
"""Files, and lines that are added in all. The files of "mixed" are in four languages, so that every analyser runs."""
OTHERS = {
    "web/rate_{}.ts": "export function rate{0}(order: Order): number {{\n  return order.amount * {0};\n}}\n",
    "api/rate_{}.go": "package api\n\nfunc Rate{0}(amount int) int {{\n\treturn amount * {0}\n}}\n",
    ".github/workflows/rate_{}.yml": "on: push\npermissions: {{}}\njobs:\n  rate:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: make rate-{0}\n",
}
AIMS = {"CPU s": ("small, mixed", 0.5), "requests": ("small", 12), "peak MB": ("", 300)}


@dataclass(frozen=True)
class Cost:
    """One review. `comments` says that there was something to post."""

    cpu: float
    wall: float
    peak: float
    requests: int
    comments: int


HEAD = '"""Rates of a region."""\n\nimport decimal\n\n'


def functions(chance: random.Random, lines: int) -> str:
    """Python as people write it; the first function has a flaw, and every fifth after it."""
    written: list[str] = []
    for turn in count():
        if len(written) >= lines:
            break
        name, rate = f"rate_{chance.randrange(10**6)}", chance.randrange(100)
        written += ["", f"def {name}(order, *, region):", f'    """What an order of {rate} costs."""']
        written += ["    total = order.amount"]
        written += [f"    total += order.parts[{step}] * {chance.randrange(90)} + region.tax" for step in range(12)]
        written += ["    try:", f"        return decimal.Decimal(total) / {rate + 1}"]
        written += ["    except:" if turn % 5 == 0 else "    except decimal.InvalidOperation:"]
        written += ["        return None", ""]
    return "\n".join(written[:lines]) + "\n"


def change(size: str, number: int) -> tuple[dict[str, str], dict[str, str]]:
    """The files of pull request `number`, before and after: half of them are new, half of them grow."""
    files, added = SIZES[size]
    chance = random.Random(f"{size}/{number}")
    if size == "mixed":
        written = {path.format(number): text.format(number) for path, text in OTHERS.items()}
        return {}, written | {f"shop/rate_{number}.py": HEAD + functions(chance, 24)}
    base = {f"shop/{size}/part_{index}.py": HEAD + functions(random.Random(index), 120) for index in range(0, files, 2)}
    head = {}
    for index in range(files):
        lines = functions(chance, added // files)
        path = f"shop/{size}/part_{index}.py" if index % 2 == 0 else f"shop/{size}/new_{number}_{index}.py"
        head[path] = base.get(path, HEAD) + lines
    return base, head


def github(folder: Path, bound: socket.socket, pipe: Connection) -> None:
    """The sandbox, in a process of its own."""
    asyncio.run(_github(folder, bound, pipe))


async def _github(folder: Path, bound: socket.socket, pipe: Connection) -> None:
    sandbox = Sandbox.create(folder, url="http://{}:{}".format(*bound.getsockname()))
    sandbox.world.rate_limit = 10**6
    serving = asyncio.create_task(Server(sandbox.asgi, bound).run_here())
    documents = {f"docs/standards/{one.name}": one.read_text() for one in (bundled("examples") / "standards").iterdir()}
    repos: dict[str, Repo] = {}
    pipe.send(
        {
            "github_app_id": str(sandbox.world.app.id),
            "github_private_key": sandbox.world.app.private_key,
            "github_webhook_secret": sandbox.world.secret,
            "github_api_url": sandbox.world.api,
        }
    )
    while order := await asyncio.to_thread(pipe.recv):
        size, number = order
        base, head = change(size, number)
        repo = repos.get(size) or await sandbox.repository(f"octo/{size}", base | documents, private=True)
        repos[size] = repo
        pull = await repo.open_pull(f"Change {number}", "Rates change.", head)
        await asyncio.to_thread(pipe.recv)  # our server is ready
        before = len(sandbox.requests)
        delivery = sandbox.deliveries[-1]
        pipe.send(({name.lower(): value for name, value in delivery.headers.items()}, delivery.body))
        while not any(run.conclusion for run in pull.check_runs()):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.005)
        pipe.send((len(sandbox.requests) - before, len(pull.comments)))
    serving.cancel()


def server(settings: dict[str, Any], pipe: Connection) -> None:
    """Our server with its worker: takes deliveries from the pipe, says what each of them cost."""
    configure("ERROR")
    app = build(Settings.read(_env_file=None, **settings), pace=Pace(debounce=0, poll=0.2))
    app.start(work=True)
    pipe.send("ready")
    while delivery := pipe.recv():
        cpu, begun = _cpu(), time.perf_counter()
        job = decide(parse(*delivery))
        if not isinstance(job, Job):
            sys.exit(f"no work: {job.reason}")
        asyncio.run(app.engine.submit(job))
        pipe.recv()  # the check run is concluded
        wall = time.perf_counter() - begun
        asyncio.run(_quiet(app.engine))
        pipe.send((_cpu() - cpu, wall, _peak()))
    app.stop()


async def _quiet(engine: DurableEngine) -> None:
    while any((await engine.queue_depth()).values()):  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.02)


def _cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _peak() -> float:
    """Our own process's, in MB; an analyser lives shortly and has a limit of its own."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(size: str, rounds: int, hub: Connection, settings: dict[str, Any]) -> Iterator[Cost]:
    """The cost of each round, the cold one first."""
    processes = multiprocessing.get_context("spawn")
    pipe, theirs = processes.Pipe()
    ours = processes.Process(target=server, args=(settings, theirs))
    ours.start()
    pipe.recv()
    for number in range(rounds + 1):
        hub.send((size, number))
        hub.send("ready")
        pipe.send(hub.recv())
        requests, comments = hub.recv()
        pipe.send("concluded")
        cpu, wall, peak = pipe.recv()
        yield Cost(cpu, wall, peak, requests, comments)
    pipe.send(None)
    ours.join()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        hub, theirs = multiprocessing.Pipe()
        bound = socket.create_server(("127.0.0.1", 0))
        sandbox = multiprocessing.get_context("fork").Process(
            target=github, args=(Path(folder) / "github", bound, theirs), daemon=True
        )
        sandbox.start()
        bound.close()
        settings = {
            **hub.recv(),
            "assistant_model_api": "offline",
            "assistant_write_spacing": 0,
            "database_url": "",
        }
        print(
            f"{'':8}{'files':>6}{'added':>7}{'':>7}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'requests':>10}{'comments':>10}"
        )
        for size in SIZES:
            cold, *warm = measure(size, rounds, hub, settings | {"assistant_data": Path(folder) / size})
            show(size, "first", [cold])
            show(size, "p50", warm)
        hub.send(None)
        sandbox.join()
    print(
        "aims: " + ", ".join(f"{name} <= {most}{f' ({size})' if size else ''}" for name, (size, most) in AIMS.items())
    )


def show(size: str, what: str, costs: list[Cost]) -> None:
    """One line: medians, and the highest peak."""
    cpu, wall, requests, comments = (
        statistics.median(getattr(one, name) for one in costs) for name in ("cpu", "wall", "requests", "comments")
    )
    files, added = SIZES[size]
    peak = max(one.peak for one in costs)
    print(f"{size:8}{files:6}{added:7}{what:>7}{cpu:8.2f}{wall:8.2f}{peak:9.0f}{requests:10.0f}{comments:10.0f}")


if __name__ == "__main__":
    main()

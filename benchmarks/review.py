"""What one review costs: CPU, the longest stall of the event loop, memory, requests to GitHub and time, by size.

Our server, and the stand-ins of GitHub and of the model, are processes of their own, so that what the stand-ins need is not
counted; every size gets a new server. A round is a new pull request, from its delivery to its concluded check run; the
first one, which also indexes the standards, is shown apart. CPU includes the analysers we start, and the engine's own
rows. "piece" is the most CPU that the event loop of the reviews spent between two turns of a task that ticks every 5 ms.

The floor is the CPU of the least that any reviewer does for the same pull request, in a process of its own whose imports
are not counted: read the files, parse them with unidiff, ask the model once about all of them, post a review.

    python benchmarks/review.py [--rounds 2] [--sizes small "28 files"]
"""

import argparse
import asyncio
import multiprocessing
import random
import re
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx2
from dbos._dbos import _get_dbos_instance
from unidiff import PatchSet

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.app import build, bundled
from bot.cli.progress import configure
from bot.cli.serve import Server, listen
from bot.engine.durable import DurableEngine, Pace
from bot.job import Job, decide
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world.repo import Repo
from bot.settings import Settings
from bot.webhook import parse
from tests.support.model_server import ModelServer
from tests.support.model_turns import Turn, says
from tests.support.product_with_model import Request
from tests.support.scripted_model import findings


@dataclass(frozen=True)
class Size:
    """Files, and lines that are added in all. `mixed` ones are in four languages, so that every analyser runs."""

    name: str
    files: int
    added: int
    model: bool = True
    mixed: bool = False


SIZES = (
    Size("small", 2, 40, model=False),
    Size("mixed", 4, 40, model=False, mixed=True),
    Size("medium", 30, 1_500, model=False),
    Size("large", 300, 20_000, model=False),
    Size("2 files", 2, 40),
    Size("28 files", 28, 1_400),
    Size("56 files", 56, 2_800),
    Size("392 files", 392, 4_000),
)
OTHERS = {
    "web/rate_{}.ts": "export function rate{0}(order: Order): number {{\n  return order.amount * {0};\n}}\n",
    "api/rate_{}.go": "package api\n\nfunc Rate{0}(amount int) int {{\n\treturn amount * {0}\n}}\n",
    ".github/workflows/rate_{}.yml": "on: push\npermissions: {{}}\njobs:\n  rate:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: make rate-{0}\n",
}
AIMS = {"CPU s": ("small, mixed", 0.5), "requests": ("small", 12), "peak MB": ("", 300)}
TICK = 0.005


@dataclass(frozen=True)
class Cost:
    """One review. `comments` says that there was something to post; `floor` is the CPU of the least reviewer."""

    cpu: float
    piece: float
    wall: float
    peak: float
    requests: int
    comments: int
    floor: float


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


def change(size: Size, number: int) -> tuple[dict[str, str], dict[str, str]]:
    """The files of pull request `number`, before and after: half of them are new, half of them grow."""
    chance = random.Random(f"{size.name}/{number}")
    if size.mixed:
        written = {path.format(number): text.format(number) for path, text in OTHERS.items()}
        return {}, written | {f"shop/rate_{number}.py": HEAD + functions(chance, 24)}
    base = {f"shop/part_{index}.py": HEAD + functions(random.Random(index), 120) for index in range(0, size.files, 2)}
    head = {}
    for index in range(size.files):
        lines = functions(chance, size.added // size.files)
        path = f"shop/part_{index}.py" if index % 2 == 0 else f"shop/new_{number}_{index}.py"
        head[path] = base.get(path, HEAD) + lines
    return base, head


_DIFF = re.compile(r'"kind": "diff", "source": "((?:[^"\\]|\\.)*)"\}\n(.*?)\n</untrusted-', re.DOTALL)


def answer(body: dict) -> Turn:
    """Each part of a change has a finding in its first added line, and the second look confirms all of them."""
    request = Request(body)
    if request.purpose == "verify":
        claims = [f"{one['path']}: {one['quoted_code']}" for one in request.claims]
        looks = [
            {"finding": n, "evidence": [line], "reason": "It does.", "verdict": "holds"}
            for n, line in enumerate(claims, 1)
        ]
        return says({"verdicts": looks})
    text = "\n".join(part["text"] for item in body["input"] for part in item["content"])
    path, rows = next(iter(_DIFF.findall(text)), ("", ""))
    line = max((row.partition("+")[2] for row in rows.split("\n") if re.match(r"\d+\+", row)), key=len, default="")
    if "correctness" not in request.lens or not line:
        return says(findings())
    path = path.split(",")[0]
    claim = {"path": path, "quoted_code": line, "near": None, "evidence": [f"{path}: {line}"], "title": f"In {path}"}
    return says(findings(claim))


@dataclass
class World:
    """The stand-ins: a GitHub with a repository for each size, and a model."""

    sandbox: Sandbox
    model: ModelServer
    documents: dict[str, str]
    repos: dict[str, Repo] = field(default_factory=dict)

    async def round(self, size: Size, number: int, pipe: Connection) -> None:
        """Open a pull request, pass its delivery on, and wait until it is reviewed; then say where the floor reads it."""
        base, head = change(size, number)
        name = size.name.replace(" ", "-")
        repo = self.repos.get(name) or await self.sandbox.repository(
            f"octo/{name}", base | self.documents, private=True
        )
        self.repos[name] = repo
        pull = await repo.open_pull(f"Change {number}", "Rates change.", head)
        before = len(self.sandbox.requests)
        delivery = self.sandbox.deliveries[-1]
        pipe.send(({name.lower(): value for name, value in delivery.headers.items()}, delivery.body))
        while not any(run.conclusion for run in pull.check_runs()):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.005)
        if self.model.rejected:
            sys.exit(f"the model's server refused a request: {self.model.rejected}")
        pipe.send((len(self.sandbox.requests) - before, len(pull.comments)))
        token = next(reversed(self.sandbox.world.tokens))
        pipe.send((f"{self.sandbox.world.api}/repos/octo/{name}/pulls/{pull.number}", token))
        await asyncio.to_thread(pipe.recv)  # the floor is measured


def stand_ins(folder: Path, bound: socket.socket, pipe: Connection) -> None:
    """GitHub and the model, in a process of their own."""
    asyncio.run(_stand_ins(folder, bound, pipe))


async def _stand_ins(folder: Path, bound: socket.socket, pipe: Connection) -> None:
    sandbox = Sandbox.create(folder, url="http://{}:{}".format(*bound.getsockname()))
    sandbox.world.rate_limit = 10**6
    model, (model_socket, model_url) = ModelServer(answer), listen()
    serving = [
        asyncio.create_task(Server(sandbox.asgi, bound).run_here()),
        asyncio.create_task(Server(model.app, model_socket).run_here()),
    ]
    documents = {f"docs/standards/{one.name}": one.read_text() for one in (bundled("examples") / "standards").iterdir()}
    world = World(sandbox, model, documents)
    pipe.send(
        {
            "github_app_id": str(sandbox.world.app.id),
            "github_private_key": sandbox.world.app.private_key,
            "github_webhook_secret": sandbox.world.secret,
            "github_api_url": sandbox.world.api,
            "openai_base_url": f"{model_url}/v1",
        }
    )
    while order := await asyncio.to_thread(pipe.recv):
        await world.round(*order, pipe)
    for task in serving:
        task.cancel()


def server(settings: dict[str, Any], pipe: Connection) -> None:
    """Our server with its worker: takes deliveries from the pipe, says what each of them cost."""
    configure("ERROR")
    app = build(Settings.read(_env_file=None, **settings), pace=Pace(debounce=0))
    app.start(work=True)
    loop = _get_dbos_instance()._background_event_loop._loop  # noqa: SLF001 - DBOS has no public way
    stalls = Stalls()
    asyncio.run_coroutine_threadsafe(stalls.watch(), loop)
    pipe.send("ready")
    while delivery := pipe.recv():
        stalls.longest = 0.0
        cpu, begun = _cpu(), time.perf_counter()
        job = decide(parse(*delivery))
        if not isinstance(job, Job):
            sys.exit(f"no work: {job.reason}")
        asyncio.run(app.engine.submit(job))
        pipe.recv()  # the check run is concluded
        wall = time.perf_counter() - begun
        asyncio.run(_quiet(app.engine))
        pipe.send((_cpu() - cpu, stalls.longest, wall, _peak()))
    app.stop()


@dataclass
class Stalls:
    """The most CPU, in seconds, that a loop's thread spent between two turns of a task."""

    longest: float = 0.0

    async def watch(self) -> None:
        """Tick for ever."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(TICK)
            self.longest = max(self.longest, time.thread_time() - before)


async def _quiet(engine: DurableEngine) -> None:
    while any((await engine.queue_depth()).values()):  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.02)


def _cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _peak() -> float:
    """Our own process's, in MB; an analyser lives shortly and has a limit of its own."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def floor(model: str, pipe: Connection) -> None:
    """The least reviewer: for each pull request from the pipe, the CPU that it takes."""
    client = httpx2.Client(timeout=60)
    while order := pipe.recv():
        before = time.process_time()
        least_review(client, model, *order)
        pipe.send(time.process_time() - before)


def least_review(client: httpx2.Client, model: str, url: str, token: str) -> None:
    """Read, parse, ask once if there is a model, post."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}

    def get(path: str) -> Any:  # noqa: ANN401 - JSON
        return client.get(f"{url}{path}", headers=headers).raise_for_status().json()

    pull, shown, first = get(""), [], None
    for page in count(1):
        files = get(f"/files?per_page=100&page={page}")
        for file in files:
            patch = PatchSet(f"--- a/file\n+++ b/file\n{file.get('patch', '')}\n")[0]
            lines = [line for hunk in patch for line in hunk if line.is_added]
            first = first or (file["filename"], lines[0].target_line_no)
            shown.append(f"{file['filename']}\n" + "".join(f"{line.target_line_no} {line.value}" for line in lines))
        if len(files) < 100:
            break
    said = "Looked at."
    if model:
        text = [{"type": "input_text", "text": "\n".join(shown)}]
        message = {"type": "message", "role": "user", "content": text}
        asked = {"model": "gpt-6.2-sol", "input": [message], "store": False, "max_output_tokens": 9_000}
        reply = client.post(f"{model}/responses", json=asked).raise_for_status()
        said = f"{reply.status_code}: {len(reply.content)} bytes"
    comments = [{"path": first[0], "line": first[1], "side": "RIGHT", "body": said}]
    review = {"commit_id": pull["head"]["sha"], "event": "COMMENT", "body": said, "comments": comments}
    client.post(f"{url}/reviews", headers=headers, json=review).raise_for_status()


def measure(size: Size, rounds: int, hub: Connection, settings: dict[str, Any]) -> Iterator[Cost]:
    """The cost of each round, the cold one first."""
    processes = multiprocessing.get_context("spawn")
    pipe, theirs = processes.Pipe()
    ours = processes.Process(target=server, args=(settings, theirs))
    below, lowest = processes.Pipe()
    least = processes.Process(target=floor, args=(settings["openai_base_url"] if size.model else "", lowest))
    ours.start()
    least.start()
    pipe.recv()
    for number in range(rounds + 1):
        hub.send((size, number))
        pipe.send(hub.recv())
        requests, comments = hub.recv()
        pipe.send("concluded")
        cpu, piece, wall, peak = pipe.recv()
        below.send(hub.recv())
        under = below.recv()
        hub.send("measured")
        yield Cost(cpu, piece * 1000, wall, peak, requests, comments, under)
    for channel in (pipe, below):
        channel.send(None)
    ours.join()
    least.join()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--sizes", nargs="+", default=[size.name for size in SIZES])
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hub, theirs = multiprocessing.Pipe()
        bound = socket.create_server(("127.0.0.1", 0))
        world = multiprocessing.get_context("fork").Process(
            target=stand_ins, args=(Path(folder) / "github", bound, theirs), daemon=True
        )
        world.start()
        bound.close()
        offline = {**hub.recv(), "assistant_write_spacing": 0, "database_url": "", "assistant_model_api": "offline"}
        asking = offline | {"assistant_model_api": "responses", "openai_api_key": "none"}
        print(
            f"{'':10}{'files':>6}{'added':>7}{'model':>6}{'':>7}{'CPU s':>8}{'floor s':>9}{'ratio':>7}{'piece ms':>10}"
            f"{'wall s':>8}{'peak MB':>9}{'requests':>10}{'comments':>10}"
        )
        for size in (size for size in SIZES if size.name in chosen.sizes):
            settings = (asking if size.model else offline) | {"assistant_data": Path(folder) / size.name}
            cold, *warm = measure(size, chosen.rounds, hub, settings)
            show(size, "first", [cold])
            show(size, "p50", warm)
        hub.send(None)
        world.join()
    print(
        "aims: " + ", ".join(f"{name} <= {most}{f' ({size})' if size else ''}" for name, (size, most) in AIMS.items())
    )


def show(size: Size, what: str, costs: list[Cost]) -> None:
    """One line: medians, and the highest peak."""
    names = ("cpu", "floor", "piece", "wall", "requests", "comments")
    middle = {name: statistics.median(getattr(one, name) for one in costs) for name in names}
    print(
        f"{size.name:10}{size.files:6}{size.added:7}{'yes' if size.model else 'no':>6}{what:>7}{middle['cpu']:8.2f}"
        f"{middle['floor']:9.3f}{middle['cpu'] / middle['floor']:7.1f}{middle['piece']:10.0f}{middle['wall']:8.2f}"
        f"{max(one.peak for one in costs):9.0f}{middle['requests']:10.0f}{middle['comments']:10.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

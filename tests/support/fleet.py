"""A fleet: a sandbox GitHub, a scripted model server and our front door in this process, and workers that can be killed.

All speak HTTP on loopback and share one database, as a deployment with several workers does.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx

from bot.app import build
from bot.cli.serve import Server, http, listen
from bot.engine.durable import Pace
from bot.sandbox.sandbox import Sandbox
from bot.settings import Settings
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, says
from tests.support.product_with_model import Request
from tests.support.scripted_model import findings

CODE = "def pay_{number}(order):\n    return order.total / order.count\n"
QUICK = {"debounce": 0.0, "poll": 0.05, "retry": 0.2, "beat": 0.3, "silence": 2.0}


def answer(body, seconds):
    """The model reads the file, finds the division, and confirms it: three requests for each review."""
    request = Request(body)
    path = re.search(r"pay_\d+\.py", request.text)[0]
    if request.purpose == "find" and not request.told:
        return calls(("read_file", {"path": path, "side": "head", "start": None, "end": None}), seconds=seconds)
    quote = "    return order.total / order.count"
    if request.purpose == "find":
        found = {"path": path, "quoted_code": quote, "near": 2, "title": "It divides by zero"}
        return says(findings(found), seconds=seconds)
    verdict = {"finding": 1, "evidence": [f"{path}:2: {quote.strip()}"], "reason": "so it is", "verdict": "holds"}
    return says({"verdicts": [verdict]}, seconds=seconds)


@dataclass(frozen=True)
class Figures:
    """What became of the pull requests of a fleet. `calls` and `repeated` are requests to the model."""

    pulls: int
    reviewed: int
    doubled: int
    stuck: int
    calls: int
    repeated: int


class Watched:
    """An ASGI application; `seen(method, path)` is called before each request to the API is answered."""

    def __init__(self, asgi):
        self.asgi = asgi
        self.seen = lambda _method, _path: None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            self.seen(scope["method"], scope["path"])
        with suppress(OSError, RuntimeError):  # the client was killed
            await self.asgi(scope, receive, send)


class Fleet:
    """`database` is a URL, `seconds` how long the model thinks, `waits` replaces the waits after crashes."""

    def __init__(self, folder: Path, database, *, pace=None, seconds=0.0, waits=None):
        (github, url), (model, model_url), (ours, self.ours_url) = listen(), listen(), listen()
        self.folder, self.sandbox = folder, Sandbox.create(folder / "github", url=url)
        self.model = ModelServer(lambda body: answer(body, seconds))
        self.github = Watched(self.sandbox.asgi)
        app = self.sandbox.world.app
        self.settings = {
            "github_app_id": str(app.id),
            "github_private_key": app.private_key,
            "github_webhook_secret": self.sandbox.world.secret,
            "github_api_url": f"{url}/api/v3",
            "assistant_model_api": "responses",
            "openai_api_key": "sk-test-0123456789abcdef",
            "openai_base_url": f"{model_url}/v1",
            "assistant_checks": "hygiene",
            "assistant_passes": "correctness",
            "assistant_write_spacing": 0,
            "assistant_data": str(folder / "data"),
            "database_url": database,
        }
        self.app = build(Settings.read(_env_file=None, **self.settings), pace=Pace())
        self.servers = [
            Server(self.github, github),
            Server(self.model.app, model),
            Server(http(self.app), ours),
        ]
        spec = {"settings": self.settings, "pace": pace or QUICK, "waits": waits, "folder": str(folder)}
        self.spec, self.pids, self.pulls = spec, [], []

    async def __aenter__(self):
        await asyncio.to_thread(self.app.start, work=False)
        self.serving = [asyncio.create_task(server.run_here()) for server in self.servers]
        program = [sys.executable, str(Path(__file__).parent / "fleet_worker.py"), json.dumps(self.spec)]
        self.nursery = await asyncio.to_thread(
            subprocess.Popen, program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.repo = await self.sandbox.repository("octo/shop", {"app.py": "VERSION = 1\n"}, private=True)
        self.repo.user("alice", "write")
        self.client = httpx.AsyncClient(timeout=30)
        return self

    async def __aexit__(self, *_):
        for pid in self.pids:
            self.signal(pid, signal.SIGCONT)
            self.signal(pid, signal.SIGKILL)
        self.nursery.stdin.close()
        await asyncio.to_thread(self.nursery.wait, 20)
        self.nursery.stdout.close()
        await self.client.aclose()
        for server in self.servers:
            server.should_exit = True
        await asyncio.gather(*self.serving)
        await asyncio.to_thread(self.app.stop, 0)

    async def start(self):
        """Starts a worker and waits until it takes jobs; returns its process id."""

        def fork():
            self.nursery.stdin.write("start\n")
            self.nursery.stdin.flush()
            return int(self.nursery.stdout.readline())

        pid = await asyncio.to_thread(fork)
        self.pids.append(pid)
        await self.until((self.folder / f"started-{pid}").exists, 60, "a worker was to start")
        return pid

    def signal(self, pid, number):
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    async def open(self, count=1):
        """Opens pull requests, each with code of its own, and delivers them. Returns them."""
        opened = []
        for _ in range(count):
            number = len(self.pulls) + 1
            pull = await self.repo.open_pull(f"Pay {number}", "", {f"pay_{number}.py": CODE.format(number=number)})
            self.pulls.append(pull)
            opened.append(pull)
        sent = await self.sandbox.deliver(self.client, f"{self.ours_url}/webhooks/github")
        refused = [delivery.code for delivery in sent if delivery.code not in {200, 202}]
        assert not refused, refused
        return opened

    async def until(self, holds, patience, what=""):
        """Waits until something holds; the logs of the workers tell why it does not."""
        end = monotonic() + patience
        while not holds():
            assert monotonic() < end, f"not within {patience} s: {what}\n{self.logs()[-6000:]}"
            await asyncio.sleep(0.03)

    async def settled(self, patience):
        """Waits until each pull request has its review and each check run its end."""
        await self.until(lambda: all(map(is_reviewed, self.pulls)), patience, f"{self.figures()}")

    def logs(self, pid="*"):
        """What the workers, or one of them, logged."""
        return "\n".join(file.read_text() for file in sorted(self.folder.glob(f"worker-{pid}.log")))

    def figures(self):
        """Counts what was reviewed, doubled and asked again."""
        asked = Counter(json.dumps(body, sort_keys=True) for body in self.model.calls_to("/v1/responses"))
        return Figures(
            pulls=len(self.pulls),
            reviewed=sum(map(is_reviewed, self.pulls)),
            doubled=sum(len(pull.reviews) > 1 or len(pull.comments) > 1 for pull in self.pulls),
            stuck=sum(any(run.status != "completed" for run in pull.check_runs()) for pull in self.pulls),
            calls=asked.total(),
            repeated=asked.total() - len(asked),
        )


def is_reviewed(pull):
    runs = pull.check_runs()
    return bool(pull.reviews) and bool(runs) and all(run.status == "completed" for run in runs)

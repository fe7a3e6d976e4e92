"""Real server processes beside a sandbox GitHub and a scripted model server: killed, stopped, started again, cut off.

The sandbox and the model run on the test's event loop and outlive every process.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import sqlalchemy as sa

from bot.cli.serve import Server, listen
from bot.engine.database import EngineDatabase
from bot.engine.queue import WAITING
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world import hooks
from tests.support import small_review
from tests.support.invariants import World, shown, violations
from tests.support.model_server import ModelServer
from tests.support.product_with_model import KEY

PACE = {"debounce": 0, "poll": 0.05, "patience": 1, "retry": 0.02, "reconcile": 0.5, "beat": 0.3, "silence": 2.0}
"""The product's times, at about a hundredth."""
PATIENCE = 90.0


class Process:
    """One server or worker process. `port` 0: a worker. `child` is set if this process has to bury it."""

    def __init__(self, pid, port, child=None):
        self.pid, self.port, self.child = pid, port, child

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def send(self, number):
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def is_alive(self):
        if self.child is not None:
            return self.child.poll() is None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    async def gone(self):
        """Waits until the process has ended."""
        await until(lambda: not self.is_alive(), f"process {self.pid} did not end")

    async def kill(self):
        """kill -9."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        await self.gone()

    async def ready(self):
        """Waits until it takes deliveries."""
        async with httpx.AsyncClient() as client:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline and self.is_alive():
                with suppress(httpx.HTTPError):
                    if (await client.get(f"{self.url}/livez")).is_success:
                        return
                await asyncio.sleep(0.02)
        raise AssertionError("the server did not start")


class Served:
    """The world of the processes: their `settings`, with the database at `url`, and the `port` of the server."""

    def __init__(self, folder, sandbox, model, program, **settings):
        self.folder, self.sandbox, self.model = folder, sandbox, model
        self.url = settings["database_url"]
        self._program, self.settings = program, settings
        self.port = free_port()
        self.processes = []
        self.pulls = []
        self._engine = EngineDatabase(self.url).engine()
        self._client = httpx.AsyncClient(timeout=15)

    async def start(self, *, worker=False, point="", waits=1.0, pace=None):
        """Starts a process; returns it before it is ready."""
        port = 0 if worker else self.port
        spec = {
            "settings": self.settings,
            "pace": PACE | (pace or {}),
            "port": port,
            "log": str(self.folder / "log"),
            "point": point,
            "waits": waits,
        }
        self._program.stdin.write(json.dumps(spec).encode() + b"\n")
        await self._program.stdin.drain()
        process = Process(int(await self._program.stdout.readline()), port)
        self.processes.append(process)
        return process

    async def repository(self, name):
        repo = await self.sandbox.repository(f"octo/{name}", small_review.BASE, private=True)
        repo.user("alice", "write")
        return repo

    async def open(self, repo, number):
        """A pull request with the flaw of small_review."""
        pull = await repo.open_pull(
            f"Pull {number}", "", small_review.code(number), branch=f"b{number}", author="alice"
        )
        self.pulls.append(pull)
        return pull

    async def send(self, delivery, process):
        """Sends one delivery to a server; GitHub notes how that went."""
        try:
            response = await self._client.post(
                f"{process.url}/webhooks/github", content=delivery.body, headers=delivery.headers
            )
        except httpx.TransportError:
            hooks.settle(delivery, 0, "failed to connect to host")
        else:
            hooks.settle(delivery, response.status_code)

    async def deliver(self, process):
        """Sends what is pending."""
        for delivery in [delivery for delivery in self.sandbox.deliveries if delivery.code is None]:
            await self.send(delivery, process)

    def unfinished(self):
        """The number of runs that have not ended; -1 while the database does not answer."""
        table = "dbos.workflow_status" if self._engine.dialect.name == "postgresql" else "workflow_status"
        states = ", ".join(f"'{state}'" for state in WAITING)
        try:
            with self._engine.connect() as connection:
                query = sa.text(f"SELECT count(*) FROM {table} WHERE status IN ({states})")
                return int(connection.execute(query).scalar_one())
        except sa.exc.DBAPIError:
            return -1

    def open_ends(self):
        """The pull requests whose head has no finished check run."""
        return [
            pull
            for pull in self.pulls
            if not any(run.status == "completed" for run in pull.check_runs())
            or any(run.status != "completed" for run in pull.check_runs())
        ]

    async def whole(self, patience=PATIENCE):
        """Waits until every head has its review and no run is left."""
        await until(lambda: not self.open_ends() and not self.unfinished(), self.trouble, patience)

    async def dies(self, process):
        """Waits until the process has ended, True, or every head has its review without that."""
        await until(lambda: not process.is_alive() or not (self.open_ends() or self.unfinished()), self.trouble)
        return not process.is_alive()

    def trouble(self):
        log = (self.folder / "log").read_text()[-3000:]
        return f"{self.unfinished()} runs, {[(p.number, p.check_runs()) for p in self.open_ends()]}\n{log}"

    def violations(self, expected=None):
        """The invariants that do not hold; `expected` is a pull request that was reviewed without a fault."""
        log = (self.folder / "log").read_text()
        secrets = [KEY, self.sandbox.world.secret]
        return violations(World(self.sandbox, self.url, expected=lambda _: expected, secrets=secrets, logs=log))

    async def close(self):
        for process in self.processes:
            await process.kill()
        self._engine.dispose()
        await self._client.aclose()


@asynccontextmanager
async def served(folder, url="", **settings):
    """The world, without a process yet. `url`: a database on Postgres instead of a file."""
    (github, address), (asked, model_address) = listen(), listen()
    sandbox, model = Sandbox.create(folder / "github", url=address), ModelServer(small_review.script)
    servers = Server(sandbox.asgi, github), Server(model.app, asked)
    serving = [asyncio.create_task(server.run_here()) for server in servers]
    app = sandbox.world.app
    ours = {
        "github_app_id": str(app.id),
        "github_private_key": app.private_key,
        "github_webhook_secret": sandbox.world.secret,
        "github_api_url": f"{address}/api/v3",
        "assistant_model_api": "responses",
        "openai_base_url": f"{model_address}/v1",
        "openai_api_key": KEY,
        "assistant_data": str(folder / "data"),
        "assistant_write_spacing": 0,
        "database_url": url or f"sqlite:///{folder}/data/assistant.db",
        **small_review.SETTINGS,
        **settings,
    }
    (folder / "data").mkdir()
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "server_to_kill.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    here = Served(folder, sandbox, model, program, **ours)
    try:
        yield here
    finally:
        await here.close()
        program.stdin.close()
        await program.wait()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving)


async def until(holds, what, patience=PATIENCE):
    """Waits for a condition; `what` says what is missing, as text or a function that returns it."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, what() if callable(what) else what
        await asyncio.sleep(0.1)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


__all__ = ["PACE", "Process", "Served", "served", "shown", "until"]

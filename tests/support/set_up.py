"""A sandbox GitHub on loopback, and `assistant serve` beside it as a person starts it: without any setting of an App."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from bot.cli.serve import Server, listen
from bot.sandbox.sandbox import Sandbox

SERVE = (sys.executable, "-m", "bot", "serve")


class SandboxOnLoopback:
    """A sandbox that serves on a free port, on an event loop of its own."""

    def __init__(self, folder):
        bound, self.url = listen()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.sandbox = Sandbox.create(Path(folder), url=self.url)
        self._server = Server(self.sandbox.asgi, bound)
        self._serving = asyncio.run_coroutine_threadsafe(self._server.run_here(), self._loop)

    def play(self, act):
        """Run a coroutine to its end and return what it returns."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(60)

    def close(self):
        """Stop serving."""
        self._server.should_exit = True
        self._serving.result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def sandbox_on_loopback(folder):
    """A SandboxOnLoopback while the block runs."""
    served = SandboxOnLoopback(folder)
    try:
        yield served
    finally:
        served.close()


@contextmanager
def serving(folder, github_url, port, **variables):
    """Runs `assistant serve` in `folder`; yields what it prints first: the link of set-up, or nothing if it needs none."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "GITHUB_API_URL": f"{github_url}/api/v3",
        "PORT": str(port),
        "ASSISTANT_DEBOUNCE": "0",
        "ASSISTANT_WRITE_SPACING": "0",
        "PYTHONUNBUFFERED": "1",
    } | variables
    with (
        (folder / "log.txt").open("a") as log,
        subprocess.Popen(SERVE, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        try:
            yield server
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
            server.stdout.close()


def link_of(server):
    """The link that a server prints."""
    return next(line.strip() for line in server.stdout if line.strip().startswith("http"))


def free_port():
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return bound.getsockname()[1]

"""One running product for a whole module of tests: a sandbox GitHub and our real server, on loopback.

Tests of a module share it and keep apart by repository; each act is a coroutine played on the product's own event loop.
"""

import asyncio
import itertools
import tempfile
import threading
import time
from pathlib import Path

from bot.cli.demo import stage
from bot.engine.durable import Pace

FAST = Pace(debounce=0, poll=0.03, patience=60, retry=0.05, lasting=8)
RULES = "# Python\n\n## Bare except\n\nNever catch with a bare `except:`; name the exception class.\n"
BASE = {"app.py": "def pay(order):\n    return order\n", "docs/standards/python.md": RULES}
FLAWED = "def pay(order):\n    try:\n        charge(order)\n    except:\n        pass\n    return order\n"


class RunningProduct:
    """Both servers, and what tests do with them. `settings` are the server's; by default the demo's."""

    def __init__(self, pace=FAST, **settings):
        self._numbers = itertools.count(1)
        self._folder = tempfile.TemporaryDirectory()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stage = stage(Path(self._folder.name), pace, **settings)
        self.here = self.play(self._stage.__aenter__())
        self.sandbox, self.app = self.here.sandbox, self.here.app

    def play(self, act):
        """Run a coroutine to its end and return what it returns."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(120)

    def settle(self):
        """Sends the pending deliveries and waits until the server has no work left."""
        self.play(self.here.deliver())
        deadline = time.monotonic() + 120
        while any(reading.runs for reading in self.here.app.engine.readings()):
            assert time.monotonic() < deadline, "the server has work left"
            time.sleep(0.02)

    def repository(self, files=BASE, **options):
        """A repository of the test's own, in which alice may write."""
        repo = self.play(
            self.sandbox.repository(f"octo/shop-{next(self._numbers)}", files, **{"private": True} | options)
        )
        repo.user("alice", "write")
        return repo

    def open(self, files=None, *, repo=None, **options):
        """A pull request in `repo`, or in a new one, that brings FLAWED code unless told otherwise."""
        repo = repo or self.repository()
        return self.play(repo.open_pull("Pay", "Takes payments.", files or {"app.py": FLAWED}, **options))

    def close(self):
        """End the run."""
        self.play(self._stage.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

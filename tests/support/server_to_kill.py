"""Real server processes that are killed, stopped and started again: the child program of tests/support/served.py.

server_to_kill.py reads lives from its input, one JSON object a line: {settings, pace, port, log, point}. It forks a process
for each and answers with its id. All imports happen once. `port` 0 makes a worker without a web server. `point` is a
place of FAILPOINTS, or "request N" for the N-th request to GitHub, with "before" or "after": after a SIGUSR1 the process
kills itself there. No product code knows of it: this program wraps the functions before the server starts.
"""

import asyncio
import inspect
import json
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvicorn

from bot import server
from bot.app import build
from bot.cli.progress import configure
from bot.cli.serve import http
from bot.engine import leases
from bot.engine.durable import Pace
from bot.engine.intake import Intake
from bot.engine.workflows import Workflows
from bot.handlers import review
from bot.handlers.check_runs import CheckReporter
from bot.handlers.review import Reviewer
from bot.handlers.route import Router
from bot.hosts.github.client import GitHubClient
from bot.hosts.github.publisher import GitHubPublisher
from bot.settings import Settings

FAILPOINTS = {
    "P0 read body": (server, "_body"),
    "P1 verify": (server, "verify"),
    "P2 persist": (Intake, "_write"),
    "P3 acknowledge": (uvicorn.protocols.http.h11_impl.RequestResponseCycle, "send"),
    "P4 claim": (Workflows, "_run"),
    "P5 route": (Router, "__call__"),
    "P6 mint token": (GitHubClient, "_exchange"),
    "P7 fetch change": (review, "read_change"),
    "P8 retrieve standards": (review, "shelve"),
    "P9 model": (review, "run_passes"),
    "P10 triage": (review, "triage"),
    "P11 intend": (review, "post_of"),
    "P12 freshness": (GitHubPublisher, "_fresh"),
    "P13 post": (GitHubPublisher, "_create"),
    "P14 record": (Reviewer, "_record"),
    "P15 finish": (CheckReporter, "end_aloud"),
}
"""The function of each point of the pipeline."""

ARMED = threading.Event()


def plant(point):
    """Makes this process die before or after the function of a point."""
    name, _, when = point.rpartition(" ")
    nth = int(name.removeprefix("request ")) if name.startswith("request ") else 1
    owner, attribute = FAILPOINTS.get(name, (GitHubClient, "_answered"))
    original, calls = getattr(owner, attribute), []

    def die(now):
        """Kills this process, once it is armed, around the n-th call."""
        if ARMED.is_set() and now == "before":
            calls.append(now)
        if ARMED.is_set() and now == when and len(calls) >= nth:
            os.kill(os.getpid(), signal.SIGKILL)

    async def slow(*arguments, **options):
        die("before")
        result = await original(*arguments, **options)
        die("after")
        return result

    def quick(*arguments, **options):
        die("before")
        result = original(*arguments, **options)
        die("after")
        return result

    setattr(owner, attribute, slow if inspect.iscoroutinefunction(original) else quick)


def live(spec):
    """Runs one process until a signal ends it."""
    log = os.open(spec["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    configure()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, lambda *_: ARMED.set())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    leases.WAITS = tuple(seconds * spec.get("waits", 1.0) for seconds in leases.WAITS)
    if spec.get("point"):
        plant(spec["point"])
    app = build(Settings.read(_env_file=None, **spec["settings"]), pace=Pace(**spec["pace"]))
    app.start(work=True)
    try:
        if not spec["port"]:
            threading.Event().wait()
        uvicorn.run(
            http(app),
            http="h11",
            host="127.0.0.1",
            port=spec["port"],
            log_config=None,
            access_log=False,
            lifespan="off",
        )
    finally:
        app.stop(0)


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    asyncio.new_event_loop().close()
    for line in sys.stdin:
        if not (pid := os.fork()):
            try:
                live(json.loads(line))
            finally:
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""A worker that is killed and started again: the child program of test_kill.py.

worker_to_kill.py '[[URL, FOLDER, PLAN], …]' runs the plans side by side. A plan is a list of lives, one after another; a
list inside it holds lives that run at once. All imports happen once, before a life is forked. A life is a real process
and ends by a real SIGKILL. The effects of the lives are written to FOLDER/world, one line each, flushed to the disk.
"""

import asyncio
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.core.code.pull_request import PullRef
from bot.engine.database import EngineDatabase, closing_engine
from bot.engine.durable import DurableEngine, Pace
from bot.engine.tables import TABLES
from bot.interfaces import Handlers
from bot.job import Job, Route, RouteDecision, Trigger

HEAD = "f" * 40


class World:
    """The effects that all lives see. It accepts a second post, which the worker must avoid."""

    def __init__(self, folder):
        self.file = Path(folder) / "world"
        self.file.touch()

    def write(self, **line):
        with self.file.open("a") as file:
            file.write(json.dumps({**line, "pid": os.getpid(), "at": time.time()}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self, **like):
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [line for line in lines if like.items() <= line.items()]


class Worker:
    """The handlers of one life. `dies` names the job, step and moment of its death; `newer` makes it the next version."""

    def __init__(self, world, *, dies="", newer=False, pace=0.0):
        self.world, self.dies, self.newer, self.pace = world, dies, newer, pace

    def handlers(self):
        return Handlers(self.route, self.review, self.route, self.last_word, self.last_word)

    async def route(self, job, step):
        return RouteDecision(await self.take(job, step, "route", str), HEAD)

    async def review(self, job, step):
        if self.newer:
            await self.take(job, step, "added by the next version")
            await self.take(job, step, "right")
        await asyncio.gather(self.take(job, step, "left"), self.take(job, step, "right"))
        await self.take(job, step, "post")
        await self.take(job, step, "check")
        return "reviewed"

    async def last_word(self, job, reason, step):
        self.world.write(job=job.id, what="failed", reason=reason)
        return "told"

    async def take(self, job, step, name, kind=str):
        async def work():
            self.moment(job, name, "before")
            self.world.write(job=job.id, step=name, what="began")
            await asyncio.sleep(self.pace)
            if name == "post" and not self.world.lines(job=job.id, what="posted"):
                self.world.write(job=job.id, what="posted")
            self.moment(job, name, "inside")
            return Route.REVIEW.value

        result = await step(name, work, kind)
        self.world.write(job=job.id, step=name, what="kept")
        self.moment(job, name, "after")
        return result

    def moment(self, job, name, when):
        if self.dies in {f"{job.id} {name} {when}", f"any {name} {when}"}:
            os.kill(os.getpid(), signal.SIGKILL)


def job(name):
    """A job for a pull request of its own, so that no job replaces another."""
    return Job(f"delivery/1/{name}", PullRef("octo/repo", name, 1), Trigger.OPENED)


async def live(engine, world, life):
    """Finishes the earlier life's jobs first, so that no job exceeds the limit of crashes; then runs this life."""
    if life.get("work", True) and life.get("submit"):
        await idle(engine)
    if "killed_after" in life:
        threading.Timer(life["killed_after"], os.kill, (os.getpid(), signal.SIGKILL)).start()
    for name in life.get("submit", ()):
        await engine.submit(job(name))
        world.write(job=job(name).id, what="accepted")
        if f"{job(name).id} submitted" == life.get("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
    await idle(engine)


async def idle(engine):
    while await engine.queue_depth():  # noqa: ASYNC110 - another process may be doing the work
        await asyncio.sleep(0.02)


def fork(url, world, life):
    """Starts a life after the event that it waits for. Returns its process id."""
    if pid := os.fork():
        return pid
    while "once" in life and not world.lines(what=life["once"]):
        time.sleep(0.01)
    worker = Worker(world, **{name: life[name] for name in ("dies", "newer", "pace") if name in life})
    engine = DurableEngine(url, worker.handlers(), Pace(debounce=0.0, poll=0.03, workers=life.get("workers", 8)))
    engine.start(work=life.get("work", True))
    if life.get("work", True):
        world.write(what="started")
    asyncio.run(live(engine, world, life))
    if "killed_after" in life:
        signal.pause()
    engine.stop(0)
    sys.stdout.flush()
    os._exit(0)


def ended(pid):
    """Waits for a life. Returns its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def history(url, folder, plan):
    """Runs the lives of one plan, one after another."""
    world = World(folder)
    with closing_engine(EngineDatabase(url).engine()) as engine:
        TABLES.create_all(engine)
    for lives in plan:
        together = lives if isinstance(lives, list) else [lives]
        pids = [fork(url, world, life) for life in together]
        world.write(what="ended", codes=[ended(pid) for pid in pids])


def main(plans):
    pids = []
    for plan in json.loads(plans):
        if not (pid := os.fork()):
            history(*plan)
            os._exit(0)
        pids.append(pid)
    sys.exit(max(ended(pid) for pid in pids))


if __name__ == "__main__":
    main(sys.argv[1])

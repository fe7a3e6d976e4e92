"""A worker that is killed and started again: the child program of test_kill.py.

python lives.py '[[URL, FOLDER, PLAN], …]' runs the plans side by side. A plan is a list of lives, one after another, or a
list of lives for some at once. Everything is imported once, before each life is forked: a life is a real process and dies
by a real SIGKILL. What the lives do to the world is written to FOLDER/world, one line each, flushed to the disk.
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
from bot.engine.durable import DurableEngine, Pace
from bot.interfaces import Handlers
from bot.job import Job, Route, Routed, Trigger

HEAD = "f" * 40


class World:
    """What everybody can see. It does not refuse a second post: that is for the worker to avoid."""

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
    """The handlers of one life. `dies` names its job, step and moment of death; `newer` is the next version."""

    def __init__(self, world, *, dies="", newer=False, pace=0.0):
        self.world, self.dies, self.newer, self.pace = world, dies, newer, pace

    def handlers(self):
        return Handlers(self.route, self.review, self.route, self.last_word, self.last_word)

    async def route(self, job, step):
        return Routed(await self.take(job, step, "route", str), HEAD)

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
    """A pull request of its own for each job, so that none replaces another."""
    return Job(f"delivery/1/{name}", PullRef("octo/repo", name, 1), Trigger.OPENED)


async def live(engine, world, life):
    """Finish what the life before left, so that no job is met by death too often to go on; then live this one."""
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
    """Start a life, once the world has seen what it waits for; its process id."""
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
    """How a life ended: its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def history(url, folder, plan):
    """The lives of one plan, one after another."""
    world = World(folder)
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

"""A worker with a model that is killed and started again: the child program of test_model_kill.py.

review_to_kill.py < SPEC, where SPEC is JSON: {settings, job, deaths}. Each life is a real process. A real SIGKILL ends it
after the given number of further journal entries; the last life may finish. Prints the exit codes.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.app import build
from bot.engine.durable import Pace
from bot.engine.journal import from_json
from bot.engine.steps import DurableSteps
from bot.job import Job
from bot.settings import Settings

PACE = Pace(debounce=0, poll=0.03, retry=0.1)


def mortal(entries):
    """Kills this process after this number of journal entries."""
    run, left = DurableSteps._run, [entries]

    async def counted(self, *arguments):
        entry = await run(self, *arguments)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return entry

    DurableSteps._run = counted


async def idle(app, job):
    """Submits the job, unless it is known, and waits until all runs have ended."""
    await app.engine.submit(job)
    while any((await app.engine.queue_depth()).values()):  # noqa: ASYNC110 - the engine works on threads of its own
        await asyncio.sleep(0.02)


def live(spec, entries):
    if entries is not None:
        mortal(entries)
    app = build(Settings.read(_env_file=None, **spec["settings"]), pace=PACE)
    app.start(work=True)
    asyncio.run(idle(app, from_json(spec["job"], Job)))
    app.stop(0)
    sys.stdout.flush()
    os._exit(0)


def main():
    spec, codes = json.load(sys.stdin), []
    for entries in (*spec["deaths"], None):
        if not (pid := os.fork()):
            live(spec, entries)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    sys.stdout.write(json.dumps(codes) + "\n")


if __name__ == "__main__":
    main()

"""Worker processes for fleet.py: imports everything once, then forks a worker for each line on its standard input.

fleet_worker.py SPEC, where SPEC is JSON: {settings, pace, waits, folder}. Prints the process id of each worker. A worker runs the
product's own composition until SIGTERM, and logs to FOLDER/worker-PID.log.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.app import build
from bot.app_openai import build_model
from bot.cli.progress import configure
from bot.engine import leases
from bot.engine.durable import Pace
from bot.settings import Settings


def live(spec):
    log = os.open(f"{spec['folder']}/worker-{os.getpid()}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 2)
    configure()
    leases.WAITS = tuple(spec["waits"] or leases.WAITS)
    app = build(Settings.read(_env_file=None, **spec["settings"]), pace=Pace(**spec["pace"]))
    app.start(work=True)
    Path(spec["folder"], f"started-{os.getpid()}").touch()
    signal.sigwait({signal.SIGTERM})
    app.stop(5)
    os._exit(0)


def main():
    spec = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    assert callable(build_model)  # imported here, once
    for _ in sys.stdin:
        if pid := os.fork():
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        live(spec)


if __name__ == "__main__":
    main()

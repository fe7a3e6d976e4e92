"""The process of tests/support/warm_assistant.py: it imports what `assistant` may need, and forks for each command."""

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import bot.cli.ask
import bot.cli.demo
import bot.cli.doctor
import bot.cli.review
import bot.cli.rules
import bot.cli.standards  # noqa: F401
from bot.cli.commands import main

STREAMS = ((0, "r", -1), (1, "w", -1), (2, "w", 1))
"""Descriptor, mode and buffering, as Python opens them. What was opened before the fork is of other kinds of files."""


def serve(place):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}.new")
        listener.listen()
        Path(f"{place}.new").rename(place)
        while True:
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                live(connection)
            connection.close()


def live(connection):
    """Runs one command with the streams, the folder and the environment that come through the connection."""
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _, streams, _, _ = socket.recv_fds(connection, 1, 3)
        for own, stream in enumerate(streams):
            os.dup2(stream, own)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(own, mode, buffering, closefd=False) for own, mode, buffering in STREAMS
        )
        arguments, folder, environment = json.loads(connection.makefile().readline())
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["assistant", *arguments]
        main()
    except SystemExit as end:
        code = end.code or 0
    except Exception:  # noqa: BLE001 - as Python does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(f"{code}\n".encode())
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])

"""`assistant` as processes that are forked from one with everything imported: imports take a second, a fork nothing."""

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

CLIENT = """\
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    socket.send_fds(connection, [b"."], [0, 1, 2])
    connection.sendall(json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode() + b"\\n")
    sys.exit(int(connection.makefile().readline()))
"""


@contextmanager
def warm_assistant(folder):
    """Runs the process to fork from. Yields the command that stands for `assistant`: its process has the streams, the
    folder and the environment of the command, and its exit code is the command's.
    """
    client, place = folder / "client.py", folder / "socket"
    client.write_text(CLIENT)
    program = [sys.executable, "-m", "tests.support.warm_process", place]
    with subprocess.Popen(program, cwd=Path(__file__).parents[2]) as process:
        try:
            deadline = time.monotonic() + 60
            while not place.exists():
                assert process.poll() is None, "it did not start"
                assert time.monotonic() < deadline, "it does not start"
                time.sleep(0.02)
            yield [sys.executable, "-I", "-S", str(client), str(place)]
        finally:
            process.terminate()

"""Sends HTTP requests at given times, from a process of its own, so that what is measured shares no interpreter with it.

load_generator.py PORT reads a pickled list of (seconds after the start, bytes of the request), sends them to this port of this
machine, and writes a pickled list of Hit's fields, in their order. A late answer delays no other request.
"""

import asyncio
import json
import pickle
import sys
import time
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Hit:
    """An answer: the status, 0 if none came; `word` is `status` in the body; when the request was due on the monotonic
    clock of the machine, and the seconds from then."""

    status: int
    word: str
    due: float
    seconds: float


def request(method, path, headers=(), body=b""):
    """The bytes of a request; `headers` are pairs."""
    lines = [f"{method} {path} HTTP/1.1", "host: load", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def fire(port, shots):
    """Sends all from a new process; returns the answers."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(port), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    answered, _ = await program.communicate(pickle.dumps(shots))
    return [Hit(*fields) for fields in pickle.loads(answered)]


async def _fire(port, shots):
    idle, begun = [], time.monotonic()

    async def one(at, content):
        due = begun + at
        await asyncio.sleep(due - time.monotonic())
        try:
            async with asyncio.timeout(30):
                status, word = await _ask(port, content, idle)
        except (OSError, EOFError):
            status, word = 0, ""
        return Hit(status, word, due, time.monotonic() - due)

    return await asyncio.gather(*(one(*shot) for shot in shots))


async def _ask(port, content, idle):
    """One request on an idle connection, or on a new one. A server may have closed an idle one."""
    while True:
        reader, writer = idle.pop() if (known := bool(idle)) else await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(content)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except (OSError, EOFError):
            writer.close()
            if not known:
                raise
            continue
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        idle.append((reader, writer))
        return int(head.split(maxsplit=2)[1]), json.loads(body).get("status", "")


if __name__ == "__main__":
    hits = asyncio.run(_fire(int(sys.argv[1]), pickle.load(sys.stdin.buffer)))
    pickle.dump([astuple(hit) for hit in hits], sys.stdout.buffer)

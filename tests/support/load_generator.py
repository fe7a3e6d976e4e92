"""Sends HTTP requests at given times, from a process of its own, so that what is measured shares no interpreter with it."""

import asyncio
import json
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Shot:
    """One request as bytes, `at` seconds after the start."""

    at: float
    request: bytes


@dataclass(frozen=True)
class Hit:
    """Its answer: the status, 0 if none came; `word` is `status` in the body; the seconds since the request was due."""

    status: int
    word: str
    seconds: float


def request(method, path, headers=(), body=b""):
    """The bytes of a request; `headers` are pairs."""
    lines = [f"{method} {path} HTTP/1.1", "host: load", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def fire(port, shots):
    """Sends all to this port of this machine; a late answer delays no other request. Returns the answers in their order."""
    return asyncio.run(_fire(port, shots))


async def _fire(port, shots):
    idle, begun = [], time.perf_counter()

    async def one(shot):
        await asyncio.sleep(shot.at - (time.perf_counter() - begun))
        try:
            async with asyncio.timeout(30):
                status, word = await _ask(port, shot.request, idle)
        except (OSError, EOFError):
            status, word = 0, ""
        return Hit(status, word, time.perf_counter() - begun - shot.at)

    hits = await asyncio.gather(*map(one, shots))
    for _, writer in idle:
        writer.close()
    return hits


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

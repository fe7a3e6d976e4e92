"""Acknowledged deliveries: our front door beside a bare FastAPI endpoint that does one fsynced SQLite insert.

Both run as they would in production, one uvicorn process each, in the same minute on the same machine; rounds alternate.
What counts are the ratios, each of two rounds that ran side by side. Every delivery is signed, 4 KB, and new.

    python benchmarks/ack.py [--requests 400] [--rounds 9]
"""

import argparse
import asyncio
import gc
import hashlib
import hmac
import json
import multiprocessing
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request

from bot.cli.progress import configure
from bot.engine.durable import DurableEngine
from bot.interfaces import Handlers
from bot.server import serve
from bot.storage.database import Database

SECRET = b"benchmark"


def floor(path: Path, bound: socket.socket) -> None:
    """The least that any durable endpoint does: read the body, insert a row, wait for the disk."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE deliveries (id TEXT PRIMARY KEY, body BLOB)")
    app = FastAPI()

    @app.post("/webhooks/github", status_code=202)
    async def webhook(request: Request) -> dict[str, str]:
        body = await request.body()
        database.execute("INSERT INTO deliveries VALUES (?, ?)", (request.headers["x-github-delivery"], body))
        return {"status": "accepted"}

    _run(app, bound)


def ours(path: Path, bound: socket.socket) -> None:
    """The real front door on the real engine, without a worker beside it."""

    async def nothing(*_: object) -> None:
        raise AssertionError("no worker runs here")

    configure("WARNING")
    with Database(f"sqlite:///{path}"):
        pass  # its tables are up to date now
    engine = DurableEngine(f"sqlite:///{path}", Handlers(nothing, nothing, nothing, nothing, nothing))
    engine.start(work=False)
    gc.collect()
    gc.freeze()  # as `assistant serve` does
    _run(serve(engine, (SECRET,), engine.ready), bound)


def _run(app: FastAPI, bound: socket.socket) -> None:
    config = uvicorn.Config(app, log_level="error", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[bound]))


def delivery() -> bytes:
    """One signed HTTP request."""
    body = json.dumps(
        {
            "action": "opened",
            "installation": {"id": 1},
            "repository": {"id": 1, "full_name": "octo/shop"},
            "sender": {"login": "ada", "id": 7, "type": "User"},
            "pull_request": {"number": 3, "head": {"sha": "a" * 40}, "body": "x" * 3700},
        }
    ).encode()
    signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    head = (
        "POST /webhooks/github HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"x-github-event: pull_request\r\nx-github-delivery: {uuid.uuid4()}\r\n"
        f"x-hub-signature-256: sha256={signature}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def load(port: int, requests: int, connections: int) -> tuple[list[float], float]:
    """Latencies in milliseconds, and how many were answered 202 per second."""
    waiting = [delivery() for _ in range(requests)]
    latencies: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            request = waiting.pop()
            begun = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append((time.perf_counter() - begun) * 1000)
            if b" 202 " not in head.partition(b"\r\n")[0]:
                sys.exit(f"not acknowledged: {head!r}")
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    return latencies, requests / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=400)
    options.add_argument("--rounds", type=int, default=9)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = {}
        for target in (floor, ours):
            # Not socket.create_server: asyncio sets TCP_NODELAY only on sockets that name their protocol.
            bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            bound.bind(("127.0.0.1", 0))
            bound.listen(2048)
            process = multiprocessing.get_context("fork").Process(
                target=target, args=(Path(folder) / f"{target.__name__}.db", bound), daemon=True
            )
            process.start()
            servers[target.__name__] = bound.getsockname()[1]
            bound.close()
        for port in servers.values():
            asyncio.run(_listening(port))
            asyncio.run(load(port, 100, 1))  # what happens once is not measured
        print(f"{'':12}{'at once':>8}{'p50 ms':>9}{'p99 ms':>9}{'per second':>12}")
        for connections in (1, 20, 100):
            compare(servers, arguments.requests, arguments.rounds, connections)


def compare(servers: dict[str, int], requests: int, rounds: int, connections: int) -> None:
    """Alternate the two servers; print the median round of each, and the median of the rounds' ratios."""
    measured: dict[str, list[tuple[float, ...]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, port in servers.items():
            taken, rate = asyncio.run(load(port, requests, connections))
            measured[name].append((statistics.median(taken), statistics.quantiles(taken, n=100)[98], rate))
    for name, figures in measured.items():
        p50, p99, rate = _medians(figures)
        print(f"{name:12}{connections:8}{p50:9.2f}{p99:9.2f}{rate:12.0f}")
    rounds_of_both = zip(measured["ours"], measured["floor"], strict=True)
    p50, p99, rate = _medians([[a / b for a, b in zip(ours, floor, strict=True)] for ours, floor in rounds_of_both])
    print(f"{'ours/floor':12}{connections:8}{p50:8.2f}x{p99:8.2f}x{rate:11.2f}x")


def _medians(rows: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*rows, strict=True)]


async def _listening(port: int) -> None:
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /livez HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
            await writer.drain()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()

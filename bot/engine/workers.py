"""Who is alive: every worker holds a lock that dies with its process, so that nobody has to guess by the clock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import psycopg


class Liveness(Protocol):
    """The lock of one worker, and a way to try those of others."""

    def take(self) -> None:
        """Take our own lock, or take it again if the connection it lived on was lost."""

    @contextmanager
    def dead(self, worker: str) -> Iterator[bool]:
        """Whether the worker's process is gone; while the block runs nobody else can find so."""

    def release(self) -> None:
        """Give our own lock back."""


class FileLiveness:
    """`flock` on a file named after the worker, in a folder beside the SQLite file. The kernel frees it at death."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder, self._worker = folder, worker
        self._held: int | None = None

    def take(self) -> None:
        if self._held is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._held = os.open(self._folder / self._worker, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX)

    @contextmanager
    def dead(self, worker: str) -> Iterator[bool]:
        try:
            file = os.open(self._folder / worker, os.O_RDWR)
        except FileNotFoundError:
            yield True  # ended in good order: a worker's name is never used again
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
            (self._folder / worker).unlink(missing_ok=True)
        finally:
            os.close(file)

    def release(self) -> None:
        if self._held is not None:
            (self._folder / self._worker).unlink(missing_ok=True)
            os.close(self._held)
            self._held = None


class PostgresLiveness:
    """An advisory lock on a connection of its own (direct, not through a transaction pooler).

    The server frees it when the connection ends; the keepalives bound how long it believes in a machine that is gone.
    """

    def __init__(self, dsn: str, worker: str) -> None:
        self._dsn, self._worker = dsn, worker
        self._connection: psycopg.Connection | None = None

    def take(self) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                keepalives_idle=10,
                options="-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
            )
            # A reaper may be trying this very lock: wait for it. Fencing keeps what it took over from running twice.
            self._connection.execute("SELECT pg_advisory_lock(%s)", (_key(self._worker),))

    @contextmanager
    def dead(self, worker: str) -> Iterator[bool]:
        free = bool(self._ask("SELECT pg_try_advisory_lock(%s)", worker))
        try:
            yield free
        finally:
            if free:
                self._ask("SELECT pg_advisory_unlock(%s)", worker)

    def release(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):  # a connection that is gone holds nothing
                self._connection.execute("SELECT pg_advisory_unlock_all()")
            self._connection.close()
            self._connection = None

    def _ask(self, question: str, worker: str) -> object:
        if self._connection is None:
            raise psycopg.OperationalError("the liveness lock was not taken")
        row = self._connection.execute(question, (_key(worker),)).fetchone()
        return row and row[0]


def _key(worker: str) -> int:
    """A worker's name as the 64-bit number that Postgres locks on."""
    return int.from_bytes(sha256(worker.encode()).digest()[:8], "big", signed=True)

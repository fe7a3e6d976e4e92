"""Where the engine's rows live: one SQLite file whose commits survive a power cut, or Postgres."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig


class _Connection(sqlite3.Connection):
    """A commit returns after it has reached the disk; writers queue up instead of failing.

    A commit in a few hundred also moves the log into the database. SQLite's own 1000 pages would make it one in a
    hundred, each an acknowledgement that waits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as sqlite3 declares it
        super().__init__(*args, **kwargs)
        self.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "foreign_keys=ON", "synchronous=FULL", "wal_autocheckpoint=4000"):
            self.execute(f"PRAGMA {pragma}")


@dataclass(frozen=True, slots=True)
class Database:
    """The database named by an operator's URL: sqlite:///path or postgresql://…"""

    url: str

    @property
    def file(self) -> Path | None:
        """The SQLite file, None on Postgres."""
        url = sa.make_url(self.url)
        return Path(url.database or "") if url.get_backend_name() == "sqlite" else None

    @property
    def dsn(self) -> str:
        """The URL as libpq reads it."""
        return sa.make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)

    def prepare(self) -> None:
        """Create the database and bring its tables up to date; several processes may do so at once."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=30)) as connection:
                connection.execute("PRAGMA auto_vacuum=incremental")
                connection.execute("PRAGMA journal_mode=WAL")
        DBOS.migrate(self.url)

    def engine(self) -> sa.Engine:
        """A small pool of connections of our own."""
        url = sa.make_url(self.url)
        if self.file is None:
            url = url.set(drivername="postgresql+psycopg")
        return sa.create_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=True, connect_args=self._arguments())

    def options(self) -> DBOSConfig:
        """The part of DBOS's configuration that says where its rows live."""
        where: DBOSConfig = {
            "system_database_url": self.url,
            "db_engine_kwargs": {"connect_args": self._arguments()},
        }
        return where if self.file is None else {**where, "sys_db_pool_size": 4}

    def shrink(self) -> None:
        """Give freed pages back to the disk; Postgres does so by itself."""
        if self.file is not None:
            with closing(sqlite3.connect(self.file, timeout=30)) as connection:
                connection.executescript("PRAGMA incremental_vacuum(5000); PRAGMA wal_checkpoint(TRUNCATE);")

    def _arguments(self) -> dict[str, Any]:
        return {"connect_timeout": 5} if self.file is None else {"factory": _Connection}

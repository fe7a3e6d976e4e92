"""The engine's database: one SQLite file whose commits survive a power cut, or Postgres.

Values are stored as JSON and errors by class name, so that nothing read from the database can run as code.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, Serializer
from dbos._serialization import DefaultSerializer
from sqlalchemy.dialects import postgresql, sqlite

from bot import errors
from bot.engine.tables import BODIES
from bot.errors import AssistantError, Retryable

_ERRORS: dict[str, type[AssistantError]] = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, AssistantError)
}


def pack(error: BaseException) -> dict[str, Any]:
    """Returns an error as JSON: the name of its class, its text, and the seconds until the next attempt."""
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS), type(error).__name__)
    return {"type": name, "message": str(error), "after": getattr(error, "after", None)}


def unpack(packed: dict[str, Any]) -> Exception:
    """Returns the error that `pack` stored.

    A class outside bot/errors.py becomes a RuntimeError with its name; only an error of the database keeps its class.
    """
    kind, message = _ERRORS.get(packed["type"]), packed["message"]
    if packed["type"] == sa.exc.OperationalError.__name__:
        return sa.exc.OperationalError(None, None, RuntimeError(message))
    if kind is None:
        return RuntimeError(f"{packed['type']}: {message}")
    return kind(message, packed["after"]) if issubclass(kind, Retryable) else kind(message)


class JsonSerializer(Serializer):
    """The format of what DBOS stores. Only a whole value can be an error; an object inside a value is always data."""

    def name(self) -> str:
        return "assistant_json"

    def serialize(self, data: Any) -> str:  # noqa: ANN401 - JSON has no better name
        value = {"$error": pack(data)} if isinstance(data, BaseException) else data
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def deserialize(self, serialized_data: str) -> Any:  # noqa: ANN401 - JSON has no better name
        value = json.loads(serialized_data)
        return unpack(value["$error"]) if isinstance(value, dict) and value.keys() == {"$error"} else value


def forbid_pickle() -> None:
    """Makes DBOS refuse rows marked as pickle: it loads them despite its serializer, and loading a pickle runs code."""
    DefaultSerializer.deserialize = _refuse  # type: ignore[assignment, method-assign]


def _refuse(_: DefaultSerializer, serialized_data: str) -> NoReturn:
    raise TypeError(f"a pickled row of {len(serialized_data)} characters is refused")


def retry_failed_connects() -> None:
    """Makes DBOS retry every failed connect. It knows most by their words, but not a socket that is gone or a name without address.

    Without this, a step that meets a restart of the database would be journaled as failed.
    """
    if not sa.event.contains(sa.Engine, "handle_error", _mark_failed_connect):
        sa.event.listen(sa.Engine, "handle_error", _mark_failed_connect)


def _mark_failed_connect(context: sa.engine.ExceptionContext) -> None:
    if context.connection is None and isinstance(context.sqlalchemy_exception, sa.exc.OperationalError):
        context.is_disconnect = True


_REMEMBERED = 400 * 86_400.0
"""Seconds for which the digest of a delivery's body is kept: for as long, it cannot be used under another id."""


def first_with_body(transaction: sa.Connection, digest: str, job: str) -> str:
    """Returns the job whose delivery first had a body with this digest: `job`, which is stored, if there was none."""
    row = {"digest": digest, "job": job, "at": time.time()}
    insert(transaction, BODIES, row)
    first = sa.select(BODIES.c.job).where(BODIES.c.digest == digest)
    return str(transaction.execute(first).scalar_one())


def insert(transaction: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Inserts a row, unless there is one with its primary key."""
    dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
    transaction.execute(dialect.insert(table).values(**row).on_conflict_do_nothing())


@contextmanager
def closing_engine(engine: sa.Engine) -> Iterator[sa.Engine]:
    """Closes the connections of an engine at the end."""
    try:
        yield engine
    finally:
        engine.dispose()


_SUBSECONDS = (3, 42)
"""The first version of SQLite whose `unixepoch` knows 'subsec'. DBOS asks for it on Python 3.12 and newer."""


def _unixepoch(modifier: object) -> float:
    """`unixepoch('subsec')` for an older SQLite, which answers NULL to it or has no such function."""
    if modifier != "subsec":
        raise ValueError(f"unixepoch({modifier!r}) is not used")
    return round(time.time(), 3)


def _know_subseconds(connection: object, _: object = None) -> None:
    """Gives an older SQLite the function that DBOS needs."""
    if isinstance(connection, sqlite3.Connection) and sqlite3.sqlite_version_info < _SUBSECONDS:
        connection.create_function("unixepoch", 1, _unixepoch)


@contextmanager
def all_know_subseconds() -> Iterator[None]:
    """Gives an older SQLite that function on each connection opened meanwhile: DBOS migrates on connections of its own."""
    sa.event.listen(sa.Pool, "connect", _know_subseconds)
    try:
        yield
    finally:
        sa.event.remove(sa.Pool, "connect", _know_subseconds)


class _Connection(sqlite3.Connection):
    """A connection whose commits reach the disk before they return. Writers wait for each other instead of failing.

    About one commit in a few hundred also copies the log into the database. SQLite's default of 1000 pages would make
    it one in a hundred, and each of them delays the answer to a webhook.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as sqlite3 declares it
        super().__init__(*args, **kwargs)
        self.isolation_level = "IMMEDIATE"
        _know_subseconds(self)
        for pragma in ("busy_timeout=30000", "foreign_keys=ON", "synchronous=FULL", "wal_autocheckpoint=4000"):
            self.execute(f"PRAGMA {pragma}")


class _BriefConnection(_Connection):
    """A connection for what only living processes need. It waits for other writers for five seconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as sqlite3 declares it
        super().__init__(*args, **kwargs)
        for pragma in ("busy_timeout=5000", "synchronous=NORMAL"):
            self.execute(f"PRAGMA {pragma}")


@dataclass(frozen=True, slots=True)
class EngineDatabase:
    """The database at an operator's URL: sqlite:///path or postgresql://…"""

    url: str

    @property
    def file(self) -> Path | None:
        """The SQLite file; None on Postgres."""
        url = sa.make_url(self.url)
        return Path(url.database or "") if url.get_backend_name() == "sqlite" else None

    def identity(self) -> tuple[int, int] | None:
        """Returns what tells the file from another one at its place: device and inode. Zeros without a file; None on Postgres."""
        if self.file is None:
            return None
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_dev, found.st_ino

    def prepare(self) -> None:
        """Creates the database and the tables of DBOS. Several processes may call it at once."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=30)) as connection:
                connection.execute("PRAGMA auto_vacuum=incremental")
                connection.execute("PRAGMA journal_mode=WAL")
        with all_know_subseconds():
            DBOS.migrate(self.url)

    def engine(self, *, lasting: bool = True) -> sa.Engine:
        """Returns a small pool of connections beside those of DBOS.

        Without `lasting`, a power cut may undo the last commits on SQLite, which then cost no flush to the disk.
        """
        url = sa.make_url(self.url)
        if self.file is None:
            url = url.set(drivername="postgresql+psycopg")
        return sa.create_engine(
            url, pool_size=2, max_overflow=2, pool_pre_ping=True, connect_args=self._arguments(lasting)
        )

    def options(self) -> DBOSConfig:
        """Returns the part of DBOS's configuration that names the database."""
        options: DBOSConfig = {
            "system_database_url": self.url,
            "db_engine_kwargs": {"connect_args": self._arguments()},
        }
        return options if self.file is None else {**options, "sys_db_pool_size": 4}

    def forget_bodies(self) -> None:
        """Deletes the digests of bodies that are older than is remembered."""
        with closing_engine(self.engine()) as engine, engine.begin() as transaction:
            transaction.execute(sa.delete(BODIES).where(BODIES.c.at < time.time() - _REMEMBERED))

    def shrink(self) -> None:
        """Returns freed pages to the disk. Postgres does this by itself."""
        if self.file is not None:
            with closing(sqlite3.connect(self.file, timeout=30)) as connection:
                connection.executescript("PRAGMA incremental_vacuum(5000); PRAGMA wal_checkpoint(TRUNCATE);")

    def _arguments(self, lasting: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - two factories of connections
        if self.file is None:
            return {"connect_timeout": 5}
        return {"factory": _Connection if lasting else _BriefConnection}

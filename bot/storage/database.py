"""The product's database: SQLite by default, Postgres by URL. Runs transactions on threads and migrates the schema."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite

from bot.errors import ConfigurationError, Retryable

T = TypeVar("T")

OLDEST_SQLITE = (3, 35, 0)
"""The first version of SQLite that returns the rows it writes (RETURNING)."""
_MIGRATION_LOCK = 7_305_001


class Database:
    """The database at a URL. A `with` block migrates the schema at its start and closes the connections at its end.

    Raises ConfigurationError for a URL of SQLite where this Python has one that is too old.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)

    @classmethod
    def existing(cls, url: str) -> Self:
        """The database at a URL. Raises ConfigurationError for a SQLite file that does not exist; makes no folder."""
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).is_file():
            raise ConfigurationError(f"There is no database {parsed.database}; see ASSISTANT_DATA and DATABASE_URL")
        return cls(url)

    def __enter__(self) -> Self:
        self.migrate()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def migrate(self) -> None:
        """Brings the schema up to date. Several processes may call it at once. Raises Retryable without a connection."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._locked() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def _locked(self) -> Iterator[sa.Connection]:
        with self._opened() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            else:  # else each statement on the schema is a transaction of its own
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    def _opened(self) -> sa.Connection:
        try:
            return self._engine.connect()
        except sa.exc.DBAPIError as error:
            raise Retryable(f"the database cannot be opened, see DATABASE_URL: {error.orig}") from error

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    async def ready(self) -> None:
        """Raises an error of sqlalchemy if the database cannot be reached."""
        await self.run(lambda connection: connection.execute(sa.text("SELECT 1")))

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Runs `work` in a transaction on a thread, so that a slow disk does not block the event loop."""

        def transaction() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return await asyncio.to_thread(transaction)


def is_database_error(error: Exception) -> bool:
    """Whether an error is the database's, or that of the way to it."""
    return isinstance(error, sa.exc.SQLAlchemyError)


def upsert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], keep: tuple[str, ...]) -> None:
    """Inserts rows. For an existing primary key, overwrites all other columns except those in `keep`."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table).values(rows)
    keys = [column.name for column in table.primary_key]
    updated = {
        column.name: insert.excluded[column.name]
        for column in table.columns
        if column.name not in keys and column.name not in keep
    }
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=updated))


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        found = f"this Python has SQLite {sqlite3.sqlite_version}, which is too old"
        raise ConfigurationError(f"{found}; use a Python with SQLite 3.35 or newer, or Postgres (DATABASE_URL)")
    if parsed.database:
        _make_folder(Path(parsed.database).parent)
    engine = sa.create_engine(parsed, connect_args={"timeout": 10})

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _: object) -> None:
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:  # later it would wait for writers
            connection.execute("PRAGMA auto_vacuum=incremental")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made a folder ({error.strerror}); see ASSISTANT_DATA and DATABASE_URL"
        ) from error

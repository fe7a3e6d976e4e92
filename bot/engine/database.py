"""Where the engine's rows live: one SQLite file whose commits survive a power cut, or Postgres.

Rows as JSON, errors by name: nothing read from the database can become code.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, Serializer
from dbos._serialization import DefaultSerializer

from bot import errors
from bot.errors import AssistantError, Retryable

_OURS: dict[str, type[AssistantError]] = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, AssistantError)
}


def pack(error: BaseException) -> dict[str, Any]:
    """An error as JSON: its class by name, its text, and when to come back."""
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _OURS), type(error).__name__)
    return {"type": name, "message": str(error), "after": getattr(error, "after", None)}


def unpack(packed: dict[str, Any]) -> Exception:
    """The error that `pack` stored; one that is not ours comes back as a RuntimeError that names it."""
    kind, message = _OURS.get(packed["type"]), packed["message"]
    if kind is None:
        return RuntimeError(f"{packed['type']}: {message}")
    return kind(message, packed["after"]) if issubclass(kind, Retryable) else kind(message)


class JsonSerializer(Serializer):
    """What DBOS stores. Only a whole value can be an error: an object inside one is data, whatever its keys are."""

    def name(self) -> str:
        return "assistant_json"

    def serialize(self, data: Any) -> str:  # noqa: ANN401 - JSON has no better name
        value = {"$error": pack(data)} if isinstance(data, BaseException) else data
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def deserialize(self, serialized_data: str) -> Any:  # noqa: ANN401 - JSON has no better name
        value = json.loads(serialized_data)
        return unpack(value["$error"]) if isinstance(value, dict) and value.keys() == {"$error"} else value


def forbid_pickle() -> None:
    """Refuse rows marked as pickle. DBOS would load them whatever serializer it is given, and loading runs code."""
    DefaultSerializer.deserialize = _refuse  # type: ignore[assignment, method-assign]


def _refuse(_: DefaultSerializer, serialized_data: str) -> NoReturn:
    raise TypeError(f"a pickled row of {len(serialized_data)} characters is refused")


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
class EngineDatabase:
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

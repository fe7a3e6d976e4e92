"""The engine's database: rows cannot run as code."""

import json
import sqlite3
import time

import pytest
import sqlalchemy as sa

from bot.engine.database import EngineDatabase, JsonSerializer, all_know_subseconds, closing_engine
from bot.errors import ConfigurationError, RateLimited, Superseded, Unprocessable, UserError
from bot.storage.database import Database


@pytest.mark.parametrize(
    "error",
    [RateLimited("wait", after=7.5), Unprocessable("422"), UserError("no"), Superseded("moved"), ValueError("x")],
)
def test_an_error_comes_back_from_the_database_as_what_it_was(error):
    back = JsonSerializer().deserialize(JsonSerializer().serialize(error))

    assert type(back) is (RuntimeError if isinstance(error, ValueError) else type(error))
    assert str(error) in str(back)
    assert getattr(back, "after", None) == getattr(error, "after", None)


def test_data_that_looks_like_an_error_stays_data():
    value = {"ok": {"$error": {"type": "Superseded", "message": "", "after": None}}}

    assert JsonSerializer().deserialize(json.dumps(value)) == value


def test_every_sqlite_from_3_35_counts_milliseconds_for_dbos_and_an_older_one_is_refused(tmp_path, monkeypatch):
    engine = EngineDatabase(f"sqlite:///{tmp_path}/jobs.db")
    with engine.engine().connect() as connection:
        seconds = connection.exec_driver_sql("SELECT unixepoch('subsec')").scalar_one()
        connection.engine.dispose()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    assert seconds == pytest.approx(time.time(), abs=5)
    assert seconds == round(seconds, 3)
    with pytest.raises(ConfigurationError, match=r"use a Python with SQLite 3.35 or newer, or Postgres"):
        Database(f"sqlite:///{tmp_path}/ledger.db")


def test_dbos_gets_its_function_on_the_connections_with_which_it_migrates(monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with closing_engine(sa.create_engine("sqlite://")) as engine, all_know_subseconds():
        seconds = engine.connect().exec_driver_sql("SELECT unixepoch('subsec')").scalar_one()

    assert seconds == pytest.approx(time.time(), abs=5)

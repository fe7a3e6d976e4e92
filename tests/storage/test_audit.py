"""The audit log: what was decided, by whom and on whose word (R11)."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bot.cli.stats import audit
from bot.core.code.pull_request import PullRef
from bot.job import Job, Trigger
from bot.storage.audit import AuditLog
from bot.storage.database import Database

JOB = Job("delivery/1/a", PullRef("octo/shop", 3, 42, 5), Trigger.COMMAND, actor="ada", actor_id=7, digest="d" * 64)


@pytest.fixture
def log(tmp_path):
    with Database(f"sqlite:///{tmp_path / 'audit.db'}") as database:
        database.migrate()
        yield AuditLog(database)


def test_an_entry_names_the_decision_the_person_the_event_and_the_delivery(log):
    for _ in range(2):
        asyncio.run(log.append(JOB, "dismissed", "logged upstream", finding="f1"))
    asyncio.run(log.append(JOB, "reviewed"))
    first, second = asyncio.run(log.entries("octo/shop", 3))

    assert (first.what, first.actor, first.actor_id, first.word) == ("dismissed", "ada", 7, "command")
    assert (first.reason, first.detail) == ("logged upstream", {"delivery": "d" * 64, "finding": "f1"})
    assert (second.what, second.pull) == ("reviewed", "octo/shop#3")
    assert asyncio.run(log.entries("octo/other")) == ()


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit"])
def test_no_entry_is_changed_or_deleted(log, change):
    asyncio.run(log.append(JOB, "dismissed"))
    with pytest.raises(DBAPIError, match="append-only"):
        asyncio.run(log.database.run(lambda connection: connection.execute(sa.text(change))))

    assert [entry.actor for entry in asyncio.run(log.entries())] == ["ada"]


def test_the_command_prints_entries_with_hidden_characters_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'audit.db'}")
    with Database(f"sqlite:///{tmp_path / 'audit.db'}") as database:
        database.migrate()
        asyncio.run(AuditLog(database).append(JOB, "refused", "\x1b[31mred [bold]x"))
    audit("octo/shop#3", 10, as_json=False)
    shown = capsys.readouterr().out

    assert "refused" in shown
    assert "ada" in shown
    assert "[bold]x" in shown
    assert "\x1b" not in shown

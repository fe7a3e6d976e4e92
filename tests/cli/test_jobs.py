"""`assistant jobs`, `backup` and `restore`, on a database that a server left behind."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from bot.app import build
from bot.cli.commands import cli
from bot.core.code.pull_request import PullRef
from bot.errors import UserError
from bot.job import Job, Trigger
from bot.sandbox.api.auth import key_pair
from bot.settings import Settings
from tests.support.engine_stage import rows

PULL = PullRef("octo/repo", 7, 70, 9)


@pytest.fixture
def url(tmp_path, monkeypatch):
    """The database of a server that accepted three jobs and ran none of them."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "GITHUB_APP_ID": "1234",
        "GITHUB_PRIVATE_KEY": key_pair().private,
        "GITHUB_WEBHOOK_SECRET": "0123456789abcdef",
        "GITHUB_API_URL": "http://127.0.0.1:9",
        "ASSISTANT_DATA": str(tmp_path / "data"),
        "ASSISTANT_MODEL_API": "offline",
    }.items():
        monkeypatch.setenv(name, value)
    app = build(Settings.read())
    app.start(work=False)
    for number in range(1, 4):
        asyncio.run(app.engine.submit(Job(f"delivery/1/{number}", PULL, Trigger.OPENED)))
    app.stop()
    return f"sqlite:///{tmp_path}/data/assistant.db"


def say(*arguments):
    result = CliRunner().invoke(cli, arguments)
    if isinstance(result.exception, UserError):
        return str(result.exception)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def states():
    return {one["id"]: one["state"] for one in json.loads(say("jobs", "ls", "--json"))}


def test_an_operator_sees_cancels_and_retries_jobs(url):
    assert states() == {f"delivery/1/{number}": "queued" for number in (1, 2, 3)}
    assert "octo/repo#7" in say("jobs", "show", "delivery/1/1")
    assert say("jobs", "cancel", "delivery/1/1") == "Cancelled: delivery/1/1"
    assert say("jobs", "cancel", "delivery/1/1") == "delivery/1/1 is not under way"
    assert rows(url, "SELECT count(*) FROM workflow_status WHERE workflow_uuid='abandon/delivery/1/1'") == [(1,)]
    assert say("jobs", "retry", "delivery/1/2") == "no job was started again: none has ended with this id or reason"

    ended = json.dumps({"end": "failed", "word": "GitHub 502: Bad Gateway"})
    rows(url, f"UPDATE workflow_status SET status='SUCCESS', output='{ended}' WHERE workflow_uuid LIKE 'delivery/1/_'")
    assert "GitHub 502: Bad Gateway" in say("jobs", "ls", "--state", "failed")
    again = say("jobs", "retry", "--reason", "bad gateway").splitlines()

    assert sorted(again) == [f"delivery/1/{number}/again/1" for number in (1, 2, 3)]
    assert [states()[id_] for id_ in again] == ["queued"] * 3
    assert say("jobs", "show", "nothing") == "nothing is not a job of this database"


@pytest.mark.usefixtures("url")
def test_a_backup_is_restored_with_its_jobs_and_overwrites_nothing(tmp_path):
    before = states()
    say("backup", "copy.db")
    assert say("restore", "copy.db").endswith("exists already; move it away first")
    (tmp_path / "data" / "assistant.db").rename(tmp_path / "old.db")
    for suffix in ("-wal", "-shm"):
        (tmp_path / "data" / f"assistant.db{suffix}").unlink(missing_ok=True)
    say("restore", "copy.db")

    assert states() == before
    assert say("backup", "copy.db") == "copy.db exists already; move it away first"

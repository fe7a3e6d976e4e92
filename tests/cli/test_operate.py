"""The verbs of an operator, on the database of a server with its own settings."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from bot.app import build
from bot.cli.commands import cli
from bot.cli.operate import act
from bot.core.code.pull_request import PullRef
from bot.core.command import Verb
from bot.engine.queue import Order, Runs, client
from bot.errors import UserError
from bot.job import Job, Trigger
from bot.sandbox.api.auth import key_pair
from bot.settings import Settings
from bot.storage.conversations import ConversationStore
from bot.storage.ledger import Reservation, ReviewRecord, Spending

PULL = PullRef("Octo/repo", 7, 70, 9)
DETAIL = {"usage": {"dollars": 0.25}, "posted": 3}


@pytest.fixture
def app(tmp_path):
    """A server that works on nothing: what is submitted stays in its queue."""
    (tmp_path / "key.pem").write_text(key_pair().private)
    settings = Settings.read(
        _env_file=None,
        github_app_id="1234",
        github_private_key_file=tmp_path / "key.pem",
        github_webhook_secret="0123456789abcdef",
        github_api_url="http://127.0.0.1:9",
        assistant_data=tmp_path / "data",
        assistant_model_api="offline",
    )
    app = build(settings)
    app.start(work=False)
    record = ReviewRecord("job", PULL, "a" * 40, "opened", "success", "", DETAIL)
    asyncio.run(app.ledger.record(record))
    yield app
    app.stop()


def say(app, verb, number=7, repo="octo/repo"):
    return asyncio.run(act(app, verb, repo, number))


def test_a_pause_is_the_one_that_the_server_obeys_and_status_names_it(app):
    say(app, Verb.PAUSE)

    assert asyncio.run(ConversationStore(app.ledger.database).paused(PULL)) == "the operator"
    assert "Paused by `the operator`" in say(app, Verb.STATUS)
    say(app, Verb.RESUME)
    assert asyncio.run(ConversationStore(app.ledger.database).paused(PULL)) == ""


def test_status_tells_reviews_and_cost_and_that_another_has_none(app):
    assert "| `aaaaaaaaaa` | opened | success | 3 | $0.2500 |" in say(app, Verb.STATUS)
    assert "has not been reviewed yet" in say(app, Verb.STATUS, number=8)


def test_status_tells_what_was_spent_on_each_scope_and_what_is_left(app):
    other = replace(PULL, number=8)
    for pull, dollars in ((PULL, 1.25), (other, 2.0)):
        call = Reservation(f"job-{pull.number}/call-1", pull, "job", Spending(1000, dollars))
        asyncio.run(app.ledger.reserve(call, ()))

    said = say(app, Verb.STATUS)
    assert "| this pull request, 1 day | 1000 | $1.25 | $3.75 |" in said
    assert "| this pull request, 30 days | 1000 | $1.25 | no limit |" in said
    assert "| this repository, 1 day | 2000 | $3.25 | $46.75 |" in said
    assert "| the installation, 30 days | 2000 | $3.25 | $496.75 |" in said
    assert "| this pull request, 1 day | 0 | $0.00 | $5.00 |" in say(app, Verb.STATUS, number=9)


def test_stop_without_a_running_review_says_so(app):
    assert say(app, Verb.STOP) == "Nothing is running on this pull request."


def test_stop_cancels_the_review_that_waits(app):
    head = "b" * 40
    database = sa.create_engine(app.settings.database)
    Runs(client(database, patient=False)).add(
        Order("review", f"review/70/7/{head}/1", Job("1", PULL, Trigger.OPENED, head_sha=head))
    )
    database.dispose()

    assert say(app, Verb.STOP, number=8) == "Nothing is running on this pull request."
    assert say(app, Verb.STOP) == "Stopped: 1."
    assert say(app, Verb.STOP) == "Nothing is running on this pull request."


def test_an_unknown_repository_is_a_clear_sentence(app):
    with pytest.raises(UserError, match="octo/other is unknown"):
        say(app, Verb.STATUS, repo="octo/other")


def test_help_names_every_verb():
    said = CliRunner().invoke(cli, ["help"]).output

    assert all(f"| `/assistant {verb}" in said for verb in Verb)


def test_a_malformed_address_is_a_clear_sentence():
    result = CliRunner().invoke(cli, ["stop", "octo/repo/7"])

    assert str(result.exception) == "octo/repo/7 does not name a pull request; write OWNER/REPO#NUMBER"

"""Commands of the operator, on the server's database: about pull requests and findings, jobs, backups."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bot.app import App, build, review_budget, spending_limits
from bot.cli.progress import configure, watched
from bot.core.code.pull_request import PullRef
from bot.core.command import Verb
from bot.core.comments import replies
from bot.core.findings.known import KnownFinding
from bot.engine.database import EngineDatabase
from bot.errors import UserError
from bot.handlers.answer import reported
from bot.job import Job, Trigger
from bot.settings import Settings
from bot.storage.conversations import ConversationStore

OPERATOR = "the operator"
_ADDRESS = re.compile(r"([\w.-]+/[\w.-]+)#([1-9][0-9]{0,8})", re.ASCII)


def steer(verb: Verb, address: str, finding: str = "", words: str = "") -> str:
    """Do what `verb` says to the pull request at `address`, owner/repo#number, or to a finding there. Raises UserError."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise UserError(f"{address} does not name a pull request; write OWNER/REPO#NUMBER")
    with _opened() as app:
        return asyncio.run(act(app, verb, found[1], int(found[2]), finding, words))


@contextmanager
def _opened() -> Iterator[App]:
    """The server's app without a worker."""
    settings = Settings.read().require_app()
    configure("WARNING")
    app = build(settings)
    app.start(work=False)
    try:
        yield app
    finally:
        app.stop()


def list_jobs(state: str = "", id_: str = "", *, as_json: bool = False) -> str:
    """The newest jobs, or one of them, as lines or as JSON. Raises UserError for an unknown id."""
    with _opened() as app:
        records = [record for record in app.engine.records(id_=id_) if state in {"", record.state}]
    if id_ and not records:
        raise UserError(f"{id_} is not a job of this database")
    if as_json:
        return json.dumps([asdict(record) for record in records], indent=2)
    rows = (f"{one.created}  {one.state:<10} {one.pull}  {one.trigger}  {one.id}  {one.reason}" for one in records)
    return "\n".join(rows) or "There are no such jobs."


def retry_jobs(id_: str = "", reason: str = "") -> str:
    """Starts a job again, or every failed one whose reason contains these words. Raises UserError if there is none."""
    with _opened() as app:
        failed = [one for one in app.engine.records(1000) if one.state in {"failed", "unread"}]
        chosen = [id_] if id_ else [one.id for one in failed if reason and reason.lower() in one.reason.lower()]
        started = [again for again in map(app.engine.retry, chosen) if again]
    if not started:
        raise UserError("no job was started again: none has ended with this id or reason")
    return "\n".join(started)


def cancel_job(id_: str) -> str:
    """Stops a job. Raises UserError if it is not under way."""
    with _opened() as app:
        if not app.engine.cancel_run(id_):
            raise UserError(f"{id_} is not under way")
    return f"Cancelled: {id_}"


def copy_database(source: Path, target: Path) -> str:
    """Copies an SQLite database in one consistent state, also while it is used. Raises UserError if `target` exists."""
    if not source.is_file():
        raise UserError(f"{source} is not a database file")
    if target.exists():
        raise UserError(f"{target} exists already; move it away first")
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        found = new.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        target.unlink()
        raise UserError(f"{source} is damaged: {found}")
    return f"{target}: {target.stat().st_size:,} bytes"


def database_file() -> Path:
    """The file of the server's database. Raises UserError on Postgres."""
    file = EngineDatabase(Settings.read().database).file
    if file is None:
        raise UserError("the database is on Postgres; use pg_dump and pg_restore")
    return file


async def act(app: App, verb: Verb, repo: str, number: int, finding: str = "", words: str = "") -> str:
    """The answer to `verb`, in Markdown, once it is done. Raises UserError for a repository that we never reviewed."""
    pull, conversations = await app.ledger.address(repo, number), ConversationStore(app.ledger.database)
    if pull is None:
        raise UserError(f"{repo} is unknown: no pull request of it was reviewed with this database")
    match verb:
        case Verb.PAUSE:
            await conversations.pause(pull, OPERATOR)
            return replies.PAUSED
        case Verb.RESUME:
            await conversations.resume(pull)
            return replies.RESUMED
        case Verb.STOP:
            stopped = await app.engine.cancel(pull, f"{OPERATOR} said stop")
            return f"Stopped: {len(stopped)}." if stopped else "Nothing is running on this pull request."
        case Verb.STATUS:
            reviews = await app.ledger.reviews(pull, limit=10)
            bounds = spending_limits(app.settings, review_budget(app.settings))
            balances = await app.ledger.balances(pull, reported(bounds))
            return replies.status(reviews, await app.ledger.findings(pull), await conversations.paused(pull), balances)
    return await _about(app, verb, pull, finding, words)


async def _about(app: App, verb: Verb, pull: PullRef, finding: str, words: str) -> str:
    """What a comment in the thread of `finding` would do; its answer is shown here, and not posted."""
    known = await _named(app, pull, finding)
    job = Job(f"operator/{uuid.uuid4()}", pull, Trigger.COMMAND, actor=OPERATOR, text=f"/assistant {verb} {words}")
    with watched(Console(stderr=True)) as (step, _):
        said = await app.answerer.about(job, known, step)
    after = await _named(app, pull, known.identity)
    return said or f"{after.state.value}: {replies.named(after)}"


async def _named(app: App, pull: PullRef, name: str) -> KnownFinding:
    """The finding whose name begins like this. Raises UserError for none, and for more than one."""
    found = [one for one in await app.ledger.findings(pull) if one.identity.startswith(name.lower())]
    if len(found) != 1 or not name:
        problem = f"{name!r} fits {len(found)} findings" if found else f"There is no finding {name!r}"
        raise UserError(f"{problem} on {pull}. `assistant status {pull}` lists their names.")
    return found[0]

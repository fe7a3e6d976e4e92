"""`assistant status | pause | resume | stop | explain | dismiss | resolve`: commands of the operator, on the server's database."""

from __future__ import annotations

import asyncio
import re
import uuid

from rich.console import Console

from bot.app import App, build, review_budget, spending_limits
from bot.cli.logs import configure
from bot.cli.progress import watched
from bot.core.code.pull_request import PullRef
from bot.core.command import Verb
from bot.core.comments import replies
from bot.core.findings.known import KnownFinding
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
    settings = Settings.read().require_app()
    configure("WARNING")
    app = build(settings)
    app.start(work=False)
    try:
        return asyncio.run(act(app, verb, found[1], int(found[2]), finding, words))
    finally:
        app.stop()


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

"""`assistant status | pause | resume | stop`: the verbs that need nobody but the server's own database."""

from __future__ import annotations

import asyncio
import re

from bot.app import App, build
from bot.correspondence import Correspondence
from bot.errors import UserError
from bot.logs import configure
from bot.review import reply
from bot.review.command import Verb
from bot.review.pull_request import PullRef
from bot.settings import Settings

OPERATOR = "the operator"
_ADDRESS = re.compile(r"([\w.-]+/[\w.-]+)#([1-9][0-9]{0,8})", re.ASCII)


def steer(verb: Verb, address: str) -> str:
    """Do what `verb` says to the pull request at `address`, owner/repo#number. Raises UserError."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise UserError(f"{address} is no pull request; write OWNER/REPO#NUMBER")
    settings = Settings.read().require_app()
    configure("WARNING")
    app = build(settings)
    app.start(work=False)
    try:
        return asyncio.run(act(app, verb, found[1], int(found[2])))
    finally:
        app.stop()


async def act(app: App, verb: Verb, repo: str, number: int) -> str:
    """The answer to `verb`, in Markdown, once it is done. Raises UserError for a repository that we never reviewed."""
    repo_id = await app.ledger.repository(repo)
    if not repo_id:
        raise UserError(f"{repo} is not known here: nothing in it was reviewed with this database")
    pull, correspondence = PullRef(repo, number, repo_id), Correspondence(app.ledger)
    match verb:
        case Verb.PAUSE:
            await correspondence.pause(pull, OPERATOR)
            return reply.PAUSED
        case Verb.RESUME:
            await correspondence.resume(pull)
            return reply.RESUMED
        case Verb.STOP:
            stopped = await app.engine.cancel(pull, f"{OPERATOR} said stop")
            return f"Stopped: {len(stopped)}." if stopped else "Nothing is running on this pull request."
        case Verb.STATUS:
            reviews = await app.ledger.reviews(pull, limit=10)
            return reply.status(reviews, await app.ledger.findings(pull), await correspondence.paused(pull))
    raise UserError(f"{verb.value} needs a thread on GitHub")

"""The verbs of a comment on a terminal: the same grammar and the same answers, for a change on this machine."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from bot.app import UseCases, answerer_of, checks_of, model_of, standards_of, words_of
from bot.cli.logs import configure
from bot.cli.progress import watched
from bot.cli.review import searching
from bot.core.command import parse_words
from bot.core.comments.marker import Signer
from bot.core.policy import PATH, Policy, PolicyLayer, describe, merge_layers, parse, unavailable_names
from bot.errors import UserError
from bot.hosts.local import LocalHost
from bot.job import Job, Trigger
from bot.settings import Settings
from bot.storage.database import Database
from bot.storage.ledger import Ledger


def answer_locally(words: str, what: str, repo: Path) -> str:
    """What the assistant says to `words` ("ask why?") about a range, or about what is not committed. Raises UserError."""
    configure("WARNING")
    parse_words(f" {words}")
    return asyncio.run(_answer(words, what, repo))


async def _answer(words: str, what: str, repo: Path) -> str:
    host = await LocalHost.from_range(repo, what)
    settings = Settings.read(_env_file=None)  # where we stand may be a stranger's repository, with a .env of its own
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/ledger.db") as database:
        standards = standards_of(settings, Path(folder) / "standards.db")
        job, signer = Job("local", host.pull.ref, Trigger.COMMAND, text=f"/assistant {words}"), Signer(b"local")
        with watched(Console(stderr=True)) as (step, hear):
            model = model_of(settings, signer.secret, hear)
            wired = UseCases(settings, host, host, standards, Ledger(database), signer, model, searching(host))
            await answerer_of(wired)(job, step)
    return "\n\n".join(body.partition("<!-- assistant")[0].rstrip() for body in host.replied)


def check_config(file: Path) -> tuple[str, ...]:
    """What is wrong in a repository's file, with line and column, and which checks and passes there are not."""
    policy, problems = parse(_text(file), str(file))
    return (*map(str, problems), *(f"{file}: {sentence}" for sentence in _unknown(policy)))


def show_config(file: Path | None, defaults: Path | None) -> tuple[str, ...]:
    """Each setting with its value and the file it comes from; without `file` that of the folder we are in, if any."""
    own = file or (Path(PATH) if Path(PATH).is_file() else None)
    layers = [PolicyLayer(str(path), _text(path)) for path in (defaults, own) if path is not None]
    found = merge_layers(layers)
    rows = [f"{one.name} = {one.value}  ({one.source})" for one in describe(found.policy, dict(found.sources))]
    return (*rows, *map(str, found.problems), *_unknown(found.policy))


def _unknown(policy: Policy) -> tuple[str, ...]:
    """What a policy names that this installation does not offer."""
    settings = Settings.read(_env_file=None)
    passes = [name for name in words_of().passes if settings.passes is None or name in settings.passes]
    return unavailable_names(policy, [check.name for check in checks_of(settings)], passes)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error

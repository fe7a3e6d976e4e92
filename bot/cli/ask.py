"""`assistant ask`, `summary` and `config`: the commands of a comment, for a change on this machine."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from bot.app import UseCases, build_answerer, build_model, build_standards, check_names, load_prompts
from bot.cli.progress import configure, watched
from bot.cli.review import LocalChange, local_search, local_settings
from bot.cli.standards import unplaced_citations
from bot.core.code.globs import doubt
from bot.core.command import parse_words
from bot.core.comments.marker import Signer
from bot.core.policy import PATH, Policy, PolicyLayer, describe, merge_layers, parse, unavailable_names
from bot.errors import Refused, UserError
from bot.hosts.git import Git
from bot.job import Job, Trigger
from bot.settings import Settings
from bot.storage.database import Database
from bot.storage.ledger import Ledger


def answer_locally(words: str, change: LocalChange, *, offline: bool = False) -> tuple[str, bool]:
    """Returns the answer to `words` ("ask why?") about a change, and whether it is an answer and not an apology.

    Raises UserError.
    """
    configure("WARNING")
    parse_words(f" {words}")
    return asyncio.run(_answer(words, change, local_settings(offline=offline)))


async def _answer(words: str, change: LocalChange, settings: Settings) -> tuple[str, bool]:
    host = await change.host()
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/ledger.db") as database:
        standards = build_standards(settings, Path(folder) / "standards.db")
        job, signer = Job("local", host.pull.ref, Trigger.COMMAND, text=f"/assistant {words}"), Signer(b"local")
        with watched(Console(stderr=True)) as (step, hear):
            model = build_model(settings, signer.secret, hear)
            parts = UseCases(settings, host, host, standards, Ledger(database), signer, model, local_search(host))
            await build_answerer(parts)(job, step)
    text = "\n\n".join(body.partition("<!-- assistant")[0].rstrip() for body in host.replied)
    return text, "confused" not in host.reactions


def check_config(file: Path) -> tuple[str, ...]:
    """Returns the mistakes of a policy file with line and column, and what it names that does not exist."""
    policy, problems = parse(_text(file), str(file))
    sentences = (*_doubts(policy, _paths(file)), *_unknown(policy), *unplaced_citations(policy, file))
    return (*map(str, problems), *(f"{file}: {sentence}" for sentence in sentences))


def _paths(file: Path) -> tuple[str, ...]:
    """Returns the files of the last commit, if the policy file lies in a repository's .github folder."""
    home = file.resolve().parent
    if home.name != ".github":
        return ()
    with suppress(UserError, Refused):  # without a repository or a commit there is nothing to compare globs with
        return tuple(entry.path for entry in asyncio.run(Git(home.parent).tree("HEAD")))
    return ()


def _doubts(policy: Policy, paths: Collection[str]) -> tuple[str, ...]:
    """Returns a sentence for each glob that probably does not match what it is meant to match."""
    standards = policy.standards
    lists = (
        ("review", policy.review),
        ("ignore", policy.ignore),
        ("generated", policy.generated),
        ("standards.paths", standards.paths),
        ("standards.public", standards.public),
        *(("path_instructions", instruction.paths) for instruction in policy.path_instructions),
    )
    found = ((key, doubt(pattern, paths)) for key, patterns in lists for pattern in patterns)
    return tuple(f"{key}: {doubted}" for key, doubted in found if doubted)


def show_config(file: Path | None, defaults: Path | None) -> tuple[str, ...]:
    """Returns each setting with its value and source. Without `file`, reads the policy of the current folder, if any."""
    own = file or (Path(PATH) if Path(PATH).is_file() else None)
    layers = [PolicyLayer(str(path), _text(path)) for path in (defaults, own) if path is not None]
    found = merge_layers(layers)
    rows = [f"{one.name} = {one.value}  ({one.source})" for one in describe(found.policy, dict(found.sources))]
    return (*rows, *map(str, found.problems), *_unknown(found.policy))


def _unknown(policy: Policy) -> tuple[str, ...]:
    """Returns a sentence for each check and pass that the policy names and this installation does not offer."""
    settings = Settings.read(_env_file=None)
    passes = [name for name in load_prompts().passes if settings.passes is None or name in settings.passes]
    return unavailable_names(policy, check_names(settings), passes)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error

"""The composition root of the use cases: whoever the host is, a server or a terminal, they are wired here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from bot.checks import every
from bot.core.budget_part import Allowed
from bot.core.code.syntax import parses
from bot.core.comments.marker import Signer
from bot.errors import ConfigurationError
from bot.handlers.answer import Answerer
from bot.handlers.ask_model import Asking
from bot.handlers.known_findings import Keeper
from bot.handlers.openai_memory import Continuing
from bot.handlers.permissions import Gate
from bot.handlers.questions import Answering
from bot.handlers.review import Reviewer
from bot.handlers.route import Router
from bot.handlers.summarising_part import Summarising
from bot.interfaces import Check, CodeHost, Model, Publisher, Standards
from bot.model.account import LedgerAccount
from bot.model.offline import OfflineModel
from bot.model.prompts import Words
from bot.model.tools import Searching
from bot.model.tools import known as known_tools
from bot.model.tools.scan_part import Scan
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.conversations import Correspondence, Limits
from bot.storage.ledger import Bound, Ledger

if TYPE_CHECKING:
    from bot.model.openai_threads import ResponsesConversations
    from bot.standards.vector_store import VectorStoreStandards


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the use cases share. `model` stands in for the one that the settings name; `search` looks through files.

    With `conversations` the model's server remembers what was said in a thread.
    """

    settings: Settings
    host: CodeHost
    publisher: Publisher
    standards: Standards
    ledger: Ledger
    signer: Signer
    model: Model | None = None
    search: Searching = Scan
    conversations: ResponsesConversations | None = None


def reviewer_of(wired: Wiring) -> Reviewer:
    """The reviewer with the checks and the model these settings ask for. Raises ConfigurationError."""
    _require_known(wired.settings)
    checks = checks_of(wired.settings)
    return Reviewer(
        wired.host,
        wired.publisher,
        asking_of(wired),
        wired.standards,
        checks,
        wired.ledger,
        wired.signer,
        parses,
        keeper_of(wired),
        summarising_of(wired),
    )


def answerer_of(wired: Wiring) -> Answerer:
    """Who answers commands and replies, with the tools, the standards and the model of a review."""
    return Answerer(
        wired.host,
        wired.publisher,
        wired.standards,
        answering_of(wired),
        summarising_of(wired),
        keeper_of(wired),
        wired.ledger,
        Correspondence(wired.ledger),
        wired.signer,
    )


def router_of(wired: Wiring) -> Router:
    """The router with its gate."""
    settings, correspondence = wired.settings, Correspondence(wired.ledger)
    limits = Limits(
        person=settings.assistant_requests_per_person_hour,
        repository=settings.assistant_requests_per_repository_hour,
    )
    gate = Gate(wired.host, correspondence, settings.bots, limits)
    return Router(wired.host, wired.publisher, gate, correspondence, wired.signer)


def asking_of(wired: Wiring) -> Asking:
    """Conversations with the model, on the operator's money."""
    settings = wired.settings
    return Asking(
        host=wired.host,
        model=wired.model or model_of(settings, wired.signer.secret),
        standards=wired.standards,
        checks=checks_of(settings),
        words=words_of(),
        account=lambda job, allowed: LedgerAccount(wired.ledger, job, bounds_of(settings, allowed)),
        allowed=allowed_of(settings),
        passes=settings.passes,
        tools=settings.tools,
        search=wired.search,
        salt=wired.signer.name("fences"),
    )


def answering_of(wired: Wiring) -> Answering:
    """Conversations that are not a review."""
    correspondence = Correspondence(wired.ledger)
    continuing = Continuing(wired.conversations, correspondence) if wired.conversations else None
    return Answering(asking_of(wired), wired.ledger, correspondence, continuing)


def summarising_of(wired: Wiring) -> Summarising:
    """Who writes the walkthrough."""
    return Summarising(answering_of(wired), wired.publisher, wired.signer)


def keeper_of(wired: Wiring) -> Keeper:
    """Who keeps findings up to date; it resolves threads only if the operator says that the App may."""
    resolves = wired.settings.assistant_resolve_threads
    return Keeper(wired.host, wired.publisher, wired.ledger, wired.signer, resolves=resolves)


def words_of() -> Words:
    """Every prompt that ships with the product."""
    return Words({file.stem: file.read_text() for file in sorted(bundled("prompts").glob("*.md"))})


def allowed_of(settings: Settings) -> Allowed:
    """What one review may use."""
    return Allowed(
        dollars=settings.assistant_dollars_per_review,
        tokens=settings.assistant_tokens_per_review,
        calls=settings.assistant_calls_per_review,
        tool_calls=settings.assistant_tool_calls_per_review,
        tool_characters=settings.assistant_tool_characters_per_review,
        seconds=settings.assistant_seconds_per_review,
    )


def bounds_of(settings: Settings, allowed: Allowed) -> tuple[Bound, ...]:
    """What may be spent on a review, a pull request, a repository and an installation."""
    day, month = timedelta(days=1), timedelta(days=30)
    return (
        Bound("job", None, allowed.tokens, allowed.dollars),
        Bound("pull", day, dollars=settings.assistant_dollars_per_pull_day),
        Bound("repository", day, dollars=settings.assistant_dollars_per_repository_day),
        Bound("installation", month, dollars=settings.assistant_dollars_per_installation_month),
    )


def _require_known(settings: Settings) -> None:
    """Raise ConfigurationError for a check, pass or tool that there is not: it would be missed without a word."""
    checks = tuple(check.name for check in every())
    for variable, wanted, known in (
        ("ASSISTANT_CHECKS", settings.checks, checks),
        ("ASSISTANT_PASSES", settings.passes, words_of().passes),
        ("ASSISTANT_TOOLS", settings.tools, known_tools()),
    ):
        if unknown := sorted(set(wanted or ()) - set(known)):
            raise ConfigurationError(f"{variable}: {', '.join(unknown)}: there are only {', '.join(known)}")


def checks_of(settings: Settings) -> tuple[Check, ...]:
    """Every check the operator offers."""
    return every(allow_unconfined=settings.assistant_unconfined_checks, names=settings.checks)


def model_of(settings: Settings, secret: bytes, progress: Callable[[str], None] | None = None) -> Model:
    """The model these settings name; without a key there is none, and the review says so.

    `secret` hides who an author is; with `progress` answers are streamed there. Raises ConfigurationError.
    """
    if settings.model_api == "offline":
        return OfflineModel()
    from bot.app_openai import model_of as hosted_model

    return hosted_model(settings, secret, progress)


def conversations_of(settings: Settings) -> ResponsesConversations | None:
    """Where the model's server remembers threads; None if only we do. Raises ConfigurationError if it cannot."""
    if settings.assistant_memory == "journal":
        return None
    from bot.app_openai import hosted_conversations

    return hosted_conversations(settings)


def standards_of(settings: Settings, index: Path | str) -> FolderStandards | VectorStoreStandards:
    """The search these settings name, over the local `index`. Raises ConfigurationError."""
    local = FolderStandards(index)
    if settings.assistant_standards == "folder":
        return local
    from bot.app_openai import hosted_standards

    return hosted_standards(settings, local)


def bundled(name: str) -> Path:
    """A folder or file that ships with the product: prompts, examples, app.yml."""
    package = Path(str(files("bot")))
    installed, checkout = package / "_data" / name, package.parent / name
    return installed if installed.exists() else checkout

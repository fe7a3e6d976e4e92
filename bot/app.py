"""The composition root: settings become the use cases, for a server or a terminal, and an app with its engine and GitHub."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bot.checks import every
from bot.core.code.syntax import is_well_formed
from bot.core.comments.marker import Signer
from bot.core.costs import Price, ReviewBudget, find_price, review_dollars
from bot.engine.durable import DurableEngine, Pace
from bot.errors import ConfigurationError
from bot.handlers.answer import Answerer
from bot.handlers.ask_model import ModelReview
from bot.handlers.known_findings import KnownFindings
from bot.handlers.openai_memory import OpenAIMemory
from bot.handlers.permissions import Gate
from bot.handlers.questions import QuestionAnswerer, SummaryWriter
from bot.handlers.review import Reviewer
from bot.handlers.route import Router, use_cases
from bot.hosts.github.auth import GitHubApp
from bot.hosts.github.client import GitHubClient
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.publisher import GitHubPublisher
from bot.interfaces import Check, CodeHost, Model, Publisher, Standards
from bot.model.account import LedgerAccount
from bot.model.offline import OfflineModel
from bot.model.prompts import Prompts
from bot.model.tools import Files, Searcher, SearcherFactory, tool_names
from bot.model.tools.grep import MEGABYTE, FetchedGrep, ScanSearch
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.conversations import ConversationStore, RequestLimits
from bot.storage.database import Database
from bot.storage.ledger import Ledger, SpendingLimit

if TYPE_CHECKING:
    from bot.model.responses import ResponsesConversations
    from bot.standards.vector_store import VectorStoreStandards


_PULL_DAY = 5.0
"""US dollars per pull request and day where the operator names none and one review costs no more."""


@dataclass(frozen=True, slots=True)
class UseCases:
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
    search: SearcherFactory = ScanSearch
    conversations: ResponsesConversations | None = None


def reviewer_of(wired: UseCases) -> Reviewer:
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
        is_well_formed,
        keeper_of(wired),
        summarising_of(wired),
    )


def answerer_of(wired: UseCases) -> Answerer:
    """Who answers commands and replies, with the tools, the standards and the model of a review."""
    return Answerer(
        wired.host,
        wired.publisher,
        wired.standards,
        answering_of(wired),
        summarising_of(wired),
        keeper_of(wired),
        wired.ledger,
        ConversationStore(wired.ledger.database),
        wired.signer,
        bounds_of(wired.settings, allowed_of(wired.settings)),
    )


def router_of(wired: UseCases) -> Router:
    """The router with its gate."""
    settings, correspondence = wired.settings, ConversationStore(wired.ledger.database)
    limits = RequestLimits(
        person=settings.assistant_requests_per_person_hour,
        repository=settings.assistant_requests_per_repository_hour,
    )
    gate = Gate(wired.host, correspondence, settings.bots, limits)
    return Router(wired.host, wired.publisher, gate, correspondence, wired.signer)


def asking_of(wired: UseCases) -> ModelReview:
    """Conversations with the model, on the operator's money."""
    settings = wired.settings
    return ModelReview(
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


def answering_of(wired: UseCases) -> QuestionAnswerer:
    """Conversations that are not a review."""
    correspondence = ConversationStore(wired.ledger.database)
    continuing = OpenAIMemory(wired.conversations, correspondence) if wired.conversations else None
    return QuestionAnswerer(asking_of(wired), wired.ledger, correspondence, continuing)


def summarising_of(wired: UseCases) -> SummaryWriter:
    """Who writes the walkthrough."""
    return SummaryWriter(answering_of(wired), wired.publisher, wired.signer)


def keeper_of(wired: UseCases) -> KnownFindings:
    """Who keeps findings up to date; it resolves threads only if the operator says that the App may."""
    resolves = wired.settings.assistant_resolve_threads
    return KnownFindings(wired.host, wired.publisher, wired.ledger, wired.signer, resolves=resolves)


def words_of() -> Prompts:
    """Every prompt that ships with the product."""
    return Prompts({file.stem: file.read_text() for file in sorted(bundled("prompts").glob("*.md"))})


def allowed_of(settings: Settings) -> ReviewBudget:
    """What one review may use. Without a setting its dollars depend on the model's price. Raises ConfigurationError."""
    dollars = settings.assistant_dollars_per_review
    if dollars is None:
        dollars = review_dollars(_price_of(settings))
    return ReviewBudget(
        dollars=dollars,
        tokens=settings.assistant_tokens_per_review,
        calls=settings.assistant_calls_per_review,
        tool_calls=settings.assistant_tool_calls_per_review,
        tool_characters=settings.assistant_tool_characters_per_review,
        seconds=settings.assistant_seconds_per_review,
    )


def _price_of(settings: Settings) -> Price | None:
    if settings.model_api == "offline":
        return None
    from bot.app_openai import price_table

    return find_price(settings.assistant_model, price_table(settings))


def bounds_of(settings: Settings, allowed: ReviewBudget) -> tuple[SpendingLimit, ...]:
    """What may be spent on a review, a pull request, a repository and an installation."""
    day, month, daily = timedelta(days=1), timedelta(days=30), settings.assistant_dollars_per_pull_day
    return (
        SpendingLimit("job", None, allowed.tokens, allowed.dollars),
        SpendingLimit("pull", day, dollars=max(_PULL_DAY, allowed.dollars) if daily is None else daily),
        SpendingLimit("repository", day, dollars=settings.assistant_dollars_per_repository_day),
        SpendingLimit("installation", month, dollars=settings.assistant_dollars_per_installation_month),
    )


def _require_known(settings: Settings) -> None:
    """Raise ConfigurationError for a check, pass or tool that there is not: it would be missed without a word."""
    checks = tuple(check.name for check in every())
    for variable, wanted, known in (
        ("ASSISTANT_CHECKS", settings.checks, checks),
        ("ASSISTANT_PASSES", settings.passes, words_of().passes),
        ("ASSISTANT_TOOLS", settings.tools, tool_names()),
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


@dataclass(frozen=True, slots=True)
class App:
    """Everything, wired: a server connected to GitHub."""

    settings: Settings
    engine: DurableEngine
    ledger: Ledger
    client: GitHubClient
    answerer: Answerer

    def start(self, *, work: bool) -> None:
        """Bring the schema up to date and start taking jobs, and working on them."""
        self.ledger.database.migrate()
        self.engine.start(work=work)

    def stop(self, drain: float = 20.0) -> None:
        """Give running steps `drain` seconds to end; what is left goes on after the next start."""
        self.engine.stop(drain)
        self.ledger.database.close()

    async def ready(self) -> dict[str, str]:
        """What is not working, by name; empty when all is well."""
        return await self.engine.ready()


def build(
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None = None,
    pace: Pace | None = None,
    model: Model | None = None,
) -> App:
    """The app for a server. `transport` replaces the network to GitHub, `model` the one that the settings name.

    Raises ConfigurationError for settings that cannot work.
    """
    settings.require_app()
    app = GitHubApp(settings.github_app_id, settings.private_key).checked()
    client = GitHubClient(
        app,
        settings.github_api_url,
        transport=transport,
        spacing=settings.assistant_write_spacing,
        secrets=settings.secrets,
    )
    host = GitHubHost(
        client,
        defaults=settings.assistant_organisation_defaults,
        library=settings.assistant_organisation_standards,
    )
    ledger = Ledger(Database(settings.database))
    signer = signer_of(app)
    standards = standards_of(settings, settings.assistant_data / "standards.db")
    wired = UseCases(settings, host, GitHubPublisher(client), standards, ledger, signer, model)
    wired = replace(wired, search=searching_of(settings, host), conversations=conversations_of(settings))
    reviewer, answerer = reviewer_of(wired), answerer_of(wired)
    handlers = use_cases(router_of(wired), reviewer, answerer)
    pace = pace or Pace(debounce=settings.assistant_debounce)
    return App(settings, DurableEngine(settings.database, handlers, pace), ledger, client, answerer)


def signer_of(app: GitHubApp) -> Signer:
    """The signer of markers: alike for every spelling of the same key. Earlier versions signed with the spelling."""
    secret, *former = (hashlib.sha256(b"assistant markers" + pem).digest() for pem in app.spellings())
    return Signer(secret, tuple(former))


def searching_of(settings: Settings, host: GitHubHost) -> SearcherFactory:
    """Git over a fetched copy, where the repository is not too large for that."""
    most = settings.assistant_fetch_megabytes * MEGABYTE

    def search(files: Files) -> Searcher:
        return FetchedGrep(files, lambda: host.remote(files.pull.ref), ScanSearch(files), most)

    return search

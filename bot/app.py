"""The composition root: settings become an app. The only module that names concrete classes."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import httpx

from bot.answerer import Answerer
from bot.answering import Answering
from bot.app_model import model_of
from bot.asking import Asking
from bot.checks import every
from bot.correspondence import Correspondence, Limits
from bot.endpoint import Endpoint
from bot.engines.durable import DurableEngine, Pace
from bot.errors import ConfigurationError
from bot.gate import Gate
from bot.hosts.github import GitHubHost
from bot.hosts.github_auth import App as GitHubApp
from bot.hosts.github_client import GitHubClient
from bot.hosts.github_publisher import GitHubPublisher
from bot.interfaces import Check, CodeHost, Handlers, Model, Publisher, Standards
from bot.keeping import KEPT, Keeper
from bot.ledger import Bound, Ledger
from bot.review.budget import Allowed
from bot.review.marker import Signer
from bot.review.syntax import parses
from bot.reviewer import Reviewer
from bot.router import Router
from bot.settings import Settings
from bot.spending import LedgerAccount
from bot.standards.folder import FolderStandards
from bot.standards.vector_store import VectorStoreStandards
from bot.standards.vector_store_client import VectorStoreClient
from bot.summarising import Summarising
from bot.tools import Files, Searcher, Searching
from bot.tools.fetched import MEGABYTE, Fetched
from bot.tools.scan import Scan
from bot.words import Words


@dataclass(frozen=True, slots=True)
class App:
    """Everything, wired: a server connected to GitHub."""

    settings: Settings
    engine: DurableEngine
    ledger: Ledger
    client: GitHubClient

    def start(self, *, work: bool) -> None:
        """Bring the schema up to date and start taking jobs, and working on them."""
        self.ledger.migrate()
        self.engine.start(work=work)

    def stop(self, drain: float = 20.0) -> None:
        """Give running steps `drain` seconds to end; what is left goes on after the next start."""
        self.engine.stop(drain)
        self.ledger.close()

    async def ready(self) -> dict[str, str]:
        """What is not working, by name; empty when all is well."""
        return await self.engine.ready()


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the use cases share. `model` stands in for the one that the settings name; `search` looks through files."""

    settings: Settings
    host: CodeHost
    publisher: Publisher
    standards: Standards
    ledger: Ledger
    signer: Signer
    model: Model | None = None
    search: Searching = Scan


def build(
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None = None,
    pace: Pace | None = None,
    model: Model | None = None,
) -> App:
    """The app for a server. `transport` replaces the network to GitHub, `model` the one that the settings name."""
    settings.require_app()
    key = settings.private_key
    client = GitHubClient(
        GitHubApp(settings.github_app_id, key),
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
    ledger = Ledger(settings.database)
    signer = Signer(hashlib.sha256(b"assistant markers" + key.encode()).digest())
    standards = standards_of(settings, settings.assistant_data / "standards.db")
    wired = Wiring(settings, host, GitHubPublisher(client), standards, ledger, signer, model)
    wired = replace(wired, search=searching_of(settings, host))
    reviewer, answerer = reviewer_of(wired), answerer_of(wired)
    handlers = Handlers(
        route=router_of(wired),
        review=reviewer,
        answer=lambda job, step: (answerer.keeper if job.trigger in KEPT else answerer)(job, step),
        abandon=lambda job, reason, step: (answerer if job.is_question else reviewer).abandon(job, reason, step),
        fail=lambda job, reason, step: (answerer if job.is_question else reviewer).fail(job, reason, step),
    )
    pace = pace or Pace(debounce=settings.assistant_debounce)
    return App(settings, DurableEngine(settings.database, handlers, pace), ledger, client)


def searching_of(settings: Settings, host: GitHubHost) -> Searching:
    """Git over a fetched copy, where the repository is not too large for that."""
    most = settings.assistant_fetch_megabytes * MEGABYTE

    def search(files: Files) -> Searcher:
        return Fetched(files, lambda: host.remote(files.pull.ref), Scan(files), most)

    return search


def reviewer_of(wired: Wiring) -> Reviewer:
    """The reviewer with the checks and the model these settings ask for."""
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
        words=Words({file.stem: file.read_text() for file in sorted(bundled("prompts").glob("*.md"))}),
        account=lambda job, allowed: LedgerAccount(wired.ledger, job, bounds_of(settings, allowed)),
        allowed=allowed_of(settings),
        passes=settings.passes,
        tools=settings.tools,
        search=wired.search,
        salt=wired.signer.name("fences"),
    )


def answering_of(wired: Wiring) -> Answering:
    """Conversations that are not a review."""
    return Answering(asking_of(wired), wired.ledger, Correspondence(wired.ledger))


def summarising_of(wired: Wiring) -> Summarising:
    """Who writes the walkthrough."""
    return Summarising(answering_of(wired), wired.publisher, wired.signer)


def keeper_of(wired: Wiring) -> Keeper:
    """Who keeps findings up to date; it resolves threads only if the operator says that the App may."""
    resolves = wired.settings.assistant_resolve_threads
    return Keeper(wired.host, wired.publisher, wired.ledger, wired.signer, resolves=resolves)


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


def checks_of(settings: Settings) -> tuple[Check, ...]:
    """Every check the operator offers."""
    return every(allow_unconfined=settings.assistant_unconfined_checks, names=settings.checks)


def standards_of(settings: Settings, index: Path | str) -> FolderStandards | VectorStoreStandards:
    """The search these settings name. The hosted one stands above the local `index`, whose sections it finds."""
    local = FolderStandards(index)
    if settings.assistant_standards == "folder":
        return local
    if not settings.openai_api_key.get_secret_value():
        raise ConfigurationError("ASSISTANT_STANDARDS=vector_store needs OPENAI_API_KEY")
    endpoint = Endpoint(settings.openai_api_key, settings.openai_base_url)
    return VectorStoreStandards(VectorStoreClient(endpoint), local, time.time)


def bundled(name: str) -> Path:
    """A folder or file that ships with the product: prompts, examples, app.yml."""
    package = Path(str(files("bot")))
    installed, checkout = package / "_data" / name, package.parent / name
    return installed if installed.exists() else checkout

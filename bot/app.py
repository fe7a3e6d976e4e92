"""The composition root: settings become the use cases, for a server or a terminal, and an app with its engine and GitHub."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from bot.checks import every
from bot.checks.jail import Jail
from bot.checks.standards import RulesCheck
from bot.core.claims.references import SOURCE as REFERENCES
from bot.core.claims.rules import WHOLE
from bot.core.code.syntax import is_well_formed
from bot.core.comments.marker import Signer
from bot.core.costs import Price, ReviewBudget, find_price, review_dollars
from bot.core.findings.executable_rules import SOURCE as RULES
from bot.errors import AssistantError, ConfigurationError
from bot.handlers.answer import Answerer
from bot.handlers.ask_model import ModelReview
from bot.handlers.known_findings import KnownFindings
from bot.handlers.permissions import Gate
from bot.handlers.questions import OpenAIMemory, QuestionAnswerer, SummaryWriter
from bot.handlers.reconcile import Reconciler
from bot.handlers.review import Reviewer
from bot.handlers.route import Router, use_cases
from bot.hosts.github.auth import GitHubApp
from bot.hosts.github.client import GitHubClient
from bot.hosts.github.health import GitHubHealth
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.installations import GitHubInstallations
from bot.hosts.github.publisher import GitHubPublisher
from bot.hosts.github.reports import GitHubReports
from bot.interfaces import (
    Account,
    Check,
    CodeHost,
    Connection,
    JobLog,
    Model,
    Publisher,
    Reconcile,
    ReportSource,
    Standards,
)
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
from bot.storage.runs import RunLog
from bot.telemetry.metrics import Metrics, Readings
from bot.telemetry.use_cases import NoSpans, Spans, Telemetry

if TYPE_CHECKING:
    from bot.engine.durable import DurableEngine, Pace
    from bot.model.responses import ResponsesConversations
    from bot.standards.vector_store import VectorStoreStandards

_RECONCILE = 300.0
"""Seconds between two looks for lost work."""
_GREETING = 5.0
"""Seconds that GitHub has to say who we are, when readiness is asked for."""


_PULL_DAY = 5.0
"""US dollars per pull request and day where the operator names none and one review costs no more."""


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the use cases share. `model` stands in for the one that the settings name; `search` looks through files.

    `reports` reads what other analysers found at a head. With `conversations` the model's server remembers what was said in a thread.
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
    reports: ReportSource | None = None
    watch_account: Callable[[Account], Account] = lambda account: account


def build_reviewer(parts: UseCases) -> Reviewer:
    """The reviewer with the checks and the model these settings ask for. Raises ConfigurationError."""
    _require_known(parts.settings)
    checks = build_checks(parts.settings)
    return Reviewer(
        parts.host,
        parts.publisher,
        build_model_review(parts),
        parts.standards,
        checks,
        build_rules_check(parts.settings),
        parts.search if _offers(parts.settings, REFERENCES) else None,
        parts.reports,
        parts.ledger,
        parts.signer,
        is_well_formed,
        build_known_findings(parts),
        build_summary_writer(parts),
    )


def build_answerer(parts: UseCases) -> Answerer:
    """Who answers commands and replies, with the tools, the standards and the model of a review."""
    return Answerer(
        parts.host,
        parts.publisher,
        parts.standards,
        build_question_answerer(parts),
        build_summary_writer(parts),
        build_known_findings(parts),
        parts.ledger,
        ConversationStore(parts.ledger.database),
        parts.signer,
        spending_limits(parts.settings, review_budget(parts.settings)),
    )


def build_router(parts: UseCases) -> Router:
    """The router with its gate."""
    settings, store = parts.settings, ConversationStore(parts.ledger.database)
    limits = RequestLimits(
        person=settings.assistant_requests_per_person_hour,
        repository=settings.assistant_requests_per_repository_hour,
        automatic=settings.assistant_automatic_per_pull_day,
    )
    gate = Gate(parts.host, store, settings.bots, limits)
    return Router(parts.host, parts.publisher, gate, store, parts.signer)


def build_model_review(parts: UseCases) -> ModelReview:
    """Conversations with the model, on the operator's money."""
    settings = parts.settings
    return ModelReview(
        host=parts.host,
        model=parts.model or build_model(settings, parts.signer.secret),
        standards=parts.standards,
        checks=build_checks(settings),
        words=load_prompts(),
        account=lambda job, allowed: parts.watch_account(
            LedgerAccount(parts.ledger, job, spending_limits(settings, allowed))
        ),
        allowed=review_budget(settings),
        passes=settings.passes,
        tools=settings.tools,
        search=parts.search,
        salt=parts.signer.name("fences"),
        choices={} if parts.model else build_model_choices(settings, parts.signer.secret),
        room=min(WHOLE, settings.assistant_input_tokens // 4),
        reduced=settings.assistant_review_mode == "reduced",
        check_names=check_names(settings),
    )


def build_question_answerer(parts: UseCases) -> QuestionAnswerer:
    """Conversations that are not a review."""
    store = ConversationStore(parts.ledger.database)
    memory = OpenAIMemory(parts.conversations, store) if parts.conversations else None
    return QuestionAnswerer(build_model_review(parts), parts.ledger, store, memory)


def build_summary_writer(parts: UseCases) -> SummaryWriter:
    """Who writes the walkthrough."""
    return SummaryWriter(build_question_answerer(parts), parts.publisher, parts.signer)


def build_known_findings(parts: UseCases) -> KnownFindings:
    """Who keeps findings up to date; it resolves threads only if the operator says that the App may."""
    resolves = parts.settings.assistant_resolve_threads
    return KnownFindings(parts.host, parts.publisher, parts.ledger, parts.signer, resolves=resolves)


def load_prompts() -> Prompts:
    """Every prompt that ships with the product."""
    return Prompts({file.stem: file.read_text(encoding="utf-8") for file in sorted(bundled("prompts").glob("*.md"))})


def review_budget(settings: Settings) -> ReviewBudget:
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

    table = price_table(settings)
    prices = [price for name in settings.models if (price := find_price(name, table))]
    return max(prices, key=review_dollars, default=None)


def spending_limits(settings: Settings, allowed: ReviewBudget) -> tuple[SpendingLimit, ...]:
    """What may be spent on a review, a pull request, by a person, in a repository and in an installation."""
    day, month, daily = timedelta(days=1), timedelta(days=30), settings.assistant_dollars_per_pull_day
    return (
        SpendingLimit("job", None, allowed.tokens, allowed.dollars),
        SpendingLimit("pull", day, dollars=max(_PULL_DAY, allowed.dollars) if daily is None else daily),
        SpendingLimit("person", day, dollars=settings.assistant_dollars_per_person_day),
        SpendingLimit("repository", day, dollars=settings.assistant_dollars_per_repository_day),
        SpendingLimit("installation", month, dollars=settings.assistant_dollars_per_installation_month),
    )


def _require_known(settings: Settings) -> None:
    """Raise ConfigurationError for a check, pass or tool that there is not: it would be missed without a word."""
    checks = (*(check.name for check in every()), RULES, REFERENCES)
    for variable, wanted, known in (
        ("ASSISTANT_CHECKS", settings.checks, checks),
        ("ASSISTANT_PASSES", settings.passes, load_prompts().passes),
        ("ASSISTANT_TOOLS", settings.tools, tool_names()),
    ):
        if unknown := sorted(set(wanted or ()) - set(known)):
            raise ConfigurationError(f"{variable}: {', '.join(unknown)}: there are only {', '.join(known)}")


def build_checks(settings: Settings) -> tuple[Check, ...]:
    """Every check the operator offers."""
    return every(allow_unconfined=settings.assistant_unconfined_checks, names=settings.checks)


def check_names(settings: Settings) -> tuple[str, ...]:
    """The names of the checks that the operator offers."""
    own = tuple(check.name for check in build_checks(settings))
    return (*own, *(name for name in (RULES, REFERENCES) if _offers(settings, name)))


def _offers(settings: Settings, check: str) -> bool:
    return settings.checks is None or check in settings.checks


def build_rules_check(settings: Settings) -> RulesCheck | None:
    """What runs the rules that documents carry as code; None if the operator does not offer it."""
    return RulesCheck(Jail(settings.assistant_unconfined_checks)) if _offers(settings, RULES) else None


def build_model(settings: Settings, secret: bytes, progress: Callable[[str], None] | None = None) -> Model:
    """The model these settings name; without a key there is none, and the review says so.

    `secret` hides who an author is; with `progress` answers are streamed there. Raises ConfigurationError.
    """
    if settings.model_api == "offline":
        return OfflineModel()
    from bot.app_openai import build_model as hosted_model

    return hosted_model(settings, secret, progress)


def build_model_choices(settings: Settings, secret: bytes) -> dict[str, Model]:
    """The models that repositories may choose, by name. Raises ConfigurationError."""
    names = settings.model_choices if settings.model_api != "offline" else ()
    return {name: build_model(settings.model_copy(update={"assistant_model": name}), secret) for name in names}


def build_conversations(settings: Settings) -> ResponsesConversations | None:
    """Where the model's server remembers threads; None if only we do. Raises ConfigurationError if it cannot."""
    if settings.assistant_memory == "journal":
        return None
    from bot.app_openai import hosted_conversations

    return hosted_conversations(settings)


def build_standards(settings: Settings, index: Path | str) -> FolderStandards | VectorStoreStandards:
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
    """The parts of a running server that is connected to GitHub."""

    settings: Settings
    engine: DurableEngine
    ledger: Ledger
    client: GitHubClient
    answerer: Answerer
    telemetry: Telemetry

    def start(self, *, work: bool) -> None:
        """Bring the schema up to date and start taking jobs, and working on them."""
        self.engine.look_for_file()
        self.ledger.database.migrate()
        self.engine.start(work=work)

    def stop(self, drain: float = 20.0) -> None:
        """Give running steps `drain` seconds to end; what is left goes on after the next start."""
        self.engine.stop(drain)
        self.ledger.database.close()
        self.telemetry.spans.close()

    async def ready(self) -> dict[str, str]:
        """Returns what is not working, by name; empty when all is well. Asks GitHub who we are until it has answered."""
        return {**await self.engine.ready(), **await self.github()}

    async def github(self) -> dict[str, str]:
        """Returns what keeps us from GitHub, by name. Asks GitHub if it has not answered yet, or not well."""
        health = self.client.health
        if not health.answered or health.problems():
            with suppress(AssistantError, TimeoutError):  # the health has it
                async with asyncio.timeout(_GREETING):
                    await self.client.introduce()
        return health.problems()

    def greet(self) -> None:
        """Asks GitHub who we are, on an event loop of its own; the health of the client has the answer."""

        async def ask() -> None:
            await self.github()
            await self.client.close()

        asyncio.run(ask())


def build(
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None = None,
    pace: Pace | None = None,
    model: Model | None = None,
    spans: Spans | None = None,
) -> App:
    """The app for a server. `transport` replaces the network to GitHub, `model` and `spans` what the settings name.

    Raises ConfigurationError for settings that cannot work.
    """
    from bot.engine.durable import DurableEngine, Pace  # a review on a terminal needs no engine
    from bot.engine.lanes import DatabaseLanes
    from bot.engine.leases import WorkerLease

    settings.require_app()
    app = GitHubApp(settings.github_app_id, settings.private_key).checked()
    lease = WorkerLease(settings.database)
    client = GitHubClient(
        app,
        settings.github_api_url,
        transport=transport,
        lane=DatabaseLanes(lease, settings.assistant_write_spacing),
        secrets=settings.secrets,
        connection=Connection(settings.proxy_for(settings.github_api_url), settings.ca_file),
    )
    telemetry = Telemetry(Metrics(), spans or build_spans(settings))
    parts = replace(_shared(settings, app, client), model=model, watch_account=telemetry.account)
    reviewer, answerer = build_reviewer(parts), build_answerer(parts)
    polls = settings.assistant_poll_deliveries
    reconcile = closing(Reconciler(GitHubInstallations(client), parts.publisher, parts.ledger, polls=polls), client)
    handlers = use_cases(build_router(parts), reviewer, answerer)
    handlers = replace(handlers, reconcile=reconcile, ended=RunLog(parts.ledger.database).end)
    pace = pace or Pace(debounce=settings.assistant_debounce, reconcile=_RECONCILE)
    engine = DurableEngine(settings.database, telemetry.handlers(handlers), pace, lease)
    telemetry.metrics.watch(readings(engine, client.health))
    return App(settings, engine, parts.ledger, client, answerer, telemetry)


def _shared(settings: Settings, app: GitHubApp, client: GitHubClient) -> UseCases:
    """What the use cases of a server share, on GitHub."""
    host = GitHubHost(
        client,
        defaults=settings.assistant_organisation_defaults,
        library=settings.assistant_organisation_standards,
    )
    pages = settings.public_url if settings.assistant_dashboard == "github" else ""
    return UseCases(
        settings,
        host,
        GitHubPublisher(client, pages=pages),
        build_standards(settings, settings.assistant_data / "standards.db"),
        Ledger(Database(settings.database)),
        build_signer(app),
        search=build_search(settings, host),
        conversations=build_conversations(settings),
        reports=GitHubReports(client, host),
    )


def readings(engine: DurableEngine, health: GitHubHealth) -> Readings:
    """What metrics read of the engine and of the way to GitHub."""
    return Readings(
        engine.readings,
        lambda: engine.takeovers.get("runs", 0),
        lambda: health.requests,
        lambda: health.limits_left(time.time()),
        health.standing,
    )


def build_spans(settings: Settings) -> Spans:
    """Where traces go, as the settings say. Raises ConfigurationError without the extra that they need."""
    if not settings.otel_exporter_otlp_endpoint:
        return NoSpans()
    try:
        from bot.telemetry.traces import over_otlp
    except ModuleNotFoundError as error:
        need = "pip install 'review-assistant[otel]'"
        raise ConfigurationError(f"OTEL_EXPORTER_OTLP_ENDPOINT needs OpenTelemetry's SDK: {need}") from error
    return over_otlp(settings.otel_exporter_otlp_endpoint)


def closing(reconciler: Reconciler, client: GitHubClient) -> Reconcile:
    """The reconciler on an event loop of its own, whose connections are closed with it."""

    async def reconcile(jobs: JobLog, state: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return await reconciler(jobs, state)
        finally:
            await client.close()

    return reconcile


def build_signer(app: GitHubApp) -> Signer:
    """The signer of markers: alike for every spelling of the same key. Earlier versions signed with the spelling."""
    secret, *former = (hashlib.sha256(b"assistant markers" + pem).digest() for pem in app.spellings())
    return Signer(secret, tuple(former))


def build_search(settings: Settings, host: GitHubHost) -> SearcherFactory:
    """Git over a fetched copy, where the repository is not too large for that."""
    most = settings.assistant_fetch_megabytes * MEGABYTE

    def search(files: Files) -> Searcher:
        return FetchedGrep(files, lambda: host.remote(files.pull.ref), ScanSearch(files), most)

    return search

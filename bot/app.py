"""The composition root of a server: settings become an app on GitHub and on a durable engine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import httpx

from bot.core.comments.marker import Signer
from bot.engine.durable import DurableEngine, Pace
from bot.handlers.answer import Answerer
from bot.handlers.known_findings import KEPT
from bot.hosts.github.auth import App as GitHubApp
from bot.hosts.github.client import GitHubClient
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.publisher import GitHubPublisher
from bot.interfaces import Handlers, Model
from bot.model.tools import Files, Searcher, Searching
from bot.model.tools.grep import MEGABYTE, Fetched
from bot.model.tools.scan_part import Scan
from bot.settings import Settings
from bot.storage.ledger import Ledger
from bot.wiring_part import Wiring, answerer_of, conversations_of, reviewer_of, router_of, standards_of


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
        self.ledger.migrate()
        self.engine.start(work=work)

    def stop(self, drain: float = 20.0) -> None:
        """Give running steps `drain` seconds to end; what is left goes on after the next start."""
        self.engine.stop(drain)
        self.ledger.close()

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
    key = settings.private_key
    client = GitHubClient(
        GitHubApp(settings.github_app_id, key).checked(),
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
    wired = replace(wired, search=searching_of(settings, host), conversations=conversations_of(settings))
    reviewer, answerer = reviewer_of(wired), answerer_of(wired)
    handlers = Handlers(
        route=router_of(wired),
        review=reviewer,
        answer=lambda job, step: (answerer.keeper if job.trigger in KEPT else answerer)(job, step),
        abandon=lambda job, reason, step: (answerer if job.is_question else reviewer).abandon(job, reason, step),
        fail=lambda job, reason, step: (answerer if job.is_question else reviewer).fail(job, reason, step),
    )
    pace = pace or Pace(debounce=settings.assistant_debounce)
    return App(settings, DurableEngine(settings.database, handlers, pace), ledger, client, answerer)


def searching_of(settings: Settings, host: GitHubHost) -> Searching:
    """Git over a fetched copy, where the repository is not too large for that."""
    most = settings.assistant_fetch_megabytes * MEGABYTE

    def search(files: Files) -> Searcher:
        return Fetched(files, lambda: host.remote(files.pull.ref), Scan(files), most)

    return search

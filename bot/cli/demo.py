"""`assistant demo`: reviews one pull request with a sandbox GitHub and the real server, both on loopback.

The sandbox signs a delivery and sends it over HTTP. The server stores it, a worker reviews the pull request, and the
sandbox accepts the review by GitHub's own rules.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx
from rich.console import Console
from rich.markdown import Markdown

from bot.app import App, build, bundled
from bot.cli.progress import configure
from bot.cli.serve import Server, http, listen
from bot.core.comments.check_run import NOT_REVIEWED
from bot.engine.durable import Pace
from bot.errors import NotFound, Refused, UserError
from bot.hosts.git import Git
from bot.interfaces import Model
from bot.sandbox import example
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world.people import PullRequest
from bot.settings import Settings
from bot.telemetry.use_cases import Spans

PATIENCE = 120.0
"""Longest wait for the review, in seconds."""


@dataclass(frozen=True, slots=True)
class DemoStage:
    """A sandbox GitHub and our server, connected. `client` sends the deliveries to `webhook`."""

    sandbox: Sandbox
    app: App
    webhook: str
    client: httpx.AsyncClient

    async def deliver(self) -> None:
        """Send the pending, signed deliveries of the sandbox to our server."""
        await self.sandbox.deliver(self.client, self.webhook)

    async def settle(self, patience: float = PATIENCE) -> None:
        """Deliver and wait until the queue is empty. Raises Refused after `patience` seconds."""
        await self.deliver()
        deadline = perf_counter() + patience
        while any((await self.app.engine.queue_depth()).values()):
            if perf_counter() > deadline:
                raise Refused(f"the review was not done after {patience:.0f} s")
            await asyncio.sleep(0.02)


@asynccontextmanager
async def stage(
    folder: Path, pace: Pace, model: Model | None = None, spans: Spans | None = None, **settings: object
) -> AsyncIterator[DemoStage]:
    """Runs both servers until the block ends, on free ports and with their files in `folder`.

    `settings` are those of our server. `model` and `spans` replace what they name.
    """
    (github_socket, url), (our_socket, ours_url) = listen(), listen()
    sandbox = Sandbox.create(folder / "github", url=url)
    app = build(_settings(sandbox, url, folder, settings), pace=pace, model=model, spans=spans)
    await asyncio.to_thread(app.start, work=True)
    servers = Server(sandbox.asgi, github_socket), Server(http(app), our_socket)
    serving = [asyncio.create_task(server.run_here()) for server in servers]
    try:
        await _until(lambda: all(server.started for server in servers))
        async with httpx.AsyncClient() as client:
            yield DemoStage(sandbox, app, f"{ours_url}/webhooks/github", client)
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving)
        await asyncio.to_thread(app.stop, drain=0)


def _settings(sandbox: Sandbox, url: str, folder: Path, changes: Mapping[str, object]) -> Settings:
    """Settings of a server that uses this sandbox only. They override the environment."""
    app = sandbox.world.app
    ours: dict[str, object] = {
        "github_app_id": str(app.id),
        "github_private_key": app.private_key,
        "github_private_key_file": None,
        "github_webhook_secret": sandbox.world.secret,
        "github_api_url": f"{url}/api/v3",
        "assistant_model_api": "offline",
        "assistant_standards": "folder",
        "assistant_write_spacing": 0,
        "assistant_data": folder / "data",
        "database_url": "",
    }
    return Settings.read(_env_file=None, **(ours | dict(changes)))


def run(repo: Path | None, base: str, head: str, *, keep: bool) -> None:
    """Review the example, or two commits of a repository, and print the posted review."""
    configure("WARNING")
    console = Console(highlight=False, soft_wrap=True)
    try:
        asyncio.run(_run(repo, base, head, console, keep=keep))
    except KeyboardInterrupt:
        console.print("Closed.")


async def _run(repo: Path | None, base: str, head: str, console: Console, *, keep: bool) -> None:
    begun = perf_counter()
    with tempfile.TemporaryDirectory(prefix="assistant-demo-") as folder:
        async with stage(Path(folder), Pace(debounce=0, poll=0.05)) as here:
            pull = await _pull(here.sandbox, repo, base, head)
            console.print(f"Opened a pull request on the sandbox: [bold]{pull.state.title}[/bold]")
            await here.deliver()
            console.print("The server stored the signed delivery. A worker reviews the pull request.")
            await here.settle()
            _show(pull, console)
            if not any(run.conclusion and run.title != NOT_REVIEWED for run in pull.check_runs()):
                raise Refused("the pull request was not reviewed; the check run above gives the reason")
            console.print(f"\nDone in {perf_counter() - begun:.1f} s, by the same steps as on GitHub.")
            if keep:
                console.print(f"See the pages at {pull.url}/files. Ctrl-C closes them.")
                await asyncio.Event().wait()
            else:
                console.print(
                    "Run `assistant demo --keep` to see the pages, or `--repo PATH` to review your own repository."
                )


async def _pull(sandbox: Sandbox, repo: Path | None, base: str, head: str) -> PullRequest:
    if repo is None:
        return await example.load(sandbox, bundled("examples") / "shop")
    git = Git(await Git(repo).root())
    try:
        return await sandbox.borrow(f"you/{git.directory.name}", git, base, head)
    except NotFound as error:
        raise UserError(f"{error}; see --base and --head") from error


def _show(pull: PullRequest, console: Console) -> None:
    for comment in pull.comments:
        console.rule(f"{comment.path}:{comment.line or ''}", align="left")
        _print(comment.body, console)
    for review in pull.reviews:
        console.rule("The review", align="left")
        _print(review.body, console)
    for check in pull.check_runs():
        console.rule(f"Check run: {check.conclusion}", align="left")
        _print(check.summary or "", console)


def _print(body: str, console: Console) -> None:
    """Print Markdown without our marker. Lines wrap, so that a narrow terminal shows whole citations."""
    console.print(Markdown(body.partition("<!--")[0]), soft_wrap=False)


async def _until(holds: Callable[[], bool], patience: float = 30.0) -> None:
    """Wait until `holds()` is true. Raises Refused after `patience` seconds."""
    deadline = perf_counter() + patience
    while not holds():
        if perf_counter() > deadline:
            raise Refused(f"the servers did not start within {patience:.0f} s")
        await asyncio.sleep(0.02)

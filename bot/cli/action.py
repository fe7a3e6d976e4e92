"""`assistant action`: handles the event of a GitHub Actions run, by the same code as the server, without one.

The change is read through GitHub's API. Nothing of the pull request is checked out or executed.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from bot.app import UseCases, build_answerer, build_model, build_reviewer, build_router
from bot.cli.progress import configure
from bot.cli.review import exit_code, show
from bot.core.comments.check_run import conclusion, summary, text, title
from bot.core.comments.export import as_github, as_sarif
from bot.core.comments.marker import Signer
from bot.core.findings.triage import Review
from bot.engine.journal import InlineSteps
from bot.errors import BadDelivery, ConfigurationError, NotFound, Superseded, UserError
from bot.handlers.route import use_cases
from bot.hosts.git import Git
from bot.hosts.github.auth import GivenToken
from bot.hosts.github.client import ACTIONS, GitHubClient
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.publisher import GitHubPublisher
from bot.hosts.github.reports import GitHubReports
from bot.interfaces import Connection
from bot.job import Job, Route, Skip, decide
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from bot.webhook import parse

PATIENCE = 300.0
"""Seconds that a step waits at most before it is tried again."""
_TARGET = "pull_request_target"
_SUMMARY = 900_000  # characters; GitHub takes a megabyte


@dataclass(frozen=True, slots=True)
class ActionRun:
    """One run of the Action: the variables that the runner sets.

    https://docs.github.com/en/actions/reference/workflows-and-actions/variables
    """

    variables: Mapping[str, str]

    @property
    def event(self) -> str:
        """The name of the event; GitHub sends the payload of `pull_request` for `pull_request_target` too."""
        name = self.variables.get("GITHUB_EVENT_NAME", "")
        return "pull_request" if name == _TARGET else name

    @property
    def holds_secrets(self) -> bool:
        """Whether the run has a token that can write, and secrets, also for the pull request of a stranger."""
        return self.variables.get("GITHUB_EVENT_NAME") != "pull_request"

    def payload(self) -> dict[str, Any]:
        """The event. Raises UserError if there is none."""
        try:
            found = json.loads(Path(self.variables.get("GITHUB_EVENT_PATH", "")).read_bytes())
        except (OSError, ValueError) as error:
            raise UserError("GITHUB_EVENT_PATH names no event; this command is for GitHub Actions") from error
        if not isinstance(found, dict):
            raise UserError("GITHUB_EVENT_PATH does not hold a JSON object")
        return found

    def job(self, payload: Mapping[str, Any]) -> Job | Skip:
        """The job that the server would make of this event. Raises UserError for a payload that is not GitHub's."""
        run = [self.variables.get(f"GITHUB_{name}", "") for name in ("REPOSITORY", "RUN_ID", "RUN_ATTEMPT")]
        headers = {
            "content-type": "application/json",
            "x-github-event": self.event,
            "x-github-delivery": str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(run))),
        }
        try:
            return decide(parse(headers, json.dumps({"installation": {"id": 1}, **payload}).encode()), ACTIONS.slug)
        except BadDelivery as error:
            raise UserError(f"the event {self.event} cannot be read: {error}") from error

    def append(self, variable: str, words: str) -> None:
        """Appends to a file that the runner reads, such as GITHUB_STEP_SUMMARY."""
        if place := self.variables.get(variable):
            with Path(place).open("a", encoding="utf-8") as file:
                file.write(f"{words}\n")


def run(variables: Mapping[str, str], fail_on: str | None, sarif: Path | None) -> int:
    """Handle the event, print the review, and write the job summary, the outputs and the SARIF file. Returns the exit code."""
    configure("WARNING")
    event, token = ActionRun(variables), variables.get("GITHUB_TOKEN", "")
    if not token:
        raise ConfigurationError("GITHUB_TOKEN is not set; pass ${{ github.token }}")
    payload = event.payload()
    asyncio.run(_require_no_head(event, payload))
    job = event.job(payload)
    if isinstance(job, Skip):
        print(f"Nothing to do: {job.reason}.")  # noqa: T201 - this is the output
        return 0
    review = asyncio.run(_reviewed(job, token, read_only=_is_read_only(event, payload)))
    if isinstance(review, str):
        print(review)  # noqa: T201 - this is the output
        return 0
    show(review, Console(highlight=False, soft_wrap=True))
    for line in as_github(review):
        print(line)  # noqa: T201 - the runner makes annotations of these lines
    event.append("GITHUB_STEP_SUMMARY", f"## {title(review)}\n\n{summary(review)}\n\n{text(review)}"[:_SUMMARY])
    event.append("GITHUB_OUTPUT", f"conclusion={conclusion(review).value}\nsarif-file={sarif or ''}")
    if sarif is not None:
        sarif.write_text(json.dumps(as_sarif(review, version("review-assistant"))), encoding="utf-8")
    return exit_code(review, fail_on)


async def _require_no_head(event: ActionRun, payload: Mapping[str, Any]) -> None:
    """Raises UserError if a run with secrets checked the head of a pull request out: its code could be executed."""
    head = ((payload.get("pull_request") or {}).get("head") or {}).get("sha")
    place = event.variables.get("GITHUB_WORKSPACE", "")
    if not event.holds_secrets or not head or not place:
        return
    try:
        found = await Git(Path(place)).resolve("HEAD")
    except (UserError, NotFound):
        return  # nothing was checked out
    if found == head:
        raise UserError(
            "This workflow holds a token that can write and checked the pull request's head out. Remove the checkout: "
            "the review reads the change through GitHub's API."
        )


def _is_read_only(event: ActionRun, payload: Mapping[str, Any]) -> bool:
    """Whether GitHub gives this run a token that only reads: `pull_request` from a fork."""
    pull = payload.get("pull_request") or {}
    head, base = ((pull.get(side) or {}).get("repo") or {} for side in ("head", "base"))
    return not event.holds_secrets and head.get("id") != base.get("id")


async def _reviewed(job: Job, token: str, *, read_only: bool) -> Review | str:
    """The review, posted unless `read_only`; or a sentence on what was done instead of a review."""
    settings = Settings.read(_env_file=None)
    connection = Connection(settings.proxy_for(settings.github_api_url), settings.ca_file)
    client = GitHubClient(
        GivenToken(token), settings.github_api_url, secrets=(token, *settings.secrets), connection=connection
    )
    host, publisher = GitHubHost(client), GitHubPublisher(client)
    signer = Signer(f"review-assistant in GitHub Actions of repository {job.pull.repo_id}".encode())
    kept: list[Review] = []
    try:
        with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/ledger.db") as database:
            standards = FolderStandards(Path(folder) / "standards.db")
            model = build_model(settings, signer.secret)
            parts = UseCases(settings, host, publisher, standards, Ledger(database), signer, model)
            parts = replace(parts, reports=GitHubReports(client, host))
            if read_only:
                pull = await host.pull_request(job.pull)
                return await build_reviewer(parts).review(job, pull, InlineSteps(PATIENCE))
            done = await _posted(job, parts, kept)
    finally:
        await client.close()
    return kept[0] if kept else done


async def _posted(job: Job, parts: UseCases, kept: list[Review]) -> str:
    reviewer = replace(build_reviewer(parts), watch=kept.append)
    handlers, step = use_cases(build_router(parts), reviewer, build_answerer(parts)), InlineSteps(PATIENCE)
    routed = await handlers.route(job, step)
    job = replace(job, seen=routed.seen)
    handler = handlers.review if routed.route is Route.REVIEW else handlers.answer
    if routed.route not in {Route.REVIEW, Route.ANSWER} and not routed.settle:
        return f"Nothing to do: {routed.reason or 'the event asks for no review'}."
    try:
        return f"Done: {await handler(job, InlineSteps(PATIENCE))}."
    except Superseded as moved:
        await handlers.abandon(job, str(moved), step)
        return f"Stopped: {moved}."

"""Reads what belongs to the App as a whole: its log of deliveries, its installations, and what is open there.

https://docs.github.com/en/rest/apps/webhooks · https://docs.github.com/en/rest/apps/installations
"""

from __future__ import annotations

import json

from bot.core.code.pull_request import PullRef
from bot.hosts.github.auth import METADATA, READ, WRITE, Grant
from bot.hosts.github.client import PER_PAGE, GitHubClient, path, repository
from bot.hosts.github.payloads import (
    CheckRuns,
    DeliveryAnswer,
    DeliveryDetail,
    InstallationAnswer,
    ListedPull,
    RepositoriesAnswer,
)
from bot.interfaces import AppInstallation, LoggedDelivery, OpenPull, OwnCheckRun

PAGES = 100
"""Pages of the log of deliveries, and of the list of installations, that one look reads."""
_CHECKS = "review/"  # our check runs; those of merge queues are none of a pull request


class GitHubInstallations:
    """The Installations of production."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    async def greet(self) -> str:
        """Asks GitHub who we are, and records the answer."""
        return (await self._client.introduce()).slug

    async def deliveries(self, since: float) -> tuple[LoggedDelivery, ...]:
        """Returns the deliveries since then. GitHub's filter for failed ones leaves out those without any answer."""
        entries: list[LoggedDelivery] = []
        async for page in self._client.pages_as_app(path("app", "hook", "deliveries"), PAGES):
            found = [_logged(entry) for entry in page.read(list[DeliveryAnswer])]
            entries += (entry for entry in found if entry.sent >= since)
            if any(entry.sent < since for entry in found):
                break
        return tuple(entries)

    async def delivery(self, number: int) -> tuple[dict[str, str], bytes]:
        """Returns a delivery as it was sent. The body is written anew: GitHub returns it as JSON."""
        answer = await self._client.as_app(path("app", "hook", "deliveries", number))
        request = answer.read(DeliveryDetail).request
        headers = {name.lower(): value for name, value in request.headers.items()}
        return headers, json.dumps(request.payload).encode()

    async def installations(self) -> tuple[AppInstallation, ...]:
        """Returns the installations."""
        pages = self._client.pages_as_app(path("app", "installations"), PAGES)
        found = [one async for page in pages for one in page.read(list[InstallationAnswer])]
        return tuple(AppInstallation(one.id, one.created_at.timestamp(), one.suspended_at is not None) for one in found)

    async def repositories(self, installation: int) -> tuple[PullRef, ...]:
        """Returns the repositories that the installation includes, without archived ones."""
        grant = Grant(installation, "", 0, METADATA)
        pages = self._client.pages(grant, path("installation", "repositories"))
        found = [one async for page in pages for one in page.read(RepositoriesAnswer).repositories]
        return tuple(PullRef(one.full_name, 0, one.id, installation) for one in found if not one.archived)

    async def open_pulls(self, repository_ref: PullRef) -> tuple[OpenPull, ...]:
        """Returns the open pull requests that were updated last, at most a page of them."""
        query: dict[str, str | int] = {"state": "open", "sort": "updated", "direction": "desc", "per_page": PER_PAGE}
        address = repository(repository_ref.repo, "pulls")
        answer = await self._client.get(Grant.of(repository_ref, READ), address, query)
        return tuple(_open(repository_ref, pull) for pull in answer.read(list[ListedPull]))

    async def check_runs(self, ref: PullRef, head: str) -> tuple[OwnCheckRun, ...]:
        """Returns our check runs of pull requests at a commit."""
        us = await self._client.app()
        query: dict[str, str | int] = {"app_id": us.id, "filter": "all"}
        pages = self._client.pages(Grant.of(ref, WRITE), repository(ref.repo, "commits", head, "check-runs"), query)
        found = [run async for page in pages for run in page.read(CheckRuns).check_runs]
        ours = f"{_CHECKS}{ref.repo_id}/{ref.number}/"
        return tuple(
            OwnCheckRun(run.external_id, run.status == "completed")
            for run in found
            if run.external_id and run.external_id.startswith(ours)
        )


def _logged(entry: DeliveryAnswer) -> LoggedDelivery:
    received = 200 <= entry.status_code < 300  # noqa: PLR2004 - the successful statuses
    return LoggedDelivery(entry.id, entry.guid, entry.event, entry.delivered_at.timestamp(), received)


def _open(repository_ref: PullRef, pull: ListedPull) -> OpenPull:
    ref = PullRef(repository_ref.repo, pull.number, repository_ref.repo_id, repository_ref.installation)
    return OpenPull(ref, pull.head.sha, pull.created_at.timestamp(), pull.updated_at.timestamp(), pull.draft)

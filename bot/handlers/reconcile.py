"""Finds work that was lost: missed deliveries, heads without a review, reviews without model or reports, abandoned check runs.

It runs at the start and every few minutes, in one process at a time. Each finding becomes a job with an id of its own, so
that looking twice starts nothing twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from bot.core.code.pull_request import PullRef, PullRequest
from bot.core.comments.check_run import lost
from bot.errors import BadDelivery, Refused, Retryable
from bot.interfaces import AppInstallation, HeadState, Installations, JobLog, LoggedDelivery, OpenPull, Publisher
from bot.job import REPEATED, Job, Skip, Trigger, decide
from bot.storage.ledger import Ledger
from bot.webhook import EVENTS, parse

log = structlog.get_logger()

T = TypeVar("T")

WINDOW = 3 * 24 * 3600.0
"""How far back deliveries are fetched. GitHub redelivers no older ones."""
OVERLAP = 600.0
"""Seconds of the log that are read again: an entry appears when its delivery has ended."""
FETCHED, INSTALLATIONS, REPOSITORIES, PULLS, REVIEWS = 300, 20, 60, 100, 300
"""Bounds of one look: payloads, installations, repositories of all of them, heads to check, reviews of the ledger."""
SETTLING = 120.0
"""Seconds that a pull request must be unchanged: its own delivery may still be on its way."""
AGAIN = 900.0
"""Seconds from a review without its model or reports to the first repetition; doubles each time."""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares what GitHub shows with what we did. `clock` is in seconds since 1970."""

    view: Installations
    publisher: Publisher
    ledger: Ledger
    clock: Callable[[], float] = time.time

    async def __call__(self, jobs: JobLog, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Looks once; returns the state for the next look, as JSON. Never raises for trouble with GitHub."""
        after = dict(state)
        try:
            await self.view.greet()
        except Retryable as error:
            log.warning("nothing is reconciled: GitHub does not answer", reason=str(error))
            return {**after, "down": True}
        counts: Counter[str] = Counter()
        if state.get("down", True):
            counts["woken"] = await jobs.wake()
        for part in (self._deliveries, self._pulls, self._models):
            try:
                await part(jobs, after, counts)
            except (Retryable, Refused) as error:
                log.warning(
                    "a part of the reconciliation ended early", part=part.__name__.strip("_"), reason=str(error)
                )
        if found := +counts:
            log.info("reconciled", **found)
        totals = Counter(state.get("totals", {})) + counts
        return {**after, "down": False, "totals": dict(totals)}

    async def _deliveries(self, jobs: JobLog, state: dict[str, Any], counts: Counter[str]) -> None:
        """Takes the deliveries that never reached us, oldest first, as if they arrived now."""
        oldest = self.clock() - WINDOW
        since = max(state.get("delivered", oldest) - OVERLAP, oldest)
        entries = await self.view.deliveries(since)
        received = {entry.guid for entry in entries if entry.received}
        missed = {
            entry.guid: entry
            for entry in sorted(entries, key=lambda entry: entry.sent, reverse=True)
            if entry.guid not in received and entry.event in EVENTS
        }
        waiting = [entry for entry in reversed(missed.values()) if entry.guid not in state.get("taken", ())]
        for entry in waiting[:FETCHED]:
            counts["deliveries"] += await self._take(jobs, entry)
        left = waiting[FETCHED:]
        newest = max((entry.sent for entry in entries), default=since)
        state["delivered"] = min(left[0].sent, newest) if left else newest
        state["taken"] = [guid for guid in missed if guid not in {entry.guid for entry in left}][:FETCHED]

    async def _take(self, jobs: JobLog, entry: LoggedDelivery) -> bool:
        """Submits a missed delivery; returns whether it made a new job."""
        try:
            job = decide(parse(*await self.view.delivery(entry.id)))
        except (BadDelivery, Refused) as error:
            log.warning("a missed delivery cannot be taken", guid=entry.guid, reason=str(error))
            return False
        if isinstance(job, Skip) or not await jobs.submit(job):
            return False
        log.info("missed delivery taken", job=job.id, pull=str(job.pull), trigger=job.trigger)
        return True

    async def _pulls(self, jobs: JobLog, state: dict[str, Any], counts: Counter[str]) -> None:
        """Looks for open pull requests whose head was not reviewed, a few repositories of each installation in turn."""
        everyone = [found for found in await self.view.installations() if not found.suspended]
        chosen = _after(everyone, state.get("installation", 0), lambda found: found.id)[:INSTALLATIONS]
        state["installation"] = chosen[-1].id if chosen and len(everyone) > len(chosen) else 0
        places = dict(state.get("repositories", {}))
        left = PULLS
        for installation in chosen:
            share = max(1, REPOSITORIES // len(chosen))
            try:
                repositories = await self.view.repositories(installation.id)
                looked_at = _after(repositories, places.get(str(installation.id), 0), lambda found: found.repo_id)[
                    :share
                ]
                for repository in looked_at:
                    for pull in await self.view.open_pulls(repository):
                        if left and self._is_recent(pull) and await self._heal(jobs, installation, pull, counts):
                            left -= 1
            except Refused as error:  # an App that was uninstalled, or lost a permission, in this moment
                log.info("an installation was passed over", installation=installation.id, reason=str(error))
                continue
            places[str(installation.id)] = looked_at[-1].repo_id if len(repositories) > share else 0
        state["repositories"] = {str(found.id): places.get(str(found.id), 0) for found in everyone}

    def _is_recent(self, pull: OpenPull) -> bool:
        """Whether a lost event may explain that the head has no review. Older pull requests are left as they are."""
        return not pull.draft and SETTLING < self.clock() - pull.updated < WINDOW

    async def _heal(self, jobs: JobLog, installation: AppInstallation, pull: OpenPull, counts: Counter[str]) -> bool:
        """Starts the review of a head that has no record of ours; returns whether GitHub had to be asked."""
        if await jobs.head(pull.ref, pull.head_sha) is not HeadState.UNKNOWN:
            return False
        runs = await self.view.check_runs(pull.ref, pull.head_sha)
        unfinished = [run.key for run in runs if not run.completed]
        if runs and not unfinished:
            return True
        if not runs and pull.created < installation.created and not await self.ledger.reviews(pull.ref, limit=1):
            return True  # it is older than the installation, and was not asked for
        head = PullRequest(pull.ref, "", "", "", "", "", pull.head_sha)
        for key in unfinished:
            await self.publisher.check(head, lost(key))
            counts["check_runs"] += 1
        job = Job(f"recovered/{_name(pull)}", pull.ref, Trigger.RECOVERED, pull.head_sha)
        if await jobs.submit(job):
            log.info("unreviewed head found", pull=str(pull.ref), head=pull.head_sha)
            counts["heads"] += 1
        return True

    async def _models(self, jobs: JobLog, _: dict[str, Any], counts: Counter[str]) -> None:
        """Repeats the reviews whose model could not be reached or whose reports had not arrived, less and less often."""
        newest: dict[tuple[int, int], Mapping[str, Any]] = {}
        failures: Counter[tuple[int, int, str]] = Counter()
        for review in await self.ledger.reviews(limit=REVIEWS):
            newest.setdefault((review["repo_id"], review["number"]), review)
            failures[review["repo_id"], review["number"], review["head"]] += _is_incomplete(review)
        for (repo_id, number), review in newest.items():
            count = failures[repo_id, number, review["head"]]
            age = self.clock() - _seconds(review["finished"])
            if _is_incomplete(review) and AGAIN * 2 ** (count - 1) <= age < WINDOW:
                counts["models"] += await jobs.submit(_repetition(review, count))


def _is_incomplete(review: Mapping[str, Any]) -> bool:
    """Whether a later review of the same head may find a model, or reports of other analysers, that this one lacked."""
    return bool(review["detail"].get("unreachable") or review["detail"].get("awaits"))


def _repetition(review: Mapping[str, Any], count: int) -> Job:
    """The job that repeats a review of the ledger that lacked its model or reports."""
    ref = PullRef(review["repo"], review["number"], review["repo_id"], review["installation"])
    name = f"recovered/{ref.repo_id}/{ref.number}/{review['head']}/model/{count}"
    return Job(name, ref, Trigger.RECOVERED, review["head"], text=REPEATED)


def _after(found: Sequence[T], last: int, number: Callable[[T], int]) -> list[T]:
    """Sorts by number, beginning after the number `last` and ending with it."""
    return sorted(found, key=lambda one: (number(one) <= last, number(one)))


def _name(pull: OpenPull) -> str:
    return f"{pull.ref.repo_id or pull.ref.repo}/{pull.ref.number}/{pull.head_sha}"


def _seconds(moment: datetime) -> float:
    """Seconds since 1970. SQLite returns times in UTC without their zone."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

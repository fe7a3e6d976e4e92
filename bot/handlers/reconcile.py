"""Finds work that was lost: missed deliveries, heads without a review, reviews without model or reports, abandoned check runs.

It runs at the start and every few minutes, in one process at a time. Each finding becomes a job with an id of its own, so
that looking twice starts nothing twice. A server that GitHub cannot reach asks for its deliveries every few seconds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
EVERY = 300.0
"""Seconds between two looks at everything."""
POLLS = 10.0, 15.0
"""Seconds between two looks at the deliveries alone: after one that found some, and the most after looks that found none."""
SOON = 5.0
"""Seconds to the next look if this one reached its bound."""
TROUBLED = 30.0
"""Seconds to the next look, at most, if GitHub failed during this one."""
VERIFIED = 500
"""Heads that are remembered as in order, so that their check runs are asked for once."""
SETTLING = 120.0
"""Seconds that a pull request must be unchanged: its own delivery may still be on its way."""
AGAIN = 900.0
"""Seconds from a review without its model or reports to the first repetition; doubles each time."""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares what GitHub shows with what we did. `clock` is in seconds since 1970.

    `polls` says that GitHub cannot reach this server: the deliveries are asked for again and again. `begun` is when this
    process began: its first look is a whole one.
    """

    view: Installations
    publisher: Publisher
    ledger: Ledger
    clock: Callable[[], float] = time.time
    polls: bool = False
    begun: float = field(default_factory=time.time)

    async def __call__(self, jobs: JobLog, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Looks once; returns the state for the next look, as JSON. Never raises for trouble with GitHub.

        `again` in it is the number of seconds to the next look.
        """
        after = {**state, "again": POLLS[1] if self.polls else EVERY}
        whole = not self.polls or self.clock() >= max(state.get("looked", 0.0) + EVERY, self.begun)
        try:
            after["name"] = await self.view.greet() if whole or not state.get("name") else state["name"]
        except Retryable as error:
            log.warning("nothing is reconciled: GitHub does not answer", reason=str(error))
            return {**after, "down": True, "again": min(after["again"], TROUBLED)}
        counts: Counter[str] = Counter()
        if state.get("down", True):
            counts["woken"] = await jobs.wake()
        if whole:
            after["looked"] = self.clock()
        for part in (self._deliveries, self._pulls, self._models) if whole else (self._deliveries,):
            try:
                await part(jobs, after, counts)
            except (Retryable, Refused) as error:
                name = part.__name__.strip("_")
                log.warning("a part of the reconciliation ended early", part=name, reason=str(error))
                after["again"] = min(after["again"], TROUBLED)
        if found := +counts:
            log.info("reconciled", **found)
        if self.polls and after["again"] != SOON:
            after["again"] = POLLS[0] if counts["deliveries"] else min(state.get("again", POLLS[0]) + 1, POLLS[1])
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
            counts["deliveries"] += await self._take(jobs, entry, state["name"])
        left = waiting[FETCHED:]
        newest = max((entry.sent for entry in entries), default=since)
        state["delivered"] = min(left[0].sent, newest) if left else newest
        state["taken"] = [guid for guid in missed if guid not in {entry.guid for entry in left}][:FETCHED]
        if left:
            state["again"] = SOON

    async def _take(self, jobs: JobLog, entry: LoggedDelivery, name: str) -> bool:
        """Submits a missed delivery; returns whether it made a new job. `name` is our login, which comments may mention."""
        try:
            job = decide(parse(*await self.view.delivery(entry.id)), name)
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
                        if left and self._is_recent(pull):
                            left -= await self._heal(jobs, installation, pull, state, counts)
            except Refused as error:  # an App that was uninstalled, or lost a permission, in this moment
                log.info("an installation was passed over", installation=installation.id, reason=str(error))
                continue
            places[str(installation.id)] = looked_at[-1].repo_id if len(repositories) > share else 0
        if not left:
            state["again"] = SOON
        state["repositories"] = {str(found.id): places.get(str(found.id), 0) for found in everyone}

    def _is_recent(self, pull: OpenPull) -> bool:
        """Whether a lost event may explain that the head has no review. Older pull requests are left as they are."""
        return not pull.draft and SETTLING < self.clock() - pull.updated < WINDOW

    async def _heal(
        self,
        jobs: JobLog,
        installation: AppInstallation,
        pull: OpenPull,
        state: dict[str, Any],
        counts: Counter[str],
    ) -> bool:
        """Starts the review of a head that has no report of ours, or whose check run nothing works on any more.

        Returns whether GitHub had to be asked.
        """
        known, name = await jobs.head(pull.ref, pull.head_sha), _name(pull)
        verified: list[str] = state.setdefault("verified", [])
        if known is HeadState.LIVING or name in verified:
            return False
        runs = await self.view.check_runs(pull.ref, pull.head_sha)
        unfinished = [run.key for run in runs if not run.completed]
        if not unfinished and (runs or known is HeadState.SETTLED):
            verified.append(name)
            del verified[:-VERIFIED]
            return True
        if known is HeadState.UNKNOWN and not runs and not await self._is_ours(installation, pull):
            return True
        head = PullRequest(pull.ref, "", "", "", "", "", pull.head_sha)
        for key in unfinished:
            await self.publisher.check(head, lost(key))
            counts["check_runs"] += 1
        if known is HeadState.SETTLED:
            return True
        job = Job(f"recovered/{name}", pull.ref, Trigger.RECOVERED, pull.head_sha)
        if await jobs.submit(job):
            log.info("unreviewed head found", pull=str(pull.ref), head=pull.head_sha)
            counts["heads"] += 1
        return True

    async def _is_ours(self, installation: AppInstallation, pull: OpenPull) -> bool:
        """Whether a pull request is to be reviewed: it is younger than the installation, or we were told of it before."""
        return pull.created >= installation.created or await self.ledger.knows(pull.ref)

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

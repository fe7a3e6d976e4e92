"""Runs and their stories: how each job ended, how long its parts took, and what its review said and did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.core.code.pull_request import PullRef
from bot.core.story import Story
from bot.engine.journal import from_json, to_json
from bot.interfaces import CALL, RunEnd, StepRecord
from bot.storage.database import Database, upsert
from bot.storage.tables import REPOSITORIES, REVIEWS, RUNS, STORIES, of_pull

KEPT = timedelta(days=180)
"""The age from which a story and the steps of a run are deleted; what the figures count stays."""
_MOST_STEPS, _LONGEST_TROUBLE, _SWEPT = 400, 200, 20
_POSTING = ("publish", "concluded")


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Where the seconds of a review went. `total` is from the delivery to the posted review.

    `queued`: until its first step. `modelled`: at least one model call was under way. `posted`: the review and its check
    run were written.
    """

    queued: float
    modelled: float
    posted: float
    total: float


def run_times(received: float, steps: Sequence[StepRecord]) -> RunTimes | None:
    """Returns the times of a run whose delivery arrived at `received` (seconds since 1970); None if that is not known."""
    posting = [step for step in steps if step.name in _POSTING and not step.failed]
    if not received or not posting:
        return None
    end = max(step.began + step.seconds for step in posting)
    calls = ((step.began, step.began + step.seconds) for step in steps if CALL in step.name)
    first = min(step.began for step in steps)
    return RunTimes(
        queued=max(first - received, 0.0),
        modelled=_covered(calls),
        posted=sum(step.seconds for step in posting),
        total=max(end - received, 0.0),
    )


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Returns the length of the union of time spans."""
    covered, until = 0.0, 0.0
    for begin, end in sorted(spans):
        covered += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return covered


def page_of(job: str) -> str:
    """Returns the last part of the address of a job's page: the last part of its check run's key, see `check_key`."""
    return hashlib.sha256(job.encode()).hexdigest()[:16]


def day_of(moment: datetime) -> str:
    """Returns the day of a moment in UTC, as YYYY-MM-DD."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list. Times are in seconds, None if they are not known; so are `dollars` without a known price."""

    job: str
    kind: str
    page: str
    pull: PullRef
    title: str
    head: str
    trigger: str
    actor: str
    end: str
    cause: str
    reason: str
    outcome: str
    url: str
    ended: datetime
    times: RunTimes | None
    findings: int
    files: int
    files_read: int
    tokens: int
    dollars: float | None


@dataclass(frozen=True, slots=True)
class RunPage:
    """All that is kept of one run: its row, its steps, and the story of its review if it has one that is not too old."""

    run: RunRow
    steps: tuple[StepRecord, ...]
    story: Story | None


@dataclass(frozen=True, slots=True)
class RunLog:
    """The tables of runs and stories. Every write may be repeated: the same job writes the same row."""

    database: Database

    async def end(self, run: RunEnd) -> None:
        """Stores how a run ended, with the figures of its review if it made one. Deletes a few stories that are too old."""

        def write(connection: sa.Connection) -> None:
            reviewed = connection.execute(sa.select(REVIEWS).where(REVIEWS.c.job == run.job.id)).mappings().first()
            later = sa.select(RUNS.c.job).where(of_pull(RUNS, run.job.pull), RUNS.c.first, RUNS.c.job != run.job.id)
            first = connection.execute(later.limit(1)).first() is None
            upsert(connection, RUNS, [_row(run, reviewed, first=first)], keep=())
            write_repository(connection, run.job.pull)
            _forget(connection, datetime.fromtimestamp(run.ended, UTC) - KEPT)

        await self.database.run(write)

    async def page(self, page: str) -> RunPage | None:
        """Returns the run with this page; None if there is none."""
        query = sa.select(RUNS, STORIES.c.story).outerjoin(STORIES, STORIES.c.job == RUNS.c.job)
        row = await self.database.run(lambda c: c.execute(query.where(RUNS.c.page == page)).mappings().first())
        if row is None:
            return None
        steps = tuple(StepRecord(**step) for step in row["steps"])
        return RunPage(run_row(row), steps, from_json(row["story"], Story) if row["story"] is not None else None)


def run_row(row: Mapping[Any, Any]) -> RunRow:
    """Returns a row of the table as a value."""
    times = None
    if row["total"] is not None:
        times = RunTimes(row["queued"], row["modelled"], row["posted"], row["total"])
    pull = PullRef(row["repo"], row["number"], row["repo_id"], row["installation"])
    same = {
        name: row[name]
        for name in ("job", "kind", "page", "title", "head", "trigger", "actor", "end", "cause", "reason", "outcome", "url")
    }  # fmt: skip
    counts = {name: row[name] for name in ("findings", "files", "files_read", "tokens", "dollars")}
    ended = row["ended"].replace(tzinfo=UTC) if row["ended"].tzinfo is None else row["ended"]
    return RunRow(**same, **counts, pull=pull, ended=ended, times=times)


def write_repository(connection: sa.Connection, pull: PullRef) -> None:
    """Stores the name of a repository as it is now."""
    row = {"repo_id": pull.repo_id, "repo": pull.repo, "installation": pull.installation}
    upsert(connection, REPOSITORIES, [row], keep=())


def write_story(connection: sa.Connection, job: str, story: Story) -> None:
    """Stores the story of a review."""
    row = {"job": job, "story": to_json(story, Story), "day": day_of(datetime.now(UTC))}
    upsert(connection, STORIES, [row], keep=("day",))


def _row(run: RunEnd, reviewed: Mapping[Any, Any] | None, *, first: bool) -> dict[str, Any]:
    job, pull, seen = run.job, run.job.pull, run.job.seen
    ended = datetime.fromtimestamp(run.ended, UTC)
    times = run_times(job.received, run.steps) if reviewed else None
    detail = reviewed["detail"] if reviewed else {}
    usage = detail.get("usage", {})
    return {
        "job": job.id,
        "kind": run.kind,
        "page": page_of(job.id),
        "installation": pull.installation,
        "repo_id": pull.repo_id,
        "repo": pull.repo,
        "number": pull.number,
        "title": seen.title[:300] if seen else "",
        "head": (reviewed["head"] if reviewed else seen.head_sha if seen else job.head_sha)[:64],
        "trigger": job.trigger.value,
        "actor": job.actor[:100],
        "end": run.end,
        "cause": run.cause[:60],
        "reason": run.reason[:500],
        "outcome": reviewed["outcome"] if reviewed else "",
        "url": reviewed["url"] if reviewed else "",
        "day": day_of(ended),
        "ended": ended,
        **(asdict(times) if times else dict.fromkeys(("queued", "modelled", "posted", "total"))),
        "first": first and times is not None,
        "findings": detail.get("posted", 0) + detail.get("listed", 0),
        "files": detail.get("files", 0),
        "files_read": detail.get("files_read", 0),
        "lines": detail.get("lines", 0),
        "lines_read": detail.get("lines_read", 0),
        "tokens": usage.get("input", 0) + usage.get("output", 0),
        "dollars": usage.get("dollars") if reviewed else 0.0,
        "steps": [asdict(step) for step in run.steps[:_MOST_STEPS]],
    }


def _forget(connection: sa.Connection, before: datetime) -> None:
    """Deletes a few stories that are older, and the steps of their runs."""
    query = sa.select(STORIES.c.job).where(STORIES.c.day < day_of(before)).order_by(STORIES.c.day).limit(_SWEPT)
    if old := list(connection.execute(query).scalars()):
        connection.execute(sa.delete(STORIES).where(STORIES.c.job.in_(old)))
        connection.execute(sa.update(RUNS).where(RUNS.c.job.in_(old)).values(steps=[]))

"""The figures of the dashboard and of `assistant stats`: one query for each, over a window of days and repositories.

Each query of the dashboard reads one index and no row of a table; test_figures.py compares the plans. The columns of an index stand in the order
of the groups: rows are counted without sorting them, or as the length of a range for each group. METRICS says what is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Any, NamedTuple, Self

import sqlalchemy as sa

from bot.core.findings.finding import Severity
from bot.core.findings.known import FindingState, Outcome
from bot.core.findings.muting import OutcomeRate, TopicTally, add_rates, rates
from bot.storage.database import Database
from bot.storage.runs import RunRow, run_row
from bot.storage.tables import FINDINGS, REPOSITORIES, RUNS, SPENDING

METRICS = {
    "reviews": "runs of a review that ended on that day (UTC), by result; superseded and stopped ones count as not finished",
    "time to first review": "from the delivery's arrival to the posted review, of the first review of each pull request",
    "queue": "from the delivery's arrival to the first step of the review, with the wait for more pushes",
    "model": "the time in which at least one model call was under way",
    "post": "the time to write the review and its check run",
    "p50, p95": "the value that half, or 95 %, of the reviews do not exceed",
    "cost": "tokens and dollars of every model call, of answers too, calls under way at what they may cost",
    "findings": "posted or listed findings, by the day on which they were first said",
    "coverage": "files, and changed lines, that a check or the model reviewed, of all that the pull requests changed",
    "failures": "runs that ended without a result, by the kind of error",
}
"""Printed beside the figures."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is counted: since the day `since` (YYYY-MM-DD; empty: always), in `repos` (ids; None: in all)."""

    since: str = ""
    repos: tuple[int, ...] | None = None

    @classmethod
    def of(cls, days: int, repos: tuple[int, ...] | None = None, now: datetime | None = None) -> Self:
        """The last `days` days, today included; all for 0."""
        if not days:
            return cls("", repos)
        return cls(f"{(now or datetime.now(UTC)) - timedelta(days=days - 1):%Y-%m-%d}", repos)

    def on(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """The condition for the rows of a table in the window.

        Within days the repository is a sum, which keeps SQLite from reading a table by its repositories instead of the days.
        """
        days = [table.c.day >= self.since] if self.since else []
        repo = table.c.repo_id + 0 if self.since else table.c.repo_id
        repos = [repo.in_(self.repos)] if self.repos is not None else []
        return sa.and_(sa.true(), *days, *repos)

    def of_repositories(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """The same condition for a table with an index by day and repository.

        Both are lists, one search for each day and repository, so that the rows of other repositories are not read.
        """
        if not self.since or self.repos is None:
            return self.on(table)
        first, last = date.fromisoformat(self.since), datetime.now(UTC).date() + timedelta(days=1)
        days = [f"{first + timedelta(days=number)}" for number in range((last - first).days + 1)]
        return sa.and_(table.c.day.in_(days), table.c.repo_id.in_(self.repos))


class ReviewDay(NamedTuple):
    """The reviews of a day with one result: `end` and, if it is done, `outcome`; with the files and lines that were read."""

    day: str
    end: str
    outcome: str
    total: int
    files: int
    files_read: int
    lines: int
    lines_read: int


class CostDay(NamedTuple):
    """What was spent on a day in a repository."""

    day: str
    repo: str
    tokens: int
    dollars: float


class MonthlyCost(NamedTuple):
    """What the calls for a pull request cost in a month (YYYY-MM), reservations included.

    `person` asked for the work, or opened the pull request if it was reviewed by itself.
    """

    repo: str
    number: int
    person: str
    month: str
    tokens: int
    dollars: float


class SeverityDay(NamedTuple):
    """The findings of a severity that were first said on a day."""

    day: str
    severity: str
    total: int


class RuleCount(NamedTuple):
    """How often a topic was found, and how often people fixed and dismissed it."""

    topic: str
    category: str
    found: int
    fixed: int
    dismissed: int


class FilesRead(NamedTuple):
    """How many of the changed files and lines were reviewed."""

    files: int
    files_read: int
    lines: int
    lines_read: int


class FailureCause(NamedTuple):
    """The runs that failed for one kind of error, `cause`."""

    kind: str
    cause: str
    total: int


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The median and the 95th percentile of a number of seconds; None of nothing."""

    p50: float | None = None
    p95: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """By nearest rank: the value that a share of the others does not exceed."""
        ordered = sorted(values)
        if not ordered:
            return cls()
        return cls(*(ordered[ceil(share * len(ordered)) - 1] for share in (0.5, 0.95)))


@dataclass(frozen=True, slots=True)
class ReviewTimes:
    """The times to the first review of `count` pull requests, in seconds, and the median of each day."""

    count: int
    queue: Quantiles
    model: Quantiles
    post: Quantiles
    total: Quantiles
    days: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class RunCursor:
    """The place after which a page of the list of reviews begins: the end of a run, and its job."""

    ended: datetime
    job: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Reads the figures. Nothing here writes."""

    database: Database

    async def reviews(self, window: Window) -> tuple[ReviewDay, ...]:
        """Returns the reviews by day and result."""
        return tuple(ReviewDay(*row) for row in await self._rows(reviews_query(window)))

    async def times(self, window: Window) -> ReviewTimes:
        """Returns the times to the first review."""
        return await self.database.run(lambda connection: _times(connection.execute(times_query(window)).all()))

    async def costs(self, window: Window) -> tuple[CostDay, ...]:
        """Returns what was spent by day and repository. A repository that was never reviewed has no name."""
        rows = await self._rows(costs_query(window))
        names = {row.repo_id: row.repo for row in await self._rows(sa.select(REPOSITORIES))}
        return tuple(
            CostDay(day, names.get(repo, str(repo)), int(tokens), dollars) for day, repo, tokens, dollars in rows
        )

    async def severities(self, window: Window) -> tuple[SeverityDay, ...]:
        """Returns the findings by day and severity."""
        rows = await self._rows(severities_query(window))
        return tuple(SeverityDay(day, Severity(severity).name.lower(), total) for day, severity, total in rows)

    async def rules(self, window: Window) -> tuple[RuleCount, ...]:
        """Returns the topics of the findings in all repositories together, the most frequent first."""
        counts: dict[tuple[str, str], RuleCount] = {}
        for topic, category, state, count in await self._rows(rules_query(window)):
            if not count:
                continue
            before = counts.get((topic, category), RuleCount(topic, category, 0, 0, 0))
            fixed, dismissed = count * (state == FindingState.FIXED), count * (state == FindingState.DISMISSED)
            sums = (before.found + count, before.fixed + fixed, before.dismissed + dismissed)
            counts[topic, category] = RuleCount(topic, category, *sums)
        return tuple(sorted(counts.values(), key=lambda one: (-one.found, one.topic)))

    async def tallies(self, window: Window) -> tuple[TopicTally, ...]:
        """Returns how often each topic was found, and how often people fixed and dismissed it, by repository."""
        tallies: dict[tuple[int, str, str], TopicTally] = {}
        names = {row.repo_id: row.repo for row in await self._rows(sa.select(REPOSITORIES))}
        for repo, topic, category, rule, state, count in await self._rows(tallies_query(window)):
            name = names.get(repo, str(repo))
            tally = tallies.get((repo, topic, category), TopicTally(topic, category, mutable=bool(rule), repo=name))
            tallies[repo, topic, category] = replace(
                tally,
                fixed=tally.fixed + count * (state == FindingState.FIXED),
                dismissed=tally.dismissed + count * (state == FindingState.DISMISSED),
                found=tally.found + count,
            )
        return tuple(tallies.values())

    async def outcomes(self, window: Window) -> tuple[OutcomeRate, ...]:
        """Returns what became of the findings of merged pull requests, by repository and category."""
        rows = await self._rows(outcomes_query(window))
        names = {row.repo_id: row.repo for row in await self._rows(sa.select(REPOSITORIES))}
        named = sorted(
            (names.get(repo, str(repo)), category, outcome, count) for category, outcome, repo, count in rows if count
        )
        return rates(named)

    async def failures(self, window: Window) -> tuple[FailureCause, ...]:
        """Returns the failed runs by cause, the most frequent first."""
        rows = await self._rows(failures_query(window))
        return tuple(sorted((FailureCause(*row) for row in rows), key=lambda one: (-one.total, one)))

    async def runs(
        self, window: Window, after: RunCursor | None = None, limit: int = 50, end: str = ""
    ) -> tuple[RunRow, ...]:
        """Returns the reviews that ended last, from a place in the list on; with `end` only those that ended so."""
        rows = await self.database.run(lambda c: c.execute(runs_query(window, after, limit, end)).mappings().all())
        return tuple(map(run_row, rows))

    async def repositories(self) -> tuple[tuple[int, str], ...]:
        """Returns the id and name of every repository with a run, by name."""
        rows = await self._rows(sa.select(REPOSITORIES.c.repo_id, REPOSITORIES.c.repo).order_by(REPOSITORIES.c.repo))
        return tuple((row.repo_id, row.repo) for row in rows)

    async def monthly(self) -> tuple[MonthlyCost, ...]:
        """Returns what was ever spent, by repository, pull request, person and month. Reads the whole table."""
        joined = SPENDING.outerjoin(REPOSITORIES, REPOSITORIES.c.repo_id == SPENDING.c.repo_id)
        month = sa.func.substr(SPENDING.c.day, 1, 7)
        groups = (REPOSITORIES.c.repo, SPENDING.c.repo_id, SPENDING.c.number, SPENDING.c.person, month)
        sums = (sa.func.sum(SPENDING.c.tokens), sa.func.sum(SPENDING.c.dollars))
        rows = await self._rows(sa.select(*groups, *sums).select_from(joined).group_by(*groups).order_by(*groups))
        return tuple(
            MonthlyCost(repo or str(repo_id), number, person, month, int(tokens), float(dollars))
            for repo, repo_id, number, person, month, tokens, dollars in rows
        )

    async def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        return await self.database.run(lambda connection: connection.execute(query).all())


@dataclass(frozen=True, slots=True)
class Overview:
    """All figures of a window."""

    window: Window
    reviews: tuple[ReviewDay, ...]
    times: ReviewTimes
    costs: tuple[CostDay, ...]
    severities: tuple[SeverityDay, ...]
    rules: tuple[RuleCount, ...]
    outcomes: tuple[OutcomeRate, ...]
    failures: tuple[FailureCause, ...]

    @classmethod
    async def read(cls, figures: Figures, window: Window) -> Self:
        """Reads all of them, each on a thread of its own."""
        counted = asyncio.gather(
            figures.reviews(window), figures.times(window), figures.costs(window), figures.failures(window)
        )
        found = asyncio.gather(figures.severities(window), figures.rules(window), figures.outcomes(window))
        (reviews, times, costs, failures), (severities, rules, outcomes) = await counted, await found
        return cls(window, reviews, times, costs, severities, rules, outcomes, failures)

    @property
    def reviewed(self) -> int:
        """The number of reviews with a result."""
        return sum(row.total for row in self.reviews if row.end == "done")

    @property
    def coverage(self) -> FilesRead:
        """What the reviews read of what the pull requests changed."""
        sums = [sum(counts) for counts in zip(*(row[4:] for row in self.reviews), strict=True)]
        return FilesRead(*map(int, sums or (0, 0, 0, 0)))

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(row.tokens for row in self.costs)

    @property
    def dollars(self) -> float:
        """All US dollars."""
        return sum(row.dollars for row in self.costs)

    @property
    def findings(self) -> int:
        """The number of findings."""
        return sum(row.total for row in self.severities)

    @property
    def merged(self) -> OutcomeRate | None:
        """What became of all findings of merged pull requests together; None if there are none."""
        return add_rates(self.outcomes)


def _times(rows: Sequence[Any]) -> ReviewTimes:
    """Sums up the rows of `times_query`. With many rows this takes a while: not for the event loop."""
    days: dict[str, list[float]] = {}
    for day, *_, total in rows:
        days.setdefault(day, []).append(total)
    queue, model, post, total = map(Quantiles.of, list(zip(*rows, strict=True))[1:] or [()] * 4)
    medians = tuple((day, Quantiles.of(values).p50 or 0.0) for day, values in days.items())
    return ReviewTimes(len(rows), queue, model, post, total, medians)


def reviews_query(window: Window) -> sa.Select[Any]:
    """Reviews by day and result."""
    groups = (RUNS.c.day, RUNS.c.end, RUNS.c.outcome)
    sums = (sa.func.sum(RUNS.c[name]) for name in ("files", "files_read", "lines", "lines_read"))
    return (
        sa.select(*groups, sa.func.count(), *sums)
        .where(RUNS.c.kind == "review", window.on(RUNS))
        .group_by(*groups)
        .order_by(*groups)
    )


def times_query(window: Window) -> sa.Select[Any]:
    """The parts of the time of each first review."""
    columns = (RUNS.c.day, RUNS.c.queued, RUNS.c.modelled, RUNS.c.posted, RUNS.c.total)
    return sa.select(*columns).where(RUNS.c.first.is_(True), window.of_repositories(RUNS)).order_by(RUNS.c.day)


def costs_query(window: Window) -> sa.Select[Any]:
    """Spending by day and repository."""
    groups = (SPENDING.c.day, SPENDING.c.repo_id)
    sums = (sa.func.sum(SPENDING.c.tokens), sa.func.sum(SPENDING.c.dollars))
    return sa.select(*groups, *sums).where(window.of_repositories(SPENDING)).group_by(*groups).order_by(*groups)


def severities_query(window: Window) -> sa.Select[Any]:
    """Findings by day and severity."""
    groups = (FINDINGS.c.day, FINDINGS.c.severity)
    return sa.select(*groups, sa.func.count()).where(window.on(FINDINGS)).group_by(*groups).order_by(*groups)


def tallies_query(window: Window) -> sa.Select[Any]:
    """Findings by repository, topic and state."""
    groups = (FINDINGS.c.repo_id, FINDINGS.c.topic, FINDINGS.c.category, FINDINGS.c.rule, FINDINGS.c.state)
    return sa.select(*groups, sa.func.count()).where(window.on(FINDINGS)).group_by(*groups)


def rules_query(window: Window) -> sa.Select[Any]:
    """Findings by topic and state, of all repositories together."""
    groups = _groups("topic", "category", "state")
    return sa.select(*groups.c, _count(groups, window))


def outcomes_query(window: Window) -> sa.Select[Any]:
    """Findings of merged pull requests by category, outcome and repository."""
    groups = _groups("category", "outcome", "repo_id")
    merged = sa.select(*groups.c, _count(groups, replace(window, repos=None))).where(
        groups.c.outcome != Outcome.PENDING
    )
    return merged if window.repos is None else merged.where(groups.c.repo_id.in_(window.repos))


def _count(groups: sa.FromClause, window: Window) -> sa.ScalarSelect[int]:
    """The findings of a group in a window: the length of one range of the index, which is cheaper than grouping its rows."""
    same = (FINDINGS.c[column.name] == column for column in groups.c)
    return sa.select(sa.func.count()).select_from(FINDINGS).where(*same, window.on(FINDINGS)).scalar_subquery()


def _groups(*names: str) -> sa.FromClause:
    """The values that the first columns of an index of the findings have, column by column (a loose index scan).

    Each value is found by one search, as the smallest that follows the one before; NULL follows the last one.
    """
    groups: sa.FromClause = sa.select(sa.literal(1).label("one")).subquery("start")
    known: list[str] = []
    for name in names:
        walk = sa.select(*(groups.c[n] for n in known), _next(groups, known, name)).cte(f"by_{name}", recursive=True)
        after = sa.select(*(walk.c[n] for n in known), _next(walk, known, name, walk.c[name]))
        walk = walk.union_all(after.where(walk.c[name].is_not(None)))
        groups = sa.select(walk).where(walk.c[name].is_not(None)).subquery(f"each_{name}")
        known.append(name)
    return groups


def _next(
    groups: sa.FromClause, known: Sequence[str], name: str, last: sa.ColumnElement[Any] | None = None
) -> sa.Label[Any]:
    """The smallest value of a column that is greater than `last`, among the findings of a group; NULL for none."""
    same = [FINDINGS.c[n] == groups.c[n] for n in known]
    later = [FINDINGS.c[name] > last] if last is not None else []
    query = sa.select(sa.func.min(FINDINGS.c[name])).where(sa.true(), *same, *later)
    return query.correlate(groups).scalar_subquery().label(name)


def failures_query(window: Window) -> sa.Select[Any]:
    """Failed runs by kind and cause."""
    groups = (RUNS.c.kind, RUNS.c.cause)
    return sa.select(*groups, sa.func.count()).where(RUNS.c.end == "failed", window.on(RUNS)).group_by(*groups)


def runs_query(window: Window, after: RunCursor | None, limit: int, end: str) -> sa.Select[Any]:
    """A page of the list of reviews: the keys by the index first, then their rows."""
    keys = sa.select(RUNS.c.job).where(RUNS.c.kind == "review")
    if window.repos is not None:
        keys = keys.where(RUNS.c.repo_id.in_(window.repos))
    if end:
        keys = keys.where(RUNS.c.end == end)
    if after is not None:
        keys = keys.where(sa.tuple_(RUNS.c.ended, RUNS.c.job) < sa.tuple_(after.ended, after.job))
    keys = keys.order_by(RUNS.c.ended.desc(), RUNS.c.job.desc()).limit(limit)
    return sa.select(RUNS).where(RUNS.c.job.in_(keys)).order_by(RUNS.c.ended.desc(), RUNS.c.job.desc())

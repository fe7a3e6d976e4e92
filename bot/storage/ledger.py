"""The ledger: finished reviews, the findings of each pull request and their state, and the money spent on models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.core.code.pull_request import PullRef
from bot.core.costs import Balance
from bot.core.findings.finding import Category
from bot.core.findings.known import FindingState, KnownFinding, restore
from bot.core.findings.topic import kind_of
from bot.core.story import Story
from bot.engine.journal import from_json, to_json
from bot.storage.database import Database, upsert
from bot.storage.runs import day_of, write_repository, write_story
from bot.storage.tables import FINDINGS, REPOSITORIES, REVIEWS, RUNS, SPENDING, of_pull


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """One finished review. `detail` is small JSON: counts, usage, prompt versions; `story` is the one of core/story.py."""

    job: str
    pull: PullRef
    head: str
    trigger: str
    outcome: str
    url: str
    detail: Mapping[str, Any]
    story: Story | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens and US dollars spent in a scope and time, reservations included."""

    tokens: int = 0
    dollars: float = 0.0

    def __add__(self, other: Spending) -> Spending:
        return Spending(self.tokens + other.tokens, self.dollars + other.dollars)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call of `job` reserves before it is made. `name` is unique; `person` is whom the spending belongs to.

    `worst` is the most that the call can cost, `likely` what is booked if its answer is lost, and `kept` what has to be
    left for a later call of the same review.
    """

    name: str
    pull: PullRef
    job: str
    worst: Spending
    likely: Spending | None = None
    kept: Spending = Spending()
    person: str = ""


@dataclass(frozen=True, slots=True)
class Shortage:
    """The limit that a reservation would exceed; with `pending`, it would fit without the reservations of calls under way."""

    reason: str
    pending: bool = False


LOST_AFTER = timedelta(minutes=15)
"""The age from which a reservation belongs to a call that was lost: no call lasts longer."""

_DOLLAR_SETTINGS = {
    "job": "ASSISTANT_DOLLARS_PER_REVIEW, or budgets.dollars of the policy,",
    "pull": "ASSISTANT_DOLLARS_PER_PULL_DAY",
    "person": "ASSISTANT_DOLLARS_PER_PERSON_DAY",
    "repository": "ASSISTANT_DOLLARS_PER_REPOSITORY_DAY",
    "installation": "ASSISTANT_DOLLARS_PER_INSTALLATION_MONTH",
}


@dataclass(frozen=True, slots=True)
class SpendingLimit:
    """A limit on spending in a `scope`: job, pull, repository or installation, over the time `within`. None: no limit.

    The scope `person` has no limit; `person` names whose spending it is.
    """

    scope: str
    within: timedelta | None = None
    tokens: int | None = None
    dollars: float | None = None
    person: str = ""

    def exceeded(self, spent: Spending, more: Spending) -> str:
        """Describes the limit that `more` on top of `spent` would exceed; empty if none."""
        days = f" within {self.within.days} day{'s' * (self.within.days > 1)}" if self.within else ""
        scope = {"job": "this review", "pull": "this pull request"}.get(self.scope, f"this {self.scope}") + days
        if self.tokens is not None and spent.tokens + more.tokens > self.tokens:
            used = f"{spent.tokens} are used or reserved (ASSISTANT_TOKENS_PER_REVIEW, or budgets.tokens of the policy, sets the limit)"
            return f"{scope} may use {self.tokens} tokens; {used}"
        if self.dollars is not None and spent.dollars + more.dollars > self.dollars:
            used = f"${spent.dollars:.2f} are spent or reserved ({_DOLLAR_SETTINGS[self.scope]} sets the limit)"
            return f"{scope} may cost ${self.dollars:.2f}; {used}"
        return ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The tables of reviews, findings and spending. Every write may be repeated: the same job writes the same rows."""

    database: Database

    async def record(self, review: ReviewRecord, findings: Sequence[KnownFinding] = ()) -> None:
        """Stores a finished review and the state of its findings, in one transaction."""
        row = {
            "job": review.job,
            "installation": review.pull.installation,
            "repo_id": review.pull.repo_id,
            "repo": review.pull.repo,
            "number": review.pull.number,
            "head": review.head,
            "trigger": review.trigger,
            "outcome": review.outcome,
            "url": review.url,
            "detail": dict(review.detail),
            "finished": datetime.now(UTC),
        }

        def write(connection: sa.Connection) -> None:
            upsert(connection, REVIEWS, [row], keep=("finished",))
            if review.story is not None:
                write_story(connection, review.job, review.story)
            _write_findings(connection, review.pull, findings)

        await self.database.run(write)

    async def reviews(self, pull: PullRef | None = None, limit: int = 50) -> tuple[Mapping[str, Any], ...]:
        """Returns reviews, newest first, as mappings of their columns."""
        query = sa.select(REVIEWS).order_by(REVIEWS.c.finished.desc()).limit(limit)
        if pull is not None:
            query = query.where(of_pull(REVIEWS, pull))
        rows = await self.database.run(lambda connection: connection.execute(query).mappings().all())
        return tuple(dict(row) for row in rows)

    async def knows(self, pull: PullRef) -> bool:
        """Whether a review of the pull request was ever recorded, or a job that ended in another way."""
        rows = (sa.select(sa.literal(1)).select_from(table).where(of_pull(table, pull)) for table in (REVIEWS, RUNS))
        query = sa.union_all(*rows).limit(1)
        return await self.database.run(lambda connection: connection.execute(query).first()) is not None

    async def address(self, name: str, number: int) -> PullRef | None:
        """Finds a pull request by owner/name in any case, as the repository was named at its last review; else None."""
        named = sa.func.lower(REVIEWS.c.repo) == name.lower()
        columns = (REVIEWS.c.repo, REVIEWS.c.repo_id, REVIEWS.c.installation)
        query = sa.select(*columns).where(named).order_by(REVIEWS.c.finished.desc()).limit(1)
        row = await self.database.run(lambda connection: connection.execute(query).one_or_none())
        return row and PullRef(row.repo, number, row.repo_id, row.installation)

    async def findings(self, pull: PullRef) -> tuple[KnownFinding, ...]:
        """Returns all findings ever posted on the pull request, in their present state."""
        query = sa.select(FINDINGS.c.known).where(of_pull(FINDINGS, pull)).order_by(FINDINGS.c.identity)
        rows = await self.database.run(lambda connection: connection.execute(query).scalars().all())
        return tuple(restore(from_json(row, KnownFinding)) for row in rows)

    async def keep(self, pull: PullRef, findings: Iterable[KnownFinding]) -> None:
        """Stores findings. A finding that a person dismissed in the meantime stays dismissed."""
        await self.database.run(lambda connection: _write_findings(connection, pull, findings))

    async def change(
        self, pull: PullRef, identity: str, change: Callable[[KnownFinding], KnownFinding]
    ) -> KnownFinding | None:
        """Changes one finding at a person's request, in any state; returns None for an unknown one."""
        query = (
            sa.select(FINDINGS.c.known)
            .where(of_pull(FINDINGS, pull), FINDINGS.c.identity == identity)
            .with_for_update()
        )

        def work(connection: sa.Connection) -> KnownFinding | None:
            row = connection.execute(query).scalar_one_or_none()
            if row is None:
                return None
            after = change(restore(from_json(row, KnownFinding)))
            upsert(connection, FINDINGS, [_row(pull, after)], keep=("day",))
            return after

        return await self.database.run(work)

    async def dismissed(self) -> frozenset[tuple[int, int, str]]:
        """Returns the dismissed findings: repository id, number of the pull request, identity."""
        columns = (FINDINGS.c.repo_id, FINDINGS.c.number, FINDINGS.c.identity)
        query = sa.select(*columns).where(FINDINGS.c.state == FindingState.DISMISSED)
        rows = await self.database.run(lambda connection: connection.execute(query).all())
        return frozenset((int(repo), int(number), str(identity)) for repo, number, identity in rows)

    async def spenders(self, within: timedelta) -> tuple[PullRef, ...]:
        """Returns each repository with spending `within` that time, as a PullRef with the number 0."""
        columns = (SPENDING.c.installation, SPENDING.c.repo_id, REPOSITORIES.c.repo)
        joined = SPENDING.outerjoin(REPOSITORIES, REPOSITORIES.c.repo_id == SPENDING.c.repo_id)
        recent = SPENDING.c.at >= datetime.now(UTC) - within
        query = sa.select(*columns).select_from(joined).where(recent).distinct().order_by(*columns)
        rows = await self.database.run(lambda connection: connection.execute(query).all())
        return tuple(PullRef(repo or str(repo_id), 0, repo_id, installation) for installation, repo_id, repo in rows)

    async def reserve(self, call: Reservation, bounds: Sequence[SpendingLimit]) -> Shortage | None:
        """Reserves the worst cost of a call before it is made, unless that would exceed one of `bounds`.

        Returns that limit; None if the cost was reserved. Two calls at once cannot both get the rest. First settles the
        reservations of the installation that are older than any call lasts.
        """

        def book(connection: sa.Connection) -> Shortage | None:
            _lock_installation(connection, call.pull.installation)
            _settle_lost(connection, call.pull.installation)
            for bound in bounds:
                more = call.worst + call.kept
                exceeded = bound.exceeded(_spent(connection, call.pull, call.job, bound), more)
                if exceeded:
                    settled = _spent(connection, call.pull, call.job, bound, settled=True)
                    return Shortage(exceeded, pending=not bound.exceeded(settled, more))
            upsert(connection, SPENDING, [_reserved(call)], keep=("at", "day"))
            return None

        return await self.database.run(book)

    async def settle(self, name: str, cost: Spending) -> None:
        """Replaces the reservation `name` with the real cost of the call."""
        values = {"tokens": cost.tokens, "dollars": cost.dollars, "settled": True}
        change = sa.update(SPENDING).where(SPENDING.c.id == name).values(values)
        await self.database.run(lambda connection: connection.execute(change))

    async def settle_lost(self, job: str, prefix: str, cost: Spending) -> None:
        """Settles the reservations of `job` whose name begins with `prefix` at `cost`: their process ended."""
        lost = sa.and_(SPENDING.c.job == job, SPENDING.c.id.startswith(prefix, autoescape=True), ~SPENDING.c.settled)
        values = {"tokens": cost.tokens, "dollars": cost.dollars, "settled": True}
        await self.database.run(lambda connection: connection.execute(sa.update(SPENDING).where(lost).values(values)))

    async def balances(self, pull: PullRef, bounds: Sequence[SpendingLimit]) -> tuple[Balance, ...]:
        """Returns what was spent in the scope of each of `bounds` beyond one review, and what is left of its dollars."""
        balances = []
        for bound in bounds:
            if bound.scope == "job":
                continue
            spent, days = await self.spent(pull, bound), bound.within.days if bound.within else 0
            left = None if bound.dollars is None else max(bound.dollars - spent.dollars, 0.0)
            balances.append(Balance(bound.scope, bound.person, days, spent.tokens, spent.dollars, left))
        return tuple(balances)

    async def spent(self, pull: PullRef, bound: SpendingLimit, job: str = "") -> Spending:
        """Returns what was spent or reserved in the scope and time of `bound`."""
        return await self.database.run(lambda connection: _spent(connection, pull, job, bound))


def _write_findings(connection: sa.Connection, pull: PullRef, findings: Iterable[KnownFinding]) -> None:
    query = sa.select(FINDINGS.c.identity).where(of_pull(FINDINGS, pull), FINDINGS.c.state == FindingState.DISMISSED)
    dismissed = set(connection.execute(query).scalars())
    kept = [finding for finding in findings if not (finding.standing and finding.identity in dismissed)]
    write_repository(connection, pull)
    upsert(connection, FINDINGS, [_row(pull, finding) for finding in kept], keep=("day",))


def _row(pull: PullRef, finding: KnownFinding) -> dict[str, Any]:
    return {
        "repo_id": pull.repo_id,
        "repo": pull.repo,
        "number": pull.number,
        "identity": finding.identity,
        "state": finding.state.value,
        "topic": kind_of(finding.topic)[:300],
        "category": finding.category.value,
        "rule": bool(finding.check) or finding.category is Category.STANDARDS,
        "outcome": finding.outcome.value,
        "known": to_json(finding, KnownFinding),
        "changed": (now := datetime.now(UTC)),
        "severity": int(finding.severity),
        "day": day_of(now),
    }


def _reserved(call: Reservation) -> dict[str, Any]:
    pull, likely = call.pull, call.likely or call.worst
    return {
        "id": call.name,
        "installation": pull.installation,
        "repo_id": pull.repo_id,
        "number": pull.number,
        "job": call.job,
        "tokens": call.worst.tokens,
        "dollars": call.worst.dollars,
        "settled": False,
        "at": (now := datetime.now(UTC)),
        "day": day_of(now),
        "person": call.person[:100],
        "likely_tokens": likely.tokens,
        "likely_dollars": likely.dollars,
    }


def _settle_lost(connection: sa.Connection, installation: int) -> None:
    """Settles the reservations of calls that were lost at their likely cost: their process ended, or their job did."""
    lost = sa.and_(
        SPENDING.c.installation == installation, ~SPENDING.c.settled, SPENDING.c.at < datetime.now(UTC) - LOST_AFTER
    )
    likely = {
        "tokens": sa.func.coalesce(SPENDING.c.likely_tokens, SPENDING.c.tokens),
        "dollars": sa.func.coalesce(SPENDING.c.likely_dollars, SPENDING.c.dollars),
        "settled": True,
    }
    connection.execute(sa.update(SPENDING).where(lost).values(likely))


def _spent(
    connection: sa.Connection, pull: PullRef, job: str, bound: SpendingLimit, *, settled: bool = False
) -> Spending:
    """Returns what was spent in the scope of a bound; with `settled`, without the reservations of calls under way."""
    tokens, dollars = (sa.func.coalesce(sa.func.sum(column), 0) for column in (SPENDING.c.tokens, SPENDING.c.dollars))
    query = sa.select(tokens, dollars).where(SPENDING.c.installation == pull.installation)
    if bound.scope == "job":
        query = query.where(SPENDING.c.job == job)
    if bound.scope in {"pull", "repository"}:
        query = query.where(SPENDING.c.repo_id == pull.repo_id)
    if bound.scope == "pull":
        query = query.where(SPENDING.c.number == pull.number)
    if bound.scope == "person":
        query = query.where(SPENDING.c.person == bound.person)
    if settled:
        query = query.where(SPENDING.c.settled)
    if bound.within is not None:
        query = query.where(SPENDING.c.at >= datetime.now(UTC) - bound.within)
    used = connection.execute(query).one()
    return Spending(int(used[0]), float(used[1]))


def _lock_installation(connection: sa.Connection, installation: int) -> None:
    """Blocks other reservations of this installation until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": installation})
    else:
        connection.execute(sa.delete(SPENDING).where(SPENDING.c.id == ""))  # a write takes SQLite's lock

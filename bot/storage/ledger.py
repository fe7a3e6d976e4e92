"""The ledger: what happened. Reviews, the findings of each pull request and what became of them, and what was spent.

Findings that were said, as rows: what is known of them on one pull request, and what became of them in a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from bot.core.code.pull_request import PullRef
from bot.core.findings.finding import Category
from bot.core.findings.known import FindingState, KnownFinding, Outcome
from bot.core.findings.muting import TopicTally
from bot.engine.journal import from_json, to_json
from bot.storage.database import Database
from bot.storage.tables import FINDINGS, REVIEWS, SPENDING, of_pull


class OutcomeCount(NamedTuple):
    """How many findings of a category had an outcome when a repository's pull requests were merged."""

    repo: str
    category: str
    outcome: str
    total: int


class Findings(Database):
    """The table of findings. Every write may be repeated."""

    async def findings(self, pull: PullRef) -> tuple[KnownFinding, ...]:
        """Every finding ever said on the pull request, as it stands now."""
        query = sa.select(FINDINGS.c.known).where(of_pull(FINDINGS, pull)).order_by(FINDINGS.c.identity)
        rows = await self.run(lambda connection: connection.execute(query).scalars().all())
        return tuple(from_json(row, KnownFinding) for row in rows)

    async def keep(self, pull: PullRef, known: Iterable[KnownFinding]) -> None:
        """Write findings as they stand. What a person dismissed in the meantime stays dismissed."""
        await self.run(lambda connection: self.write(connection, pull, known))

    def write(self, connection: sa.Connection, pull: PullRef, known: Iterable[KnownFinding]) -> None:
        """`keep`, within a transaction."""
        query = sa.select(FINDINGS.c.identity).where(
            of_pull(FINDINGS, pull), FINDINGS.c.state == FindingState.DISMISSED
        )
        dismissed = set(connection.execute(query).scalars())
        kept = [one for one in known if not (one.standing and one.identity in dismissed)]
        self.upsert(connection, FINDINGS, [_row(pull, one) for one in kept], keep=())

    async def change(
        self, pull: PullRef, identity: str, change: Callable[[KnownFinding], KnownFinding]
    ) -> KnownFinding | None:
        """Change one finding on a person's word, whatever it was; None if it is not known."""
        query = (
            sa.select(FINDINGS.c.known)
            .where(of_pull(FINDINGS, pull), FINDINGS.c.identity == identity)
            .with_for_update()
        )

        def work(connection: sa.Connection) -> KnownFinding | None:
            row = connection.execute(query).scalar_one_or_none()
            if row is None:
                return None
            after = change(from_json(row, KnownFinding))
            self.upsert(connection, FINDINGS, [_row(pull, after)], keep=())
            return after

        return await self.run(work)

    async def tallies(self, repo_id: int | None = None) -> tuple[TopicTally, ...]:
        """What people did about each topic, in one repository or in each of them."""
        columns = (FINDINGS.c.repo_id, FINDINGS.c.topic, FINDINGS.c.category, FINDINGS.c.rule, FINDINGS.c.state)
        query = sa.select(sa.func.max(FINDINGS.c.repo), sa.func.count(), *columns).group_by(*columns)
        query = query if repo_id is None else query.where(FINDINGS.c.repo_id == repo_id)
        rows = await self.run(lambda connection: connection.execute(query.order_by(*columns)).all())
        tallies: dict[tuple[int, str, str], TopicTally] = {}
        for repo, count, there, topic, category, rule, state in rows:
            one = tallies.get((there, topic, category), TopicTally(topic, category, mutable=rule, repo=repo))
            fixed, dismissed = count * (state == FindingState.FIXED), count * (state == FindingState.DISMISSED)
            tallies[there, topic, category] = replace(one, fixed=one.fixed + fixed, dismissed=one.dismissed + dismissed)
        return tuple(tallies.values())

    async def dismissed(self) -> frozenset[tuple[int, int, str]]:
        """Every finding that people dismissed: repository id, number of the pull request, identity."""
        columns = (FINDINGS.c.repo_id, FINDINGS.c.number, FINDINGS.c.identity)
        query = sa.select(*columns).where(FINDINGS.c.state == FindingState.DISMISSED)
        rows = await self.run(lambda connection: connection.execute(query).all())
        return frozenset((int(repo), int(number), str(identity)) for repo, number, identity in rows)

    async def outcomes(self) -> tuple[OutcomeCount, ...]:
        """What had become of the findings of merged pull requests."""
        columns = (FINDINGS.c.repo, FINDINGS.c.category, FINDINGS.c.outcome)
        merged = FINDINGS.c.outcome != Outcome.PENDING
        query = sa.select(*columns, sa.func.count()).where(merged).group_by(*columns).order_by(*columns)
        rows = await self.run(lambda connection: connection.execute(query).all())
        return tuple(OutcomeCount(*row) for row in rows)


def _row(pull: PullRef, one: KnownFinding) -> dict[str, Any]:
    return {
        "repo_id": pull.repo_id,
        "repo": pull.repo,
        "number": pull.number,
        "identity": one.identity,
        "state": one.state.value,
        "topic": one.topic[:300],
        "category": one.category.value,
        "rule": bool(one.check) or one.category is Category.STANDARDS,
        "outcome": one.outcome.value,
        "known": to_json(one, KnownFinding),
        "changed": datetime.now(UTC),
    }


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """One finished review. `detail` is small JSON: counts, usage, prompt versions, what was dropped and why."""

    job: str
    pull: PullRef
    head: str
    trigger: str
    outcome: str
    url: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens and US dollars in some scope and time, reservations included."""

    tokens: int = 0
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class SpendingLimit:
    """A limit on spending in a `scope`: job, pull, repository or installation, over the time `within`. None: no limit."""

    scope: str
    within: timedelta | None = None
    tokens: int | None = None
    dollars: float | None = None

    def exceeded(self, spent: Spending, more: Spending) -> str:
        """What `more` on top of `spent` would exceed, in words; empty when nothing."""
        what = {"job": "this review"}.get(self.scope, f"this {self.scope} within {self.within}")
        if self.tokens is not None and spent.tokens + more.tokens > self.tokens:
            return f"{what} may use {self.tokens} tokens; {spent.tokens} are used or reserved"
        if self.dollars is not None and spent.dollars + more.dollars > self.dollars:
            return f"{what} may cost ${self.dollars:.2f}; ${spent.dollars:.2f} are spent or reserved"
        return ""


class Ledger(Findings):
    """Rows in the one database. Every write may be repeated: the same job writes the same rows."""

    async def record(self, review: ReviewRecord, findings: Sequence[KnownFinding] = ()) -> None:
        """Write a finished review and the state of its findings, in one transaction."""
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
            self.upsert(connection, REVIEWS, [row], keep=("finished",))
            self.write(connection, review.pull, findings)

        await self.run(write)

    async def reviews(self, pull: PullRef | None = None, limit: int = 50) -> tuple[Mapping[str, Any], ...]:
        """The newest reviews first, as plain mappings of their columns."""
        query = sa.select(REVIEWS).order_by(REVIEWS.c.finished.desc()).limit(limit)
        if pull is not None:
            query = query.where(of_pull(REVIEWS, pull))
        rows = await self.run(lambda connection: connection.execute(query).mappings().all())
        return tuple(dict(row) for row in rows)

    async def address(self, name: str, number: int) -> PullRef | None:
        """A pull request of the repository that was last reviewed as `name`, owner/name in any case; None for none."""
        named = sa.func.lower(REVIEWS.c.repo) == name.lower()
        columns = (REVIEWS.c.repo, REVIEWS.c.repo_id, REVIEWS.c.installation)
        query = sa.select(*columns).where(named).order_by(REVIEWS.c.finished.desc()).limit(1)
        row = await self.run(lambda connection: connection.execute(query).one_or_none())
        return row and PullRef(row.repo, number, row.repo_id, row.installation)

    async def reserve(self, name: str, pull: PullRef, job: str, cost: Spending, bounds: Sequence[SpendingLimit]) -> str:
        """Book an expected cost under `name` before a call is made, unless it would exceed one of `bounds`.

        What it would exceed, in words; empty when it was booked. Two calls at once cannot both get the last of it.
        """
        row = {
            "id": name,
            "installation": pull.installation,
            "repo_id": pull.repo_id,
            "number": pull.number,
            "job": job,
            "tokens": cost.tokens,
            "dollars": cost.dollars,
            "settled": False,
            "at": datetime.now(UTC),
        }

        def book(connection: sa.Connection) -> str:
            _one_at_a_time(connection, pull.installation)
            for bound in bounds:
                exceeded = bound.exceeded(_spent(connection, pull, job, bound), cost)
                if exceeded:
                    return exceeded
            self.upsert(connection, SPENDING, [row], keep=("at",))
            return ""

        return await self.run(book)

    async def settle(self, name: str, cost: Spending) -> None:
        """Replace the reservation `name` by what the call really cost."""
        values = {"tokens": cost.tokens, "dollars": cost.dollars, "settled": True}
        change = sa.update(SPENDING).where(SPENDING.c.id == name).values(values)
        await self.run(lambda connection: connection.execute(change))

    async def spent(self, pull: PullRef, bound: SpendingLimit, job: str = "") -> Spending:
        """What was spent or reserved in the scope and time of `bound`."""
        return await self.run(lambda connection: _spent(connection, pull, job, bound))


def _spent(connection: sa.Connection, pull: PullRef, job: str, bound: SpendingLimit) -> Spending:
    tokens, dollars = (sa.func.coalesce(sa.func.sum(column), 0) for column in (SPENDING.c.tokens, SPENDING.c.dollars))
    query = sa.select(tokens, dollars).where(SPENDING.c.installation == pull.installation)
    if bound.scope == "job":
        query = query.where(SPENDING.c.job == job)
    if bound.scope in {"pull", "repository"}:
        query = query.where(SPENDING.c.repo_id == pull.repo_id)
    if bound.scope == "pull":
        query = query.where(SPENDING.c.number == pull.number)
    if bound.within is not None:
        query = query.where(SPENDING.c.at >= datetime.now(UTC) - bound.within)
    used = connection.execute(query).one()
    return Spending(int(used[0]), float(used[1]))


def _one_at_a_time(connection: sa.Connection, installation: int) -> None:
    """Let nobody else book for this installation until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": installation})
    else:
        connection.execute(sa.delete(SPENDING).where(SPENDING.c.id == ""))  # a write takes SQLite's lock

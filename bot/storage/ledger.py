"""The ledger: what happened. Reviews, the findings of each pull request and what became of them, and what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.core.code.pull_request import PullRef
from bot.core.findings.known import Known
from bot.storage.findings_part import Findings
from bot.storage.tables import REVIEWS, SPENDING, of_pull


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
class Spent:
    """Tokens and US dollars in some scope and time, reservations included."""

    tokens: int = 0
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit on spending in a `scope`: job, pull, repository or installation, over the time `within`. None: no limit."""

    scope: str
    within: timedelta | None = None
    tokens: int | None = None
    dollars: float | None = None

    def exceeded(self, spent: Spent, more: Spent) -> str:
        """What `more` on top of `spent` would exceed, in words; empty when nothing."""
        what = {"job": "this review"}.get(self.scope, f"this {self.scope} within {self.within}")
        if self.tokens is not None and spent.tokens + more.tokens > self.tokens:
            return f"{what} may use {self.tokens} tokens; {spent.tokens} are used or reserved"
        if self.dollars is not None and spent.dollars + more.dollars > self.dollars:
            return f"{what} may cost ${self.dollars:.2f}; ${spent.dollars:.2f} are spent or reserved"
        return ""


class Ledger(Findings):
    """Rows in the one database. Every write may be repeated: the same job writes the same rows."""

    async def record(self, review: ReviewRecord, findings: Sequence[Known] = ()) -> None:
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

    async def reserve(self, name: str, pull: PullRef, job: str, cost: Spent, bounds: Sequence[Bound]) -> str:
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

    async def settle(self, name: str, cost: Spent) -> None:
        """Replace the reservation `name` by what the call really cost."""
        values = {"tokens": cost.tokens, "dollars": cost.dollars, "settled": True}
        change = sa.update(SPENDING).where(SPENDING.c.id == name).values(values)
        await self.run(lambda connection: connection.execute(change))

    async def spent(self, pull: PullRef, bound: Bound, job: str = "") -> Spent:
        """What was spent or reserved in the scope and time of `bound`."""
        return await self.run(lambda connection: _spent(connection, pull, job, bound))


def _spent(connection: sa.Connection, pull: PullRef, job: str, bound: Bound) -> Spent:
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
    return Spent(int(used[0]), float(used[1]))


def _one_at_a_time(connection: sa.Connection, installation: int) -> None:
    """Let nobody else book for this installation until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": installation})
    else:
        connection.execute(sa.delete(SPENDING).where(SPENDING.c.id == ""))  # a write takes SQLite's lock

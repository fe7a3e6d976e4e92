"""Findings that were said, as rows: what is known of them on one pull request, and what became of them in a repository."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from bot.core.code.pull_request import PullRef
from bot.core.findings.finding import Category
from bot.core.findings.known import Known, Outcome, State
from bot.core.findings.muting import Tally
from bot.engine.journal import from_json, to_json
from bot.storage.database import Database
from bot.storage.tables import FINDINGS, of_pull


class Counted(NamedTuple):
    """How many findings of a category had an outcome when a repository's pull requests were merged."""

    repo: str
    category: str
    outcome: str
    total: int


class Findings(Database):
    """The table of findings. Every write may be repeated."""

    async def findings(self, pull: PullRef) -> tuple[Known, ...]:
        """Every finding ever said on the pull request, as it stands now."""
        query = sa.select(FINDINGS.c.known).where(of_pull(FINDINGS, pull)).order_by(FINDINGS.c.identity)
        rows = await self.run(lambda connection: connection.execute(query).scalars().all())
        return tuple(from_json(row, Known) for row in rows)

    async def keep(self, pull: PullRef, known: Iterable[Known]) -> None:
        """Write findings as they stand. What a person dismissed in the meantime stays dismissed."""
        await self.run(lambda connection: self.write(connection, pull, known))

    def write(self, connection: sa.Connection, pull: PullRef, known: Iterable[Known]) -> None:
        """`keep`, within a transaction."""
        query = sa.select(FINDINGS.c.identity).where(of_pull(FINDINGS, pull), FINDINGS.c.state == State.DISMISSED)
        dismissed = set(connection.execute(query).scalars())
        kept = [one for one in known if not (one.standing and one.identity in dismissed)]
        self.upsert(connection, FINDINGS, [_row(pull, one) for one in kept], keep=())

    async def change(self, pull: PullRef, identity: str, change: Callable[[Known], Known]) -> Known | None:
        """Change one finding on a person's word, whatever it was; None if it is not known."""
        query = (
            sa.select(FINDINGS.c.known)
            .where(of_pull(FINDINGS, pull), FINDINGS.c.identity == identity)
            .with_for_update()
        )

        def work(connection: sa.Connection) -> Known | None:
            row = connection.execute(query).scalar_one_or_none()
            if row is None:
                return None
            after = change(from_json(row, Known))
            self.upsert(connection, FINDINGS, [_row(pull, after)], keep=())
            return after

        return await self.run(work)

    async def tallies(self, repo_id: int | None = None) -> tuple[Tally, ...]:
        """What people did about each topic, in one repository or in each of them."""
        columns = (FINDINGS.c.repo_id, FINDINGS.c.topic, FINDINGS.c.category, FINDINGS.c.rule, FINDINGS.c.state)
        query = sa.select(sa.func.max(FINDINGS.c.repo), sa.func.count(), *columns).group_by(*columns)
        query = query if repo_id is None else query.where(FINDINGS.c.repo_id == repo_id)
        rows = await self.run(lambda connection: connection.execute(query.order_by(*columns)).all())
        tallies: dict[tuple[int, str, str], Tally] = {}
        for repo, count, there, topic, category, rule, state in rows:
            one = tallies.get((there, topic, category), Tally(topic, category, mutable=rule, repo=repo))
            fixed, dismissed = count * (state == State.FIXED), count * (state == State.DISMISSED)
            tallies[there, topic, category] = replace(one, fixed=one.fixed + fixed, dismissed=one.dismissed + dismissed)
        return tuple(tallies.values())

    async def dismissed(self) -> frozenset[tuple[int, int, str]]:
        """Every finding that people dismissed: repository id, number of the pull request, identity."""
        columns = (FINDINGS.c.repo_id, FINDINGS.c.number, FINDINGS.c.identity)
        query = sa.select(*columns).where(FINDINGS.c.state == State.DISMISSED)
        rows = await self.run(lambda connection: connection.execute(query).all())
        return frozenset((int(repo), int(number), str(identity)) for repo, number, identity in rows)

    async def outcomes(self) -> tuple[Counted, ...]:
        """What had become of the findings of merged pull requests."""
        columns = (FINDINGS.c.repo, FINDINGS.c.category, FINDINGS.c.outcome)
        merged = FINDINGS.c.outcome != Outcome.PENDING
        query = sa.select(*columns, sa.func.count()).where(merged).group_by(*columns).order_by(*columns)
        rows = await self.run(lambda connection: connection.execute(query).all())
        return tuple(Counted(*row) for row in rows)


def _row(pull: PullRef, one: Known) -> dict[str, Any]:
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
        "known": to_json(one, Known),
        "changed": datetime.now(UTC),
    }

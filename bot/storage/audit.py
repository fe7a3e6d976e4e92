"""The audit log: what was decided, by whom and on whose word. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from bot.job import Job
from bot.storage.database import Database
from bot.storage.tables import AUDIT


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision: `what` was done, because of `word` (the event) of `actor`, who is the sender of the delivery `job`."""

    job: str
    what: str
    pull: str
    actor: str
    actor_id: int
    word: str
    reason: str
    detail: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Appends entries and reads them. The same job and decision is one entry, however often it is appended."""

    database: Database

    async def append(self, job: Job, what: str, reason: str = "", **detail: Any) -> None:  # noqa: ANN401 - JSON
        """Adds an entry for a decision of `job`. `detail` is small JSON: a head, an address, hashes, names of models."""
        row = {
            "job": job.id,
            "what": what[:60],
            "repo_id": job.pull.repo_id,
            "repo": job.pull.repo,
            "number": job.pull.number,
            "actor": job.actor,
            "actor_id": job.actor_id,
            "word": job.trigger.value,
            "reason": reason[:500],
            "detail": {"delivery": job.digest, **detail},
            "at": datetime.now(UTC),
        }

        def add(connection: sa.Connection) -> None:
            known = sa.select(AUDIT.c.job).where(AUDIT.c.job == job.id, AUDIT.c.what == row["what"])
            if connection.execute(known).first() is None:
                connection.execute(sa.insert(AUDIT).values(row))

        await self.database.run(add)

    async def entries(self, repo: str = "", number: int = 0, limit: int = 100) -> tuple[AuditEntry, ...]:
        """Returns the newest entries, oldest of them first; of one repository or pull request if they are named."""
        query = sa.select(AUDIT).order_by(AUDIT.c.at.desc(), AUDIT.c.job, AUDIT.c.what).limit(limit)
        query = query.where(AUDIT.c.repo == repo) if repo else query
        query = query.where(AUDIT.c.number == number) if number else query
        rows = await self.database.run(lambda connection: connection.execute(query).all())
        return tuple(
            AuditEntry(
                row.job, row.what, f"{row.repo}#{row.number}", row.actor, row.actor_id, row.word, row.reason,
                row.detail, row.at,
            )
            for row in reversed(rows)
        )  # fmt: skip

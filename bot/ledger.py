"""The ledger: what happened. Reviews, the findings of each pull request and what became of them, and what was spent."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite

from bot.review.pull_request import PullRef

T = TypeVar("T")

TABLES = sa.MetaData()
REVIEWS = sa.Table(
    "reviews",
    TABLES,
    sa.Column("job", sa.String(200), primary_key=True),
    sa.Column("repo_id", sa.BigInteger, nullable=False),
    sa.Column("repo", sa.String(200), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("head", sa.String(64), nullable=False),
    sa.Column("trigger", sa.String(20), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("finished", sa.DateTime(timezone=True), nullable=False),
    sa.Index("reviews_pull", "repo_id", "number", "finished"),
)
FINDINGS = sa.Table(
    "findings",
    TABLES,
    sa.Column("repo_id", sa.BigInteger, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("identity", sa.String(32), primary_key=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("first_head", sa.String(64), nullable=False),
    sa.Column("last_head", sa.String(64), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
)
SPENDING = sa.Table(
    "spending",
    TABLES,
    sa.Column("id", sa.String(300), primary_key=True),
    sa.Column("installation", sa.BigInteger, nullable=False),
    sa.Column("repo_id", sa.BigInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("job", sa.String(200), nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("dollars", sa.Float, nullable=False),
    sa.Column("settled", sa.Boolean, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("spending_scope", "installation", "at"),
)
_MIGRATION_LOCK = 7_305_001


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
class FindingRecord:
    """One finding of a pull request. `detail` holds what is needed to re-verify it: rule, quoted code, place, comment."""

    identity: str
    state: str
    first_head: str
    last_head: str
    detail: Mapping[str, Any]
    reason: str = ""


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


class Ledger:
    """Rows in the one database. Every write may be repeated: the same job writes the same rows."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)

    def migrate(self) -> None:
        """Bring the schema up to date; several processes may do so at once."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._locked() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def _locked(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            yield connection
            connection.commit()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    async def ready(self) -> None:
        """Raise sqlalchemy's error when the database cannot be reached."""
        await self._run(lambda connection: connection.execute(sa.text("SELECT 1")))

    async def record(self, review: ReviewRecord, findings: Iterable[FindingRecord] = ()) -> None:
        """Write a finished review and the state of its findings, in one transaction."""
        row = {
            "job": review.job,
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
        found = [_finding_row(review.pull, one) for one in findings]

        def write(connection: sa.Connection) -> None:
            self._upsert(connection, REVIEWS, [row], keep=("finished",))
            self._upsert(connection, FINDINGS, found, keep=("first_head",))

        await self._run(write)

    async def findings(self, pull: PullRef) -> tuple[FindingRecord, ...]:
        """Every finding ever posted on the pull request, with its state now."""
        query = sa.select(FINDINGS).where(_of(FINDINGS, pull)).order_by(FINDINGS.c.identity)
        rows = await self._run(lambda connection: connection.execute(query).mappings().all())
        return tuple(
            FindingRecord(
                row["identity"], row["state"], row["first_head"], row["last_head"], row["detail"], row["reason"]
            )
            for row in rows
        )

    async def reviews(self, pull: PullRef | None = None, limit: int = 50) -> tuple[Mapping[str, Any], ...]:
        """The newest reviews first, as plain mappings of their columns."""
        query = sa.select(REVIEWS).order_by(REVIEWS.c.finished.desc()).limit(limit)
        if pull is not None:
            query = query.where(_of(REVIEWS, pull))
        rows = await self._run(lambda connection: connection.execute(query).mappings().all())
        return tuple(dict(row) for row in rows)

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
            self._upsert(connection, SPENDING, [row], keep=("at",))
            return ""

        return await self._run(book)

    async def settle(self, name: str, cost: Spent) -> None:
        """Replace the reservation `name` by what the call really cost."""
        values = {"tokens": cost.tokens, "dollars": cost.dollars, "settled": True}
        change = sa.update(SPENDING).where(SPENDING.c.id == name).values(values)
        await self._run(lambda connection: connection.execute(change))

    async def spent(self, pull: PullRef, bound: Bound, job: str = "") -> Spent:
        """What was spent or reserved in the scope and time of `bound`."""
        return await self._run(lambda connection: _spent(connection, pull, job, bound))

    def _upsert(
        self, connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], keep: tuple[str, ...]
    ) -> None:
        """Insert, or overwrite all but the primary key and the columns to `keep`."""
        if not rows:
            return
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(table).values(rows)
        keys = [column.name for column in table.primary_key]
        updated = {
            column.name: insert.excluded[column.name]
            for column in table.columns
            if column.name not in keys and column.name not in keep
        }
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=updated))

    async def _run(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction on a thread, so that a slow disk does not stop the event loop."""

        def transaction() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return await asyncio.to_thread(transaction)


def _of(table: sa.Table, pull: PullRef) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.repo_id == pull.repo_id, table.c.number == pull.number)


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


def _finding_row(pull: PullRef, one: FindingRecord) -> dict[str, Any]:
    return {
        "repo_id": pull.repo_id,
        "number": pull.number,
        "identity": one.identity,
        "state": one.state,
        "reason": one.reason,
        "first_head": one.first_head,
        "last_head": one.last_head,
        "detail": dict(one.detail),
        "changed": datetime.now(UTC),
    }


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": 10})

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine

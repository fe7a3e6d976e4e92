"""What people asked of us and what we answered: how often, in which thread, and where they want quiet.

Talk: a conversation that the model's server keeps for one thread, and how much of what we would say it knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.core.claims.memory import Exchange
from bot.core.code.pull_request import PullRef
from bot.job import Job
from bot.storage.database import Database
from bot.storage.tables import ASKED, EXCHANGES, PAUSES, TALKS, of_pull

GROWTH = 12_000
"""Tokens by which a conversation may grow over what opened it: as many as our own memory of a thread is shown with."""


@dataclass(frozen=True, slots=True)
class ServerConversation:
    """`opening` are the tokens of what began it, `tokens` those it holds by now; `told` are fingerprints of what it was
    shown. One that ended badly is `broken`: a call of a tool may stand in it without its answer.
    """

    id: str = ""
    opening: int = 0
    tokens: int = 0
    told: tuple[str, ...] = ()
    broken: bool = False

    @property
    def over(self) -> str:
        """Why it cannot go on, in words; empty if it can."""
        if not self.id:
            return "the thread has none yet"
        if self.broken:
            return "the last one ended without an answer"
        grown = self.tokens - self.opening
        return f"the last one has grown by {grown} tokens" if grown > GROWTH else ""

    def knows(self, text: str) -> bool:
        """Whether it was shown exactly this."""
        return _fingerprint(text) in self.told

    def after(self, texts: Iterable[str], opening: int, tokens: int) -> ServerConversation:
        """The talk once it was shown `texts` and holds `tokens`; `opening` counts if it began with them."""
        told = dict.fromkeys((*self.told, *map(_fingerprint, texts)))
        return replace(self, opening=self.opening or opening, tokens=tokens, told=tuple(told))


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How often people may ask: in an hour each of them, in an hour in one repository; and refusals said in a day."""

    person: int = 30
    repository: int = 200
    refusals: int = 20


@dataclass(frozen=True, slots=True)
class RequestCount:
    """What became of a request: `over` says which limit it exceeds; `tell` whether a refusal may be said aloud."""

    over: str = ""
    tell: bool = False


@dataclass(frozen=True, slots=True)
class ConversationStore:
    """Rows about people. Every write may be repeated: the same job writes the same row."""

    database: Database

    async def count(self, job: Job, limits: RequestLimits, *, permitted: bool) -> RequestCount:
        """Write down that `job` was asked, and decide in the same transaction whether that is too often.

        Those without permission count for themselves only: they cannot use up what a repository may ask. A refusal is
        said once a day to a person on a pull request, and only so often in a repository.
        """

        def write(connection: sa.Connection) -> RequestCount:
            mine, here = ASKED.c.actor == job.actor_id, ASKED.c.repo_id == job.pull.repo_id
            others = ASKED.c.job != job.id
            asked = _count(connection, _HOUR, mine, others)
            admitted = _count(connection, _HOUR, here, others, ASKED.c.admitted)
            over = _over(asked, admitted, limits)
            aloud = sa.and_(ASKED.c.told, others, here)
            told = _count(connection, _DAY, mine, ASKED.c.number == job.pull.number, aloud)
            tell = not told and _count(connection, _DAY, aloud) < limits.refusals
            admit = permitted and not over
            self.database.upsert(connection, ASKED, [_row(job, admit=admit, tell=tell)], keep=("at",))
            return RequestCount(over, tell and not admit)

        return await self.database.run(write)

    async def remember(self, job: Job, thread: int, question: str, answer: str) -> None:
        """Keep a question and its answer."""
        row = {**_key(job.pull), "job": job.id, "thread": thread, "asker": job.actor, "at": datetime.now(UTC)}
        rows = [{**row, "question": question, "answer": answer}]
        await self.database.run(lambda connection: self.database.upsert(connection, EXCHANGES, rows, keep=("at",)))

    async def exchanges(self, pull: PullRef, thread: int, limit: int = 500) -> tuple[Exchange, ...]:
        """What was asked and answered in a thread, oldest first; thread 0 is the pull request's conversation."""
        query = (
            sa.select(EXCHANGES.c.asker, EXCHANGES.c.question, EXCHANGES.c.answer)
            .where(of_pull(EXCHANGES, pull), EXCHANGES.c.thread == thread)
            .order_by(EXCHANGES.c.at.desc(), EXCHANGES.c.job.desc())
            .limit(limit)
        )
        rows = await self.database.run(lambda connection: connection.execute(query).all())
        return tuple(Exchange(*row) for row in reversed(rows))

    async def talk(self, pull: PullRef, thread: int) -> ServerConversation:
        """The conversation that the model's server keeps for a thread; one without an id where there is none."""
        columns = (TALKS.c.id, TALKS.c.opening, TALKS.c.tokens, TALKS.c.told, TALKS.c.broken)
        query = sa.select(*columns).where(of_pull(TALKS, pull), TALKS.c.thread == thread)
        row = await self.database.run(lambda connection: connection.execute(query).one_or_none())
        return ServerConversation() if row is None else replace(ServerConversation(*row), told=tuple(row.told))

    async def keep_talk(self, pull: PullRef, thread: int, talk: ServerConversation) -> None:
        """Keep how a conversation at the model's server stands, instead of what was known of the thread's."""
        rows = [{**_key(pull), "thread": thread, **asdict(talk)}]
        await self.database.run(lambda connection: self.database.upsert(connection, TALKS, rows, keep=()))

    async def pause(self, pull: PullRef, by: str) -> None:
        """No automatic reviews from now on."""
        row = {**_key(pull), "by": by, "at": datetime.now(UTC)}
        await self.database.run(lambda connection: self.database.upsert(connection, PAUSES, [row], keep=()))

    async def resume(self, pull: PullRef) -> None:
        """Automatic reviews again."""
        await self.database.run(lambda connection: connection.execute(sa.delete(PAUSES).where(of_pull(PAUSES, pull))))

    async def paused(self, pull: PullRef) -> str:
        """Who paused the pull request; empty if nobody did."""
        query = sa.select(PAUSES.c.by).where(of_pull(PAUSES, pull))
        return await self.database.run(lambda connection: connection.execute(query).scalar()) or ""


def _over(asked: int, admitted: int, limits: RequestLimits) -> str:
    if asked >= limits.person:
        return f"more than {limits.person} requests of one person within an hour"
    if admitted >= limits.repository:
        return f"more than {limits.repository} requests in this repository within an hour"
    return ""


def _count(connection: sa.Connection, within: timedelta, *conditions: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(ASKED).where(ASKED.c.at >= datetime.now(UTC) - within, *conditions)
    return int(connection.execute(query).scalar_one())


def _row(job: Job, *, admit: bool, tell: bool) -> dict[str, Any]:
    told = tell and not admit
    now = datetime.now(UTC)
    return {**_key(job.pull), "job": job.id, "actor": job.actor_id, "admitted": admit, "told": told, "at": now}


def _key(pull: PullRef) -> dict[str, int]:
    return {"repo_id": pull.repo_id, "number": pull.number}

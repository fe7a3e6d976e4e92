"""The tables about people: their requests and our answers, paused pull requests, and conversations of the model's server."""

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
from bot.storage.database import Database, upsert
from bot.storage.tables import ASKED, EXCHANGES, PAUSES, TALKS, of_pull

GROWTH = 12_000
"""Tokens by which a conversation may grow beyond its opening: the size of our own memory of a thread in a prompt."""


@dataclass(frozen=True, slots=True)
class ServerConversation:
    """A conversation that the model's server keeps for one thread.

    `opening` is the number of tokens at its start, `tokens` the number now; `told` are fingerprints of the texts it
    contains. It is `broken` if it ended without an answer: it may contain a tool call without a result.
    """

    id: str = ""
    opening: int = 0
    tokens: int = 0
    told: tuple[str, ...] = ()
    broken: bool = False

    @property
    def over(self) -> str:
        """The reason why it cannot continue; empty if it can."""
        if not self.id:
            return "the thread has none yet"
        if self.broken:
            return "the last one ended without an answer"
        grown = self.tokens - self.opening
        return f"the last one has grown by {grown} tokens" if grown > GROWTH else ""

    def knows(self, text: str) -> bool:
        """Whether it contains exactly this text."""
        return _fingerprint(text) in self.told

    def after(self, texts: Iterable[str], opening: int, tokens: int) -> ServerConversation:
        """Returns the conversation after `texts` were added; `opening` counts only if they started it."""
        told = dict.fromkeys((*self.told, *map(_fingerprint, texts)))
        return replace(self, opening=self.opening or opening, tokens=tokens, told=tuple(told))


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_PULLS = 5
"""Pull requests whose automatic reviews one person may use up in a day."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Requests per hour of one person and in one repository, and posted refusals per day in one repository.

    `automatic` are the reviews per day without a request (opened, pushed, another base), on one pull request; one person
    may cause five times as many on all pull requests.
    """

    person: int = 30
    repository: int = 200
    refusals: int = 20
    automatic: int = 60


@dataclass(frozen=True, slots=True)
class RequestCount:
    """The result for a request: `over` names the limit that it exceeds; `tell` says whether a refusal may be posted."""

    over: str = ""
    tell: bool = False


@dataclass(frozen=True, slots=True)
class ConversationStore:
    """Reads and writes these tables. Every write may be repeated: the same job writes the same row."""

    database: Database

    async def count(self, job: Job, limits: RequestLimits, *, permitted: bool) -> RequestCount:
        """Records the request of `job` and decides in the same transaction whether it exceeds a limit.

        Requests without permission count for their person only, so that they cannot use up a repository's limit. A
        refusal is posted once a day for a person on a pull request, and a limited number of times in a repository.
        """

        def write(connection: sa.Connection) -> RequestCount:
            mine, here = ASKED.c.actor == job.actor_id, ASKED.c.repo_id == job.pull.repo_id
            others = sa.and_(~ASKED.c.automatic, ASKED.c.job != job.id)
            asked = _count(connection, _HOUR, mine, others)
            admitted = _count(connection, _HOUR, here, others, ASKED.c.admitted)
            over = _over(asked, admitted, limits)
            posted = sa.and_(ASKED.c.told, others, here)
            told = _count(connection, _DAY, mine, ASKED.c.number == job.pull.number, posted)
            tell = not told and _count(connection, _DAY, posted) < limits.refusals
            admit = permitted and not over
            upsert(connection, ASKED, [_row(job, admit=admit, tell=tell)], keep=("at",))
            return RequestCount(over, tell and not admit)

        return await self.database.run(write)

    async def count_automatic(self, job: Job, limits: RequestLimits) -> RequestCount:
        """Records an event that starts a review by itself, and decides whether there were too many within a day.

        That is told once a day on a pull request.
        """

        def write(connection: sa.Connection) -> RequestCount:
            others = sa.and_(ASKED.c.automatic, ASKED.c.job != job.id)
            here = sa.and_(others, of_pull(ASKED, job.pull))
            over = ""
            if _count(connection, _DAY, here, ASKED.c.admitted) >= limits.automatic:
                over = f"more than {limits.automatic} automatic reviews of this pull request within a day"
            elif job.actor_id and _count(connection, _DAY, others, ASKED.c.admitted, ASKED.c.actor == job.actor_id) >= (
                limits.automatic * _PULLS
            ):
                over = f"more than {limits.automatic * _PULLS} automatic reviews for one person within a day"
            tell = bool(over) and not _count(connection, _DAY, here, ASKED.c.told)
            row = _row(job, admit=not over, tell=tell) | {"automatic": True}
            upsert(connection, ASKED, [row], keep=("at",))
            return RequestCount(over, tell)

        return await self.database.run(write)

    async def remember(self, job: Job, thread: int, question: str, answer: str) -> None:
        """Stores a question and its answer."""
        row = {**_key(job.pull), "job": job.id, "thread": thread, "asker": job.actor, "at": datetime.now(UTC)}
        rows = [{**row, "question": question, "answer": answer}]
        await self.database.run(lambda connection: upsert(connection, EXCHANGES, rows, keep=("at",)))

    async def exchanges(self, pull: PullRef, thread: int, limit: int = 500) -> tuple[Exchange, ...]:
        """Returns the questions and answers of a thread, oldest first; thread 0 is the pull request's conversation."""
        query = (
            sa.select(EXCHANGES.c.asker, EXCHANGES.c.question, EXCHANGES.c.answer)
            .where(of_pull(EXCHANGES, pull), EXCHANGES.c.thread == thread)
            .order_by(EXCHANGES.c.at.desc(), EXCHANGES.c.job.desc())
            .limit(limit)
        )
        rows = await self.database.run(lambda connection: connection.execute(query).all())
        return tuple(Exchange(*row) for row in reversed(rows))

    async def talk(self, pull: PullRef, thread: int) -> ServerConversation:
        """Returns the conversation that the model's server keeps for a thread; without an id if there is none."""
        columns = (TALKS.c.id, TALKS.c.opening, TALKS.c.tokens, TALKS.c.told, TALKS.c.broken)
        query = sa.select(*columns).where(of_pull(TALKS, pull), TALKS.c.thread == thread)
        row = await self.database.run(lambda connection: connection.execute(query).one_or_none())
        return ServerConversation() if row is None else replace(ServerConversation(*row), told=tuple(row.told))

    async def keep_talk(self, pull: PullRef, thread: int, talk: ServerConversation) -> None:
        """Stores a thread's conversation at the model's server in place of the earlier one."""
        rows = [{**_key(pull), "thread": thread, **asdict(talk)}]
        await self.database.run(lambda connection: upsert(connection, TALKS, rows, keep=()))

    async def pause(self, pull: PullRef, by: str) -> None:
        """Stops automatic reviews of the pull request."""
        row = {**_key(pull), "by": by, "at": datetime.now(UTC)}
        await self.database.run(lambda connection: upsert(connection, PAUSES, [row], keep=()))

    async def resume(self, pull: PullRef) -> None:
        """Allows automatic reviews again."""
        await self.database.run(lambda connection: connection.execute(sa.delete(PAUSES).where(of_pull(PAUSES, pull))))

    async def paused(self, pull: PullRef) -> str:
        """Returns who paused the pull request; empty if it is not paused."""
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

"""The shelf of a review, made searchable, and the section of it that governs what a check found.

Standards that cannot be read or searched cost their citations, never the review: it goes on and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bot.core.code.coverage_part import Covered, State
from bot.core.code.diff import Diff
from bot.core.code.language import language
from bot.core.code.pull_request import PullRequest
from bot.core.findings.finding import Draft
from bot.core.findings.standard import Document, Hit, Shelf, Standard
from bot.core.policy import Policy
from bot.errors import ConfigurationError, Forbidden, NotFound, Refused, Retryable, UserError
from bot.handlers.collecting_part import Collected, collect, home
from bot.handlers.read import material
from bot.interfaces import CodeHost, Standards, Step

PATIENCE, LOOK_UP = 120.0, 15.0
"""Seconds that making a shelf searchable may take, and one search."""
TROUBLE = (ConfigurationError, Refused, Retryable, TimeoutError)
"""What an index may fail with."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """The documents that govern a review, a row for what became of them, and what the change does to them.

    `sections` are all of the shelf's; they are not journaled. Where the index is not `available`, nothing is searched.
    """

    shelf: Shelf
    rows: tuple[Covered, ...] = ()
    tampered: tuple[str, ...] = ()
    sections: tuple[Standard, ...] = ()
    available: bool = True

    @property
    def searchable(self) -> Shelf:
        """The shelf as a model may search it."""
        return self.shelf if self.available else replace(self.shelf, documents=())


@dataclass(frozen=True, slots=True)
class Cited:
    """Drafts with the sections that govern them, those sections, and a row if the index stopped answering."""

    drafts: tuple[Draft, ...] = ()
    standards: tuple[Standard, ...] = ()
    rows: tuple[Covered, ...] = ()


@dataclass(slots=True)
class Reading:
    """Reads documents where they are at home. What GitHub answers later or never is not the index's fault."""

    host: CodeHost
    pull: PullRequest
    later: Retryable | None = None
    refused: set[str] = field(default_factory=set)

    async def __call__(self, document: Document) -> bytes:
        try:
            return await self.host.blob(home(self.pull, document), document.blob)
        except Retryable as error:
            self.later = error
            raise
        except (NotFound, Forbidden):
            self.refused.add(document.path)
            raise


async def shelve(
    host: CodeHost, standards: Standards, pull: PullRequest, policy: Policy, diff: Diff, step: Step
) -> Shelved:
    """Find the documents at the base commit and make them searchable.

    Which documents they are is journaled. The index belongs to a machine: wherever the job goes on, it is brought up to
    date again, for nothing if it is.
    """
    found = await step("shelf", lambda: collect(host, pull, policy, diff), Collected)
    return await material(step, "standards", lambda: _indexed(standards, Reading(host, pull), found))


async def _indexed(standards: Standards, read: Reading, found: Collected) -> Shelved:
    problems: tuple[str, ...] = ()
    sections: tuple[Standard, ...] = ()
    failed, available = [*found.failed], True
    try:
        async with asyncio.timeout(PATIENCE):
            problems = await standards.sync(found.shelf, read)
            sections = await standards.sections(found.shelf)
    except TROUBLE as error:
        if read.later is not None:
            raise read.later from error  # the step comes back when GitHub does
        failed.append(_reason(error))
        available = False
    unread = tuple(f"{path}: " for path in read.refused)
    failed += [problem for problem in problems if problem.startswith(unread)]
    skipped = [*found.skipped, *(problem for problem in problems if not problem.startswith(unread))]
    rows = (*_counted(found), *(Covered("standards", State.SKIPPED, reason) for reason in skipped))
    return Shelved(found.shelf, (*rows, *map(unavailable, failed)), found.tampered, sections, available)


def _counted(found: Collected) -> tuple[Covered, ...]:
    count, others = len(found.shelf.documents), sum(bool(one.repo) for one in found.shelf.documents)
    if not count:
        if found.failed:
            return ()
        return (Covered("standards", State.SKIPPED, "the base branch has no standards documents"),)
    words = f"{count} document{'' if count == 1 else 's'} at the base commit"
    return (Covered("standards", State.REVIEWED, by=(f"{words}, {others} of the organisation" if others else words,)),)


async def cite(standards: Standards, shelved: Shelved, drafts: tuple[Draft, ...]) -> Cited:
    """Give each draft of a check the section that governs it, where one clearly does."""
    cited: list[Draft] = []
    governing: dict[tuple[str, str], Standard | None] = {}  # a rule is governed once a file, however often it is broken
    for draft in drafts:
        query = f"{draft.rule} {draft.title}. {draft.why}"
        key = draft.path, draft.rule or query
        if key not in governing:
            try:
                hits = await _searched(standards, shelved.searchable, query, draft.path)
            except TROUBLE as error:
                rest = drafts[len(cited) :]
                return Cited((*cited, *rest), _distinct(governing.values()), (unavailable(_reason(error)),))
            governing[key] = next((hit.standard for hit in hits if hit.governs), None)
        best = governing[key]
        cited.append(draft if best is None else replace(draft, standard_refs=(best.id,)))
    return Cited(tuple(cited), _distinct(governing.values()))


def _distinct(found: Iterable[Standard | None]) -> tuple[Standard, ...]:
    return tuple({one.id: one for one in found if one is not None}.values())


async def consult(standards: Standards, shelf: Shelf, question: str, path: str = "", limit: int = 3) -> Sequence[Hit]:
    """The sections that answer a person's question; none if the documents do not cover it. Raises UserError."""
    try:
        return [hit for hit in await _searched(standards, shelf, question, path, limit) if hit.governs]
    except TROUBLE as error:
        raise UserError(f"The team's standards are unavailable now: {_reason(error)}.") from error


async def _searched(standards: Standards, shelf: Shelf, query: str, path: str, limit: int = 1) -> tuple[Hit, ...]:
    async with asyncio.timeout(LOOK_UP):
        return await standards.search(shelf, query, path=path, language=language(path), limit=limit)


def unavailable(reason: str) -> Covered:
    """The row that keeps a review from calling itself complete."""
    return Covered("standards", State.FAILED, f"standards unavailable: {reason}")


def _reason(error: Exception) -> str:
    return "the index did not answer in time" if isinstance(error, TimeoutError) else str(error)

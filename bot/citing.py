"""The shelf of a review, and the section of it that governs what a check found."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.interfaces import CodeHost, Standards
from bot.review.coverage import Covered, State
from bot.review.diff import Diff
from bot.review.finding import Draft
from bot.review.language import language
from bot.review.policy import Policy
from bot.review.pull_request import PullRequest
from bot.review.shelf import audience, select, tampered
from bot.review.standard import Document, Shelf, Standard


@dataclass(frozen=True, slots=True)
class Shelved:
    """The documents that govern a review, a row for what became of them, and those that the change itself touches."""

    shelf: Shelf
    rows: tuple[Covered, ...] = ()
    tampered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cited:
    """Drafts with the sections that govern them, and those sections."""

    drafts: tuple[Draft, ...] = ()
    standards: tuple[Standard, ...] = ()


async def shelve(host: CodeHost, standards: Standards, pull: PullRequest, policy: Policy, diff: Diff) -> Shelved:
    """Find the documents at the base commit and make them searchable. Without standards the review goes on, and says so."""
    entries = await host.tree(pull.ref, pull.base_sha)
    found = select(
        [(entry.path, entry.blob, entry.size) for entry in entries], policy, changed=[file.path for file in diff]
    )
    shelf = Shelf(pull.ref.repo, pull.base_sha, audience(found.documents, pull.private))

    async def read(document: Document) -> bytes:
        return await host.blob(pull.ref, document.blob)

    trouble = [f"{path}: {reason}" for path, reason in found.skipped]
    trouble += await standards.sync(shelf, read)
    count = len(shelf.documents)
    row = Covered("standards", State.REVIEWED, by=(f"{count} document{'' if count == 1 else 's'} at the base commit",))
    if not count:
        row = Covered("standards", State.SKIPPED, "the base branch has no standards documents")
    rows = (row, *(Covered("standards", State.FAILED, reason) for reason in trouble))
    return Shelved(shelf, rows, tampered(diff, policy))


async def cite(standards: Standards, shelf: Shelf, drafts: tuple[Draft, ...]) -> Cited:
    """Give each draft of a check the section that governs it, where one clearly does."""
    cited: list[Draft] = []
    sections: dict[str, Standard] = {}
    for draft in drafts:
        query = f"{draft.rule} {draft.title}. {draft.why}"
        hits = await standards.search(shelf, query, path=draft.path, language=language(draft.path), limit=1)
        best = next((hit.standard for hit in hits if hit.governs), None)
        if best is not None:
            sections[best.id] = best
            draft = replace(draft, standard_refs=(best.id,))  # noqa: PLW2901 - the same draft, with its citation
        cited.append(draft)
    return Cited(tuple(cited), tuple(sections.values()))

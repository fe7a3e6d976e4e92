"""Collects the documents that govern a change, makes them searchable, and cites the section that governs a check's finding.

Documents are the repository's own and the organisation's, read at commits of base branches: a pull request's changes to
the rules take effect with its merge. If documents cannot be read or searched, the review goes on without their citations
and says so.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from bot.core.code.diff import Diff, Status
from bot.core.code.language import language
from bot.core.code.plan import CoverageRow, FileState
from bot.core.code.pull_request import PullRef, PullRequest
from bot.core.comments.remarks import consequences
from bot.core.findings.finding import Draft
from bot.core.findings.standard import Document, Hit, Shelf, Standard, UnreadDocument, verify_quote
from bot.core.policy import PATH, Policy, PolicyLayer, parse
from bot.engine.journal import from_json
from bot.errors import ConfigurationError, Forbidden, NotFound, Refused, Retryable, TooLarge, UserError
from bot.handlers.read import ORGANISATION, material, merged
from bot.interfaces import CodeHost, OrganisationStandards, Standards, Step, ToolUse, TreeFile
from bot.standards.documents import DEPTH, Selection, audience, imported, importing, select, tampered
from bot.standards.passages import sentences

SAID = 50
"""Most documents that are named as left out."""


@dataclass(frozen=True, slots=True)
class CollectedStandards:
    """The shelf of a change. `skipped` says what was left out and why, `failed` what could not be listed.

    `tampered` has a line for each file of the change that alters the rules.
    """

    shelf: Shelf
    skipped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    tampered: tuple[str, ...] = ()


async def collect(host: CodeHost, pull: PullRequest, policy: Policy, diff: Diff) -> CollectedStandards:
    """Collects the documents for `diff`. If a repository's files cannot be listed, the review goes on without them."""
    found, failed = Selection(), []
    try:
        found = await documents(host, pull, policy, [file.path for file in diff])
    except Refused as error:
        failed.append(str(error))
    library = Selection()
    try:
        library = await _organisations(host, pull)
    except Refused as error:
        failed.append("the organisation's documents could not be read" + (f": {error}" if pull.private else ""))
    shelf = Shelf(pull.ref.repo, pull.base_sha, audience((*library.documents, *found.documents), pull.private))
    left_out = [f"{path}: {reason}" for path, reason in (*library.skipped, *found.skipped)]
    more = [f"and {len(left_out) - SAID} more"] if len(left_out) > SAID else []
    own = {document.path for document in found.documents}
    return CollectedStandards(
        shelf,
        skipped=(*left_out[:SAID], *more),
        failed=tuple(failed),
        tampered=(*tampered(diff, policy, own), *await _settings(host, pull, policy, diff)),
    )


async def documents(host: CodeHost, pull: PullRequest, policy: Policy, changed: Sequence[str]) -> Selection:
    """Returns the repository's own documents at the base commit for the files `changed`, and what they import."""
    files = _listed(await host.tree(pull.ref, pull.base_sha))
    found = select(files, policy, changed=changed)
    kept, fresh = found.documents, [document for document in found.documents if importing(document.path)]
    for _ in range(DEPTH):
        contents = await _contents(host, pull.ref, fresh)
        fresh = list(imported(kept, contents, files))
        kept = (*kept, *fresh)
    return replace(found, documents=kept)


def home(pull: PullRequest, document: Document) -> PullRef:
    """Returns the repository of a document. Each repository of an installation is read with its own token."""
    return PullRef(document.repo, 0, installation=pull.ref.installation) if document.repo else pull.ref


async def _organisations(host: CodeHost, pull: PullRequest) -> Selection:
    """Returns the organisation's documents. Only their own repository decides which of them are public."""
    library = await host.library(pull.ref)
    if library is None:
        return Selection()
    entries = await host.tree(library.ref, library.commit)
    policy = await _policy(host, library, entries)
    rules = policy.standards.model_copy(update={"conventions": False})  # those are about that repository
    found = select(_listed(entries), policy.model_copy(update={"standards": rules}), changed=())
    kept = (
        replace(
            one,
            repo=library.ref.repo,
            commit=library.commit,
            visibility=one.visibility if library.private else "public",
        )
        for one in found.documents
    )
    shown = pull.private or not library.private
    skipped = tuple((f"{library.ref.repo}:{path}", reason) for path, reason in found.skipped) if shown else ()
    return Selection(tuple(kept), skipped)


async def _policy(host: CodeHost, library: OrganisationStandards, entries: Collection[TreeFile]) -> Policy:
    entry = next((entry for entry in entries if entry.path == PATH), None)
    if entry is None:
        return Policy()
    return parse((await host.blob(library.ref, entry.blob)).decode(errors="replace"))[0]


async def _contents(host: CodeHost, ref: PullRef, documents: Sequence[Document]) -> dict[str, bytes]:
    """Returns the documents' bytes by path; nothing for one that cannot be read, which the index reports."""
    contents = await host.blobs(ref, [document.blob for document in documents])
    found = ((document.path, contents[document.blob]) for document in documents)
    return {path: content if isinstance(content, bytes) else b"" for path, content in found}


async def _settings(host: CodeHost, pull: PullRequest, policy: Policy, diff: Diff) -> tuple[str, ...]:
    """Returns what a change to `.github/assistant.yml` would set, over the organisation's defaults."""
    file = next((one for one in diff if PATH in {one.path, one.base_path}), None)
    if file is None:
        return ()
    layers = []
    with suppress(Refused):
        layers.append(
            PolicyLayer(ORGANISATION, (await host.organisation_file(pull.ref, PATH)).decode(errors="replace"))
        )
    if file.path == PATH and file.status is not Status.REMOVED:
        try:
            layers.append(PolicyLayer(PATH, (await host.blob(pull.ref, file.blob)).decode(errors="replace")))
        except Refused as error:
            return (f"What `{PATH}` would set once this is merged cannot be told: {error}",)
    try:
        return consequences(policy, await merged(layers))
    except TooLarge as error:
        return (f"What `{PATH}` would set once this is merged cannot be told: {error}",)


def _listed(entries: Collection[TreeFile]) -> list[tuple[str, str, int]]:
    return [(entry.path, entry.blob, entry.size) for entry in entries]


PATIENCE, LOOK_UP = 120.0, 15.0
"""Seconds for making a shelf searchable, and for one search."""
NEAREST = 6
"""Sections of one search that are shown to the model."""
NO_PINS: Mapping[str, str] = MappingProxyType({})
TROUBLE = (ConfigurationError, Refused, Retryable, TimeoutError)
"""Errors that an index may raise."""


@dataclass(frozen=True, slots=True)
class IndexedShelf:
    """The documents that govern a review, their coverage rows, and what the change does to them.

    `sections` are all of the shelf's; they are not journaled. An index that is not `available` is not searched.
    """

    shelf: Shelf
    rows: tuple[CoverageRow, ...] = ()
    tampered: tuple[str, ...] = ()
    sections: tuple[Standard, ...] = ()
    available: bool = True

    @property
    def searchable(self) -> Shelf:
        """The shelf that may be searched: an empty one without an index."""
        return self.shelf if self.available else replace(self.shelf, documents=())


@dataclass(frozen=True, slots=True)
class CitedDrafts:
    """Drafts with the sections that govern them, those sections, and a row if the index stopped answering."""

    drafts: tuple[Draft, ...] = ()
    standards: tuple[Standard, ...] = ()
    rows: tuple[CoverageRow, ...] = ()


@dataclass(slots=True)
class DocumentReader:
    """Reads documents from their repositories, and notes which were refused and whether GitHub wants a later retry."""

    host: CodeHost
    pull: PullRequest
    later: Retryable | None = None
    refused: set[str] = field(default_factory=set)

    async def __call__(self, documents: Sequence[Document]) -> Mapping[Document, bytes | Refused]:
        by_home: defaultdict[PullRef, list[Document]] = defaultdict(list)
        for document in documents:
            by_home[home(self.pull, document)].append(document)
        found: dict[Document, bytes | Refused] = {}
        try:
            for ref, shelved in by_home.items():
                contents = await self.host.blobs(ref, [document.blob for document in shelved])
                found |= {document: contents[document.blob] for document in shelved}
        except Retryable as error:
            self.later = error
            raise
        self.refused |= {doc.path for doc, content in found.items() if isinstance(content, (NotFound, Forbidden))}
        return found


async def shelve(
    host: CodeHost, standards: Standards, pull: PullRequest, policy: Policy, diff: Diff, step: Step
) -> IndexedShelf:
    """Finds the documents at the base commit and makes them searchable.

    The list of documents is journaled. The index belongs to a machine: where the job goes on, it is synchronised again.
    """
    found = await step("shelf", lambda: collect(host, pull, policy, diff), CollectedStandards)
    return await material(step, "standards", lambda: _indexed(standards, DocumentReader(host, pull), found))


async def _indexed(standards: Standards, read: DocumentReader, found: CollectedStandards) -> IndexedShelf:
    unread: tuple[UnreadDocument, ...] = ()
    sections: tuple[Standard, ...] = ()
    failed, available = [*found.failed], True
    try:
        async with asyncio.timeout(PATIENCE):
            unread = await standards.sync(found.shelf, read)
            sections = await standards.sections(found.shelf)
    except TROUBLE as error:
        if read.later is not None:
            raise read.later from error  # the step comes back when GitHub does
        failed.append(_reason(error))
        available = False
    failed += [str(document) for document in unread if document.path in read.refused]
    skipped = [*found.skipped, *(str(document) for document in unread if document.path not in read.refused)]
    rows = (*_counted(found), *(CoverageRow("standards", FileState.SKIPPED, reason) for reason in skipped))
    return IndexedShelf(found.shelf, (*rows, *map(unavailable, failed)), found.tampered, sections, available)


def _counted(found: CollectedStandards) -> tuple[CoverageRow, ...]:
    count, others = len(found.shelf.documents), sum(bool(document.repo) for document in found.shelf.documents)
    if not count:
        if found.failed:
            return ()
        return (CoverageRow("standards", FileState.SKIPPED, "the base branch has no standards documents"),)
    words = f"{count} document{'' if count == 1 else 's'} at the base commit"
    return (
        CoverageRow(
            "standards", FileState.REVIEWED, by=(f"{words}, {others} of the organisation" if others else words,)
        ),
    )


async def cite(
    standards: Standards, indexed: IndexedShelf, drafts: tuple[Draft, ...], pins: Mapping[str, str] = NO_PINS
) -> CitedDrafts:
    """Gives each draft of a check the section that clearly governs it, if there is one, and the sentence that does.

    `pins` are the policy's own citations: rule -> `path#anchor`. They come before every search.
    """
    found, rows = pinned(indexed.sections, {rule: pins[rule] for rule in {d.rule for d in drafts} & pins.keys()})
    cited_drafts: list[Draft] = []
    governing: dict[tuple[str, str], Hit | None] = {}  # a rule is governed once a file, however often it is broken
    for draft in drafts:
        query = f"{draft.rule} {draft.title}. {draft.why}"
        key = draft.path, draft.rule or query
        if key not in governing:
            try:
                governing[key] = await _governing(standards, indexed, query, draft, found.get(draft.rule))
            except TROUBLE as error:
                rest = drafts[len(cited_drafts) :]
                rows = (*rows, unavailable(_reason(error)))
                return CitedDrafts((*cited_drafts, *rest), _distinct(governing.values()), rows)
        best = governing[key]
        cited_drafts.append(
            draft if best is None else replace(draft, standard_refs=(best.standard.id,), standard_quote=best.quote)
        )
    return CitedDrafts(tuple(cited_drafts), _distinct(governing.values()), rows)


async def _governing(
    standards: Standards, indexed: IndexedShelf, query: str, draft: Draft, pin: Standard | None
) -> Hit | None:
    """Returns the pinned section, or else the first one that governs the draft."""
    if pin is not None:
        rules = sorted((rule for rule in sentences(pin.text) if rule.rule), key=lambda rule: not rule.strict)
        return Hit(
            pin, 1.0, governs=True, quote=next((rule.text for rule in rules if verify_quote(rule.text, [pin])), "")
        )
    hits = await _searched(standards, indexed.searchable, query, draft.path)
    return next((hit for hit in hits if hit.governs), None)


def pinned(
    sections: Sequence[Standard], pins: Mapping[str, str]
) -> tuple[dict[str, Standard], tuple[CoverageRow, ...]]:
    """Returns the section of each pinned rule, and a coverage row for each pin without one."""
    places: dict[str, Standard] = {}
    for section in sections:
        places.setdefault(section.document, section)
        places.setdefault(f"{section.document}#{section.anchor}", section)
    wanted = {rule: place.removeprefix("./") for rule, place in pins.items()}
    missing = tuple(
        CoverageRow("standards", FileState.SKIPPED, f"cites: {rule}: no document has {place}")
        for rule, place in sorted(wanted.items())
        if place not in places
    )
    return {rule: places[place] for rule, place in wanted.items() if place in places}, missing


def _distinct(found: Iterable[Hit | None]) -> tuple[Standard, ...]:
    return tuple({hit.standard.id: hit.standard for hit in found if hit is not None}.values())


async def consult(standards: Standards, shelf: Shelf, question: str, path: str = "", limit: int = 3) -> Sequence[Hit]:
    """Returns the sections that answer a person's question; none if the documents do not cover it. Raises UserError."""
    try:
        return [hit for hit in await _searched(standards, shelf, question, path, limit) if hit.governs]
    except TROUBLE as error:
        raise UserError(f"The team's standards are unavailable now: {_reason(error)}.") from error


async def _searched(standards: Standards, shelf: Shelf, query: str, path: str, limit: int = 1) -> tuple[Hit, ...]:
    async with asyncio.timeout(LOOK_UP):
        return await standards.search(shelf, query, path=path, language=language(path), limit=limit)


async def nearest(standards: Standards, shelf: Shelf, query: str, path: str) -> tuple[Standard, ...]:
    """Returns the sections nearest to a query for `path`, best first. Raises Refused if the index does not answer."""
    try:
        hits = await _searched(standards, shelf, query, path, NEAREST)
        return tuple(dict.fromkeys(hit.whole or hit.standard for hit in hits))
    except TROUBLE as error:
        raise Refused(_reason(error)) from error


def unavailable(reason: str) -> CoverageRow:
    """Returns the coverage row that marks a review as incomplete."""
    return CoverageRow("standards", FileState.FAILED, f"standards unavailable: {reason}")


def _reason(error: Exception) -> str:
    return "the index did not answer in time" if isinstance(error, TimeoutError) else str(error)


def standards_in(lookups: Iterable[ToolUse]) -> Iterable[Standard]:
    """The sections that searches of the model returned and that govern. Only these may be cited."""
    for lookup in lookups:
        if lookup.tool == "search_standards":
            yield from (from_json(row, Standard) for row in _sections(lookup.text) if row["governs"])


def unanswered(lookups: Iterable[ToolUse]) -> Iterable[CoverageRow]:
    """A failed row if a search of the standards got no answer: its sections were not applied."""
    reasons = [lookup.unavailable for lookup in lookups if lookup.tool == "search_standards" and lookup.unavailable]
    return [CoverageRow("standards", FileState.FAILED, f"standards unavailable: {reason}") for reason in reasons[:1]]


def _sections(answer: str) -> Sequence[Mapping[str, Any]]:
    """The sections in an answer of search_standards; none in an error or in an answer that was cut."""
    try:
        value = json.loads(answer)
    except ValueError:
        return ()
    return value["standards"] if isinstance(value, dict) and "standards" in value else ()

"""Searches standards in an OpenAI vector store, one store per repository.

The uploaded text is the text of the local index's sections, so that each chunk of the store can be traced back to its
sections; a chunk that cannot be traced is not returned. The store only finds more: the local index, whose threshold was
measured, decides which sections govern.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from bot.core.claims.prompt import HostedSearch
from bot.core.code.globs import Globs
from bot.core.findings.standard import Hit, Shelf, Standard, UnreadDocument
from bot.errors import NotFound
from bot.interfaces import ReadDocuments, SearchPassage, Standards
from bot.standards.vector_store_api import AccountFile, Attributes, Chunk, StoreFile, VectorStoreClient

HALF = 0.5
"""A chunk belongs to a section if it has this share of the section, or the section is this share of the chunk."""
_LONGEST = 512  # characters of an attribute


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The sections of one document as one Markdown file, with the repository and path they come from."""

    repo: str
    path: str
    blob: str
    sections: tuple[Standard, ...]

    @property
    def body(self) -> str:
        """The uploaded text: that of the sections, in any format of the document."""
        return "\n\n".join(one.text for one in self.sections)

    @property
    def digest(self) -> str:
        """A hash of the content and its place."""
        return hashlib.sha256(f"{self.repo}\0{self.path}\0{self.blob}\0{self.body}".encode()).hexdigest()[:32]

    @property
    def attributes(self) -> Attributes:
        """The file's attributes in the store, within its limits."""
        language = self.sections[0].languages[0] if self.sections[0].languages else ""
        known = {"repository": self.repo, "path": self.path, "blob": self.blob, "language": language}
        return {key: value[:_LONGEST] for key, value in known.items()} | {"digest": self.digest}


def sections_of(text: DocumentText, chunk: str) -> tuple[Standard, ...]:
    """Returns the sections of `chunk`, in order; none if it is not word for word in the text."""
    words = [_normal(one.text) for one in text.sections]
    starts = list(accumulate((len(one) + 1 for one in words), initial=0))
    wanted = _normal(chunk)
    begin = " ".join(words).find(wanted) if wanted else -1
    if begin < 0:
        return ()
    end = begin + len(wanted)
    found: list[Standard] = []
    for standard, start, word in zip(text.sections, starts, words, strict=False):
        shared = min(end, start + len(word)) - max(begin, start)
        if shared > 0 and shared >= HALF * min(len(word), len(wanted)):
            found.append(standard)
    return tuple(found)


def texts(repo: str, sections: Sequence[Standard]) -> dict[str, DocumentText]:
    """Returns the documents of `sections` by digest; those without a repository of their own belong to `repo`."""
    documents: dict[tuple[str, str, str], list[Standard]] = {}
    for one in sections:
        documents.setdefault((one.repo or repo, one.document, one.blob), []).append(one)
    found = (DocumentText(*place, tuple(standards)) for place, standards in documents.items())
    return {text.digest: text for text in found}


def _normal(text: str) -> str:
    return " ".join(text.split())


NAME = "review-assistant"
GRACE = 24 * 3600.0
"""Seconds that a file stays after it left the shelf: another pull request may still search it."""
NEAREST = 20
"""Local hits that break ties."""


@dataclass(slots=True)
class VectorStoreStandards:
    """Hosted search on top of a local index. `now` returns Unix seconds."""

    client: VectorStoreClient
    local: Standards
    now: Callable[[], float]
    grace: float = GRACE
    _stores: dict[str, str] = field(default_factory=dict, init=False)

    async def sync(self, shelf: Shelf, read: ReadDocuments) -> tuple[UnreadDocument, ...]:
        """Uploads what the store does not have, and removes leftovers, also those of a crash.

        It may be stopped at any point and run again: it finds an unattached upload by its name and attaches it.
        """
        unread = await self.local.sync(shelf, read)
        wanted = texts(shelf.repo, await self.local.sections(shelf))
        store = await self._opened(shelf.repo)
        held = await self.client.held(store)
        kept = {_digest(one): one for one in held if one.usable}
        loose = {one.name: one for one in await self._loose(shelf.repo, held)}
        missing = {digest: text for digest, text in wanted.items() if digest not in kept}
        failed = await self._add(store, shelf.repo, missing, loose)
        for name in {_name(shelf.repo, digest) for digest in missing} & loose.keys():
            del loose[name]
        await self._clear(store, [one for one in held if kept.get(_digest(one)) is not one], loose.values())
        await self._age(store, kept, wanted)
        return (*unread, *failed)

    async def search(
        self, shelf: Shelf, query: str, *, path: str = "", language: str = "", limit: int = 5
    ) -> tuple[Hit, ...]:
        """Returns the sections in the chunks nearest to `query`, those that govern first. Raises NotFound before a sync."""
        held = texts(shelf.repo, await self.local.sections(shelf))
        if not held or not query.strip() or limit < 1:
            return ()
        near = await self.local.search(shelf, query, path=path, language=language, limit=NEAREST)
        chunks = await self.client.search(await self._known(shelf.repo), query, "digest", list(held))
        return _hits(chunks, held, near, path)[:limit]

    async def hosted(self, shelf: Shelf) -> HostedSearch | None:
        """Returns the repository's store, limited to this shelf's documents: it may hold others that readers may not see."""
        held = texts(shelf.repo, await self.local.sections(shelf))
        return HostedSearch(await self._known(shelf.repo), "digest", tuple(held)) if held else None

    async def trace(self, shelf: Shelf, passages: Sequence[SearchPassage]) -> tuple[Hit, ...]:
        """Returns the sections in passages of this shelf's documents. They govern as in `search`."""
        held = texts(shelf.repo, await self.local.sections(shelf))
        found: list[Hit] = []
        for query in dict.fromkeys(one.query for one in passages):
            near = await self.local.search(shelf, query, limit=NEAREST)
            chunks = [Chunk(one.attributes, one.text, one.score) for one in passages if one.query == query]
            found += _hits(chunks, held, near, "")
        return tuple(found)

    async def sections(self, shelf: Shelf) -> tuple[Standard, ...]:
        """Returns every section of the shelf from the local index."""
        return await self.local.sections(shelf)

    async def close(self) -> None:
        """Give connections back."""
        await self.client.endpoint.close()

    async def listed(self, repo: str) -> tuple[Attributes, ...]:
        """What the store of `repo` holds: repository, path, blob, language and digest of each document."""
        return tuple(one.attributes for one in await self.client.held(await self._known(repo)))

    async def prune(self, shelves: Sequence[Shelf]) -> int:
        """Removes files that are on none of `shelves` from the stores of their repositories, and returns how many."""
        removed = 0
        for repo in dict.fromkeys(shelf.repo for shelf in shelves):
            own = [await self.local.sections(shelf) for shelf in shelves if shelf.repo == repo]
            wanted = {digest for sections in own for digest in texts(repo, sections)}
            store = await self._known(repo)
            held = await self.client.held(store)
            left = [(one.id, store) for one in held if _digest(one) not in wanted]
            left += [(one.id, "") for one in await self._loose(repo, held)]
            for file, place in left:
                await self.client.remove(file, place)
            removed += len(left)
        return removed

    async def _add(
        self, store: str, repo: str, missing: Mapping[str, DocumentText], loose: Mapping[str, AccountFile]
    ) -> tuple[UnreadDocument, ...]:
        """Uploads and attaches files; earlier uploads are only attached. Returns the files that failed."""
        files: dict[str, DocumentText] = {}
        for digest, text in missing.items():
            name = _name(repo, digest)
            file = loose[name].id if name in loose else await self.client.upload(name, text.body)
            files[file] = text
        failed = await self.client.attach(store, {file: text.attributes for file, text in files.items()})
        for file in failed:
            await self.client.remove(file, store)
        return tuple(UnreadDocument(files[file].path, message) for file, message in failed.items() if file in files)

    async def _clear(self, store: str, broken: Sequence[StoreFile], orphans: Collection[AccountFile]) -> None:
        """Removes duplicates, files that the server could not read, and old uploads that are not attached."""
        for one in broken:
            await self.client.remove(one.id, store)
        for orphan in orphans:
            if self.now() - orphan.created >= self.grace:
                await self.client.remove(orphan.id)

    async def _age(self, store: str, kept: Mapping[str, StoreFile], wanted: Collection[str]) -> None:
        """Notes when a file leaves the shelf, removes it after `grace`, and deletes the note if it comes back."""
        for digest, one in kept.items():
            left = one.attributes.get("left")
            stays = {key: value for key, value in one.attributes.items() if key != "left"}
            if digest in wanted:
                if left is not None:
                    await self.client.mark(store, one.id, stays)
            elif self.now() - float(left if left is not None else self.now()) >= self.grace:
                await self.client.remove(one.id, store)
            elif left is None:
                await self.client.mark(store, one.id, {**stays, "left": self.now()})

    async def _opened(self, repo: str) -> str:
        """Returns the repository's store, or a new one. Expired stores and all but the oldest are dropped."""
        found = await self.client.stores(_store_name(repo))
        alive = [store for store in found if not store.expired]
        store = alive[0] if alive else await self.client.create(_store_name(repo))
        for other in found:
            if other.id != store.id:
                await self.client.drop(other.id)
        self._stores[repo] = store.id
        return store.id

    async def _known(self, repo: str) -> str:
        if repo not in self._stores:
            alive = [store for store in await self.client.stores(_store_name(repo)) if not store.expired]
            if not alive:
                raise NotFound(f"there is no vector store for {repo}: synchronise the shelf first")
            self._stores[repo] = alive[0].id
        return self._stores[repo]

    async def _loose(self, repo: str, held: Sequence[StoreFile]) -> list[AccountFile]:
        """Returns our uploads for this repository that are in no store."""
        attached = {one.id for one in held}
        return [one for one in await self.client.files(_name(repo, "")[: -len(".md")]) if one.id not in attached]


def _hits(chunks: Sequence[Chunk], held: Mapping[str, DocumentText], near: Sequence[Hit], path: str) -> tuple[Hit, ...]:
    """Returns the sections in `chunks` with their best score; the local hits break ties and decide what governs."""
    order: dict[str, int] = {}
    governing: dict[str, list[Hit]] = {}
    for place, hit in enumerate(near):
        name = hit.standard.section or hit.standard.id
        order.setdefault(name, place)
        if hit.governs:
            governing.setdefault(name, []).append(hit)
    best: dict[str, tuple[int, Hit]] = {}
    for chunk in sorted(chunks, key=lambda chunk: -chunk.score):
        text = held.get(str(chunk.attributes.get("digest")))
        for section in sections_of(text, chunk.text) if text else ():
            if not path or not section.scope or Globs.of(section.scope).match(path):
                for hit in governing.get(section.id, [Hit(section, 0.0)]):
                    place = order.get(section.id, NEAREST)
                    best.setdefault(hit.standard.id, (place, replace(hit, score=chunk.score)))
    ranked = sorted(best.values(), key=lambda pair: (not pair[1].governs, -pair[1].score, pair[0]))
    return tuple(hit for _, hit in ranked)


def _digest(one: StoreFile) -> str:
    return str(one.attributes.get("digest", ""))


def _store_name(repo: str) -> str:
    return f"{NAME}/{repo}"


def _name(repo: str, digest: str) -> str:
    """Returns a file's name, by which an upload without attributes is recognised."""
    return f"{NAME}-{hashlib.sha256(repo.encode()).hexdigest()[:12]}-{digest}.md"

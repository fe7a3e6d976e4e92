"""Keeps parsed standards in a SQLite file and searches them. Each document is parsed once per blob.

The file is a cache: several processes may share it, and it may be deleted. It does not decide what may be read: a search
sees only the documents of the shelf it is given.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from threading import Lock

from pydantic import TypeAdapter

from bot.core.claims.prompt import HostedSearch
from bot.core.findings.standard import ARCHIVES, Document, Hit, Shelf, Standard, UnreadDocument
from bot.deadline import within
from bot.errors import ConfigurationError, NotFound, Refused, Retryable
from bot.interfaces import ReadDocuments, SearchPassage
from bot.standards import READERS
from bot.standards.local_index import Index
from bot.standards.sections import Reader, sections

PARSER = 2
"""Version of the parser. It is raised when documents are cut differently: rows of older versions are not used."""
TOGETHER = 100
"""Documents that are read together."""
KEPT = 5_000
"""Most documents in the file; the least recently used are deleted first."""
OPEN = 4
"""Most shelves whose index stays in memory."""
PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    parser INTEGER NOT NULL, path TEXT NOT NULL, blob TEXT NOT NULL, scope TEXT NOT NULL,
    used INTEGER NOT NULL, read INTEGER NOT NULL, problem TEXT NOT NULL, sections BLOB NOT NULL,
    PRIMARY KEY (parser, path, blob, scope)
)
"""
_SECTIONS = TypeAdapter(tuple[Standard, ...])


@dataclass(slots=True)
class FolderStandards:
    """The embedded search: no service, no key. `path` is the index file, or ":memory:".

    `readers` lay out archives, by suffix.
    """

    path: Path | str
    readers: Mapping[str, Reader] = field(default_factory=lambda: READERS)
    _rows: sqlite3.Connection | None = field(default=None, init=False)
    _open: OrderedDict[tuple[Document, ...], Index] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    async def sync(self, shelf: Shelf, read: ReadDocuments) -> tuple[UnreadDocument, ...]:
        """Parses new documents. A document that cannot be parsed is kept with the reason and not read again."""
        missing = await asyncio.to_thread(self._missing, shelf)
        for start in range(0, len(missing), TOGETHER):
            for document, content in (await read(missing[start : start + TOGETHER])).items():
                if isinstance(content, Refused):
                    await asyncio.to_thread(self._store, document, (), str(content), read=False)
                else:
                    await asyncio.to_thread(self._parse, document, content)
        return await asyncio.to_thread(self._unread, shelf)

    async def search(
        self, shelf: Shelf, query: str, *, path: str = "", language: str = "", limit: int = 5
    ) -> tuple[Hit, ...]:
        """Returns the nearest sections, those that govern first. Raises NotFound for a shelf that was never synced here."""
        return await asyncio.to_thread(self._search, shelf, query, path, language, limit)

    async def hosted(self, shelf: Shelf) -> HostedSearch | None:
        """Returns None: no model server can read the file."""
        return None

    async def trace(self, shelf: Shelf, passages: Sequence[SearchPassage]) -> tuple[Hit, ...]:
        """Returns nothing: no model server can read these documents."""
        return ()

    async def sections(self, shelf: Shelf) -> tuple[Standard, ...]:
        """Returns every section of the shelf, in the order of its documents. Raises NotFound as `search` does."""
        return await asyncio.to_thread(self._sections, shelf)

    async def prune(self, shelves: Sequence[Shelf]) -> int:
        """Deletes every document that is on none of `shelves`, and returns how many it deleted."""
        return await asyncio.to_thread(self._prune, shelves)

    async def close(self) -> None:
        """Closes the file and the indexes in memory."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()
            if self._rows is not None:
                self._rows.close()
                self._rows = None

    def _missing(self, shelf: Shelf) -> list[Document]:
        """Returns the documents that were never read, and marks the others as used."""
        with self._lock, self._transaction() as rows:
            (now,) = rows.execute("SELECT coalesce(max(used), 0) + 1 FROM documents").fetchone()
            touch = "UPDATE documents SET used = ? WHERE read AND parser = ? AND path = ? AND blob = ? AND scope = ?"
            return [doc for doc in shelf.documents if not rows.execute(touch, (now, *_key(doc))).rowcount]

    def _parse(self, document: Document, content: bytes) -> None:
        try:
            found = within(allowed_seconds(document, content), lambda: sections(document, content, self.readers))
            self._store(document, found, "")
        except Refused as refusal:
            self._store(document, (), str(refusal))

    def _store(self, document: Document, found: tuple[Standard, ...], problem: str, *, read: bool = True) -> None:
        with self._lock, self._transaction() as rows:
            (now,) = rows.execute("SELECT coalesce(max(used), 0) + 1 FROM documents").fetchone()
            rows.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*_key(document), now, read, problem, _SECTIONS.dump_json(found)),
            )
            rows.execute(
                "DELETE FROM documents WHERE rowid IN (SELECT rowid FROM documents ORDER BY used DESC LIMIT -1 OFFSET ?)",
                (KEPT,),
            )

    def _unread(self, shelf: Shelf) -> tuple[UnreadDocument, ...]:
        with self._lock:
            found = [(document.path, self._row(document)[0]) for document in shelf.documents]
        return tuple(UnreadDocument(path, problem) for path, problem in found if problem)

    def _sections(self, shelf: Shelf) -> tuple[Standard, ...]:
        with self._lock:
            return tuple(one for document in shelf.documents for one in self._loaded(document))

    def _search(self, shelf: Shelf, query: str, path: str, language: str, limit: int) -> tuple[Hit, ...]:
        with self._lock:
            index = self._open.pop(shelf.documents, None)
            if index is None:
                index = Index.of([one for document in shelf.documents for one in self._loaded(document)])
            self._open[shelf.documents] = index
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
            return index.search(query, path, language, limit)

    def _loaded(self, document: Document) -> Iterable[Standard]:
        found: tuple[Standard, ...] = _SECTIONS.validate_json(self._row(document)[1])
        return (replace(one, repo=document.repo, commit=document.commit) for one in found) if document.repo else found

    def _row(self, document: Document) -> tuple[str, bytes]:
        select = "SELECT problem, sections FROM documents WHERE parser = ? AND path = ? AND blob = ? AND scope = ?"
        found: tuple[str, bytes] | None = self._connection().execute(select, _key(document)).fetchone()
        if found is None:
            raise NotFound(f"{document.path} at {document.blob[:12]} is not in the index: synchronise the shelf first")
        return found

    def _prune(self, shelves: Sequence[Shelf]) -> int:
        wanted = {_key(document) for shelf in shelves for document in shelf.documents}
        with self._lock, self._transaction() as rows:
            held = rows.execute("SELECT parser, path, blob, scope FROM documents").fetchall()
            left = [key for key in held if key not in wanted]
            rows.executemany("DELETE FROM documents WHERE parser = ? AND path = ? AND blob = ? AND scope = ?", left)
        return len(left)

    def _connection(self) -> sqlite3.Connection:
        if self._rows is None:
            if isinstance(self.path, Path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            rows = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                rows.execute("PRAGMA journal_mode = WAL")
                rows.execute(_SCHEMA)
            except sqlite3.OperationalError as error:
                rows.close()
                raise Retryable(f"the standards index {self.path} is not available: {error}") from error
            except sqlite3.DatabaseError as error:
                rows.close()
                raise ConfigurationError(f"{self.path} is not a standards index; delete it: {error}") from error
            self._rows = rows
        return self._rows

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Runs a block as one transaction that locks out other writers."""
        rows = self._connection()
        try:
            rows.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise Retryable(f"the standards index {self.path} is busy: {error}") from error
        with rows:
            yield rows


def _key(document: Document) -> tuple[int, str, str, str]:
    return PARSER, document.path, document.blob, json.dumps([document.scope, document.languages])


def allowed_seconds(document: Document, content: bytes) -> float:
    """Seconds of CPU that reading a document may take: more for a larger archive, which is packed."""
    if PurePosixPath(document.path).suffix.lower() not in ARCHIVES:
        return 0.9
    return min(0.9 + len(content) / 1_000_000, 4.0)

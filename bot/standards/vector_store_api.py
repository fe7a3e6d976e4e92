"""OpenAI's files and vector stores, in our words: what is held, uploaded, attached, removed and found.

https://platform.openai.com/docs/guides/retrieval
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bot.errors import NotFound, TooLarge
from bot.model.client import Endpoint, translated_errors

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.vector_stores.file_batch_create_params import File

BATCH = 500
"""Files attached at once."""
MOST = 100_000
"""Entries of a list that are read."""
KEPT_DAYS = 30
"""A store that nobody used for so long expires."""
RESULTS = 50
"""Chunks that a search may return."""
CHUNK, OVERLAP = 200, 100
"""Tokens. Rules are short: larger chunks would hold five of them."""
POLLS = 120
"""How often a batch is looked at before it is left to finish by itself."""

Attributes = Mapping[str, str | float | bool]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Store:
    """A vector store. An expired one answers nothing."""

    id: str
    created: int
    expired: bool


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A file in a vector store; one that is not `usable` could not be read by the server."""

    id: str
    usable: bool
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class AccountFile:
    """A file of the account. `created` in Unix seconds."""

    id: str
    name: str
    created: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document that a search returned."""

    attributes: Attributes
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class VectorStoreClient:
    """The calls we need, each with our errors. `pause` in seconds between two looks at a batch."""

    endpoint: Endpoint
    pause: float = 1.0

    @property
    def _api(self) -> AsyncOpenAI:
        return self.endpoint.client

    async def stores(self, name: str) -> list[Store]:
        """The stores of that name, oldest first: of two that were made at once, everybody takes the same."""
        with translated_errors():
            listed = await _all(self._api.vector_stores.list(limit=100))
        found = [Store(one.id, one.created_at, one.status == "expired") for one in listed if one.name == name]
        return sorted(found, key=lambda store: (store.created, store.id))

    async def create(self, name: str) -> Store:
        """A new, empty store."""
        with translated_errors():
            made = await self._api.vector_stores.create(
                name=name, expires_after={"anchor": "last_active_at", "days": KEPT_DAYS}
            )
        return Store(made.id, made.created_at, expired=False)

    async def drop(self, store: str) -> None:
        """Delete a store; its files stay in the account. That it is gone already is fine."""
        with suppress(NotFound), translated_errors():
            await self._api.vector_stores.delete(store)

    async def held(self, store: str) -> list[StoreFile]:
        """Every file of a store."""
        with translated_errors():
            listed = await _all(self._api.vector_stores.files.list(store, limit=100))
        return [StoreFile(one.id, one.status in {"completed", "in_progress"}, one.attributes or {}) for one in listed]

    async def files(self, prefix: str) -> list[AccountFile]:
        """Every file of the account whose name begins with `prefix`."""
        with translated_errors():
            listed = await _all(self._api.files.list(purpose="assistants", limit=10_000))
        return [AccountFile(one.id, one.filename, one.created_at) for one in listed if one.filename.startswith(prefix)]

    async def upload(self, name: str, text: str) -> str:
        """Send a file; it belongs to no store yet."""
        with translated_errors():
            sent = await self._api.files.create(file=(name, text.encode(), "text/markdown"), purpose="assistants")
        return sent.id

    async def attach(self, store: str, files: Mapping[str, Attributes]) -> dict[str, str]:
        """Put files into a store and wait; file id -> message for those that the server could not read."""
        failed: dict[str, str] = {}
        entries = [self._entry(file, attributes) for file, attributes in files.items()]
        for start in range(0, len(entries), BATCH):
            failed |= await self._attach(store, entries[start : start + BATCH])
        return failed

    def _entry(self, file: str, attributes: Attributes) -> File:
        chunking = {"max_chunk_size_tokens": CHUNK, "chunk_overlap_tokens": OVERLAP}
        return {
            "file_id": file,
            "attributes": dict(attributes),
            "chunking_strategy": {"type": "static", "static": chunking},  # type: ignore[typeddict-item] # plain ints
        }

    async def _attach(self, store: str, entries: Sequence[File]) -> dict[str, str]:
        batches = self._api.vector_stores.file_batches
        with translated_errors():
            batch = await batches.create(store, files=entries)
            for _ in range(POLLS):
                if batch.status != "in_progress":
                    break
                await asyncio.sleep(self.pause)
                batch = await batches.retrieve(batch.id, vector_store_id=store)
            if not batch.file_counts.failed:
                return {}
            listed = await _all(batches.list_files(batch.id, vector_store_id=store, filter="failed", limit=100))
        return {one.id: one.last_error.message if one.last_error else "no reason given" for one in listed}

    async def mark(self, store: str, file: str, attributes: Attributes) -> None:
        """Replace a held file's attributes."""
        with translated_errors():
            await self._api.vector_stores.files.update(file, vector_store_id=store, attributes=dict(attributes))

    async def remove(self, file: str, store: str = "") -> None:
        """Take a file out of its store and delete it. That it is gone already is fine."""
        if store:
            with suppress(NotFound), translated_errors():
                await self._api.vector_stores.files.delete(file, vector_store_id=store)
        with suppress(NotFound), translated_errors():
            await self._api.files.delete(file)

    async def search(self, store: str, query: str, key: str, values: Sequence[str]) -> list[Chunk]:
        """The chunks nearest to `query` among files whose attribute `key` is one of `values`, best first."""
        with translated_errors():
            page = await self._api.vector_stores.search(
                store,
                query=query,
                filters={"type": "in", "key": key, "value": list(values)},
                max_num_results=RESULTS,
            )
        return [Chunk(one.attributes or {}, "".join(part.text for part in one.content), one.score) for one in page.data]


async def _all(listed: AsyncIterable[T]) -> list[T]:
    found: list[T] = []
    async for one in listed:
        found.append(one)
        if len(found) > MOST:
            raise TooLarge(f"the account holds more than {MOST:,} of these")
    return found

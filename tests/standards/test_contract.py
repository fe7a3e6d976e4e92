"""What every Standards must do, whichever index answers."""

import asyncio

import pytest
from pydantic import SecretStr

from bot.core.findings.standard import Document, Shelf, UnreadDocument, verify_quote
from bot.errors import NotFound, Retryable
from bot.model.client import Endpoint
from bot.standards.local import FolderStandards
from bot.standards.vector_store import VectorStoreStandards
from bot.standards.vector_store_api import VectorStoreClient
from tests.support.documents import together
from tests.support.vector_store_server import VectorStoreServer

TEXTS = {
    "docs/python.md": "# Python\n\n## Bare except\n\nNever write a bare except.\n\n## Names\n\nUse snake_case for functions.",
    "docs/web.md": '---\napplyTo: "web/**"\n---\n# Web\n\n## Colours\n\nUse the palette for colours.',
}


def hosted():
    endpoint = Endpoint(SecretStr("sk-none"), transport=VectorStoreServer().transport())
    return VectorStoreStandards(VectorStoreClient(endpoint, pause=0), FolderStandards(":memory:"), lambda: 0.0)


@pytest.fixture(params=[lambda: FolderStandards(":memory:"), hosted], ids=["folder", "vector_store"])
def standards(request):
    return request.param()


def shelf(*paths):
    return Shelf("octo/shop", "c" * 40, tuple(Document(path, f"blob of {path}") for path in paths or TEXTS))


async def read(document):
    return TEXTS[document.path].encode()


async def unwanted(document):
    raise AssertionError(document.path)


async def missing(document):
    raise NotFound(f"{document.blob}: 404")


async def broken(document):
    raise Retryable(f"{document.blob}: 502")


def test_after_a_sync_the_rule_that_governs_is_found(standards):
    async def claim():
        assert await standards.sync(shelf(), together(read)) == ()
        first = (await standards.search(shelf(), "E722 Do not use bare except", path="a.py", language="python"))[0]

        assert first.standard.id == "docs/python.md#bare-except"
        assert first.governs
        assert verify_quote("Never write a bare except.", [first.standard]) is not None

    asyncio.run(claim())


def test_a_second_sync_reads_nothing(standards):
    async def claim():
        await standards.sync(shelf(), together(read))
        assert await standards.sync(shelf(), together(unwanted)) == ()

    asyncio.run(claim())


def test_sections_come_in_the_order_of_the_documents(standards):
    async def claim():
        await standards.sync(shelf(), together(read))
        found = [one.id for one in await standards.sections(shelf())]

        assert found == ["docs/python.md#bare-except", "docs/python.md#names", "docs/web.md#colours"]

    asyncio.run(claim())


def test_scope_shelf_and_limit_are_kept(standards):
    async def claim():
        await standards.sync(shelf(), together(read))

        assert await standards.search(shelf(), "palette for colours", path="web/a.css")
        elsewhere = await standards.search(shelf(), "palette for colours", path="api/a.py")
        assert "docs/web.md" not in {hit.standard.document for hit in elsewhere}
        assert not await standards.search(shelf("docs/python.md"), "palette colours")
        assert len(await standards.search(shelf(), "Use never write snake_case palette", limit=1)) == 1
        assert await standards.search(shelf(), "colours", limit=0) == ()
        assert await standards.search(shelf(), "") == ()

    asyncio.run(claim())


def test_what_is_not_covered_does_not_govern(standards):
    async def claim():
        await standards.sync(shelf(), together(read))
        hits = await standards.search(shelf(), "kubernetes memory limits for functions", path="a.py")

        assert not any(hit.governs for hit in hits)

    asyncio.run(claim())


def test_a_shelf_that_was_never_synchronised_is_not_found(standards):
    async def claim():
        with pytest.raises(NotFound):
            await standards.search(shelf(), "bare except")
        with pytest.raises(NotFound):
            await standards.sections(shelf())

    asyncio.run(claim())


def test_a_document_that_cannot_be_fetched_is_reported_and_the_others_serve(standards):
    async def some(document):
        return await (missing if document.path == "docs/web.md" else read)(document)

    async def claim():
        assert await standards.sync(shelf(), together(some)) == (
            UnreadDocument("docs/web.md", "blob of docs/web.md: 404"),
        )
        assert await standards.search(shelf(), "bare except")
        assert await standards.sync(shelf(), together(read)) == ()

    asyncio.run(claim())


def test_a_world_that_fails_for_now_is_worth_another_try(standards):
    async def claim():
        with pytest.raises(Retryable):
            await standards.sync(shelf(), together(broken))
        assert await standards.sync(shelf(), together(read)) == ()

    asyncio.run(claim())

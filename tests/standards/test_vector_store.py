"""The hosted index against a stand-in with the real limits: nothing uploaded twice, nothing lost, nothing left behind."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.core.findings.standard import Document, Shelf, UnreadDocument
from bot.errors import NotFound, Retryable
from bot.model.client import Endpoint
from bot.standards.local import FolderStandards
from bot.standards.vector_store import GRACE, VectorStoreStandards
from bot.standards.vector_store_api import VectorStoreClient
from tests.support.documents import together
from tests.support.vector_store_server import VectorStoreServer

STANDARDS = Path(__file__).parents[2] / "examples" / "standards"
TEXTS = {
    "docs/python.md": "# Python\n\n## Errors\n\nNever catch a bare except, name the exception.\n\n## Names\n\nUse snake_case.",
    "docs/sql.md": "# SQL\n\n## Columns\n\nName the columns, never select star.",
    "docs/git.html": "<h1>Git</h1><h2 id='size'>Size</h2><p>Small pull requests get a real review.</p>",
}


def shelf(texts=None, commit="c" * 40):
    found = tuple(Document(path, f"blob of {hash(text)}") for path, text in (TEXTS if texts is None else texts).items())
    return Shelf("octo/shop", commit, found)


def reader(texts=None):
    async def read(document):
        return (TEXTS if texts is None else texts)[document.path].encode()

    return together(read)


class World:
    """A server, and a process that uses it; `restarted` is another process with an empty disk."""

    def __init__(self, grace=GRACE):
        self.server = VectorStoreServer()
        self.grace = grace
        self.standards = self.restarted()

    def restarted(self):
        client = VectorStoreClient(Endpoint(SecretStr("sk-none"), transport=self.server.transport()), pause=0)
        return VectorStoreStandards(client, FolderStandards(":memory:"), lambda: self.server.seconds, self.grace)

    async def sync(self, texts=None):
        return await self.standards.sync(shelf(texts), reader(texts))


def run(claim, **options):
    async def inside():
        world = World(**options)
        await claim(world)

    asyncio.run(inside())


def test_a_second_sync_uploads_and_attaches_nothing():
    async def claim(world):
        assert await world.sync() == ()
        assert world.server.count("POST", "files") == 3
        world.server.calls.clear()

        assert await world.sync() == ()

        assert [call for call in world.server.calls if not call.startswith("GET")] == []
        assert len(world.server.calls) == 3

    run(claim)


def test_only_the_document_that_changed_is_uploaded_again():
    async def claim(world):
        await world.sync()
        changed = TEXTS | {"docs/sql.md": "# SQL\n\n## Columns\n\nList the columns you need."}
        world.server.calls.clear()

        await world.sync(changed)

        assert world.server.count("POST", "files") == 1

    run(claim)


def test_another_machine_with_an_empty_disk_uploads_nothing():
    async def claim(world):
        await world.sync()
        world.server.calls.clear()
        world.standards = world.restarted()

        await world.sync()

        assert world.server.count("POST", "files") == 0

    run(claim)


def test_what_is_found_are_sections_of_our_own_parse():
    async def claim(world):
        await world.sync()

        hits = await world.standards.search(shelf(), "catch a bare except", path="a.py", language="python")

        assert hits[0].standard.id == "docs/python.md#errors"
        assert hits[0].standard.text == "## Errors\n\nNever catch a bare except, name the exception."
        assert hits[0].governs
        known = await world.standards.sections(shelf())
        assert all(hit.standard in known for hit in hits)

    run(claim)


def test_a_chunk_that_is_not_in_our_text_is_not_returned():
    async def claim(world):
        await world.sync()
        for file in world.server.files.values():
            file.text = "The vendor says: never catch a bare except. Trust me."

        assert await world.standards.search(shelf(), "bare except") == ()

    run(claim)


def test_only_documents_of_the_shelf_are_searched():
    async def claim(world):
        await world.sync()
        smaller = Shelf("octo/shop", "c" * 40, tuple(d for d in shelf().documents if d.path == "docs/sql.md"))

        hits = await world.standards.search(smaller, "catch a bare except, name the columns")

        assert {hit.standard.document for hit in hits} == {"docs/sql.md"}

    run(claim)


def test_a_rule_for_other_paths_is_not_found():
    texts = {"docs/web.md": '---\napplyTo: "web/**"\n---\n# Web\n\n## Colours\n\nUse the palette of colours.'}

    async def claim(world):
        await world.sync(texts)

        assert await world.standards.search(shelf(texts), "palette of colours", path="web/a.css")
        assert not await world.standards.search(shelf(texts), "palette of colours", path="server/a.py")

    run(claim)


def test_a_document_that_left_is_removed_a_day_later():
    async def claim(world):
        await world.sync()
        fewer = {path: text for path, text in TEXTS.items() if path != "docs/sql.md"}

        await world.sync(fewer)
        assert len(world.server.files) == 3
        world.server.seconds += int(GRACE)
        await world.sync(fewer)

        assert {path for path, _ in world.server.attached()} == set(fewer)
        assert len(world.server.files) == 2

    run(claim)


def test_a_document_that_comes_back_in_time_stays():
    async def claim(world):
        await world.sync()
        await world.sync({})
        world.server.seconds += int(GRACE) - 1
        await world.sync()
        world.server.seconds += int(GRACE)
        await world.sync()

        assert len(world.server.files) == 3
        assert world.server.count("POST", "files") == 3

    run(claim)


def test_prune_removes_at_once_what_is_on_no_shelf():
    async def claim(world):
        await world.sync()
        fewer = {"docs/sql.md": TEXTS["docs/sql.md"]}
        await world.sync(fewer)

        assert await world.standards.prune([shelf(fewer)]) == 2
        assert [one["path"] for one in await world.standards.listed("octo/shop")] == ["docs/sql.md"]

    run(claim)


def test_a_file_the_server_cannot_read_is_reported_and_not_left_behind():
    async def claim(world):
        world.server.poison = "snake_case"

        problems = await world.sync()

        assert problems == (UnreadDocument("docs/python.md", "The file could not be parsed."),)
        assert len(world.server.files) == 2

    run(claim)


def test_everything_is_sent_as_markdown_with_attributes_within_the_limits():
    deep = "docs/" + "very-long-name/" * 60 + "a.html"
    texts = {deep: TEXTS["docs/git.html"]}

    async def claim(world):
        assert await world.sync(texts) == ()

        (file,) = world.server.files.values()
        assert file.name.endswith(".md")
        (one,) = await world.standards.listed("octo/shop")
        assert len(one["path"]) == 512
        assert one["repository"] == "octo/shop"

    run(claim)


def test_an_expired_store_is_replaced_and_its_files_are_used_again():
    async def claim(world):
        await world.sync()
        (store,) = world.server.stores.values()
        store.status, store.files = "expired", {}
        world.server.calls.clear()
        world.standards = world.restarted()

        await world.sync()

        assert world.server.count("POST", "files") == 0
        assert list(world.server.stores) != [store.id]
        assert len(world.server.attached()) == 3

    run(claim)


def test_two_stores_made_at_once_become_one():
    async def claim(world):
        other = world.restarted()
        await asyncio.gather(world.sync(), other.sync(shelf(), reader()))
        await world.sync()

        assert len(world.server.stores) == 1
        assert set(world.server.attached().values()) == {1}

    run(claim)


def test_a_batch_that_takes_a_while_is_waited_for():
    async def claim(world):
        world.server.polls = 3

        assert await world.sync() == ()
        assert world.server.count("GET", r"vector_stores/\w+/file_batches/\w+") == 3

    run(claim)


def test_more_documents_than_a_batch_may_hold_are_all_attached():
    many = {f"docs/{n}.md": f"# Rule {n}\n\nRule number {n} holds here." for n in range(501)}

    async def claim(world):
        assert await world.sync(many) == ()
        assert world.server.count("POST", r"vector_stores/\w+/file_batches") == 2
        assert len(world.server.attached()) == 501

    run(claim)


def test_searching_before_the_first_sync_says_so():
    async def claim(world):
        with pytest.raises(NotFound):
            await world.standards.search(shelf(), "anything")
        await world.standards.local.sync(shelf(), reader())
        with pytest.raises(NotFound, match="no vector store"):
            await world.standards.search(shelf(), "anything")

    run(claim)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_crash_at_any_request_loses_nothing_and_leaves_no_orphan(late):
    before = TEXTS | {"docs/old.md": "# Old\n\nThis rule is about to leave."}

    async def claim(world):
        crashes = 0
        for number in range(100):
            world = World(grace=0)
            await world.sync(before)
            world.server.fails_at, world.server.late = len(world.server.calls) + number, late
            after = TEXTS | {"docs/sql.md": "# SQL\n\n## Columns\n\nList the columns you need, one by one."}
            try:
                await world.sync(after)
            except Retryable:
                crashes += 1
            else:
                break
            world.server.fails_at = None
            world.standards = world.restarted()

            assert await world.sync(after) == ()

            assert world.server.loose() == []
            assert set(world.server.attached().values()) == {1}
            assert {path for path, _ in world.server.attached()} == set(after)
            assert len(world.server.files) == len(after)
        assert crashes > 8

    run(claim)


def test_a_crash_in_the_first_sync_is_picked_up_without_uploading_again():
    async def claim(world):
        world.server.fails_at = 5
        with pytest.raises(Retryable):
            await world.sync()
        sent = world.server.count("POST", "files")
        world.server.fails_at = None
        world.standards = world.restarted()

        await world.sync()

        assert sent
        assert world.server.count("POST", "files") == 3
        assert len(world.server.attached()) == 3

    run(claim)

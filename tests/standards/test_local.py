"""The embedded index: reads what is new, finds what governs, and knows nothing beyond the shelf it is given."""

import asyncio
import multiprocessing
import sqlite3
import time
from pathlib import Path

import pytest

from bot.checks import hygiene, oxlint, ruff, secrets, zizmor
from bot.checks.pack import rules_for
from bot.core.code.language import LANGUAGES
from bot.core.findings.standard import Document, Shelf, UnreadDocument
from bot.errors import ConfigurationError, NotFound, Retryable
from bot.standards import local as folder
from bot.standards.local import FolderStandards
from bot.standards.local_index import Index
from bot.standards.query import Query, topics_of_rule
from tests.support.documents import together

STANDARDS = Path(__file__).parents[2] / "examples" / "standards"
TEXTS = {
    "docs/python.md": "# Python\n\n## Errors\n\nNever write a bare except.\n\n## Naming\n\nUse snake_case for functions.",
    "docs/javascript.md": "# JavaScript\n\n## Errors\n\nNever leave a catch block empty.\n\n## Naming\n\nUse camelCase for functions.",
    "docs/general.md": "# General\n\n## Naming\n\nA name says what a thing is for.",
    "web/AGENTS.md": "# Web\n\n## Colours\n\nUse the palette for colours.",
}


def document(path, text, **given):
    return Document(path, f"blob of {text}", **given)


def shelf(texts=None, repo="octo/shop", **given):
    held = TEXTS if texts is None else texts
    return Shelf(repo, "c" * 40, tuple(document(path, text, **given) for path, text in held.items()))


class Reading:
    """Answers from texts, and remembers what was asked."""

    def __init__(self, texts=None):
        self.texts = TEXTS if texts is None else texts
        self.asked = []

    async def __call__(self, documents):
        return await together(self.one)(documents)

    async def one(self, document):
        self.asked.append(document.path)
        found = self.texts[document.path]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, bytes) else found.encode()


def run(claim, path=":memory:"):
    async def inside():
        standards = FolderStandards(path)
        await claim(standards)
        await standards.close()

    asyncio.run(inside())


def names(hits):
    return [hit.standard.id for hit in hits]


def test_a_second_sync_reads_nothing():
    async def claim(standards):
        read = Reading()
        assert await standards.sync(shelf(), read) == ()
        assert await standards.sync(shelf(), read) == ()

        assert sorted(read.asked) == sorted(TEXTS)

    run(claim)


def test_only_a_changed_blob_is_read_again():
    async def claim(standards):
        await standards.sync(shelf(), Reading())
        changed = TEXTS | {"docs/python.md": "# Python\n\n## Colours\n\nPrint in colours."}
        read = Reading(changed)
        await standards.sync(shelf(changed), read)

        assert read.asked == ["docs/python.md"]
        assert "docs/python.md#errors" in names(await standards.search(shelf(), "bare except"))
        assert "docs/python.md#errors" not in names(await standards.search(shelf(changed), "bare except"))

    run(claim)


def test_the_index_outlives_the_process(tmp_path):
    async def first(standards):
        await standards.sync(shelf(), Reading())

    async def second(standards):
        assert names(await standards.search(shelf(), "bare except", limit=1)) == ["docs/python.md#errors"]

    run(first, tmp_path / "deep" / "standards.db")
    run(second, tmp_path / "deep" / "standards.db")


def test_a_language_prefers_its_own_rules():
    async def claim(standards):
        await standards.sync(shelf(), Reading())

        assert (
            names(await standards.search(shelf(), "naming of functions", language="python"))[0]
            == "docs/python.md#naming"
        )
        assert (
            names(await standards.search(shelf(), "naming of functions", language="typescript"))[0]
            == "docs/javascript.md#naming"
        )

    run(claim)


def test_a_path_limits_the_search_to_rules_that_speak_of_it():
    scoped = shelf({"web/AGENTS.md": TEXTS["web/AGENTS.md"]}, scope=("web/**",))

    async def claim(standards):
        await standards.sync(scoped, Reading())

        assert await standards.search(scoped, "palette colours", path="web/a.css")
        assert not await standards.search(scoped, "palette colours", path="api/a.py")
        assert await standards.search(scoped, "palette colours")

    run(claim)


def test_a_search_sees_its_own_shelf_and_no_other():
    other = {"docs/secret.md": "# Secret\n\n## Errors\n\nA bare except is how we hide the merger."}

    async def claim(standards):
        await standards.sync(shelf(), Reading())
        before = await standards.search(shelf(), "bare except")
        await standards.sync(shelf(other, repo="octo/other"), Reading(other))

        assert await standards.search(shelf(), "bare except") == before
        assert names(await standards.search(shelf(other, repo="octo/other"), "bare except")) == [
            "docs/secret.md#errors"
        ]

    run(claim)


def test_a_shelf_that_was_never_synchronised_is_said_to_be_missing():
    async def claim(standards):
        with pytest.raises(NotFound, match=r"docs/python\.md"):
            await standards.search(shelf(), "anything")
        with pytest.raises(NotFound):
            await standards.sections(shelf())

    run(claim)


def test_what_cannot_be_parsed_is_reported_every_time_and_read_once():
    bad = {"docs/a.md": b"\xff\xfe\x00", "docs/b.md": "# Fine\n\nThis rule holds.", "docs/huge.md": b"x" * 2_000_000}

    async def claim(standards):
        read = Reading(bad)
        problems = await standards.sync(shelf(bad), read)

        assert tuple(map(str, problems)) == (
            "docs/a.md: it is not UTF-8 text",
            "docs/huge.md: it has 2,000,000 bytes; at most 1,000,000 are read",
        )
        assert await standards.sync(shelf(bad), read) == problems
        assert len(read.asked) == 3
        assert names(await standards.search(shelf(bad), "rule holds")) == ["docs/b.md#fine"]

    run(claim)


def test_what_could_not_be_fetched_is_reported_and_fetched_again():
    texts = dict(TEXTS) | {"docs/general.md": NotFound("404")}

    async def claim(standards):
        assert await standards.sync(shelf(), Reading(texts)) == (UnreadDocument("docs/general.md", "404"),)
        assert await standards.search(shelf(), "bare except")
        read = Reading()
        assert await standards.sync(shelf(), read) == ()
        assert read.asked == ["docs/general.md"]

    run(claim)


def test_a_world_that_fails_for_now_stops_the_sync_and_loses_nothing():
    texts = dict(TEXTS) | {"docs/general.md": Retryable("502")}

    async def claim(standards):
        with pytest.raises(Retryable):
            await standards.sync(shelf(), Reading(texts))
        assert await standards.sync(shelf(), Reading()) == ()
        assert len(await standards.sections(shelf())) >= len(TEXTS)

    run(claim)


def test_a_document_of_another_repository_says_so():
    async def claim(standards):
        await standards.sync(shelf(repo="octo/shop"), Reading())
        theirs = shelf({"docs/python.md": TEXTS["docs/python.md"]}, repo="octo/shop")
        rules = tuple(Document(d.path, d.blob, repo="octo/rules", commit="d" * 40) for d in theirs.documents)
        foreign = Shelf("octo/shop", "c" * 40, rules)

        assert names(await standards.search(foreign, "bare except"))[0] == "octo/rules:docs/python.md#errors"
        assert {one.commit for one in await standards.sections(foreign)} == {"d" * 40}
        assert names(await standards.search(theirs, "bare except"))[0] == "docs/python.md#errors"

    run(claim)


def test_prune_keeps_what_is_on_a_shelf():
    async def claim(standards):
        await standards.sync(shelf(), Reading())
        fewer = shelf({"docs/python.md": TEXTS["docs/python.md"]})

        assert await standards.prune([fewer]) == 3
        assert len(await standards.sections(fewer)) == 2

    run(claim)


def test_the_file_does_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(folder, "KEPT", 3)

    async def claim(standards):
        for number in range(5):
            one = {"docs/a.md": f"# Rule\n\nThis is rule {number}."}
            await standards.sync(shelf(one), Reading(one))

        assert await standards.prune([]) == 3

    run(claim)


def test_a_file_that_is_no_index_is_named(tmp_path):
    (tmp_path / "standards.db").write_bytes(b"no database at all " * 100)

    async def claim(standards):
        with pytest.raises(ConfigurationError, match="delete it"):
            await standards.sync(shelf(), Reading())

    run(claim, tmp_path / "standards.db")


def test_an_index_that_is_locked_for_long_is_worth_another_try(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "PATIENCE", 0.05)
    path = tmp_path / "standards.db"

    async def claim(standards):
        await standards.sync(shelf(), Reading())
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Retryable, match="busy"):
            await standards.sync(shelf(), Reading())
        other.close()

    run(claim, path)


def test_several_processes_share_one_file(tmp_path):
    processes = multiprocessing.get_context("spawn")
    with processes.Pool(3) as pool:
        found = pool.map(_synchronise, [(tmp_path / "standards.db", number) for number in range(6)])

    assert found == [["docs/python.md#errors"]] * 6


def _synchronise(task):
    path, number = task
    own = TEXTS | {f"docs/{number}.md": f"# Number {number}\n\nThis is about process {number}."}
    found = []

    async def claim(standards):
        await standards.sync(shelf(own), Reading(own))
        found.extend(names(await standards.search(shelf(own), "bare except", limit=1)))

    run(claim, path)
    return found


def test_searches_at_the_same_time_agree():
    async def claim(standards):
        await standards.sync(shelf(), Reading())
        found = await asyncio.gather(*(standards.search(shelf(), "bare except") for _ in range(20)))

        assert len(set(found)) == 1

    run(claim)


def test_pieces_of_one_section_are_one_hit():
    long = "# Guide\n\n## Errors\n\n" + "\n\n".join(["Never write a bare except in this house, we said. " * 8] * 12)

    async def claim(standards):
        await standards.sync(shelf({"a.md": long}), Reading({"a.md": long}))

        assert len(await standards.sections(shelf({"a.md": long}))) > 1
        assert len(await standards.search(shelf({"a.md": long}), "bare except")) == 1

    run(claim)


@pytest.mark.parametrize(
    "query", ["", "   ", "?!", '"', "a" * 100_000, 'x" OR heading : "y', "the and of", "NEAR(a b)", "日本語"]
)
def test_any_text_is_a_query(query):
    async def claim(standards):
        await standards.sync(shelf(), Reading())

        assert isinstance(await standards.search(shelf(), query), tuple)
        assert await standards.search(shelf(), "bare except", limit=0) == ()

    run(claim)


@pytest.mark.parametrize(
    "hostile", ["(" * 4000, "for x in " * 400, '"' * 4000, "# " * 2000, "SELECT " * 600, "a, " * 1300, "\n" * 4000]
)
def test_a_hostile_query_takes_bounded_time(hostile):
    begun = time.perf_counter()

    Query.of(hostile)

    assert time.perf_counter() - begun < 2


def test_every_rule_of_our_checks_has_a_subject_in_every_language():
    ruff_rules = [code for rule in ruff.RULES for code in rule.codes.split()]
    names = [rule.name for rule in (*hygiene.RULES, hygiene.CONFLICT, *secrets.RULES)]
    codes = [*ruff_rules, *names, "invisible-characters", "invalid-syntax"]

    without = [code for code in codes if not topics_of_rule(code)]
    poor = {
        (topic.name, language)
        for code in codes
        for topic in topics_of_rule(code)
        for language in ("en", "de", "fr", "es", "pt", "ru", "zh", "ja")
        if not topic.statements.get("any") and not topic.statements.get(language)
    }

    assert len(codes) > 100
    assert not without
    assert not poor


def test_every_rule_of_our_own_pack_of_oxlint_and_of_zizmor_has_a_subject():
    pack = {rule.id for rule in rules_for(sorted(LANGUAGES))}
    codes = [name.rpartition("/")[2] for rule in oxlint.RULES for name in rule.names.split()]
    codes += [audit.name for audit in zizmor.AUDITS]

    assert len(pack) > 90
    assert [code for code in (*sorted(pack), *codes) if not topics_of_rule(code)] == []


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        (
            "cors-any-origin",
            "Allow CORS only for the origins of our list.",
            "Log every request with its origin country.",
        ),
        ("runs-as-root", "Containers run as a user that is not root.", "Keep the root folder of the project tidy."),
        ("defer-in-loop", "Never defer inside a loop: the function holds all of them.", "Prefer range loops."),
        ("rules-of-hooks", "Call hooks only at the top level.", "Commit hooks are installed by make."),
        (
            "template-injection",
            "Untrusted input never stands in a run step of a workflow.",
            "Name workflows after what they do.",
        ),
        ("logged-secret", "Never log passwords or tokens.", "Log with the module's logger."),
    ],
)
def test_our_own_rules_are_governed_by_the_sentence_about_their_subject(rule, right, wrong):
    held = {"docs/standards/a.md": f"# A\n\n## One\n\n{right}\n\n## Two\n\n{wrong}\n"}

    async def claim(standards):
        await standards.sync(shelf(held), Reading(held))
        hits = await standards.search(shelf(held), f"`{rule}`")
        assert [hit.quote for hit in hits if hit.governs] == [right]

    run(claim)


def test_a_section_that_says_all_of_a_concept_governs_whatever_its_heading():
    said = "# Errors\n\nNever write a bare except: catch the narrowest exception that you can handle.\n"

    async def claim(standards):
        held = {**TEXTS, "docs/standards/errors.md": said}
        await standards.sync(shelf(held), Reading(held))
        found = await standards.search(shelf(held), "except: pass", language="python")
        (hit,) = [hit for hit in found if hit.standard.document == "docs/standards/errors.md"]
        assert hit.governs
        assert hit.quote == "Never write a bare except: catch the narrowest exception that you can handle."

    run(claim)


def test_an_empty_shelf_finds_nothing():
    index = Index.of([])

    assert index.search("anything") == ()
    index.close()

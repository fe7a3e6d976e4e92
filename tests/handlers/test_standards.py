"""The shelf of a review: what is on it, whose machine it is searched on, and what is said when it cannot be."""

import asyncio
from dataclasses import replace

import pytest

from bot.core.code.diff import Diff, FileDiff, Status
from bot.core.code.plan import Coverage, FileState
from bot.core.code.pull_request import PullRef
from bot.core.comments.comment import LinkBase
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.standard import Standard
from bot.core.policy import Policy
from bot.errors import ConfigurationError, NotFound, Retryable, TooLarge, UserError
from bot.handlers.standards import cite, consult, shelve
from bot.interfaces import OrganisationStandards, TreeFile
from bot.standards.local import FolderStandards
from tests.support.repository import BASE, REF, Repository, pull_request
from tests.support.scripted_model import Journal

RULE = "# Python\n\n## Bare except\n\nNever catch with a bare except; name the exception class.\n"
DRAFT = Draft(
    path="app.py",
    quoted="except:",
    title="Do not use bare `except`",
    why="It catches too much.",
    severity=Severity.WARNING,
    category=Category.MAINTAINABILITY,
    source="ruff",
    rule="E722",
)


class Host(Repository):
    """A repository at one commit, beside the organisation's at another."""

    def __init__(self, files, organisation=None, *, private=True):
        super().__init__({"app.py": "x\n"}, {"app.py": "x\n"} | files)
        self.shared = self._bytes(organisation or {})
        self.named = organisation is not None
        self.private = private
        self.broken = {}

    async def tree(self, ref, commit):
        if "tree" in self.broken:
            raise self.broken["tree"]
        if ref.repo == "octo/handbook":
            return tuple(TreeFile(path, f"handbook {path}", len(content)) for path, content in self.shared.items())
        return await super().tree(ref, commit)

    async def blob(self, ref, sha):
        self.asked.append(("blob", ref.repo, sha))
        found = self.shared[sha.removeprefix("handbook ")] if sha.startswith("handbook ") else self.contents[sha]
        for part, error in self.broken.items():
            if part.encode() in found:
                raise error
        return found

    async def library(self, ref):
        return OrganisationStandards(PullRef("octo/handbook", 0), "c" * 40, self.private) if self.named else None

    async def organisation_file(self, ref, path):
        raise NotFound("none was named")


def play(host, story, *, private=True, journal=None, index=None, diff=None):
    """What `story(shelved, index)` returns."""

    async def inside():
        standards = index or FolderStandards(":memory:")
        changed = diff or Diff((FileDiff("app.py", Status.MODIFIED),))
        pull = pull_request(private=private)
        shelved = await shelve(host, standards, pull, Policy(), changed, journal or Journal())
        return await story(shelved, standards)

    return asyncio.run(inside())


async def rows(shelved, _):
    return [(row.state, row.reason) for row in shelved.rows]


async def paths(shelved, _):
    return [one.path for one in shelved.shelf.documents]


async def governing(shelved, standards):
    return [hit.standard.id for hit in await consult(standards, shelved.searchable, "bare except", "app.py")]


def test_a_job_that_goes_on_elsewhere_finds_the_shelf_searchable_there():
    host, journal = Host({"STYLE.md": RULE}), Journal()
    play(host, governing, journal=journal)
    listed = len([one for one in host.asked if one[0] == "tree"])

    assert play(host, governing, journal=journal, index=FolderStandards(":memory:")) == ["STYLE.md#bare-except"]
    assert len([one for one in host.asked if one[0] == "tree"]) == listed, "which documents they are is journaled"


def test_imports_are_followed_three_deep_and_no_further():
    chain = {f"docs/{n}.md": f"# {n}\n\nSee @../docs/{n + 1}.md and so on.\n" for n in range(1, 6)}
    host = Host({"AGENTS.md": "See @docs/1.md and @docs/none.md first.\n"} | chain)

    assert play(host, paths) == ["AGENTS.md", "docs/1.md", "docs/2.md", "docs/3.md"]


def test_what_is_left_out_is_skipped_with_its_reason_and_the_review_is_complete():
    host = Host({"STYLE.md": RULE, "STYLE2.md": RULE, "STYLE3.md": b"caf\xe9", "docs/standards/a.adoc": "= A\n"})

    async def complete(shelved, _):
        return Coverage(passes=shelved.rows).complete

    assert play(host, complete)
    assert [reason.partition(":")[0] for state, reason in play(host, rows) if state is FileState.SKIPPED] == [
        "STYLE2.md",
        "docs/standards/a.adoc",
        "STYLE3.md",
    ]


def test_a_document_that_cannot_be_read_leaves_the_review_incomplete_and_the_others_searchable():
    host = Host({"STYLE.md": RULE, "STYLE2.md": "# Lost\n\nLost in the mail.\n"})
    host.broken = {"Lost": NotFound("404")}

    assert (FileState.FAILED, "standards unavailable: STYLE2.md: 404") in play(host, rows)
    assert play(host, governing) == ["STYLE.md#bare-except"]


def test_a_document_over_the_hosts_bound_is_skipped():
    host = Host({"STYLE.md": "# Big\n\nReally big.\n"})
    host.broken = {"Big": TooLarge("more than 1,048,576 bytes")}

    assert (FileState.SKIPPED, "STYLE.md: more than 1,048,576 bytes") in play(host, rows)


def test_github_is_asked_again_where_the_index_is_not_waited_for():
    host = Host({"STYLE.md": RULE})
    host.broken = {"Bare": Retryable("GitHub 502")}

    with pytest.raises(Retryable, match="GitHub 502"):
        play(host, rows)


def test_a_list_of_files_that_is_cut_off_costs_the_standards_and_says_so():
    host = Host({"STYLE.md": RULE})
    host.broken = {"tree": TooLarge("GitHub lists only a part of it")}

    assert play(host, rows) == [
        (FileState.FAILED, "standards unavailable: GitHub lists only a part of it"),
    ]


class Broken(FolderStandards):
    """An index that fails as it is told."""

    error = ConfigurationError("standards.db is not a standards index; delete it")

    async def sync(self, shelf, read):
        raise self.error


@pytest.mark.parametrize("error", [Broken.error, Retryable("busy"), NotFound("no store"), TimeoutError()])
def test_an_index_that_is_broken_is_said_to_be_unavailable_and_not_searched(error):
    index = Broken(":memory:")
    index.error = error

    async def story(shelved, standards):
        cited = await cite(standards, shelved, (DRAFT,))
        return (
            [row.reason for row in shelved.rows if row.state is FileState.FAILED],
            shelved.searchable.documents,
            cited,
        )

    (reason,), searchable, cited = play(Host({"STYLE.md": RULE}), story, index=index)
    assert reason.startswith("standards unavailable: ")
    assert searchable == ()
    assert (cited.drafts, cited.rows) == ((DRAFT,), ())


def test_a_search_that_stops_answering_costs_the_other_citations_and_one_row():
    class Tired(FolderStandards):
        async def search(self, *_, **__):
            raise Retryable("gone")

    async def story(shelved, standards):
        with pytest.raises(UserError, match="unavailable now: gone"):
            await consult(standards, shelved.shelf, "bare except")
        return await cite(standards, shelved, (DRAFT, replace(DRAFT, path="b.py")))

    cited = play(Host({"STYLE.md": RULE}), story, index=Tired(":memory:"))
    assert [draft.path for draft in cited.drafts] == ["app.py", "b.py"]
    assert [row.reason for row in cited.rows] == ["standards unavailable: gone"]


def test_a_draft_gets_the_section_that_governs_it():
    async def story(shelved, standards):
        return await cite(standards, shelved, (DRAFT, replace(DRAFT, rule="X1", title="Nothing like it", why="No.")))

    cited = play(Host({"STYLE.md": RULE}), story)
    assert [draft.standard_refs for draft in cited.drafts] == [("STYLE.md#bare-except",), ()]
    assert [one.id for one in cited.standards] == ["STYLE.md#bare-except"]


@pytest.mark.parametrize(
    ("labels", "public_handbook", "public_pull", "seen"),
    [
        ("", False, False, ["CONTRIBUTING.md", "STYLE.md"]),
        ("", False, True, []),
        ("public: ['STYLE.md']", False, True, ["STYLE.md"]),
        ("public: ['STYLE.md']", False, False, ["CONTRIBUTING.md", "STYLE.md"]),
        ("", True, True, ["CONTRIBUTING.md", "STYLE.md"]),
    ],
)
def test_the_organisations_own_labels_say_who_may_read_its_documents(labels, public_handbook, public_pull, seen):
    handbook = {"STYLE.md": RULE, "CONTRIBUTING.md": "# How\n\nAsk first.\n", "AGENTS.md": "Not for others.\n"}
    handbook |= {".github/assistant.yml": f"standards:\n  {labels}\n"} if labels else {}
    host = Host({}, handbook, private=not public_handbook)

    assert play(host, paths, private=not public_pull) == seen
    assert {one[1] for one in host.asked if one[0] == "blob"} <= {"octo/handbook"}


def test_a_public_pull_request_is_not_told_what_the_organisation_keeps_to_itself():
    handbook = {"docs/standards/merger.adoc": "= Secret\n"}

    assert play(Host({}, handbook), rows, private=False) == [
        (FileState.SKIPPED, "the base branch has no standards documents")
    ]
    assert "merger" in str(play(Host({}, handbook), rows, private=True))


def test_a_document_that_governs_by_import_alone_cannot_be_changed_unseen():
    host = Host({"AGENTS.md": "See @docs/naming.md for names.\n", "docs/naming.md": "# Names\n\nShort names.\n"})
    diff = Diff((FileDiff("docs/naming.md", Status.REMOVED),))

    async def story(shelved, _):
        return shelved.tampered

    assert play(host, story, diff=diff) == (
        "`docs/naming.md` is removed: it was still applied here and ends once this is merged.",
    )


def section(document, **rest):
    return Standard(document, ("Title",), "title", 3, 5, "b", "Some words\nof a rule\nthat holds", **rest)


@pytest.mark.parametrize(
    ("standard", "words", "link"),
    [
        (section("docs/a b.md"), "", "octo/shop/blob/BASE/docs/a%20b.md?plain=1#L3-L5"),
        (section("a.md"), "of a rule", "octo/shop/blob/BASE/a.md?plain=1#L4-L4"),
        (section("a.md", repo="octo/handbook", commit="c0ffee"), "", "octo/handbook/blob/c0ffee/a.md?plain=1#L3-L5"),
        (section("a.docx"), "of a rule", "octo/shop/blob/BASE/a.docx"),
        (replace(section("a.pdf"), anchor="page=4"), "of a rule", "octo/shop/blob/BASE/a.pdf#page=4"),
    ],
)
def test_a_citation_links_to_where_the_words_stand(standard, words, link):
    address = LinkBase(f"https://github.test/{REF.repo}", BASE)

    assert address.standard(standard, words) == f"https://github.test/{link.replace('BASE', BASE)}"

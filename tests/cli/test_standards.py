"""`assistant standards …` in real git repositories, with the local index and with a hosted one over HTTP."""

import asyncio
import json
import subprocess
import threading

import pytest
from typer.testing import CliRunner

from bot.cli import commands as cli
from bot.cli.serve import Server, listen
from tests.support.vector_store_server import VectorStoreServer

RULES = "# Python\n\n## Bare except\n\nNever catch with a bare `except:`; name the exception class.\n"
FILES = {
    "app.py": "x = 1\n",
    "docs/standards/python.md": RULES,
    "docs/standards/copy.md": RULES,
    "docs/standards/old.adoc": "= Old\n",
    "web/AGENTS.md": "# Web\n\n@colours.md\n\n## Indentation\n\nIndent with tabs always.\n",
    "web/colours.md": "# Colours\n\n## Palette\n\nUse colours of the palette.\n",
    "STYLE.md": "# Style\n\n## Logging\n\nAlways log customer names with each payment.\n",
    "CONTRIBUTING.md": "# Contributing\n\n## Logging\n\nNever log customer names with a payment.\n",
}


@pytest.fixture
def repo(tmp_path):
    """A repository with FILES in its last commit."""
    place = tmp_path / "shop"
    for path, content in FILES.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content)
    commit(place, "init", "-q")
    return place


def commit(place, *first):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in ([first] if first else []) + [("add", "-A"), (*who, "commit", "-q", "-m", "A change")]:
        subprocess.run(["git", *words], cwd=place, check=True)


@pytest.fixture
def assistant(tmp_path, monkeypatch):
    """Runs `assistant standards …` in an empty folder; the result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSISTANT_DATA", str(tmp_path / "data"))

    return lambda *words: CliRunner().invoke(cli.cli, ["standards", *map(str, words)])


@pytest.fixture
def store(monkeypatch):
    """A hosted index on loopback, and settings that name it."""
    server = VectorStoreServer()
    socket, url = listen()
    web = Server(server.app, socket)
    thread = threading.Thread(target=lambda: asyncio.run(web.run_here()))
    thread.start()
    for name, value in {"ASSISTANT_STANDARDS": "vector_store", "OPENAI_API_KEY": "sk-test"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
    yield server
    web.should_exit = True
    thread.join()


def test_a_question_is_answered_with_the_section_that_governs(assistant, repo):
    shown = assistant("test", "except: pass", "--language", "python", "--repo", repo)

    assert shown.exit_code == 0
    assert "docs/standards/copy.md:3 Python > Bare except" in shown.stdout
    assert "Never catch with a bare `except:`; name the exception class." in shown.stdout


def test_what_the_documents_do_not_cover_is_said_to_be_so(assistant, repo):
    shown = assistant("test", "how to deploy on Fridays", "--repo", repo)
    data = json.loads(assistant("test", "how to deploy on Fridays", "--repo", repo, "--json").stdout)

    assert "The team's documents do not cover this." in shown.stdout
    assert data["covered"] is False
    assert [hit for hit in data["hits"] if hit["governs"]] == []


def test_an_answer_for_programs_has_the_lines_and_the_text(assistant, repo):
    data = json.loads(assistant("test", "except: pass", "--language", "python", "--repo", repo, "--json").stdout)

    first = data["hits"][0]
    assert data["covered"] is True
    assert (first["id"], first["start"], first["end"]) == ("docs/standards/copy.md#bare-except", 3, 5)
    assert first["text"] in FILES["docs/standards/copy.md"]


def test_rules_of_a_folder_answer_only_for_its_files(assistant, repo):
    inside = json.loads(
        assistant("test", "colours of the palette", "--path", "web/a.py", "--repo", repo, "--json").stdout
    )
    outside = json.loads(
        assistant("test", "colours of the palette", "--path", "api/a.py", "--repo", repo, "--json").stdout
    )

    assert inside["hits"][0]["document"] == "web/colours.md"
    assert outside["covered"] is False


def test_the_list_shows_what_is_on_the_shelf_and_what_is_not(assistant, repo):
    data = json.loads(assistant("ls", "--repo", repo, "--json").stdout)
    shown = assistant("ls", "--repo", repo).stdout

    rows = {row["path"]: row for row in data["documents"]}
    assert set(rows) == {
        "docs/standards/copy.md", "web/AGENTS.md", "web/colours.md", "STYLE.md", "CONTRIBUTING.md",
    }  # fmt: skip
    assert rows["web/colours.md"]["scope"] == ["web/**"]
    assert rows["docs/standards/copy.md"]["languages"] == ["python"]
    assert data["skipped"] == [
        "docs/standards/old.adoc: documents ending in .adoc are not read",
        "docs/standards/python.md: the same text as docs/standards/copy.md",
    ]
    assert "5 documents with 5 sections" in shown


def test_a_rule_can_be_tried_before_it_is_committed(assistant, repo):
    rule = "# Rules\n\n## Calls\n\n- Close every socket.\n- Every request has a timeout.\n"
    (repo / "docs/standards/copy.md").write_text(rule)
    (repo / "docs/standards/new.md").write_text(rule)
    words = "S113 Probable use of `requests` call without timeout"

    committed = json.loads(assistant("try", words, "--repo", repo, "--json").stdout)
    tried = json.loads(assistant("try", words, "--repo", repo, "--working-tree", "--json").stdout)
    shown = assistant("try", words, "--repo", repo, "--working-tree").stdout
    listed = assistant("ls", "--repo", repo, "--working-tree").stdout

    assert not committed["covered"]
    (hit,) = [hit for hit in tried["hits"] if hit["governs"]]
    assert (hit["document"], hit["start"], hit["end"]) == ("docs/standards/copy.md", 6, 6)
    assert hit["quote"] == "Every request has a timeout."
    assert "cites: “Every request has a timeout.”" in shown
    assert "in the working tree" in listed
    assert "docs/standards/new.md: git does not follow it: git add -N" in listed


def test_a_pinned_citation_is_checked_against_the_documents(repo):
    policy = repo / ".github" / "assistant.yml"
    policy.parent.mkdir()
    policy.write_text(
        "cites:\n  E722: docs/standards/copy.md#bare-except\n  S113: docs/standards/copy.md#timeouts\n  B006: '#nowhere'\n"
    )

    result = CliRunner().invoke(cli.cli, ["config", "check", str(policy)])

    assert result.exit_code == 1
    assert "cites: S113: no document has docs/standards/copy.md#timeouts" in result.output
    assert "cites.B006: Value error, write the path of a document and the anchor of a section" in result.output
    assert "E722" not in result.output


def test_documents_that_contradict_each_other_are_reported_as_possible(assistant, repo):
    (found,) = json.loads(assistant("report", "--repo", repo, "--json").stdout)
    shown = assistant("report", "--repo", repo).stdout

    (conflict,) = found["possible_conflicts"]
    assert {conflict["one"], conflict["other"]} == {"STYLE.md#logging", "CONTRIBUTING.md#logging"}
    assert "Possible conflict" in shown


def test_a_report_without_reviews_says_so(assistant):
    assert "No review with standards" in assistant("report").stdout


def test_a_synchronised_index_is_the_servers_and_prune_forgets_what_left(assistant, repo, tmp_path):
    first = json.loads(assistant("sync", "--repo", repo, "--json").stdout)
    (repo / "STYLE.md").unlink()
    commit(repo)
    pruned = json.loads(assistant("prune", "--repo", repo, "--json").stdout)

    assert first["documents"] == 5
    assert (tmp_path / "data" / "standards.db").exists()
    assert pruned == {"removed": 1}


def test_a_second_sync_uploads_nothing(assistant, repo, store):
    assistant("sync", "--repo", repo, "--name", "octo/shop")
    uploaded = store.count("POST", "files")
    again = assistant("sync", "--repo", repo, "--name", "octo/shop")

    assert "5 documents are searchable." in again.stdout
    assert uploaded == 5
    assert store.count("POST", "files") == uploaded
    assert [one.name for one in store.stores.values()] == ["review-assistant/octo/shop"]


@pytest.mark.parametrize("broken", ["POST vector_stores", "POST vector_stores/[^/]+/file_batches"])
def test_a_sync_that_breaks_off_leaves_nothing_behind_after_the_next(assistant, repo, store, broken):
    store.refuses[broken] = 500
    failed = assistant("sync", "--repo", repo)
    store.refuses.clear()
    assistant("sync", "--repo", repo)

    assert failed.exit_code
    assert store.count("POST", "files") == 5
    assert store.loose() == []
    assert set(store.attached().values()) == {1}


def test_prune_removes_what_left_from_the_hosted_index_at_once(assistant, repo, store):
    assistant("sync", "--repo", repo)
    (repo / "STYLE.md").unlink()
    commit(repo)
    pruned = json.loads(assistant("prune", "--repo", repo, "--json").stdout)

    assert pruned == {"removed": 1}
    assert {path for path, _ in store.attached()} == {
        "docs/standards/copy.md", "web/AGENTS.md", "web/colours.md", "CONTRIBUTING.md",
    }  # fmt: skip


def test_a_hosted_index_without_a_key_is_a_mistake_in_the_settings(assistant, repo, monkeypatch):
    monkeypatch.setenv("ASSISTANT_STANDARDS", "vector_store")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    failed = assistant("sync", "--repo", repo)

    assert "needs OPENAI_API_KEY" in str(failed.exception)

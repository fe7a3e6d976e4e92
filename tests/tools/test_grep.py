"""Search by git: the same lines as reading every file finds, in a copy that holds no credential and is gone afterwards."""

import asyncio
import gc
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Retryable
from bot.hosts.git import Git
from bot.interfaces import Remote
from bot.model.tools import Files
from bot.model.tools.grep import FetchedGrep, GitGrep, ScanSearch
from bot.sandbox.world import writer
from tests.support.repository import Repository, pull_request
from tests.support.served_repository import FILES, basic, served, token

QUESTIONS = [
    ("rate", {}),
    ("rate", {"word": True}),
    ("rate", {"under": "src"}),
    ("café", {}),
    ("-e rate", {}),
    ("--open-files-in-pager=sh", {}),
    ("sum(items) *", {}),
    ("[rate", {}),
    ("nothing like it", {}),
    ("rate", {"under": "sr*"}),
    ("rate", {"under": ":(exclude)src"}),
]


async def repository(folder):
    git = Git(folder)
    await writer.init(git)
    content = {path: text if isinstance(text, bytes) else text.encode() for path, text in FILES.items()}
    return git, await writer.commit(git, "refs/heads/main", content, "First", parent=None)


@pytest.mark.parametrize(("text", "how"), QUESTIONS)
def test_git_finds_what_reading_every_file_finds(tmp_path, text, how):
    async def both():
        git, commit = await repository(tmp_path)
        scan = ScanSearch(Files(Repository(FILES), pull_request()))
        return await GitGrep(git, {"head": commit}, scan).grep(text, "head", **how), await scan.grep(
            text, "head", **how
        )

    by_git, by_reading = asyncio.run(both())

    assert [replace(one, text=one.text.rstrip("\r")) for one in by_reading] == list(by_git)


def test_a_version_without_a_commit_is_read_instead(tmp_path):
    async def search():
        git, commit = await repository(tmp_path)
        scan = ScanSearch(Files(Repository({"new.py": "fresh\n"}, base={}), pull_request()))
        return await GitGrep(git, {"base": commit}, scan).grep("fresh", "head")

    assert [one.path for one in asyncio.run(search())] == ["new.py"]


def test_a_copy_has_the_commits_and_neither_history_nor_credential(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def act(sandbox, repo, url):
        await repo.push({"src/cart.py": "rate = 3\n"})
        head, secret = repo.state.branches["main"], token(sandbox)
        copy = await Git.temporary(act)
        await copy.fetch(Remote(url, basic(secret)), [head])
        history = (await copy.run(("rev-list", "--count", head))).strip()
        kept = b"".join(file.read_bytes() for file in copy.directory.rglob("*") if file.is_file())
        hooks = list((copy.directory / "hooks").glob("*"))
        return secret, history, [entry.path for entry in await copy.tree(head)], kept, hooks

    secret, history, paths, kept, hooks = asyncio.run(served(tmp_path / "github", act))

    assert history == b"1"
    assert "src/cart.py" in paths
    assert secret.encode() not in kept
    assert basic(secret).encode() not in kept
    assert not hooks


@pytest.mark.parametrize("trouble", ["no token", "another host", "too large", "nobody to ask"])
def test_what_cannot_be_fetched_is_read_through_the_host(tmp_path, trouble):
    async def act(sandbox, _, url):
        async def remote():
            if trouble == "nobody to ask":
                raise Retryable("GitHub did not answer")
            known = "http://127.0.0.1:9/octo/shop.git" if trouble == "another host" else url
            return Remote(known, basic("ghs_guessed" if trouble == "no token" else token(sandbox)))

        files = Files(Repository(FILES), pull_request())
        searcher = FetchedGrep(files, remote, ScanSearch(files), most=10 if trouble == "too large" else 10**9)
        return await searcher.grep("rate", "head", word=True)

    found = asyncio.run(served(tmp_path / "github", act))

    assert {one.path for one in found} == {"src/cart.py", "src/tax.py", "docs/a b.md"}


def test_a_copy_is_fetched_once_and_is_gone_with_its_searcher(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def act(sandbox, repo, url):
        async def remote():
            return Remote(url, basic(token(sandbox)))

        head = repo.state.branches["main"]
        files = Files(Repository(FILES), pull_request(head_sha=head, base_sha=head))
        files.host.commits[head] = files.host.commits["a" * 40]
        searcher = FetchedGrep(files, remote, ScanSearch(files))
        found = await asyncio.gather(*(searcher.grep("rate", "head", under="src") for _ in range(5)))
        fetches = [one for one in sandbox.requests if one.path.endswith("upload-pack")]
        return found, fetches, list(tmp_path.glob("assistant-*"))

    found, fetches, there = asyncio.run(served(tmp_path / "github", act))
    gc.collect()

    assert {len(one) for one in found} == {4}
    assert len({one.path for one in fetches}) == 1
    assert len(there) == 1
    assert not list(Path(tmp_path).glob("assistant-*"))

"""Files read together are the files read one by one, and a change fetched with git is the change that GitHub lists."""

import asyncio
import re
from dataclasses import replace

import pytest

from bot.core.code.diff import EMPTY_BLOB, blob_id
from bot.errors import HostLimited, NotFound, TooLarge
from bot.hosts.clone import PartialClone
from bot.hosts.github.host import GitHubHost
from bot.interfaces import Remote
from bot.sandbox.world.faults import Fault, server_error
from tests.support.changed_files import AFTER, BEFORE
from tests.support.github_client import REF, ScriptedGitHub, answer, connect, hosted, scripted, sent
from tests.support.served_repository import basic, served, token

ODD = {
    "crlf.py": b"a = 1\r\nb = 2\r\n",
    "cr.txt": b"one\rtwo\r",
    "no_newline.py": b"a = 1",
    "empty.py": b"",
    "one_newline": b"\n",
    "mark.py": b"\xef\xbb\xbfa = 1\n",
    "latin.txt": b"caf\xe9\n",
    "wide.txt": "text".encode("utf-16"),
    "null.bin": b"a\0b",
    "late_null.bin": b"a" * 9000 + b"\0",
    "separators.txt": "a\u2028b\x0cc\x1cd\n".encode(),
    "emoji.md": "\U0001f600 \ufffd\n".encode(),
    "control.txt": bytes(range(1, 32)) + b"\n",
    "lfs.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 12345\n",
    "half_a_megabyte.txt": b"0123456789abcde\n" * 33_000,
    "huge.txt": b"0123456789abcde\n" * 70_000,
} | {f"many/part_{number}.py": f"value = {number}\n".encode() for number in range(120)}


def asked(github, start=0):
    return [(one.method, one.path) for one in github.sandbox.requests[start:] if "access_tokens" not in one.path]


def test_files_read_together_are_the_files_read_one_by_one(tmp_path):
    async def act():
        github = await hosted(tmp_path, ODD)
        commit = github.repo.state.branches["main"]
        ref = type(REF)("octo/shop", 1, github.repo.state.id, github.installation.id)
        tree = await github.host.tree(ref, commit)
        start = len(github.sandbox.requests)
        together = await github.host.blobs(ref, [*(entry.blob for entry in tree), "f" * 40, "", "no id"])
        requests = asked(github, start)
        alone = GitHubHost(github.client)
        for entry in tree:
            if entry.path == "huge.txt":
                assert isinstance(together[entry.blob], TooLarge)
            else:
                assert together[entry.blob] == await alone.blob(ref, entry.blob) == ODD[entry.path], entry.path
        assert isinstance(together["f" * 40], NotFound)
        assert isinstance(together[""], NotFound)
        start = len(github.sandbox.requests)
        again = await github.host.blobs(ref, [entry.blob for entry in tree if entry.path.startswith("many")])
        return requests, set(map(type, again.values())), asked(github, start)

    requests, kinds, further = asyncio.run(act())
    assert [path for _, path in requests].count("/api/graphql") == 2
    assert len(requests) <= 12  # what is no text, or is cut, is read alone
    assert (kinds, further) == ({bytes}, [])


@pytest.mark.parametrize(
    ("fault", "most"),
    [
        (server_error("POST", "/api/graphql", status=502, times=99), 120),  # halved, then one by one
        (server_error("POST", "/api/graphql", status=502, times=1), 4),  # a query that takes too long is halved
        (Fault("POST", "/api/graphql", 403, times=99), 120),
        (Fault("POST", "/api/graphql", 200, "<html>", {"content-type": "text/html"}, times=99), 120),
    ],
)
def test_a_query_that_fails_costs_requests_and_no_file(tmp_path, fault, most):
    files = {path: content for path, content in ODD.items() if path.startswith("many")}

    async def act():
        github = await hosted(tmp_path, files)
        commit = github.repo.state.branches["main"]
        ref = type(REF)("octo/shop", 1, github.repo.state.id, github.installation.id)
        tree = (await github.host.tree(ref, commit))[:100]
        start = len(github.sandbox.requests)
        github.sandbox.plan(fault)
        found = await github.host.blobs(ref, [entry.blob for entry in tree])
        assert found == {entry.blob: files[entry.path] for entry in tree}
        return asked(github, start)

    assert 1 < len(asyncio.run(act())) <= most


def played(texts, *, refuse=False):
    """A script that answers a query for files with `texts`, by object id; and single files, with their content."""
    real = {blob_id(text.encode()): text for text in ("one\n", "two\n", "")}

    def query(request):
        wanted = re.findall(r'(b[0-9]+): object\(oid: "([0-9a-f]+)"', sent(request)["query"])
        return answer(body={"data": {"repository": {name: texts(sha) for name, sha in wanted}}})

    script = ScriptedGitHub().on("POST", "/graphql", answer(429, {}) if refuse else query)
    for sha, text in real.items():
        script.on("GET", f"/repos/octo/shop/git/blobs/{sha}", answer())
        script.answers["GET", f"/repos/octo/shop/git/blobs/{sha}"][0]._content = text.encode()
    return script, real


@pytest.mark.parametrize(
    "told", [None, {}, {"text": None}, {"text": ""}, {"text": "else\n"}, {"text": 7}, {"text": "one"}, "text"]
)
def test_a_wrong_or_missing_text_is_never_taken_for_the_file(told):
    script, real = played(lambda _: told)
    found = asyncio.run(GitHubHost(scripted(script)).blobs(REF, list(real)))
    assert found == {sha: text.encode() for sha, text in real.items()}
    assert found[EMPTY_BLOB] == b""


def test_a_rate_limit_is_waited_for_and_not_worked_around():
    script, real = played(lambda _: None, refuse=True)
    with pytest.raises(HostLimited):
        asyncio.run(GitHubHost(scripted(script)).blobs(REF, list(real)))
    assert [path for _, path in script.said()] == ["/graphql"]


def test_a_large_change_fetched_with_git_is_the_change_that_github_lists(tmp_path):
    async def act(sandbox, _, __):
        repo = await sandbox.repository("octo/large", BEFORE)
        changed = {path: content for path, content in AFTER.items() if BEFORE.get(path) != content}
        pull = await repo.open_pull("A change", files=changed)
        await repo.push({"later.txt": "The base branch goes on.\n"})
        ref = type(REF)("octo/large", pull.number, repo.state.id, sandbox.world.installation_of(repo.state).id)
        listed, fetched = (GitHubHost(connect(sandbox), listed=most) for most in (300, 0))
        before = await listed.pull_request(ref)
        one, two = await listed.diff(before), await fetched.diff(before)
        by_path = {file.path: file for file in two}
        assert len(by_path) == len(one.files) == before.changed_files
        for file in one:
            other = by_path[file.path]
            assert replace(other, blob=file.blob, hunks=_bare(other)) == replace(file, hunks=_bare(file))
        start = len(sandbox.requests)
        contents = await fetched.blobs(ref, [file.blob for file in one if file.blob])
        assert contents == {file.blob: await listed.blob(ref, file.blob) for file in one if file.blob}
        return [request.path for request in sandbox.requests[start:] if request.path == "/api/graphql"]

    assert asyncio.run(served(tmp_path / "github", act)) == []


def _bare(file):
    """The hunks without what stands after the second @@, which GitHub's own comparison of large files leaves out."""
    return tuple(replace(hunk, section="") for hunk in file.hunks)


def test_links_submodules_and_large_files_of_a_fetched_change_are_known_by_their_modes(tmp_path):
    stream = b"""commit refs/heads/odd
committer a <a@b.c> 0 +0000
data 1
x
from %s
M 120000 inline link.py
data 10
src/tax.py
M 160000 %s vendor/library
M 100755 inline run.sh
data 8
echo hi

M 100644 inline large.txt
data 50000
%s
done
"""

    async def act(sandbox, repo, url):
        base = repo.state.branches["main"]
        text = stream % (base.encode(), b"c" * 40, b"x\n" * 25_000)
        await repo.state.git.run(("fast-import", "--quiet", "--done"), text)
        head = await repo.state.git.resolve("refs/heads/odd")
        entries = [*await repo.state.git.tree(base), *await repo.state.git.tree(head)]
        clone = PartialClone(base, head, {entry.blob: entry.size for entry in entries}, 10_000)
        diff = await clone.fetch(Remote(url, basic(token(sandbox))))
        return {file.path: file for file in diff}, await clone.blobs([entry.blob for entry in entries])

    found, held = asyncio.run(served(tmp_path / "github", act))
    assert set(found) == {"link.py", "vendor/library", "run.sh", "large.txt"}
    assert found["link.py"].link
    assert not found["run.sh"].link
    assert found["large.txt"].unread == "its patch was left out: too large"
    assert found["large.txt"].blob
    assert found["vendor/library"].hunks[0].lines[0].text == "Subproject commit " + "c" * 40
    assert sorted(held.values()) == [b"echo hi\n", b"src/tax.py"]

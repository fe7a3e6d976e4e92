"""Git is read without trusting the repository: nothing of it runs, and every answer is bounded."""

import asyncio
import os
import subprocess

import pytest

from bot.errors import NotFound, Refused, Retryable, TooLarge, UserError
from bot.hosts.git import NO_OBJECT, Git
from bot.sandbox.world import writer

TEXT = "".join(f"line {n}\n" for n in range(1, 21)).encode()


def make(tmp_path, *commits):
    """A bare repository whose commits stand on each other; git and their ids."""
    git = Git(tmp_path / "repository.git")

    async def play():
        await writer.init(git)
        ids = []
        for at, files in enumerate(commits):
            parent = ids[-1] if ids else None
            ids.append(
                await writer.commit(git, "refs/heads/main", files, f"Commit {at}\n\nBody.", parent=parent, time=at)
            )
        return ids

    return git, asyncio.run(play())


def test_a_machine_without_git_is_told_that(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UserError, match="git is not installed, or its folder is not in PATH"):
        asyncio.run(Git(tmp_path).root())


def test_the_change_of_each_file_is_told_in_the_order_of_the_patch(tmp_path):
    before = {"a.py": TEXT, "gone.py": b"x\n", "old name.py": TEXT + b"end\n", "logo": b"\0\1"}
    after = {
        "a.py": TEXT + b"more\n",
        "gone.py": None,
        "old name.py": None,
        'new\t"name".py': TEXT + b"END\n",
        "logo": b"\0\2",
        "caf\u00e9/b/ b.py": b"no newline",
    }
    git, (one, two) = make(tmp_path, before, after)
    told = {change.path: change for change in asyncio.run(git.changes(one, two))}
    assert {path: change.status for path, change in told.items()} == {
        "a.py": "M",
        "caf\u00e9/b/ b.py": "A",
        "gone.py": "D",
        "logo": "M",
        'new\t"name".py': "R",
    }
    assert (told["a.py"].additions, told["a.py"].deletions) == (1, 0)
    assert (told["logo"].additions, told["logo"].deletions) == (None, None)
    assert told['new\t"name".py'].previous_path == "old name.py"
    assert told["gone.py"].new_blob == told["caf\u00e9/b/ b.py"].old_blob == NO_OBJECT
    assert asyncio.run(git.blob(told["a.py"].new_blob)) == TEXT + b"more\n"


def test_a_path_that_is_not_utf8_survives_the_round_trip(tmp_path):
    git, (one, two) = make(tmp_path, {"a": b"1"}, {os.fsdecode(b"caf\xe9.txt"): b"2"})
    path = asyncio.run(git.changes(one, two))[0].path
    assert os.fsencode(path) == b"caf\xe9.txt"
    assert path in {entry.path for entry in asyncio.run(git.tree(two))}


def test_the_patch_has_full_ids(tmp_path):
    git, (one, two) = make(tmp_path, {"a.py": b"1\n", "*.py": b"1\n"}, {"a.py": b"2\n", "*.py": b"2\n"})
    whole = asyncio.run(git.diff(one, two))
    assert whole.count(b"diff --git") == 2
    assert len(whole.split(b"index ")[1].split(b"..")[0]) == 40


def test_a_tree_lists_files_with_their_size_and_directories_only_when_asked(tmp_path):
    git, (one,) = make(tmp_path, {"a/b.py": b"12345", "c": b""})
    assert [(entry.path, entry.size) for entry in asyncio.run(git.tree(one))] == [("a/b.py", 5), ("c", 0)]
    assert [entry.path for entry in asyncio.run(git.tree(one, directories=True))] == ["a", "a/b.py", "c"]


def test_the_log_is_oldest_first_and_whole(tmp_path):
    git, ids = make(tmp_path, {"a": b"1"}, {"a": b"2"}, {"a": b"3"})
    log = asyncio.run(git.log(ids[0], "main"))
    assert [entry.sha for entry in log] == ids[1:]
    assert (log[0].message, log[0].time, log[0].parents) == ("Commit 1\n\nBody.", 1, (ids[0],))
    assert asyncio.run(git.about(ids[0])).parents == ()


@pytest.mark.parametrize(
    "revision", ["", "-h", "--output=x", "nowhere", "main..main", "main\0", "$(id)", "0" * 40, "main^{tree}"]
)
def test_what_names_no_commit_is_not_found(tmp_path, revision):
    git, _ = make(tmp_path, {"a": b"1"})
    with pytest.raises(NotFound):
        asyncio.run(git.resolve(revision))


@pytest.mark.parametrize("revision", ["-h", "--output=stolen", "--no-index", ""])
def test_an_option_never_passes_for_a_revision(tmp_path, revision):
    git, (one,) = make(tmp_path, {"a": b"1"})
    for call in (git.diff, git.changes, git.log, git.merge_base):
        with pytest.raises(Refused):
            asyncio.run(call(one, revision))
    for call in (git.tree, git.blob, git.about):
        with pytest.raises(Refused):
            asyncio.run(call(revision))
    assert not (git.directory / "stolen").exists()


def test_histories_without_a_common_commit_have_no_merge_base(tmp_path):
    git, (one,) = make(tmp_path, {"a": b"1"})
    other = asyncio.run(writer.commit(git, "refs/heads/other", {"b": b"2"}, "Other"))
    with pytest.raises(NotFound, match="no common ancestor"):
        asyncio.run(git.merge_base(one, other))
    assert asyncio.run(git.merge_base(one, "main")) == one


def test_where_there_is_no_repository_the_user_is_told(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(UserError):
            asyncio.run(Git(place).resolve("HEAD"))


def test_an_answer_over_the_limit_is_refused_whole(tmp_path):
    git, (one,) = make(tmp_path, {"a": b"x" * 5000})
    blob = asyncio.run(git.tree(one))[0].blob
    assert len(asyncio.run(Git(git.directory, limit=5000).blob(blob))) == 5000
    with pytest.raises(TooLarge):
        asyncio.run(Git(git.directory, limit=4999).blob(blob))


def test_a_command_over_its_time_is_ended(tmp_path):
    git, _ = make(tmp_path, {"a": b"1"})
    with pytest.raises(Retryable, match="took longer"):
        asyncio.run(Git(git.directory, seconds=0).resolve("main"))


def test_nothing_that_a_repository_configures_is_run(tmp_path):
    """Hooks, drivers, monitors, pagers, ssh commands: each would leave a mark."""
    mark = tmp_path / "mark"
    script = tmp_path / "evil"
    script.write_text(f'#!/bin/sh\ntouch {mark}\ncat "$1" 2>/dev/null\nexit 0\n')
    script.chmod(0o755)
    work = tmp_path / "work"
    settings = {
        "core.fsmonitor": script, "core.hooksPath": tmp_path, "core.pager": script, "core.sshCommand": script,
        "core.editor": script, "diff.external": script, "diff.evil.command": script, "diff.evil.textconv": script,
        "filter.evil.smudge": script, "filter.evil.clean": script, "gpg.program": script, "log.showSignature": "true",
        "credential.helper": f"!{script}", "uploadpack.packObjectsHook": script, "diff.noprefix": "true",
    }  # fmt: skip

    def run(*arguments):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=work, check=True, capture_output=True)

    work.mkdir()
    run("init", "-b", "main")
    for day, at in enumerate(("one\n", "two\n"), 1):
        (work / "a.py").write_text(at)
        (work / ".gitattributes").write_text("*.py diff=evil filter=evil\n")
        for file in ("a.py", ".gitattributes"):
            os.utime(work / file, (day, day))  # long ago, so that git has no doubt that it did not change
        run("add", ".")
        run("commit", "-m", at)
    for name, value in settings.items():
        run("config", name, str(value))
    for hook in ("post-checkout", "reference-transaction", "fsmonitor-watchman", "post-index-change"):
        (tmp_path / hook).symlink_to(script)
    mark.unlink(missing_ok=True)
    git = Git(work)

    async def read():
        one, two = await git.resolve("HEAD~1"), await git.resolve("HEAD")
        patch = await git.diff(one, two)
        await git.changes(one, two)
        await git.tree(two)
        await git.log(one, two)
        await git.run(("status", "--porcelain"))
        await writer.point(git, "refs/heads/other", one)
        return patch

    patch = asyncio.run(read())
    assert not mark.exists()
    assert b"diff --git a/a.py b/a.py" in patch
    assert b"-one\n+two\n" in patch


def test_the_environment_does_not_lead_elsewhere(tmp_path, monkeypatch):
    git, (one,) = make(tmp_path, {"a": b"1"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "touch stolen")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    assert asyncio.run(git.resolve("main")) == one


def test_nothing_is_fetched(tmp_path):
    git, _ = make(tmp_path, {"a": b"1"})
    for protocol in ("file", "ext", "https"):
        asyncio.run(git.run(("config", f"protocol.{protocol}.allow", "always")))
    for url in (str(git.directory), "https://example.com/x.git", "ext::sh -c 'touch stolen'"):
        with pytest.raises(Refused):
            asyncio.run(git.run(("fetch", url, "main")))
    assert not (git.directory / "stolen").exists()


def test_a_merge_is_a_tree_or_a_refusal(tmp_path):
    git, (base,) = make(tmp_path, {"a": TEXT, "b": b"1\n"})

    async def play():
        ours = await writer.commit(git, "refs/heads/ours", {"a": TEXT + b"ours\n"}, "Ours", parent=base)
        theirs = await writer.commit(git, "refs/heads/theirs", {"b": b"2\n"}, "Theirs", parent=base)
        clash = await writer.commit(git, "refs/heads/clash", {"a": TEXT + b"clash\n"}, "Clash", parent=base)
        merged = await writer.commit_tree(git, await writer.merge(git, ours, theirs), [ours, theirs], "Merge", time=9)
        with pytest.raises(Refused):
            await writer.merge(git, ours, clash)
        return merged, {entry.path: await git.blob(entry.blob) for entry in await git.tree(merged)}

    merged, files = asyncio.run(play())
    assert files == {"a": TEXT + b"ours\n", "b": b"2\n"}
    assert asyncio.run(git.about(merged)).time == 9

"""A change on this machine as a pull request."""

import asyncio
import subprocess

import pytest

from bot.core.code.diff import Diff, Status
from bot.core.code.pull_request import Permission, PullRef
from bot.core.comments.post import CheckRun, ReviewPost
from bot.errors import NotFound, TooLarge, UserError
from bot.hosts.git import NO_OBJECT
from bot.hosts.local import LocalHost
from bot.job import Job, Trigger


@pytest.fixture
def repo(tmp_path):
    """A repository with one commit, whose `git` runs commands in it."""
    return Repository(tmp_path / "shop")


class Repository:
    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.git("init", "-q", "-b", "main")
        self.write("a.py", "one\ntwo\n")
        self.write("docs/standards/style.md", "# Style\n")
        self.commit("First")

    def git(self, *arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        ran = subprocess.run(("git", *who, *arguments), cwd=self.directory, check=True, capture_output=True)
        return ran.stdout.decode().strip()

    def write(self, path, content):
        place = self.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, message="More"):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def range(self, text=""):
        return asyncio.run(LocalHost.from_range(self.directory, text))


def summary(host):
    return {file.path: (file.status.value, file.unread) for file in host.changes}


def content(host, path):
    return asyncio.run(host.blob(host.pull.ref, host.changes.file(path).blob))


@pytest.mark.parametrize("text", ["HEAD~1..HEAD", "HEAD~1", "HEAD~1..", "main~1..main"])
def test_a_range_is_what_changed_between_two_revisions(repo, text):
    repo.write("a.py", "one\n2\n")
    head = repo.commit()
    host = repo.range(text)
    assert summary(host) == {"a.py": ("modified", "")}
    assert host.changes.file("a.py").added_lines == {2}
    assert content(host, "a.py") == b"one\n2\n"
    assert (host.pull.head_sha, host.pull.base_sha) == (head, repo.git("rev-parse", "HEAD~1"))


def test_a_range_is_what_changed_since_the_merge_base(repo):
    repo.git("checkout", "-q", "-b", "topic")
    repo.write("b.py", "x\n")
    repo.commit()
    repo.git("checkout", "-q", "main")
    repo.write("c.py", "something else\n")
    repo.commit()
    assert set(summary(repo.range("main...topic"))) == {"b.py"}
    assert set(summary(repo.range("main..topic"))) == {"b.py"}


def test_an_empty_range_changes_nothing(repo):
    assert repo.range("HEAD..HEAD").changes == Diff()
    assert repo.range("").changes == Diff()


def test_a_range_is_found_from_below_the_top(repo):
    repo.write("a.py", "one\n2\n")
    repo.commit()
    host = asyncio.run(LocalHost.from_range(repo.directory / "docs", "HEAD~1"))
    assert set(summary(host)) == {"a.py"}


def test_odd_files_are_read_or_marked(repo):
    repo.write("moved.py", "".join(f"{n}\n" for n in range(50)))
    repo.commit()
    repo.git("mv", "moved.py", "there.py")
    repo.write("logo.png", b"\x89PNG\0")
    repo.write("crlf.txt", "a\r\nb\r\n")
    repo.write("latin.txt", b"caf\xe9\n")
    repo.write('od"d name.py', "x")
    repo.commit()
    assert summary(repo.range("HEAD~1")) == {
        "crlf.txt": ("added", ""),
        "latin.txt": ("added", ""),
        "logo.png": ("added", repo.range("HEAD~1").changes.file("logo.png").unread),
        'od"d name.py': ("added", ""),
        "there.py": ("renamed", ""),
    }
    assert "binary" in repo.range("HEAD~1").changes.file("logo.png").unread
    assert content(repo.range("HEAD~1"), 'od"d name.py') == b"x"


@pytest.mark.parametrize("text", ["nonsense", "HEAD..nonsense", "nonsense...HEAD", "--output=x", "HEAD~9"])
def test_an_unknown_revision_is_said_in_a_sentence(repo, text):
    with pytest.raises(UserError, match="There is no revision"):
        repo.range(text)


def test_unrelated_histories_have_no_common_ancestor(repo):
    repo.git("checkout", "-q", "--orphan", "other")
    repo.commit()
    with pytest.raises(UserError, match="no common ancestor"):
        repo.range("main...other")


@pytest.mark.parametrize("place", ["", "elsewhere"])
def test_a_place_without_a_repository_is_said_in_a_sentence(tmp_path, place):
    with pytest.raises(UserError):
        asyncio.run(LocalHost.from_range(tmp_path / place))


# What is not committed


def test_what_is_not_committed_is_compared_with_the_head(repo):
    repo.write("a.py", "one\n2\n")
    repo.write("staged.py", "new\n")
    repo.git("add", "staged.py")
    repo.write("untracked.py", "x\n")
    (repo.directory / "docs/standards/style.md").unlink()
    host = repo.range()
    assert summary(host) == {
        "a.py": ("modified", ""),
        "docs/standards/style.md": ("removed", ""),
        "staged.py": ("added", ""),
    }
    assert host.unfollowed == ("untracked.py",)
    assert host.changes.file("a.py").added_lines == {2}
    assert content(host, "a.py") == b"one\n2\n"
    assert host.pull.head_sha == NO_OBJECT
    tree = asyncio.run(host.tree(host.pull.ref, NO_OBJECT))
    assert {entry.path for entry in tree} == {"a.py", "staged.py"}
    assert {asyncio.run(host.blob(host.pull.ref, entry.blob)) for entry in tree} == {b"one\n2\n", b"new\n"}


def test_before_the_first_commit_every_tracked_file_is_new(tmp_path):
    repo = Repository(tmp_path / "new")
    repo.git("update-ref", "-d", "HEAD")
    assert summary(repo.range()) == {"a.py": ("added", ""), "docs/standards/style.md": ("added", "")}


def test_a_submodule_and_a_sparse_checkout_change_nothing(repo):
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{repo.git('rev-parse', 'HEAD')},library")
    repo.git("commit", "-q", "-m", "Library")
    (repo.directory / "library").mkdir()
    repo.git("update-index", "--skip-worktree", "docs/standards/style.md")
    (repo.directory / "docs/standards/style.md").unlink()
    repo.write("a.py", "one\n2\n")
    host = repo.range()
    assert summary(host) == {"a.py": ("modified", "")}
    assert "docs/standards/style.md" in {entry.path for entry in asyncio.run(host.tree(host.pull.ref, NO_OBJECT))}


def test_a_bare_repository_has_nothing_that_is_not_committed(repo, tmp_path):
    repo.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    with pytest.raises(UserError, match="name a range"):
        asyncio.run(LocalHost.from_range(tmp_path / "bare.git"))


def test_a_link_is_read_as_a_link_and_never_followed(repo, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "style.md").write_text("TOP SECRET\n")
    (repo.directory / "link").symlink_to(secret / "style.md")
    repo.git("add", "link")
    (repo.directory / "docs/standards/style.md").unlink()
    (repo.directory / "docs/standards").rmdir()
    (repo.directory / "docs/standards").symlink_to(secret)
    host = repo.range()
    assert summary(host) == {"docs/standards/style.md": ("removed", ""), "link": ("added", "")}
    assert content(host, "link") == str(secret / "style.md").encode()
    assert host.changes.file("link").link


def test_a_link_is_known_by_its_mode_and_not_by_its_looks(repo):
    (repo.directory / "link.py").symlink_to("a.py")
    repo.write("path.txt", "../lib/real.py")
    repo.git("add", "-A")
    assert {file.path: file.link for file in repo.range().changes} == {"link.py": True, "path.txt": False}
    repo.commit("Links")
    assert {file.path: file.link for file in repo.range("HEAD~1").changes} == {"link.py": True, "path.txt": False}
    (repo.directory / "link.py").unlink()
    (repo.directory / "link.py").symlink_to("path.txt")
    repo.commit("Another target")
    assert [file.link for file in repo.range("HEAD~1").changes] == [True]


def test_no_program_of_the_repositorys_configuration_runs(repo):
    mark = repo.directory / "ran"
    repo.git("config", "filter.evil.clean", f"touch {mark}")
    repo.write(".gitattributes", "*.py filter=evil\n")
    repo.write("a.py", "one\n2\n")
    repo.range()
    assert not mark.exists()


def test_binary_and_endless_files_of_the_working_tree_are_marked(repo):
    repo.write("logo.png", b"\0")
    repo.write("endless.txt", "x\n" * 20_001)
    repo.git("add", "-A")
    assert summary(repo.range()) == {
        "endless.txt": ("added", "too large to compare"),
        "logo.png": ("added", "binary"),
    }


# A patch


def test_a_patch_stands_on_the_head_of_the_repository_it_is_reviewed_in(repo):
    repo.write("b.py", "new\nfile")
    repo.write("a.py", "one\n2\n")
    repo.git("add", "-A")
    patch = repo.git("diff", "--cached") + "\n"
    repo.git("reset", "-q", "--hard")
    host = asyncio.run(LocalHost.from_patch(patch, repo.directory))
    assert summary(host) == {"a.py": ("modified", ""), "b.py": ("added", "")}
    assert content(host, "b.py") == b"new\nfile"
    standards = asyncio.run(host.tree(host.pull.ref, host.pull.base_sha))
    assert "docs/standards/style.md" in {entry.path for entry in standards}


@pytest.mark.parametrize("applied", [False, True])
def test_a_patched_file_is_whole_whether_the_patch_was_applied_or_not(repo, applied):
    repo.write("a.py", "".join(f"line {number}\n" for number in range(50)))
    repo.commit()
    repo.git("mv", "a.py", "b.py")
    repo.write("b.py", (repo.directory / "b.py").read_text().replace("line 40", "forty"))
    repo.git("add", "-A")
    patch = repo.git("diff", "--cached", "-M") + "\n"
    repo.git(*("commit", "-qm", "Applied") if applied else ("reset", "-q", "--hard"))
    host = asyncio.run(LocalHost.from_patch(patch, repo.directory))
    assert summary(host) == {"b.py": ("renamed", "")}
    assert content(host, "b.py").splitlines()[38:42] == [b"line 38", b"line 39", b"forty", b"line 41"]


@pytest.mark.parametrize("path", [".git/config", "../secret.txt", "/etc/hostname", "untracked.txt", "link.py"])
def test_a_patch_opens_no_file_that_git_does_not_follow(repo, path):
    (repo.directory.parent / "secret.txt").write_text("secret\n")
    repo.write("untracked.txt", "secret\n")
    (repo.directory / "link.py").symlink_to("../secret.txt")
    repo.git("add", "link.py")
    first = (repo.directory / path).read_text().splitlines()[0]
    patch = f"--- a/{path.lstrip('/')}\n+++ b/{path.lstrip('/')}\n@@ -1 +1 @@\n-x\n+{first}\n"
    host = asyncio.run(LocalHost.from_patch(patch.replace(f"b/{path.lstrip('/')}", f"b/{path}"), repo.directory))
    with pytest.raises(NotFound):
        content(host, host.changes.files[0].path)


def test_a_patch_needs_no_repository(tmp_path):
    patch = "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n"
    host = asyncio.run(LocalHost.from_patch(patch, tmp_path))
    assert [file.status for file in host.changes] == [Status.MODIFIED]
    assert asyncio.run(host.tree(host.pull.ref, host.pull.base_sha)) == ()
    with pytest.raises(NotFound):
        content(host, "a.py")


def test_no_patch_is_no_change_and_nonsense_is_said_to_be(tmp_path):
    assert asyncio.run(LocalHost.from_patch("", tmp_path)).changes == Diff()
    with pytest.raises(UserError):
        asyncio.run(LocalHost.from_patch("hello\n", tmp_path))


# The world around it


def test_what_would_be_posted_is_kept(repo):
    host = repo.range("HEAD")
    review = ReviewPost("key", "head", "body")
    last = CheckRun("key", "completed", "title", "summary")

    async def run():
        await host.review(host.pull, review)
        await host.check(host.pull, CheckRun("key", "queued", "title", "summary"))
        await host.check(host.pull, last)
        job = Job("1", host.pull.ref, Trigger.COMMAND)
        await host.react(job, "eyes")
        await host.unlabel(host.pull.ref, "label")
        await host.reply(job, "answer", "key")

    asyncio.run(run())
    assert (host.posted, host.concluded, host.replied) == (review, last, ["answer"])


def test_whoever_runs_it_may_do_everything_and_nobody_said_anything(repo):
    host = repo.range("HEAD")
    assert asyncio.run(host.permission(host.pull.ref, "anybody")) is Permission.ADMIN
    assert asyncio.run(host.comments(host.pull.ref)) == ()
    with pytest.raises(NotFound):
        asyncio.run(host.issue(PullRef("shop", 0), 12))


def test_a_file_over_a_megabyte_is_too_large(repo):
    repo.write("big.txt", "x" * (1024 * 1024 + 1))
    repo.commit()
    with pytest.raises(TooLarge):
        content(repo.range("HEAD~1"), "big.txt")

"""What every CodeHost and Publisher promises, local or on GitHub: the same change must read the same."""

import asyncio
import subprocess

import pytest

from bot import errors
from bot.core.code.diff import Side
from bot.core.code.pull_request import PullRef
from bot.core.comments.post import CheckRun, Comment, Conclusion, ReviewPost
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.publisher import GitHubPublisher
from bot.hosts.local import LocalHost
from bot.job import Job, Trigger
from bot.sandbox.sandbox import Clock, Sandbox
from tests.support.changed_files import AFTER, BEFORE
from tests.support.github_client import KEY, connect


class Local:
    """The change as a range in a repository on disk."""

    async def start(self, directory):
        directory.mkdir()
        self._git(directory, "init", "-q")
        for files in (BEFORE, AFTER):
            for path, content in files.items():
                place = directory / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                if content is not None:
                    place.write_bytes(content if isinstance(content, bytes) else content.encode())
            self._git(directory, "add", "-A")
            self._git(directory, "commit", "-q", "-m", "A change")
        self.host = self.publisher = await LocalHost.from_range(directory, "HEAD~1..HEAD")
        self.ref = self.host.pull.ref
        return self

    @staticmethod
    def _git(directory, *arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(("git", *who, *arguments), cwd=directory, check=True, capture_output=True)

    def posted(self):
        return [(self.host.posted.body, [(one.path, one.line, one.body) for one in self.host.posted.comments])]

    def concluded(self):
        return [(self.host.concluded.status, self.host.concluded.conclusion)]


class OnGitHub:
    """The change as a pull request of the sandbox."""

    async def start(self, directory):
        sandbox = Sandbox.create(directory, clock=Clock())
        repo = await sandbox.repository("octo/shop", BEFORE)
        changed = {path: content for path, content in AFTER.items() if BEFORE.get(path) != content}
        self.pull = await repo.open_pull("A change", files=changed)
        client = connect(sandbox)
        self.host, self.publisher = GitHubHost(client), GitHubPublisher(client)
        installation = sandbox.world.installation_of(repo.state)
        self.ref = PullRef("octo/shop", self.pull.number, repo.state.id, installation.id)
        return self

    def posted(self):
        said = [(one.path, one.line, one.body) for one in self.pull.comments]
        return [(one.body, said) for one in self.pull.reviews if one.body]

    def concluded(self):
        return [(one.status, one.conclusion) for one in self.pull.check_runs()]


@pytest.fixture(params=[Local, OnGitHub])
def play(request, tmp_path):
    """Runs a scene with the change at one kind of host."""

    def run(scene):
        async def start():
            return await scene(await request.param().start(tmp_path / "host"))

        return asyncio.run(start())

    return run


def test_a_pull_request_names_two_commits_whose_trees_can_be_read(play):
    async def scene(at):
        pull = await at.host.pull_request(at.ref)
        assert pull.ref == at.ref
        trees = [{entry.path for entry in await at.host.tree(at.ref, sha)} for sha in (pull.base_sha, pull.head_sha)]
        assert trees == [set(BEFORE), {path for path, content in AFTER.items() if content is not None}]

    play(scene)


def test_the_same_change_has_the_same_lines(play):
    async def scene(at):
        diff = await at.host.diff(await at.host.pull_request(at.ref))
        assert {
            file.path: (
                file.status.value,
                file.previous_path,
                [line.text for hunk in file.hunks for line in hunk.lines if line.removed],
                [line.text for hunk in file.hunks for line in hunk.on(Side.RIGHT) if line.added],
            )
            for file in diff
            if file.path != "large.txt"
        } == {
            "crlf.txt": ("modified", None, ["b"], ["c"]),
            "empty.py": ("added", None, [], []),
            "gone.py": ("removed", None, ["old"], []),
            "kept.py": ("modified", None, ["7", "17", "27", "30", "37"], ["seven", "1seven", "2seven", "3seven"]),
            "latin.txt": ("added", None, [], ["caf\ufffd"]),
            "logo.png": ("modified", None, [], []),
            "nonewline.txt": ("modified", None, ["b"], ["b", "c"]),
            'od"d/näme\t.py': ("added", None, [], ["x"]),
            "there.py": ("renamed", "moved.py", ["line 5"], ["line five"]),
        }
        assert len(diff.file("large.txt").added_lines) == 4000
        assert [file.path for file in diff if file.unread] == ["logo.png"]

    play(scene)


def test_the_blob_of_a_changed_file_is_its_content_at_the_head(play):
    async def scene(at):
        for file in await at.host.diff(await at.host.pull_request(at.ref)):
            expected = AFTER[file.path]
            if expected is None:
                assert file.blob == ""
                continue
            content = await at.host.blob(at.ref, file.blob)
            assert content == (expected if isinstance(expected, bytes) else expected.encode())

    play(scene)


def test_what_is_not_there_is_not_found(play):
    async def scene(at):
        with pytest.raises(errors.NotFound):
            await at.host.blob(at.ref, "0123456789" * 4)
        with pytest.raises(errors.NotFound):
            await at.host.issue(at.ref, 4711)

    play(scene)


def test_nobody_has_said_anything_yet(play):
    async def scene(at):
        assert await at.host.comments(at.ref) == ()

    play(scene)


def test_a_review_is_posted_as_it_was_given_and_may_be_posted_again(play):
    async def scene(at):
        pull = await at.host.pull_request(at.ref)
        body = f"One finding.\n\n{KEY}"
        post = ReviewPost(KEY, pull.head_sha, body, (Comment("kept.py", "Why?", 8), Comment("kept.py", "And?", 8)))
        for _ in range(2):
            assert isinstance(await at.publisher.review(pull, post), str)
        assert at.posted() == [(body, [("kept.py", 8, "Why?"), ("kept.py", 8, "And?")])]

    play(scene)


def test_a_check_run_ends_with_its_last_state(play):
    async def scene(at):
        pull = await at.host.pull_request(at.ref)
        first = await at.publisher.check(pull, CheckRun("run", "queued", "Review", "…"))
        last = CheckRun("run", "completed", "Review", "Done", conclusion=Conclusion.SUCCESS)
        assert await at.publisher.check(pull, last) == first
        assert at.concluded() == [("completed", "success")]

    play(scene)


def test_answers_reactions_and_labels_can_be_repeated(play):
    async def scene(at):
        job = Job("1", at.ref, Trigger.COMMAND)
        for _ in range(2):
            assert isinstance(await at.publisher.reply(job, "Help.", KEY), str)
            await at.publisher.react(job, "eyes")
            await at.publisher.unlabel(at.ref, "assistant:review")

    play(scene)

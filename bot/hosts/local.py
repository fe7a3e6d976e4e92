"""A change on this machine as a pull request: commits, the working tree, the index, or a patch. Posts nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.core.code.diff import Diff, FileDiff, Status, blob_id, head_content, parse_diff
from bot.core.code.pull_request import Issue, Permission, PostedComment, PullRef, PullRequest
from bot.core.comments.post import CheckRun, ReviewPost
from bot.errors import NotFound, Refused, UserError
from bot.hosts import working_tree
from bot.hosts.git import EMPTY_TREE, MEGABYTE, NO_OBJECT, Git
from bot.hosts.working_tree import SUBMODULE_MODE, readable
from bot.interfaces import OrganisationStandards, TreeFile
from bot.job import Job

LINK_MODE = "120000"


@dataclass(slots=True)
class LocalHost:
    """CodeHost and Publisher at once. Keeps what GitHub would get: `posted`, `concluded`, `replied`, `reactions`.

    `contents` are files by git object id that no commit has. `unfollowed` are untracked files; they are not part of the
    change. `scope` tells which change was chosen if the caller named none. Outside a repository `git` is None, and only
    the patch can be read.
    """

    pull: PullRequest
    changes: Diff
    git: Git | None = None
    contents: Mapping[str, bytes] = field(default_factory=dict)
    entries: tuple[TreeFile, ...] = ()
    unfollowed: tuple[str, ...] = ()
    posted: ReviewPost | None = None
    concluded: CheckRun | None = None
    replied: list[str] = field(default_factory=list)
    reactions: list[str] = field(default_factory=list)
    scope: str = ""

    @classmethod
    async def from_range(cls, directory: Path, text: str = "") -> LocalHost:
        """What `B` changed since it left `A`: `A..B`, `A...B`, or `A` with HEAD as `B`. Without `text`: the working tree.

        This is what a pull request from `B` to `A` shows. Raises UserError without a repository or such a revision.
        """
        git = Git(await Git(directory).root())
        if not text:
            return await cls._from_working_tree(git)
        first, _, last = text.partition("..." if "..." in text else "..")
        return await cls._from_commits(git, text, first or "HEAD", last or "HEAD")

    @classmethod
    async def from_current(cls, directory: Path) -> LocalHost:
        """The uncommitted changes; if there are none, the commits of HEAD that its base branch does not have.

        Raises UserError without a repository.
        """
        host = await cls.from_range(directory)
        if host.changes.files or host.git is None or host.pull.base_sha == EMPTY_TREE:
            return host
        for branch in await _base_branches(host.git):
            try:
                found = await cls._from_commits(host.git, f"{branch}..HEAD", branch, "HEAD")
            except UserError:  # there is no such branch, or it has another history
                continue
            if found.pull.base_sha != found.pull.head_sha:
                found.unfollowed = host.unfollowed
                found.scope = f"Nothing is uncommitted, so the commits since {branch} are reviewed."
                return found
        return host

    @classmethod
    async def from_index(cls, directory: Path) -> LocalHost:
        """The staged changes: the index compared with HEAD. Raises UserError without a repository."""
        git = Git(await Git(directory).root())
        base = await _head_or_empty(git)
        changes = parse_diff((await git.diff_staged(base)).decode(errors="replace"))
        entries = [entry for entry in await git.staged() if entry.mode not in {LINK_MODE, SUBMODULE_MODE}]
        files = tuple(TreeFile(readable(entry.path), entry.blob, entry.size) for entry in entries)
        return cls(_pull(git.directory.name, "staged changes", base, NO_OBJECT), changes, git, entries=files)

    @classmethod
    async def _from_commits(cls, git: Git, title: str, first: str, last: str) -> LocalHost:
        base, head = await _resolve(git, first), await _resolve(git, last)
        base = await _merge_base(git, base, head)
        changes = parse_diff((await git.diff(base, head)).decode(errors="replace"))
        return cls(_pull(git.directory.name, title, base, head), changes, git)

    @classmethod
    async def from_patch(cls, text: str, directory: Path) -> LocalHost:
        """What a patch changes. If `directory` is in a repository, its HEAD stands for the base.

        Raises UserError if the text is not a patch.
        """
        changes = parse_diff(text)
        contents = {file.path: content for file in changes if (content := _whole(file)) is not None}
        git, pull = None, _pull("patch", "patch", "", "")
        try:
            here = Git(await Git(directory).root())
            pull = _pull(here.directory.name, "patch", await here.resolve("HEAD"), NO_OBJECT)
            git = here
        except (UserError, NotFound):
            pass  # no repository, or one without a commit: what the patch adds is all there is
        if git is not None:
            contents |= await working_tree.patched(git, pull.base_sha, changes)
        files = (
            replace(file, blob=blob_id(contents[file.path])) if file.path in contents else file for file in changes
        )
        held = {blob_id(content): content for content in contents.values()}
        return cls(pull, replace(changes, files=tuple(files)), git, held)

    @classmethod
    async def _from_working_tree(cls, git: Git) -> LocalHost:
        if await git.run(("rev-parse", "--is-inside-work-tree")) != b"true\n":
            raise UserError("This repository has no working tree; name a range, such as HEAD~1..HEAD.")
        base = await _head_or_empty(git)
        tree = await working_tree.read(git, base)
        pull = _pull(git.directory.name, "uncommitted changes", base, NO_OBJECT)
        return cls(pull, Diff(tree.files), git, tree.changed, tree.entries, tree.unfollowed)

    async def pull_request(self, ref: PullRef) -> PullRequest:
        """Returns the only change."""
        return self.pull

    async def diff(self, pull: PullRequest) -> Diff:
        """What changed."""
        return self.changes

    async def tree(self, ref: PullRef, commit: str) -> tuple[TreeFile, ...]:
        """Every file at `commit`, or for the head of what is not committed, in the working tree."""
        if commit == NO_OBJECT or self.git is None:
            return self.entries
        files = (entry for entry in await self.git.tree(commit) if entry.mode not in {LINK_MODE, SUBMODULE_MODE})
        return tuple(TreeFile(readable(entry.path), entry.blob, entry.size) for entry in files)

    async def blob(self, ref: PullRef, sha: str) -> bytes:
        """A file's content. Raises NotFound, and TooLarge over a megabyte."""
        if (content := self.contents.get(sha)) is not None:
            return content
        if self.git is None or not sha:
            raise NotFound("a patch alone does not hold the whole file")
        return await replace(self.git, limit=MEGABYTE).blob(sha)

    async def blobs(self, ref: PullRef, shas: Collection[str]) -> Mapping[str, bytes | Refused]:
        """Several files' contents, all that git has of them read by two processes."""
        found: dict[str, bytes | Refused] = {sha: self.contents[sha] for sha in shas if sha in self.contents}
        if self.git is not None:
            found |= await self.git.blobs([sha for sha in shas if sha and sha not in found], MEGABYTE)
        for sha in shas:
            if sha not in found:
                try:
                    found[sha] = await self.blob(ref, sha)
                except Refused as error:
                    found[sha] = error
        return found

    async def issue(self, ref: PullRef, number: int) -> Issue:
        """Raises NotFound: a local change has no issues."""
        raise NotFound(f"a local change has no issue #{number}")

    async def permission(self, ref: PullRef, login: str) -> Permission:
        """Returns ADMIN: the user who runs this owns the machine."""
        return Permission.ADMIN

    async def is_us(self, login: str, app: int) -> bool:
        """Returns False: there are no other users here."""
        return False

    async def organisation_file(self, ref: PullRef, path: str) -> bytes:
        """Raises NotFound: a local change has no organisation."""
        raise NotFound("a local change has no organisation")

    async def library(self, ref: PullRef) -> OrganisationStandards | None:
        """None: a local change has no organisation."""
        return None

    async def comments(self, pull: PullRef) -> tuple[PostedComment, ...]:
        """Returns (): there are no comments."""
        return ()

    async def review(self, pull: PullRequest, post: ReviewPost) -> str:
        """Keeps the review for the terminal."""
        self.posted = post
        return pull.url

    async def lift(self, pull: PullRequest, words: str) -> None:
        """Does nothing: nothing blocks a merge."""

    async def check(self, pull: PullRequest, run: CheckRun) -> int:
        """Keeps the last state of the check run."""
        self.concluded = run
        return 1

    async def reply(self, job: Job, body: str, key: str, *, courtesy: bool = False) -> str:
        """Keeps the answer."""
        self.replied.append(body)
        return self.pull.url

    async def keep(self, pull: PullRef, body: str, key: str) -> str:
        """Keeps the comment."""
        self.replied.append(body)
        return self.pull.url

    async def resolved(self, ref: PullRef) -> Mapping[int, str]:
        """There are no threads."""
        return {}

    async def thumbs_down(self, ref: PullRef, comment: int) -> tuple[str, ...]:
        """Returns (): there are no reactions."""
        return ()

    async def edit(self, pull: PullRef, comment: int, body: str) -> None:
        """Does nothing: there are no comments."""

    async def answer(self, pull: PullRef, comment: int, body: str, key: str) -> None:
        """There are no threads."""

    async def resolve(self, pull: PullRef, comment: int) -> bool:
        """There are no threads."""
        return False

    async def react(self, job: Job, reaction: str) -> None:
        """Keeps the reaction."""
        self.reactions.append(reaction)

    async def unlabel(self, pull: PullRef, label: str) -> None:
        """Does nothing: there are no labels."""


def _pull(repo: str, title: str, base: str, head: str) -> PullRequest:
    return PullRequest(
        ref=PullRef(repo, 0), title=title, body="", author="", base_ref="", base_sha=base, head_sha=head, head_repo=repo
    )


async def _head_or_empty(git: Git) -> str:
    """Returns HEAD, or the empty tree before the first commit."""
    try:
        return await git.resolve("HEAD")
    except NotFound:
        return EMPTY_TREE


async def _base_branches(git: Git) -> tuple[str, ...]:
    """Returns the branches that HEAD may have left, likeliest first: the remote's default branch, then the usual names."""
    default = await git.symbolic_ref("refs/remotes/origin/HEAD")
    usual = ("origin/main", "origin/master", "main", "master")
    return tuple(dict.fromkeys((*filter(None, [default.removeprefix("refs/remotes/")]), *usual)))


async def _resolve(git: Git, revision: str) -> str:
    try:
        return await git.resolve(revision)
    except NotFound as error:
        raise UserError(f"There is no revision {revision!r} in this repository, nor a file of that name.") from error


async def _merge_base(git: Git, base: str, head: str) -> str:
    try:
        return await git.merge_base(base, head)
    except NotFound as error:
        raise UserError("The two revisions have no common ancestor.") from error


def _whole(file: FileDiff) -> bytes | None:
    """Returns the content of a file that a patch adds: the patch contains all of it."""
    if file.status is not Status.ADDED or file.unread:
        return None
    return head_content(file)

"""The actions of people on a pull request or issue (push, comment, label, resolve), for tests and the demo."""

from __future__ import annotations

from dataclasses import dataclass

from bot.sandbox.world import conversation, history, shape, writer
from bot.sandbox.world.rules import Placed, place
from bot.sandbox.world.state import (
    Analysis,
    Artifact,
    CheckRun,
    Issue,
    IssueComment,
    Pull,
    Repository,
    Review,
    ReviewComment,
    Said,
    World,
)

ACTIONS = 15368
"""The App of GitHub Actions."""


@dataclass(frozen=True, slots=True)
class Topic:
    """An issue or a pull request's conversation."""

    world: World
    repo: Repository
    state: Issue

    @property
    def number(self) -> int:
        """Its number."""
        return self.state.number

    def comment(self, login: str, body: str) -> IssueComment:
        """Say something in the conversation."""
        return conversation.comment(self.world, self.repo, self.state, self.world.user(login), body)

    def edit(self, said: Said, login: str, body: str) -> None:
        """Change a comment's words."""
        conversation.edit(self.world, self.repo, self.state, said, self.world.user(login), body)

    def delete(self, said: Said, login: str) -> None:
        """Take a comment away."""
        conversation.delete(self.world, self.repo, self.state, said, self.world.user(login))

    def react(self, said: Said, login: str, content: str) -> None:
        """React to a comment: +1, -1, eyes, …"""
        conversation.react(self.world, said, self.world.user(login), content)

    def label(self, login: str, name: str) -> None:
        """Put a label on."""
        conversation.label(self.world, self.repo, self.state, self.world.user(login), name)

    def unlabel(self, login: str, name: str) -> None:
        """Take a label off."""
        conversation.unlabel(self.world, self.repo, self.state, self.world.user(login), name)


@dataclass(frozen=True, slots=True)
class PullRequest(Topic):
    """A pull request as its people use it."""

    state: Pull

    @property
    def head(self) -> str:
        """The commit at its head."""
        return self.state.head_sha

    @property
    def url(self) -> str:
        """Its page."""
        return f"{shape.page(self.world, self.repo)}/pull/{self.number}"

    @property
    def reviews(self) -> list[Review]:
        """Its reviews, pending ones too."""
        return self.state.reviews

    @property
    def comments(self) -> list[ReviewComment]:
        """Its inline and file comments, replies too."""
        return self.state.review_comments

    async def push(
        self, files: history.Files | None = None, *, force: bool = False, onto: str | None = None, message: str = "More"
    ) -> str:
        """Push a commit on top of the head, or with `force` one that replaces it, on `onto` or the base branch."""
        parent = (onto or self.state.base_sha) if force else self.state.head_sha
        head = await history.commit(self.world, self._home, self.state.head_ref, files or {}, message, parent)
        return await self._moved(head)

    async def rename(self, old: str, new: str) -> str:
        """Push a commit that renames a file."""
        tree = {entry.path: entry.blob for entry in await self.repo.git.tree(self.head)}
        return await self.push({old: None, new: await self.repo.git.blob(tree[old])}, message=f"Rename {old}")

    async def rebase(self) -> str:
        """Force-push the same change as one commit on top of the base branch as it is now."""
        tip = self.repo.branches[self.state.base_ref]
        tree = await writer.merge(self.repo.git, tip, self.head)
        return await self._moved(await self._commit_tree(tree, [tip], self.state.title))

    async def merge_base_in(self) -> str:
        """Merge the base branch into the head."""
        tip = self.repo.branches[self.state.base_ref]
        tree = await writer.merge(self.repo.git, self.head, tip)
        return await self._moved(await self._commit_tree(tree, [self.head, tip], f"Merge {self.state.base_ref}"))

    async def close(self, login: str = "alice", *, merged: bool = False) -> None:
        """Close it; `merged` puts the change on the base branch."""
        if merged:
            tip = self.repo.branches[self.state.base_ref]
            tree = await writer.merge(self.repo.git, tip, self.head)
            done = await self._commit_tree(tree, [tip, self.head], f"Merge pull request #{self.number}")
            await writer.point(self.repo.git, f"refs/heads/{self.state.base_ref}", done)
            self.repo.branches[self.state.base_ref] = done
        self.state.state, self.state.merged, self.state.closed_at = "closed", merged, self.world.now()
        self._announce("closed", login)

    def reopen(self, login: str = "alice") -> None:
        """Open it again."""
        self.state.state, self.state.closed_at = "open", None
        self._announce("reopened", login)

    def ready(self, login: str = "alice") -> None:
        """No longer a draft."""
        self.state.draft = False
        self._announce("ready_for_review", login)

    def convert_to_draft(self, login: str = "alice") -> None:
        """A draft again."""
        self.state.draft = True
        self._announce("converted_to_draft", login)

    async def retarget(self, base: str, login: str = "alice") -> None:
        """Change the base branch: the head stays, what it changes is another diff."""
        was = {"ref": {"from": self.state.base_ref}, "sha": {"from": self.state.base_sha}}
        self.state.base_ref = base
        await history.move_head(self.repo, self.state, self.head, self.repo.branches[base])
        sender = self.world.user(login)
        conversation.announce(self.world, self.repo, self.state, "edited", sender, changes={"base": was})

    def rewrite(self, *, title: str | None = None, body: str | None = None, login: str = "alice") -> None:
        """Edit title or body."""
        changes = {"title": {"from": self.state.title}} if title is not None else {}
        changes |= {"body": {"from": self.state.body}} if body is not None else {}
        self.state.title = self.state.title if title is None else title
        self.state.body = self.state.body if body is None else body
        conversation.announce(self.world, self.repo, self.state, "edited", self.world.user(login), changes=changes)

    def delete_fork(self) -> None:
        """The fork the head lives in is deleted; GitHub keeps the commits."""
        self.state.head_repo = None

    async def say(self, login: str, body: str, path: str, line: int, *, side: str = "RIGHT") -> ReviewComment:
        """Comment on a line of the diff, as a person does with the + button."""
        item = {"path": path, "line": line, "side": side}
        placed = place(item, await history.changed(self.repo, self.state))
        return self._review(login, "", "COMMENT", [(placed, body)])[0]

    def review(self, login: str, body: str, event: str = "COMMENT") -> Review:
        """Submit a review without inline comments."""
        self._review(login, body, event, [])
        return self.state.reviews[-1]

    def reply(self, comment_id: int, login: str, body: str) -> ReviewComment:
        """Answer in the thread of an inline comment."""
        root = next(said for said in self.comments if said.id == comment_id)
        root = next(said for said in self.comments if said.id == (root.in_reply_to or root.id))
        return conversation.reply(self.world, self.repo, self.state, root, self.world.user(login), body)

    def resolve(self, thread: ReviewComment, login: str, *, done: bool = True) -> None:
        """Resolve a thread, named by its first comment."""
        conversation.resolve(self.world, self.repo, self.state, thread, self.world.user(login), done=done)

    def check_runs(self, sha: str = "") -> list[CheckRun]:
        """The check runs on the head, or on another commit."""
        return [run for run in self.repo.check_runs if run.head_sha == (sha or self.head)]

    def rerequest(self, run: CheckRun, login: str) -> None:
        """Press "Re-run" on a check."""
        conversation.announce_check(self.world, self.repo, run, "rerequested", self.world.user(login))

    def rerequest_all(self, login: str) -> None:
        """Press "Re-run all checks" on the head."""
        sender = self.world.user(login)
        conversation.announce_suite(self.world, self.repo, self.state, sender, "rerequested", self.world.app.id)

    def end_checks(self, app: int = ACTIONS) -> None:
        """All checks of an App have ended at the head; by default those of GitHub Actions."""
        sender = self.world.user("github-actions[bot]")
        conversation.announce_suite(self.world, self.repo, self.state, sender, "completed", app)

    async def trial_merge(self) -> str:
        """GitHub's merge of the head with the base branch, which workflows on `pull_request` check out."""
        tip = self.repo.branches[self.state.base_ref]
        tree = await writer.merge(self.repo.git, tip, self.head)
        self.state.trial_merge = await self._commit_tree(tree, [tip, self.head], f"Merge {self.head} into {tip}")
        return self.state.trial_merge

    def upload_sarif(self, sarif: str, *, tool: str = "scanner", commit: str = "", category: str = "") -> None:
        """A workflow uploads a report to code scanning, by default one about the head itself."""
        kind = "merge" if commit else "head"
        analysis = Analysis(
            id=self.world.next_id(),
            ref=f"refs/pull/{self.number}/{kind}",
            commit=commit or self.head,
            tool=tool,
            category=category,
            sarif=sarif,
            created_at=self.world.now(),
        )
        self.repo.analyses.append(analysis)

    def keep_artifact(self, name: str, archive: bytes) -> None:
        """A workflow run for the head keeps an archive."""
        number, now = self.world.next_id(), self.world.now()
        self.repo.artifacts.append(Artifact(id=number, name=name, head=self.head, archive=archive, created_at=now))

    def press(self, run: CheckRun, identifier: str, login: str) -> None:
        """Press one of a check's own buttons."""
        button = {"identifier": identifier}
        conversation.announce_check(
            self.world, self.repo, run, "requested_action", self.world.user(login), requested_action=button
        )

    def _review(self, login: str, body: str, event: str, items: list[tuple[Placed, str]]) -> list[ReviewComment]:
        review = conversation.start_review(self.world, self.state, self.world.user(login), body, self.head)
        said = [conversation.add_comment(self.world, self.state, review, placed, text) for placed, text in items]
        conversation.submit(self.world, self.repo, self.state, review, event)
        return said

    @property
    def _home(self) -> Repository:
        if self.state.head_repo is None:
            raise ValueError("the fork was deleted; it takes no pushes")
        return self.state.head_repo

    async def _commit_tree(self, tree: str, parents: list[str], message: str) -> str:
        return await writer.commit_tree(self.repo.git, tree, parents, message, time=next(self.world.commits))

    async def _moved(self, head: str) -> str:
        before = self.head
        self._home.branches[self.state.head_ref] = head
        await history.move_head(self.repo, self.state, head, self.repo.branches[self.state.base_ref])
        sender = self.state.author
        conversation.announce(self.world, self.repo, self.state, "synchronize", sender, before=before, after=head)
        return head

    def _announce(self, action: str, login: str) -> None:
        conversation.announce(self.world, self.repo, self.state, action, self.world.user(login))

"""The actions of people in a repository: they give roles, push, open issues and pull requests."""

from __future__ import annotations

from dataclasses import dataclass

from bot.sandbox.world import conversation, history
from bot.sandbox.world.hooks import emit
from bot.sandbox.world.people import PullRequest, Topic
from bot.sandbox.world.state import ROLES, Issue, Pull, Repository, User, World

GONE = "0" * 40


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository as its people use it. Files are path -> content; None deletes."""

    world: World
    state: Repository

    def user(self, login: str, permission: str) -> User:
        """Gives a person a role in this repository: none, read, triage, write, maintain or admin."""
        if permission not in ROLES:
            raise ValueError(f"{permission} is not a role")
        person = self.world.user(login)
        self.state.roles[person.login] = permission
        return person

    async def open_pull(  # noqa: PLR0913 - what one fills in on GitHub's form
        self,
        title: str = "A change",
        body: str = "",
        files: history.Files | None = None,
        *,
        author: str = "alice",
        branch: str = "",
        base: str = "",
        draft: bool = False,
        fork: bool = False,
        head: str = "",
    ) -> PullRequest:
        """Commit `files` to a new branch (or take the commit `head`) and open a pull request for it."""
        repo, world = self.state, self.world
        person, number = world.user(author), len(repo.issues) + 1
        branch, base = branch or f"change-{number}", base or repo.default_branch
        tip = repo.branches[base]
        home = self._fork(person) if fork else repo
        head = head or await history.commit(world, home, branch, files or {}, title, tip)
        home.branches[branch] = head
        now = world.now()
        pull = Pull(
            id=world.next_id(),
            number=number,
            title=title,
            body=body,
            author=person,
            created_at=now,
            updated_at=now,
            base_ref=base,
            base_sha=tip,
            head_ref=branch,
            head_sha=head,
            head_repo=home,
            draft=draft,
        )
        repo.issues[number] = pull
        conversation.announce(world, repo, pull, "opened", person)
        return PullRequest(world, repo, pull)

    def open_issue(self, title: str, body: str = "", *, author: str = "alice") -> Topic:
        """Open an issue."""
        now, number = self.world.now(), len(self.state.issues) + 1
        issue = Issue(
            id=self.world.next_id(),
            number=number,
            title=title,
            body=body,
            author=self.world.user(author),
            created_at=now,
            updated_at=now,
        )
        self.state.issues[number] = issue
        return Topic(self.world, self.state, issue)

    async def push(
        self, files: history.Files, message: str = "Change", *, login: str = "alice", branch: str = ""
    ) -> str:
        """Commits to a branch. Returns the new commit id."""
        branch = branch or self.state.default_branch
        before = self.state.branches.get(branch)
        after = await history.commit(self.world, self.state, branch, files, message, before)
        about = {
            "ref": f"refs/heads/{branch}",
            "before": before or GONE,
            "after": after,
            "forced": False,
            "commits": [],
        }
        emit(self.world, self.state, "push", None, self.world.user(login), **about)
        return after

    def _fork(self, person: User) -> Repository:
        known = self.world.repository(person.login, self.state.name)
        if known:
            return known
        fork = Repository(
            id=self.world.next_id(),
            owner=person,
            name=self.state.name,
            git=self.state.git,
            private=self.state.private,
            parent=self.state,
        )
        self.world.repositories[fork.full_name.lower()] = fork
        return fork

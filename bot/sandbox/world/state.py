"""The state of the sandbox: people, repositories, pull requests, comments, and every request and delivery."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.hosts.git import Git
from bot.sandbox.world.patch import Compared
from bot.sandbox.world.traffic import Delivery, Recorded, Window

ROLES = ("none", "read", "triage", "write", "maintain", "admin")


@dataclass(frozen=True, slots=True)
class User:
    """A person or, where `kind` is "Bot", an App."""

    id: int
    login: str
    kind: str = "User"


@dataclass(slots=True, kw_only=True)
class Said:
    """What every comment and review has. `minimized` is the reason it is folded away for."""

    id: int
    author: User
    body: str
    created_at: str
    updated_at: str
    reactions: list[tuple[int, User, str]] = field(default_factory=list)
    minimized: str = ""


class IssueComment(Said):
    """A comment in the conversation of an issue or pull request."""

    __slots__ = ()


@dataclass(slots=True, kw_only=True)
class ReviewComment(Said):
    """An inline or file comment. `line` is None once the head's diff no longer has it: outdated.

    A top-level comment (`in_reply_to` None) is also its thread; `resolved_by` is the user who resolved it, or None.
    """

    review: int
    path: str
    side: str
    line: int | None
    start_line: int | None
    start_side: str | None
    position: int | None
    original_line: int | None
    original_start_line: int | None
    original_position: int | None
    commit: str
    original_commit: str
    diff_hunk: str
    subject: str = "line"
    in_reply_to: int | None = None
    resolved_by: User | None = None


@dataclass(slots=True, kw_only=True)
class Review(Said):
    """A review; `state` is PENDING until it is submitted. `head` is the pull request's when the review was started."""

    state: str
    commit: str
    head: str = ""
    submitted_at: str | None = None


@dataclass(slots=True, kw_only=True)
class Issue:
    """An issue, or the conversation half of a pull request. `moved` is where it was transferred to."""

    id: int
    number: int
    title: str
    body: str
    author: User
    created_at: str
    updated_at: str
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    comments: list[IssueComment] = field(default_factory=list)
    reactions: list[tuple[int, User, str]] = field(default_factory=list)
    locked: bool = False
    deleted: bool = False
    moved: str = ""


@dataclass(slots=True, kw_only=True)
class Pull(Issue):
    """A pull request. `head_repo` is None once a fork was deleted; `base_sha` is the base branch when last looked at.

    `trial_merge` is GitHub's merge of the head with its base, once one was made.
    """

    base_ref: str
    base_sha: str
    head_ref: str
    head_sha: str
    head_repo: Repository | None
    trial_merge: str | None = None
    draft: bool = False
    merged: bool = False
    closed_at: str | None = None
    reviews: list[Review] = field(default_factory=list)
    review_comments: list[ReviewComment] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class CheckRun:
    """A check run of the App on one commit."""

    id: int
    name: str
    head_sha: str
    status: str = "queued"
    conclusion: str | None = None
    external_id: str = ""
    details_url: str = ""
    started_at: str | None = None
    completed_at: str | None = None
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A SARIF report that a workflow uploaded to code scanning."""

    id: int
    ref: str
    commit: str
    tool: str
    category: str
    sarif: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An archive that a workflow run kept. `head` is the head of the run."""

    id: int
    name: str
    head: str
    archive: bytes
    created_at: str
    expired: bool = False


@dataclass(slots=True, kw_only=True)
class Repository:
    """A repository. A fork shares the git directory of its parent, as the object store does on GitHub.

    `concealed` are people whose membership is private: what they may do does not show in their association.
    """

    id: int
    owner: User
    name: str
    git: Git
    private: bool = False
    default_branch: str = "main"
    archived: bool = False
    parent: Repository | None = None
    branches: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    concealed: set[str] = field(default_factory=set)
    issues: dict[int, Issue] = field(default_factory=dict)
    check_runs: list[CheckRun] = field(default_factory=list)
    analyses: list[Analysis] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    compared: dict[tuple[str, str], Compared] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """octo/shop"""
        return f"{self.owner.login}/{self.name}"

    @property
    def pulls(self) -> list[Pull]:
        """The pull requests, oldest first."""
        return [issue for issue in self.issues.values() if isinstance(issue, Pull)]

    def role(self, user: User) -> str:
        """GitHub's `role_name` of a user; everybody may read what is public."""
        if user.login == self.owner.login:
            return "admin"
        return self.roles.get(user.login, "none" if self.private else "read")

    def association(self, user: User) -> str:
        """Returns GitHub's `author_association`, computed without regard to the reader."""
        if user.login == self.owner.login:
            return "OWNER"
        return "COLLABORATOR" if user.login in self.roles.keys() - self.concealed else "NONE"


@dataclass(slots=True, kw_only=True)
class Installation:
    """The App on an account: the repositories it sees and what it may do there."""

    id: int
    account: User
    repositories: list[int] = field(default_factory=list)
    permissions: dict[str, str]
    suspended: bool = False
    created_at: str = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An installation token. `expires` in seconds since 1970."""

    text: str
    installation: Installation
    repositories: frozenset[int]
    permissions: Mapping[str, str]
    expires: float


@dataclass(frozen=True, slots=True)
class App:
    """The registered App: its key pair (PEM), its bot user and what it subscribes to."""

    id: int
    slug: str
    private_key: str
    public_key: str
    bot: User
    permissions: Mapping[str, str]
    events: tuple[str, ...]
    setup_url: str = ""


@dataclass(frozen=True, slots=True)
class SignInCode:
    """A person who came back from the sign-in: where to, and with which PKCE challenge."""

    user: User
    redirect: str
    challenge: str


@dataclass(slots=True)
class World:
    """The whole state. `url` is the address of the pages; `secret` signs the webhooks, which go to `hook_url`.

    `owner` owns the App; `visitor` is who signs in when a browser comes to do so.
    `manifests` are those that were confirmed, by the code that a program may exchange once.
    """

    directory: Path
    url: str
    app: App
    secret: str
    clock: Callable[[], float]
    hook_url: str = "https://review.example.org/webhooks/github"
    rate_limit: int = 5000
    tree_limit: int = 100_000
    users: dict[str, User] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    installations: dict[int, Installation] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    requests: list[Recorded] = field(default_factory=list)
    windows: dict[int, Window] = field(default_factory=dict)
    owner: str = "octo"
    visitor: str = "alice"
    sign_ins: dict[str, SignInCode] = field(default_factory=dict)
    person_tokens: dict[str, User] = field(default_factory=dict)
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))
    commits: Iterator[int] = field(default_factory=lambda: itertools.count(1_767_225_600, 60))

    @property
    def api(self) -> str:
        """The root of the REST API."""
        return f"{self.url}/api/v3"

    def now(self) -> str:
        """The time, as GitHub writes it."""
        return stamp(self.clock())

    def next_id(self) -> int:
        """Returns a new, unique id."""
        return next(self.ids)

    def user(self, login: str) -> User:
        """Returns the user with this name; creates it the first time."""
        return self.users.setdefault(login.lower(), User(self.next_id(), login))

    def repository(self, owner: str, name: str) -> Repository | None:
        """The repository of that name; GitHub ignores case."""
        return self.repositories.get(f"{owner}/{name}".lower())

    def installation_of(self, repository: Repository) -> Installation | None:
        """The installation that sees `repository`."""
        return next((found for found in self.installations.values() if repository.id in found.repositories), None)


def stamp(seconds: float) -> str:
    """Seconds since 1970 -> 2026-01-02T03:04:05Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

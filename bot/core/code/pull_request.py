"""The pull request under review, its issues and its comments, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True, slots=True)
class PullRef:
    """A pull request's address: octo/repo#12. `repo_id` names the repository even after a rename."""

    repo: str
    number: int
    repo_id: int = 0
    installation: int = 0

    def __str__(self) -> str:
        return f"{self.repo}#{self.number}"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request at one head commit.

    `base_sha` is a commit of the base branch: standards and configuration are read there, never at the head.
    """

    ref: PullRef
    title: str
    body: str
    author: str
    base_ref: str
    base_sha: str
    head_sha: str
    author_id: int = 0
    author_association: str = "NONE"
    author_is_bot: bool = False
    head_repo: str | None = None
    private: bool = True
    draft: bool = False
    closed: bool = False
    merged: bool = False
    locked: bool = False
    archived: bool = False
    labels: tuple[str, ...] = ()
    url: str = ""
    review_comments: int = 0
    changed_files: int = 0

    @property
    def from_fork(self) -> bool:
        """Whether the head is in another repository, or in a fork that was deleted."""
        return self.head_repo != self.ref.repo


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue of the same repository that the pull request refers to."""

    repo: str
    number: int
    title: str
    body: str
    state: str = "open"
    author: str = ""
    labels: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()


class Permission(IntEnum):
    """What a person may do in the repository: GitHub's `role_name` values, in order."""

    NONE = 0
    READ = 1
    TRIAGE = 2
    WRITE = 3
    MAINTAIN = 4
    ADMIN = 5


@dataclass(frozen=True, slots=True)
class PostedComment:
    """A review, an inline comment or a conversation comment that is already on the pull request."""

    id: int
    kind: str  # "review" | "inline" | "comment"
    author_id: int
    author: str
    body: str
    by_us: bool
    by_bot: bool = False
    path: str | None = None
    line: int | None = None
    side: str | None = None
    commit: str = ""
    in_reply_to: int | None = None
    url: str = ""
    state: str = ""
    thumbs_down: int = 0
    written: str = ""  # ISO 8601 in UTC; empty if unknown


def written_before(comments: Iterable[PostedComment], kind: str, comment: int) -> tuple[PostedComment, ...]:
    """Returns the comments that stood when the comment with id `comment` of `kind` was written.

    Ids tell the order within a kind, times the order between kinds. If the comment itself is gone, its time is unknown
    and comments of other kinds are left out.
    """
    comments = tuple(comments)
    asked = next((each.written for each in comments if (each.kind, each.id) == (kind, comment)), "")
    return tuple(each for each in comments if (each.id < comment if each.kind == kind else each.written < asked))

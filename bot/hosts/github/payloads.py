"""GitHub's answers, only the fields we read (part of hosts/github.py): what GitHub adds or drops elsewhere is no matter.

https://docs.github.com/en/rest
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bot.core.code.diff import Status


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class IdAnswer(_Answer):
    """Anything of which only the id matters."""

    id: int


class AccountAnswer(_Answer):
    """A user, an organisation or a bot."""

    login: str
    id: int = 0
    type: str = "User"

    @property
    def is_bot(self) -> bool:
        """An App's account. Only GitHub makes these."""
        return self.type == "Bot"


GHOST = AccountAnswer(login="ghost")  # who is shown for an account that is gone


class AppAccount(_Answer):
    """The App that we are."""

    id: int
    slug: str

    def is_author(self, user: AccountAnswer | None, app: IdAnswer | None = None) -> bool:
        """Whether `user`, acting through `app`, is this App itself."""
        if user is None or not user.is_bot:
            return False
        return user.login == f"{self.slug}[bot]" or (app is not None and app.id == self.id)


class RepositoryAnswer(_Answer):
    """A repository, as far as a pull request tells."""

    id: int
    full_name: str
    private: bool = True
    archived: bool = False
    default_branch: str = "main"


class Branch(_Answer):
    """One end of a pull request; `repo` is None when a fork is gone."""

    sha: str
    ref: str
    repo: RepositoryAnswer | None = None


class LabelAnswer(_Answer):
    """A label."""

    name: str = ""


class PullAnswer(_Answer):
    """A pull request."""

    number: int
    title: str
    body: str | None = None
    state: str = "open"
    draft: bool = False
    merged: bool = False
    locked: bool = False
    html_url: str = ""
    author_association: str = "NONE"
    user: AccountAnswer | None = None
    labels: tuple[LabelAnswer, ...] = ()
    review_comments: int = 0
    head: Branch
    base: Branch


class ChangedFile(_Answer):
    """An entry of the files API. `patch` begins at the first @@; it is not there for binary and large files."""

    filename: str
    status: Status
    sha: str | None = None
    additions: int = 0
    deletions: int = 0
    patch: str | None = None
    previous_filename: str | None = None

    @property
    def base_path(self) -> str:
        """Where it was before the change."""
        return self.previous_filename or self.filename

    @property
    def blob(self) -> str:
        """The head's version. For a removed file GitHub's `sha` is the version that was removed."""
        return "" if self.status is Status.REMOVED else self.sha or ""


class Commit(_Answer):
    """A commit of which only the id matters."""

    sha: str


class Comparison(_Answer):
    """Two commits compared."""

    merge_base_commit: Commit


class Node(_Answer):
    """An entry of a tree."""

    path: str
    mode: str
    type: str
    sha: str
    size: int = 0


class Tree(_Answer):
    """A tree, listed to its leaves unless it is `truncated`."""

    tree: tuple[Node, ...]
    truncated: bool = False


class IssueAnswer(_Answer):
    """An issue; every pull request is one too."""

    number: int
    title: str
    body: str | None = None
    state: str = "open"
    user: AccountAnswer | None = None
    labels: tuple[LabelAnswer | str, ...] = ()
    comments: int = 0
    pull_request: dict[str, object] | None = None


class Reactions(_Answer):
    """The roll-up of reactions to a comment."""

    thumbs_down: int = Field(0, alias="-1")


class Reaction(_Answer):
    """One reaction; `user` is None for an account that is gone."""

    content: str
    user: AccountAnswer | None = None


class CommentAnswer(_Answer):
    """A conversation comment, or with a `path` one on the diff."""

    id: int
    body: str | None = None
    user: AccountAnswer | None = None
    performed_via_github_app: IdAnswer | None = None
    html_url: str = ""
    created_at: AwareDatetime
    path: str | None = None
    line: int | None = None
    side: Literal["LEFT", "RIGHT"] | None = None
    commit_id: str = ""
    in_reply_to_id: int | None = None
    reactions: Reactions = Reactions()


class ReviewAnswer(_Answer):
    """A review. A PENDING one is seen by its author only and has no date."""

    id: int
    body: str | None = None
    user: AccountAnswer | None = None
    state: str
    html_url: str = ""
    commit_id: str | None = None
    submitted_at: AwareDatetime | None = None

    @property
    def pending(self) -> bool:
        """Whether it was begun and never submitted."""
        return self.state == "PENDING"


class Collaborator(_Answer):
    """What somebody may do: `role_name` is exact, but may be a role of the organisation's own making."""

    permission: str
    role_name: str = ""


class Output(_Answer):
    """What a check run shows."""

    annotations_count: int = 0


class CheckRunAnswer(_Answer):
    """A check run."""

    id: int
    external_id: str | None = None
    output: Output = Output()


class CheckRuns(_Answer):
    """A page of check runs."""

    check_runs: tuple[CheckRunAnswer, ...]


class GraphQLError(_Answer):
    """What GraphQL answers instead of data, with status 200."""

    message: str = ""
    type: str = ""


class GraphQLAnswer(_Answer):
    """The data of a GraphQL query."""

    data: dict[str, Any] | None = None
    errors: tuple[GraphQLError, ...] = ()


class Commented(_Answer):
    """A comment of a thread, by its id in the REST API."""

    id: int = Field(alias="databaseId")


class Comments(_Answer):
    """The comments of a thread."""

    nodes: tuple[Commented, ...]


class Resolver(_Answer):
    """Who resolved a thread: a User, or what else acts."""

    kind: str = Field(alias="__typename")
    login: str


class ThreadAnswer(_Answer):
    """A review thread. Its id is GraphQL's own."""

    id: str
    resolved: bool = Field(alias="isResolved")
    by: Resolver | None = Field(None, alias="resolvedBy")
    comments: Comments


class Cursor(_Answer):
    """Where the next page begins."""

    more: bool = Field(alias="hasNextPage")
    end: str | None = Field(None, alias="endCursor")


class ThreadsAnswer(_Answer):
    """A page of threads."""

    nodes: tuple[ThreadAnswer, ...]
    page: Cursor = Field(alias="pageInfo")

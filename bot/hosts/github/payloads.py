"""GitHub's answers, with the fields that we read and no others.

The models are our own because githubkit's demand every field that github.com documents, so that an older GitHub
Enterprise Server fails on fields that we do not read, and importing them slows each start.
https://docs.github.com/en/rest
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bot.core.code.diff import Status


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class IdAnswer(_Answer):
    """An object of which we read only the id."""

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


GHOST = AccountAnswer(login="ghost")  # the account that GitHub shows for a deleted one


class AppAccount(_Answer):
    """The App that we are."""

    id: int
    slug: str
    owner: IdAnswer | None = None

    def is_author(self, user: AccountAnswer | None, app: IdAnswer | None = None) -> bool:
        """Whether `user`, acting through `app`, is this App itself."""
        if user is None or not user.is_bot:
            return False
        return user.login == f"{self.slug}[bot]" or (app is not None and app.id == self.id)


class RepositoryAnswer(_Answer):
    """A repository."""

    id: int
    full_name: str
    private: bool = True
    archived: bool = False
    default_branch: str = "main"


class Branch(_Answer):
    """One end of a pull request; `repo` is None for a deleted fork."""

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
    changed_files: int = 0
    head: Branch
    base: Branch


class ChangedFile(_Answer):
    """An entry of the files API. `patch` begins at the first @@; binary and large files have none."""

    filename: str
    status: Status
    sha: str | None = None
    additions: int = 0
    deletions: int = 0
    patch: str | None = None
    previous_filename: str | None = None

    @property
    def base_path(self) -> str:
        """The path before the change."""
        return self.previous_filename or self.filename

    @property
    def blob(self) -> str:
        """The head's version. For a removed file GitHub's `sha` is the version that was removed."""
        return "" if self.status is Status.REMOVED else self.sha or ""


class ParentAnswer(_Answer):
    """A parent of a commit."""

    sha: str


class Commit(_Answer):
    """A commit: its id and its parents."""

    sha: str
    parents: tuple[ParentAnswer, ...] = ()


class ToolAnswer(_Answer):
    """The tool of an analysis."""

    name: str = ""


class AnalysisAnswer(_Answer):
    """An upload to code scanning. `commit_sha` is the analysed commit: the head, or GitHub's merge of it with the base."""

    id: int
    commit_sha: str = ""
    category: str | None = None
    tool: ToolAnswer = ToolAnswer()


class ArtifactRun(_Answer):
    """The workflow run that made an artifact."""

    head_sha: str | None = None


class ArtifactAnswer(_Answer):
    """A file that a workflow run kept."""

    id: int
    name: str
    expired: bool = False
    workflow_run: ArtifactRun | None = None


class ArtifactsAnswer(_Answer):
    """A page of artifacts, newest first."""

    artifacts: list[ArtifactAnswer] = []


class MergeAnswer(_Answer):
    """GitHub's trial merge of a pull request; None with conflicts, or before it was made."""

    merge_commit_sha: str | None = None


class Comparison(_Answer):
    """Two commits compared."""

    merge_base_commit: Commit


class TreeNode(_Answer):
    """An entry of a tree."""

    path: str
    mode: str
    type: str
    sha: str
    size: int = 0


class TreeAnswer(_Answer):
    """A tree, listed to its leaves unless it is `truncated`."""

    tree: tuple[TreeNode, ...]
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
    """One reaction; `user` is None for a deleted account."""

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
    """A review. Only its author sees a PENDING one, which has no date."""

    id: int
    body: str | None = None
    user: AccountAnswer | None = None
    state: str
    html_url: str = ""
    commit_id: str | None = None
    submitted_at: AwareDatetime | None = None

    @property
    def pending(self) -> bool:
        """Whether it was created and never submitted."""
        return self.state == "PENDING"

    @property
    def requests_changes(self) -> bool:
        """Whether it stands against the merge."""
        return self.state == "CHANGES_REQUESTED"


class DeliveryAnswer(_Answer):
    """An attempt to deliver a webhook, in the log. The status is 0 if nothing answered."""

    id: int
    guid: str
    event: str
    delivered_at: AwareDatetime
    status_code: int


class DeliveryRequest(_Answer):
    """What GitHub sent."""

    headers: dict[str, str]
    payload: dict[str, Any]


class DeliveryDetail(_Answer):
    """A delivery with what was sent."""

    request: DeliveryRequest


class InstallationAnswer(_Answer):
    """An installation of the App."""

    id: int
    created_at: AwareDatetime
    suspended_at: AwareDatetime | None = None


class RepositoriesAnswer(_Answer):
    """A page of an installation's repositories."""

    repositories: tuple[RepositoryAnswer, ...]


class ListedPull(_Answer):
    """A pull request in a list."""

    number: int
    draft: bool = False
    head: Branch
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Collaborator(_Answer):
    """The permission of a person: `role_name` is exact, but may be a custom role of the organisation."""

    permission: str
    role_name: str = ""


class CheckRunOutput(_Answer):
    """The output of a check run."""

    annotations_count: int = 0
    title: str | None = None
    summary: str | None = None
    text: str | None = None


class CheckRunAnswer(_Answer):
    """A check run."""

    id: int
    external_id: str | None = None
    status: str = ""
    conclusion: str | None = None
    output: CheckRunOutput = CheckRunOutput()


class CheckRuns(_Answer):
    """A page of check runs."""

    check_runs: tuple[CheckRunAnswer, ...]


class GraphQLError(_Answer):
    """An error of GraphQL, which arrives with status 200."""

    message: str = ""
    type: str = ""


class GraphQLAnswer(_Answer):
    """The data of a GraphQL query."""

    data: dict[str, Any] | None = None
    errors: tuple[GraphQLError, ...] = ()


class ThreadComment(_Answer):
    """A comment of a thread, by its id in the REST API."""

    id: int = Field(alias="databaseId")


class ThreadComments(_Answer):
    """The comments of a thread."""

    nodes: tuple[ThreadComment, ...]


class Resolver(_Answer):
    """The account that resolved a thread: a User or another kind."""

    kind: str = Field(alias="__typename")
    login: str


class ThreadAnswer(_Answer):
    """A review thread. Its id is GraphQL's own."""

    id: str
    resolved: bool = Field(alias="isResolved")
    by: Resolver | None = Field(None, alias="resolvedBy")
    comments: ThreadComments


class Cursor(_Answer):
    """Where the next page begins."""

    more: bool = Field(alias="hasNextPage")
    end: str | None = Field(None, alias="endCursor")


class ThreadsAnswer(_Answer):
    """A page of threads."""

    nodes: tuple[ThreadAnswer, ...]
    page: Cursor = Field(alias="pageInfo")

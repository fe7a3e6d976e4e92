"""What the core asks of the world: the contracts, on one screen.

             needs nothing           in production
CodeHost     hosts/local.py          hosts/github.py
Publisher    hosts/local.py          hosts/github.py
Model        models/offline.py       models/responses.py, models/chat.py
Account                              spending.py
Standards    standards/folder.py     standards/vector_store.py
Engine       engines/inline.py       engines/durable.py
Check        checks/*.py
Tool         tools/*.py

All of them raise the classes of errors.py and nothing of their SDKs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bot.core.claims.prompt import HostedSearch, Prompt
from bot.core.code.diff import Diff
from bot.core.code.pull_request import Issue, Permission, PostedComment, PullRef, PullRequest
from bot.core.comments.post import CheckRun, ReviewPost
from bot.core.costs import Usage
from bot.core.findings.problem import Problem
from bot.core.findings.standard import Document, Hit, Shelf, Standard
from bot.job import Job, Routed


@dataclass(frozen=True, slots=True)
class SearchPassage:
    """What a search on the server's side returned for `query`: a piece of a file, and what is known about the file."""

    query: str
    text: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    score: float = 0.0


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file in a commit's tree: its path, git object id and size in bytes."""

    path: str
    blob: str
    size: int


@dataclass(frozen=True, slots=True)
class OrganisationStandards:
    """A repository of standards for the whole organisation, at its tip. Unless `private`, everybody may read it."""

    ref: PullRef
    commit: str
    private: bool = True


class CodeHost(Protocol):
    """Where pull requests live. Reads only, with a token that can only read. Content is read by object id."""

    async def pull_request(self, ref: PullRef) -> PullRequest:
        """The pull request as it stands now."""

    async def diff(self, pull: PullRequest) -> Diff:
        """What changed from the merge base to the head; what cannot be read is marked, never missing."""

    async def tree(self, ref: PullRef, commit: str) -> tuple[TreeFile, ...]:
        """Every file at `commit`."""

    async def blob(self, ref: PullRef, sha: str) -> bytes:
        """A file's content by git object id. Raises TooLarge over the host's bound."""

    async def issue(self, ref: PullRef, number: int) -> Issue:
        """An issue of the pull request's own repository; a redirect to another one is NotFound."""

    async def permission(self, ref: PullRef, login: str) -> Permission:
        """What `login` may do in the repository. Raises rather than guesses."""

    async def is_us(self, login: str, app: int) -> bool:
        """Whether the account `login`, or a bot that acts for the App of that id, is this App itself."""

    async def organisation_file(self, ref: PullRef, path: str) -> bytes:
        """A file of the organisation's defaults, as it is now. Raises NotFound if none were named for this owner."""

    async def library(self, ref: PullRef) -> OrganisationStandards | None:
        """The repository that the operator named for the organisation's standards, if it is that of `ref`'s owner.

        None if none was named, and for that repository itself. Raises NotFound if it cannot be seen.
        """

    async def said(self, pull: PullRef) -> tuple[PostedComment, ...]:
        """Every review and comment on the pull request, oldest first, ours and others'."""

    async def thumbs_down(self, ref: PullRef, comment: int) -> tuple[str, ...]:
        """The people who gave an inline comment a thumbs down."""

    async def resolved(self, ref: PullRef) -> Mapping[int, str]:
        """The threads that people resolved: who, by the id of the comment that opened it."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository as git fetches it: its http(s) address, and the value of the Authorization header that it wants."""

    url: str
    authorization: str = field(default="", repr=False)


class Publisher(Protocol):
    """Where reviews are posted. Writes only, with a token of its own; every method may be called again safely."""

    async def review(self, pull: PullRequest, post: ReviewPost) -> str:
        """Post one review, or find the one that already carries `post.key`; its address. Raises Superseded."""

    async def check(self, pull: PullRequest, run: CheckRun) -> int:
        """Create the check run named by `run.key` at the head, or bring it up to date; its id."""

    async def reply(self, job: Job, body: str, key: str) -> str:
        """Answer where the job was asked, once for `key`; the comment's address."""

    async def keep(self, pull: PullRef, body: str, key: str) -> str:
        """The one comment in the conversation that carries `key`, created or edited in place; its address."""

    async def edit(self, pull: PullRef, comment: int, body: str) -> None:
        """Give an inline comment of ours another text; that it is gone is fine."""

    async def answer(self, pull: PullRef, comment: int, body: str, key: str) -> None:
        """Say something in the thread that `comment` opened, once for `key`; that it is gone is fine."""

    async def resolve(self, pull: PullRef, comment: int) -> bool:
        """Resolve the thread that `comment` opened; False where the App may not or the thread is gone."""

    async def react(self, job: Job, reaction: str) -> None:
        """Acknowledge the job's comment: eyes, rocket or confused."""

    async def unlabel(self, pull: PullRef, label: str) -> None:
        """Take a label off; that it is gone already is fine."""


class Standards(Protocol):
    """The team's shelf of coding standards."""

    async def sync(self, shelf: Shelf, read: Callable[[Document], Awaitable[bytes]]) -> tuple[str, ...]:
        """Make `shelf` searchable, reading only documents whose blob is new. What could not be indexed, and why."""

    async def search(
        self, shelf: Shelf, query: str, *, path: str = "", language: str = "", limit: int = 5
    ) -> tuple[Hit, ...]:
        """The sections of this shelf nearest to `query`, best first; `path` limits to documents whose scope has it."""

    async def hosted(self, shelf: Shelf) -> HostedSearch | None:
        """Where a model's own server may search this shelf; None if only we can."""

    async def traced(self, shelf: Shelf, passages: Sequence[SearchPassage]) -> tuple[Hit, ...]:
        """The sections that passages of such a search were cut from. What cannot be traced back is left out."""

    async def sections(self, shelf: Shelf) -> tuple[Standard, ...]:
        """Every section of the shelf, in the order of its documents. Raises NotFound if it was never synchronised."""


@dataclass(frozen=True, slots=True)
class Source:
    """One version of one file for a check to read."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check saw. `failed` holds (path, reason) for what it could not read: said in the review, never hidden."""

    problems: tuple[Problem, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


class Check(Protocol):
    """A deterministic analyser. It reads files one version at a time; what is new is decided by the core."""

    @property
    def name(self) -> str:
        """Names it in coverage, policy and findings."""

    @property
    def whole(self) -> bool:
        """Whether it needs whole files; if not, lines that did not change may be blank."""

    def reads(self, path: str) -> bool:
        """Whether files like this are its business."""

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Analyse; never raises for a file's content."""


class Tool(Protocol):
    """A function the model may call. Reads only, bound in code to the job's repository; errors are text for the model.

    Only `search_standards` is a source of citations: its answer is JSON, {"standards": [{"id": …}]}.
    """

    @property
    def name(self) -> str:
        """What the model calls it by."""

    @property
    def description(self) -> str:
        """What it is good for, said to the model."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The strict JSON schema of its arguments."""

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """The answer, bounded in size. Raises UserError for arguments that make no sense."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool the model used, and what it was told."""

    tool: str
    arguments: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What came of asking. `value` is JSON that fits the schema, or None with the reason why there is none.

    `retrieved` are ids of standards that a search really returned: only those may be cited. `passages` were found on the
    server's side; what can be traced back to a standard may be cited too. `held`: tokens the server keeps of it."""

    value: Mapping[str, Any] | None
    reason: str = ""
    usage: Usage = field(default_factory=Usage)
    retrieved: tuple[str, ...] = ()
    looked_up: tuple[ToolUse, ...] = ()
    passages: tuple[SearchPassage, ...] = ()
    held: int = 0


class Account(Protocol):
    """Whose money a conversation spends: asked before each call, told after it. Names are unique within a job."""

    async def reserve(self, name: str, worst: Usage) -> None:
        """Hold what the call could cost. Raises BudgetExhausted.

        A name that was not settled belongs to a call whose answer was lost; it may have been billed.
        """

    async def settle(self, name: str, actual: Usage) -> bool:
        """Book what the call did cost; whether little is left, so that the conversation should end."""


class Model(Protocol):
    """Reads a prompt, may call tools, answers in a schema."""

    @property
    def name(self) -> str:
        """Names it in comments, costs and logs."""

    @property
    def available(self) -> bool:
        """Whether there is a model to ask."""

    async def ask(self, prompt: Prompt, tools: Sequence[Tool], step: Step, account: Account) -> ModelAnswer:
        """One bounded conversation. Each call and each tool call is a step: after a crash nothing is paid twice.

        A model that refuses, runs out of budget or never fits the schema is an Answer without a value. A server that
        cannot be reached, or will not serve us, raises: Retryable, RateLimited, Forbidden, TooLarge, Refused.
        """

    async def close(self) -> None:
        """Give connections back."""


class Step(Protocol):
    """Runs `work` at most once per job and journals its result as JSON; after a crash the journal answers.

    Names are unique within a job. Several may run at once if they are started in a fixed order.
    """

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Handlers:
    """The use cases as an engine sees them. The word a handler returns says how the job ended.

    `route` decides where a job goes; `review` and `answer` do the work; `abandon` says on the pull request that a run
    was superseded or stopped; `fail` says that it failed, and why. All may be run again after a crash.
    """

    route: Callable[[Job, Step], Awaitable[Routed]]
    review: Callable[[Job, Step], Awaitable[str]]
    answer: Callable[[Job, Step], Awaitable[str]]
    abandon: Callable[[Job, str, Step], Awaitable[str]]
    fail: Callable[[Job, str, Step], Awaitable[str]]


class Engine(Protocol):
    """Runs jobs: first `route`, then what it decided."""

    async def submit(self, job: Job) -> bool:
        """Take the job on; False if it is already known. On return it survives a power cut. Raises NotDurable."""

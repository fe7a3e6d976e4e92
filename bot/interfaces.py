"""The interfaces between the core and everything outside it.

             without network or key   in production
CodeHost     hosts/local.py           hosts/github/host.py
Publisher    hosts/local.py           hosts/github/publisher.py
Model        model/offline.py         model/responses.py, model/chat.py
Account      -                        model/account.py
Standards    standards/local.py       standards/vector_store.py
Engine       -                        engine/durable.py
Check        checks/, one a file
Tool         model/tools/, one a file
ReportSource cli/review.py            hosts/github/reports.py

All of them raise the classes of errors.py, and none of an SDK's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from bot.core.claims.prompt import HostedSearch, Prompt
from bot.core.code.diff import Diff
from bot.core.code.pull_request import Issue, Permission, PostedComment, PullRef, PullRequest
from bot.core.comments.post import CheckRun, ReviewPost
from bot.core.costs import ModelCall, Usage
from bot.core.findings.problem import Problem
from bot.core.findings.sarif import AnalysisReports
from bot.core.findings.standard import Document, Hit, Shelf, Standard, UnreadDocument
from bot.errors import Refused
from bot.job import Job, RouteDecision


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file in a commit's tree: its path, git object id and size in bytes."""

    path: str
    blob: str
    size: int


@dataclass(frozen=True, slots=True)
class OrganisationStandards:
    """The repository with the organisation's standards, at its newest commit. If not `private`, everyone may read it."""

    ref: PullRef
    commit: str
    private: bool = True


class CodeHost(Protocol):
    """Where pull requests live. Reads only, with a read-only token. Content is read by git object id."""

    async def pull_request(self, ref: PullRef) -> PullRequest:
        """The pull request as it is now."""

    async def diff(self, pull: PullRequest) -> Diff:
        """The changes from the merge base to the head. A file that cannot be read is marked, never missing."""

    async def tree(self, ref: PullRef, commit: str) -> tuple[TreeFile, ...]:
        """Every file at `commit`."""

    async def blob(self, ref: PullRef, sha: str) -> bytes:
        """A file's content by git object id. Raises TooLarge if it is over the host's bound."""

    async def blobs(self, ref: PullRef, shas: Collection[str]) -> Mapping[str, bytes | Refused]:
        """The contents of several files by git object id, read in few requests; for a refused one, the error."""

    async def issue(self, ref: PullRef, number: int) -> Issue:
        """An issue of the pull request's own repository. Raises NotFound if GitHub redirects to another repository."""

    async def permission(self, ref: PullRef, login: str) -> Permission:
        """The permission of `login` in the repository. Raises if it cannot be found out."""

    async def is_us(self, login: str, app: int) -> bool:
        """Whether the account `login`, or the bot of the App with the id `app`, is this App itself."""

    async def organisation_file(self, ref: PullRef, path: str) -> bytes:
        """A file of the organisation's defaults, as it is now. Raises NotFound if the operator named none for this owner."""

    async def library(self, ref: PullRef) -> OrganisationStandards | None:
        """The repository that the operator named for the organisation's standards, if it has the same owner as `ref`.

        None if the operator named none, and for that repository itself. Raises NotFound if the App cannot see it.
        """

    async def comments(self, pull: PullRef) -> tuple[PostedComment, ...]:
        """Every review and comment on the pull request, by us and by others, oldest first."""

    async def thumbs_down(self, ref: PullRef, comment: int) -> tuple[str, ...]:
        """The people who gave an inline comment a thumbs down."""

    async def resolved(self, ref: PullRef) -> Mapping[int, str]:
        """The threads that people resolved: the id of the first comment -> the login of the person."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How a host is reached: through the proxy at `proxy` (empty: directly), and the certificates of `ca_file` beside the public ones."""

    proxy: str = field(default="", repr=False)
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository to fetch with git: its http(s) address, the value of the Authorization header, and how to connect."""

    url: str
    authorization: str = field(default="", repr=False)
    connection: Connection = Connection()


class Publisher(Protocol):
    """Where reviews are posted. Writes only, with its own token. Every method may be called again safely."""

    async def review(self, pull: PullRequest, post: ReviewPost) -> str:
        """Posts one review, or finds the one that already has `post.key`; returns its address. Raises Superseded."""

    async def lift(self, pull: PullRequest, words: str) -> None:
        """Ends what blocks the merge at the head: our failed check runs become neutral, our requests for changes are dismissed."""

    async def check(self, pull: PullRequest, run: CheckRun) -> int:
        """Creates or updates the check run named by `run.key` at the head; returns its id."""

    async def reply(self, job: Job, body: str, key: str, *, courtesy: bool = False) -> str:
        """Replies to the job, once for `key`; returns the comment's address. A `courtesy` gives way to every other write."""

    async def keep(self, pull: PullRef, body: str, key: str) -> str:
        """Creates or edits the comment in the conversation that has `key`; returns its address."""

    async def edit(self, pull: PullRef, comment: int, body: str) -> None:
        """Replaces the text of one of our inline comments. Ignores a deleted comment."""

    async def answer(self, pull: PullRef, comment: int, body: str, key: str) -> None:
        """Replies in the thread that `comment` opened, once for `key`. Ignores a deleted thread."""

    async def resolve(self, pull: PullRef, comment: int) -> bool:
        """Resolves the thread that `comment` opened; returns False if the App may not or the thread is gone."""

    async def react(self, job: Job, reaction: str) -> None:
        """Adds a reaction to the job's comment: eyes, rocket or confused."""

    async def unlabel(self, pull: PullRef, label: str) -> None:
        """Removes a label. Ignores a label that is gone already."""


@dataclass(frozen=True, slots=True)
class SearchPassage:
    """A piece of a file that a search on the model's server returned for `query`, with the file's attributes."""

    query: str
    text: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    score: float = 0.0


class Standards(Protocol):
    """Makes the team's coding standards searchable."""

    async def sync(self, shelf: Shelf, read: ReadDocuments) -> tuple[UnreadDocument, ...]:
        """Indexes `shelf`, reading only documents with a new blob; returns what could not be indexed, and why."""

    async def search(
        self, shelf: Shelf, query: str, *, path: str = "", language: str = "", limit: int = 5
    ) -> tuple[Hit, ...]:
        """The sections of the shelf nearest to `query`, best first. `path` limits them to documents whose scope includes it."""

    async def hosted(self, shelf: Shelf) -> HostedSearch | None:
        """The place where the model's own server can search this shelf; None if it cannot."""

    async def trace(self, shelf: Shelf, passages: Sequence[SearchPassage]) -> tuple[Hit, ...]:
        """The sections from which the passages of such a search come. Passages of unknown origin are left out."""

    async def sections(self, shelf: Shelf) -> tuple[Standard, ...]:
        """Every section of the shelf, in the order of its documents. Raises NotFound if it was never synchronised."""


@dataclass(frozen=True, slots=True)
class Source:
    """One version of a file for a check to read.

    `written` is false for a file that people did not write, of which only the added lines are known: it is read for
    secrets with an exact shape, and for nothing else. `builtins` are the names that the base branch's own configuration
    declares as defined everywhere.
    """

    path: str
    text: str
    written: bool = True
    builtins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check. `failed` holds (path, reason) for each file it could not read; the review reports them."""

    problems: tuple[Problem, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


class Check(Protocol):
    """A deterministic analyser. It reads one version of the files at a time; the core decides which problems are new."""

    @property
    def name(self) -> str:
        """The name in coverage, policy and findings."""

    @property
    def whole(self) -> bool:
        """Whether the check needs whole files; if not, unchanged lines may be blank."""

    def reads(self, path: str) -> bool:
        """Whether the check reads files with this path."""

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Analyses the files. Never raises because of a file's content."""


class ReportSource(Protocol):
    """Where the reports of other analysers come from."""

    def reads(self, source: str) -> bool:
        """Whether there is anything to read if the policy names `source`."""

    async def reports(self, pull: PullRequest, source: str, paths: Collection[str]) -> AnalysisReports:
        """The reports about the head, for the changed files `paths`. Bounded; an outage raises Retryable."""


class Tool(Protocol):
    """A function that the model may call. It only reads, and only the job's repository; errors are text for the model.

    Only `search_standards` provides citations: its answer is JSON, {"standards": [{"id": …}]}.
    """

    @property
    def name(self) -> str:
        """The name by which the model calls it."""

    @property
    def description(self) -> str:
        """Tells the model what the tool does."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The strict JSON schema of the arguments."""

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """The answer, bounded in size. Raises UserError for invalid arguments."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that the model called, its arguments, and its answer or the reason why the tool is `unavailable`."""

    tool: str
    arguments: Mapping[str, Any]
    text: str
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The result of one conversation. `value` is JSON that fits the schema, or None with the `reason`.

    `looked_up` are the tool calls with their answers. `passages` are results of a search on the model's server; those
    that come from a known standard may be cited. `held` is the number of tokens of the conversation that the server keeps.
    `toolless` says that the server refuses tools. `calls` are the model calls that it took.
    `unreachable` says that the server failed or did not answer, so that another try may succeed later.
    """

    value: Mapping[str, Any] | None
    reason: str = ""
    usage: Usage = field(default_factory=Usage)
    looked_up: tuple[ToolUse, ...] = ()
    passages: tuple[SearchPassage, ...] = ()
    held: int = 0
    toolless: bool = False
    unreachable: bool = False
    calls: tuple[ModelCall, ...] = ()


class Account(Protocol):
    """The budget of a conversation. Each call is reserved before and settled after it. Names are unique within a job."""

    async def reserve(self, name: str, worst: Usage, likely: Usage | None = None, kept: Usage | None = None) -> None:
        """Reserves the most that the call can cost; waits for calls under way if it does not fit. Raises BudgetExhausted.

        `kept` has to be left beside it, for a later call of the same review.

        A name that is never settled belongs to a call whose process ended: it may have been billed, so the next
        reservation under that name settles it at `likely`, or without that at its worst.
        """

    async def settle(self, name: str, actual: Usage) -> bool:
        """Records the actual cost of the call; returns whether the budget is nearly used, so the conversation should end."""


class Model(Protocol):
    """A language model: reads a prompt, may call tools, answers in a JSON schema."""

    @property
    def name(self) -> str:
        """The name in comments, costs and logs."""

    @property
    def available(self) -> bool:
        """Whether there is a model to ask."""

    async def ask(self, prompt: Prompt, tools: Sequence[Tool], step: Step, account: Account) -> ModelAnswer:
        """Has one bounded conversation. Each model call and each tool call is a step: after a crash none is paid twice.

        If the model refuses, has no budget left or never fits the schema, the answer has no value. If the server cannot
        be reached or refuses the request, it raises Retryable, RateLimited, Forbidden, TooLarge or Refused.
        """

    async def close(self) -> None:
        """Closes the connections."""


T = TypeVar("T")
ReadDocuments = Callable[[Sequence[Document]], Awaitable[Mapping[Document, bytes | Refused]]]  # contents, or the error


class Step(Protocol):
    """Runs `work` at most once for each job and journals its result as JSON; after a crash the journal answers.

    Names are unique within a job. Several steps may run at once if they are started in a fixed order.
    """

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T: ...


CALL, TOOL, READING = "/call-", "/tool-", ", reading "
"""Parts of the names of steps: the calls of a conversation, CONVERSATION/call-1, and its tools, CONVERSATION/tool-1-2; the
readings of material that is not journaled, WHAT, reading 1: each takes place again after a crash, as the next number."""

Reconcile = Callable[["JobLog", Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Looks for lost work with the state of the last look; returns the state for the next."""


async def _silent(*_: object) -> None:
    """Reports nothing."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step of a run: its start in seconds since 1970, its duration in seconds, and how often it was tried again.

    `trouble` is why it was tried again, or why it failed in the end.
    """

    name: str
    began: float
    seconds: float
    retries: int = 0
    trouble: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run of `job` ended. Times are in seconds since 1970.

    `kind` is review, answer or ingest; `end` is done, failed, superseded, stopped or unread, and `reason` says why. `cause`
    is the class of the error, empty without one.
    """

    job: Job
    kind: str
    end: str
    reason: str
    cause: str
    ended: float
    steps: tuple[StepRecord, ...] = ()


async def _no_record(_: RunEnd, /) -> None:
    """Records nothing."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """The use cases, as an engine calls them. The word that a handler returns says how the job ended.

    `reconcile` looks for lost work and returns its state for the next look. `route` decides where a job goes; `review` and
    `answer` do the work; `abandon` reports that a run was superseded or stopped; `fail` that it failed, and why; `announce` that
    a review was accepted or, with a reason, that there will be none; `hold` what a run waits for, and the time of its next
    attempt. `ended` records how a run ended. All may be run again after a crash.
    """

    route: Callable[[Job, Step], Awaitable[RouteDecision]]
    review: Callable[[Job, Step], Awaitable[str]]
    answer: Callable[[Job, Step], Awaitable[str]]
    abandon: Callable[[Job, str, Step], Awaitable[str]]
    fail: Callable[[Job, str, Step], Awaitable[str]]
    announce: Callable[[Job, str, Step], Awaitable[None]] = _silent
    hold: Callable[[Job, str, str, Step], Awaitable[None]] = _silent
    ended: Callable[[RunEnd], Awaitable[None]] = _no_record
    reconcile: Reconcile | None = None


@dataclass(frozen=True, slots=True)
class LoggedDelivery:
    """An entry of the host's log of webhook deliveries. Redeliveries have the same GUID.

    `sent` is in seconds since 1970; `received` says whether we answered that we took it.
    """

    id: int
    guid: str
    event: str
    sent: float
    received: bool


@dataclass(frozen=True, slots=True)
class AppInstallation:
    """An account on which the App is installed; `created` is in seconds since 1970."""

    id: int
    created: float
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class OpenPull:
    """An open pull request in a list. Times are in seconds since 1970."""

    ref: PullRef
    head_sha: str
    created: float
    updated: float
    draft: bool = False


@dataclass(frozen=True, slots=True)
class OwnCheckRun:
    """A check run of ours, by the key that we gave it."""

    key: str
    completed: bool


class Installations(Protocol):
    """What the App sees on its host: its deliveries, its installations, and what is open there. Reads only."""

    async def greet(self) -> str:
        """Asks the host who we are; returns our login. Raises Outage if it does not answer or does not accept us."""

    async def deliveries(self, since: float) -> tuple[LoggedDelivery, ...]:
        """The log of deliveries since then (seconds since 1970), newest first, within a bound."""

    async def delivery(self, number: int) -> tuple[Mapping[str, str], bytes]:
        """The headers, with names in lower case, and the body of a logged delivery."""

    async def installations(self) -> tuple[AppInstallation, ...]:
        """The installations of the App."""

    async def repositories(self, installation: int) -> tuple[PullRef, ...]:
        """The repositories of an installation, each as a reference without a number."""

    async def open_pulls(self, repository: PullRef) -> tuple[OpenPull, ...]:
        """The open pull requests that changed last."""

    async def check_runs(self, ref: PullRef, head: str) -> tuple[OwnCheckRun, ...]:
        """Our check runs at a commit."""


class HeadState(StrEnum):
    """What the engine knows of a head: a review is under way, or was posted, or failed, or none of these."""

    LIVING = "living"
    SETTLED = "settled"
    FAILED = "failed"
    UNKNOWN = "unknown"


class JobLog(Protocol):
    """What the reconciler asks of the engine."""

    async def submit(self, job: Job) -> bool:
        """Stores a job; False if it is known already."""

    async def head(self, pull: PullRef, head: str) -> HeadState:
        """What is known of a head of a pull request."""

    async def wake(self) -> int:
        """Lets the runs that an outage laid aside go on now; returns how many."""


class Engine(Protocol):
    """Runs jobs: first `route`, then the handler that it chose."""

    async def submit(self, job: Job) -> bool:
        """Stores the job, so that it survives a power cut; returns False if it is known already. Raises NotDurable."""

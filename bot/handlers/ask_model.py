"""What a model is asked about a change: with which tools, over which material, on whose money."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from bot.core.claims.material import PullFacts
from bot.core.claims.prompt import HostedSearch
from bot.core.claims.recheck import RecheckCandidate
from bot.core.claims.requirements import linked_issues
from bot.core.code.plan import Batch
from bot.core.code.pull_request import Issue, PostedComment, PullRequest
from bot.core.command import ReviewScope
from bot.core.costs import ReviewBudget
from bot.core.findings.finding import Draft
from bot.core.findings.standard import Shelf, Standard
from bot.core.policy import Policy, unavailable_names
from bot.errors import Refused, TooLarge, UserError
from bot.handlers.passes import AT_ONCE, Passes, PassInput, PassResults, reverified
from bot.handlers.read import Change
from bot.handlers.standards import LOOK_UP, TROUBLE
from bot.interfaces import Account, Check, CodeHost, Model, SearchPassage, Standards, Step
from bot.job import Job
from bot.model.account import MeteredSteps
from bot.model.prompts import Prompts
from bot.model.tools import Files, SearcherFactory, ToolContext, tools_for
from bot.model.tools.bounds import bounded
from bot.model.tools.grep import ScanSearch, texts_with_word
from bot.model.tools.search_standards import hits_as_json


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """What a conversation is about: a change, what the checks claim of it, and the standards that govern those claims.

    `doubts` are known findings that may no longer be true.
    """

    pull: PullRequest
    policy: Policy
    change: Change
    shelf: Shelf
    drafts: tuple[Draft, ...] = ()
    standards: tuple[Standard, ...] = ()
    batches: tuple[Batch, ...] = ()
    doubts: tuple[RecheckCandidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Background:
    """What people wrote: the linked issues that can be read, and what was said on the pull request."""

    issues: tuple[Issue, ...] = ()
    said: tuple[PostedComment, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelReview:
    """Asks `model`, with the operator's `passes` and `tools` (None: all there are), within what is `allowed`.

    `account` opens the books of a job; `search` makes what looks through the repository; `salt`, a secret, names the
    fences of the team's rules; `at_once` is how many conversations are held at the same time.
    """

    host: CodeHost
    model: Model
    standards: Standards
    checks: Sequence[Check]
    words: Prompts
    account: Callable[[Job, ReviewBudget], Account]
    allowed: ReviewBudget = field(default_factory=ReviewBudget)
    passes: Collection[str] | None = None
    tools: Collection[str] | None = None
    search: SearcherFactory = ScanSearch
    salt: str = ""
    at_once: int = AT_ONCE

    @property
    def offered(self) -> tuple[str, ...]:
        """The passes that there are and the operator offers."""
        return tuple(name for name in self.words.passes if self.passes is None or name in self.passes)

    def unknown(self, policy: Policy) -> tuple[str, ...]:
        """What the policy wants that the operator does not offer."""
        return unavailable_names(policy, [check.name for check in self.checks], self.offered)

    async def __call__(self, job: Job, subject: ModelInputs, step: Step) -> PassResults:
        """Every pass over the change, and a look at what is in doubt. Without a model, nothing."""
        if not self.model.available:
            return PassResults()
        passes, brief = await self.prepare(job, subject, step)
        return await reverified(passes, brief, await passes(brief), subject.doubts)

    async def prepare(self, job: Job, subject: ModelInputs, step: Step) -> tuple[Passes, PassInput]:
        """The tools, the money and the material for any conversation about a change."""
        background = await step("background", lambda: self._background(subject.pull), Background)
        pull, change = subject.pull, subject.change
        files = Files(self.host, pull)
        searcher = self.search(files)
        asked = (job.thread, job.comment) if job.is_question else None
        desk = ToolContext(
            self.host, pull, change.diff, self.standards, subject.shelf, files, searcher, self.checks, asked
        )
        paths = await _paths(files)
        brief = PassInput(
            job=job.id,
            facts=PullFacts(pull, change.diff, change.heads, subject.drafts, background.issues, background.said),
            batches=subject.batches,
            policy=subject.policy,
            passes=self._passes(job, subject.policy),
            standards=subject.standards,
            paths=paths or frozenset(),
            mentions=None if paths is None else partial(texts_with_word, searcher, files),
            read=partial(_text, files),
        )
        passes = self._bounded(job, subject.policy, desk, step)
        return replace(passes, search=await self._hosted(subject.shelf), trace=self._trace(subject.shelf)), brief

    async def _hosted(self, shelf: Shelf) -> HostedSearch | None:
        """Where the model's server may search by itself; nowhere if that cannot be told now."""
        try:
            async with asyncio.timeout(LOOK_UP):
                return await self.standards.hosted(shelf) if shelf.documents else None
        except TROUBLE:
            return None

    def _trace(self, shelf: Shelf) -> Callable[[Sequence[SearchPassage]], Awaitable[str]]:
        async def trace(passages: Sequence[SearchPassage]) -> str:
            return hits_as_json(await self.standards.trace(shelf, passages))

        return trace

    def _bounded(self, job: Job, policy: Policy, desk: ToolContext, step: Step) -> Passes:
        """Conversations with this desk's tools, within what the operator allows and the policy leaves of it."""
        allowed = self.allowed.limited_by(policy.budgets)
        return Passes(
            self.model,
            self.words,
            bounded(tools_for(desk, self.tools)),
            self.account(job, allowed),
            MeteredSteps(step, allowed),
            self.salt,
            asyncio.Semaphore(self.at_once),
        )

    def _passes(self, job: Job, policy: Policy) -> tuple[str, ...]:
        """Those that there are, the operator offers, the policy wants and the command is about."""
        narrow = {ReviewScope.SECURITY.value} if job.scope.scope is ReviewScope.SECURITY else None
        allowed = [names for names in (policy.passes, narrow) if names is not None]
        return tuple(name for name in self.offered if all(name in names for names in allowed))

    async def _background(self, pull: PullRequest) -> Background:
        issues = []
        for number in linked_issues(f"{pull.title}\n{pull.body}", pull.ref.repo):
            try:
                issues.append(await self.host.issue(pull.ref, number))
            except Refused:  # another repository's, deleted, or none: what cannot be read is not shown
                continue
        return Background(tuple(issues), await self.host.comments(pull.ref))


async def _text(files: Files, path: str) -> str | None:
    """A file's text at the head; None if it is none, or cannot be read."""
    try:
        return await files.text(path, "head")
    except (Refused, UserError):
        return None


async def _paths(files: Files) -> frozenset[str] | None:
    """Every path at the head; None for a repository so large that its host lists only a part of it."""
    try:
        return frozenset(await files.entries("head"))
    except TooLarge:
        return None

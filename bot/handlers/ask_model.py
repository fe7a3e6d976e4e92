"""Prepares the conversations with the model about a change: its tools, material and budget; and asks again about findings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from bot.core.claims.drafts import groups, numbered_claims
from bot.core.claims.evidence import paths_named
from bot.core.claims.material import PullFacts, budget, material
from bot.core.claims.prompt import HostedSearch
from bot.core.claims.recheck import RecheckCandidate, recheck_batch, recheck_results
from bot.core.claims.requirements import linked_issues
from bot.core.claims.rules import WHOLE, TeamRules, team_rules
from bot.core.claims.schemas import Verdicts
from bot.core.code.plan import Batch
from bot.core.code.pull_request import Issue, PostedComment, PullRequest
from bot.core.command import ReviewScope
from bot.core.costs import ReviewBudget
from bot.core.findings.finding import Draft
from bot.core.findings.standard import Shelf, Standard
from bot.core.policy import Policy, unavailable_names
from bot.errors import Refused, TooLarge, UserError
from bot.handlers.passes import AT_ONCE, Passes, PassInput, PassResults, answer_value, read_facts
from bot.handlers.read import Change
from bot.handlers.read import material as read_in_step
from bot.handlers.standards import LOOK_UP, TROUBLE, nearest
from bot.interfaces import Account, Check, CodeHost, Model, ModelAnswer, SearchPassage, Standards, Step
from bot.job import Job
from bot.model.account import MeteredSteps
from bot.model.prompts import Prompts
from bot.model.tools import Files, SearcherFactory, ToolContext, tools_for
from bot.model.tools.bounds import bounded
from bot.model.tools.grep import ScanSearch, texts_with_word
from bot.model.tools.search_standards import hits_as_json
from bot.standards.documents import is_convention


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """The input of the conversations: a change, the drafts of the checks, and the standards that govern those drafts.

    `sections` are all of the shelf's. `doubts` are known findings that may no longer be true.
    """

    pull: PullRequest
    policy: Policy
    change: Change
    shelf: Shelf
    drafts: tuple[Draft, ...] = ()
    standards: tuple[Standard, ...] = ()
    batches: tuple[Batch, ...] = ()
    doubts: tuple[RecheckCandidate, ...] = ()
    sections: tuple[Standard, ...] = ()


@dataclass(frozen=True, slots=True)
class Background:
    """Text by people: the linked issues that can be read, and the comments on the pull request."""

    issues: tuple[Issue, ...] = ()
    said: tuple[PostedComment, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelReview:
    """Asks `model` with the operator's `passes` and `tools` (None: all), within the budget `allowed`.

    `account` creates the account of a job; `search` creates the searcher of a repository; `salt`, a secret, names the
    fences of the team's rules; `at_once` is the number of conversations at the same time; `choices` are the models, by
    name, that a repository may choose; `room` is the number of tokens of rules that every prompt has; `check_names` are
    the checks that the operator offers.
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
    choices: Mapping[str, Model] = field(default_factory=dict)
    room: int = WHOLE
    check_names: tuple[str, ...] = ()

    @property
    def offered(self) -> tuple[str, ...]:
        """The passes that the operator offers."""
        return tuple(name for name in self.words.passes if self.passes is None or name in self.passes)

    def unknown(self, policy: Policy) -> tuple[str, ...]:
        """A sentence for each check or pass that the policy names and the operator does not offer."""
        return unavailable_names(policy, self.check_names, self.offered, self.choices)

    def chosen(self, policy: Policy) -> Model:
        """The model that reviews this repository: the policy's choice if the operator offers it, else the default."""
        return self.choices.get(policy.model, self.model)

    async def __call__(self, job: Job, inputs: ModelInputs, step: Step) -> PassResults:
        """Runs every pass over the change, and asks again about findings in doubt. Returns empty results without a model."""
        if not self.model.available:
            return PassResults()
        passes, pass_input = await self.prepare(job, inputs, step)
        return await _recheck(passes, pass_input, await passes(pass_input), inputs.doubts)

    async def prepare(self, job: Job, inputs: ModelInputs, step: Step) -> tuple[Passes, PassInput]:
        """Returns the tools, the account and the material for any conversation about a change."""
        background = await step("background", lambda: self._background(inputs.pull), Background)
        pull, change = inputs.pull, inputs.change
        files = Files(self.host, pull)
        searcher = self.search(files)
        asked = (job.thread, job.comment) if job.is_question else None
        desk = ToolContext(
            self.host, pull, change.diff, self.standards, inputs.shelf, files, searcher, self.checks, asked
        )
        paths = await read_in_step(step, "paths", lambda: _paths(files))
        pass_input = PassInput(
            job=job.id,
            facts=PullFacts(pull, change.diff, change.heads, inputs.drafts, background.issues, background.said),
            batches=inputs.batches,
            policy=inputs.policy,
            passes=self._passes(job, inputs.policy),
            standards=inputs.standards,
            rules=self._rules(inputs),
            search=partial(nearest, self.standards, inputs.shelf),
            paths=paths or frozenset(),
            mentions=None if paths is None else partial(texts_with_word, searcher, files),
            read=partial(_text, files),
        )
        passes = self._bounded(job, inputs.policy, desk, step)
        return replace(passes, search=await self._hosted(inputs.shelf), trace=self._trace(inputs.shelf)), pass_input

    def _rules(self, inputs: ModelInputs) -> TeamRules:
        conventions = {document.path for document in inputs.shelf.documents if is_convention(document.path)}
        paths = [file.path for file in inputs.change.plan.files]
        return team_rules(inputs.sections, conventions, paths, self.room)

    async def _hosted(self, shelf: Shelf) -> HostedSearch | None:
        """The vector store that the model's server may search; None without one, or if the lookup fails."""
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
        """Conversations with these tools, within the budgets of the operator and the policy."""
        allowed = self.allowed.limited_by(policy.budgets)
        return Passes(
            self.chosen(policy),
            self.words,
            bounded(tools_for(desk, self.tools)),
            self.account(job, allowed),
            MeteredSteps(step, allowed),
            self.salt,
            asyncio.Semaphore(self.at_once),
        )

    def _passes(self, job: Job, policy: Policy) -> tuple[str, ...]:
        """The passes that the operator offers, the policy wants and the command asks for."""
        narrow = {ReviewScope.SECURITY.value} if job.scope.scope is ReviewScope.SECURITY else None
        allowed = [names for names in (policy.passes, narrow) if names is not None]
        return tuple(name for name in self.offered if all(name in names for names in allowed))

    async def _background(self, pull: PullRequest) -> Background:
        issues = []
        for number in linked_issues(f"{pull.title}\n{pull.body}", pull.ref.repo):
            try:
                issues.append(await self.host.issue(pull.ref, number))
            except Refused:  # of another repository, deleted, or none: not shown
                continue
        return Background(tuple(issues), await self.host.comments(pull.ref))


async def _recheck(
    passes: Passes, pass_input: PassInput, results: PassResults, doubts: Sequence[RecheckCandidate]
) -> PassResults:
    """The results with a result for each of `doubts`. A finding that could not be judged is left out, and stays open.

    This comes last, so that a short budget goes to the new code first. A failure here is no gap in the review.
    """
    if not doubts:
        return results
    by_draft = {doubt.draft: doubt for doubt in doubts}
    grouped = [tuple(by_draft[draft] for draft in group) for group in groups(tuple(by_draft))]
    answers = await asyncio.gather(*(_ask_again(passes, pass_input, n, group) for n, group in enumerate(grouped, 1)))
    judged = []
    for number, (group, answer) in enumerate(zip(grouped, answers, strict=True), 1):
        if verdicts := answer_value(answer, Verdicts):
            named = paths_named(text for verdict in verdicts.verdicts for text in verdict.evidence)
            facts = await read_facts(passes.step, f"verify/again/{number}/facts", pass_input, named)
            judged.append(recheck_results(group, verdicts, facts))
    return replace(
        results,
        weighed=tuple(one for group in judged for one in group),
        usage=sum((answer.usage for answer in answers), results.usage),
        versions=passes.words.versions,
    )


async def _ask_again(
    passes: Passes, pass_input: PassInput, number: int, group: Sequence[RecheckCandidate]
) -> ModelAnswer:
    batch = recheck_batch(group, pass_input.facts.diff)
    facts = replace(pass_input.facts, issues=(), said=(), problems=())
    shown = material(batch, facts, budget(batch))
    data = (*shown.data, numbered_claims([doubt.draft for doubt in group]))
    return await passes.ask(f"verify/again/{number}", "reverify", data, Verdicts, pass_input)


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

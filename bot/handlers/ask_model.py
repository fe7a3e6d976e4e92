"""Conversations with the model about a change: their tools, material, rules and budget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from pydantic import BaseModel

from bot.core.claims.material import FencedText, PullFacts, fence_text
from bot.core.claims.prompt import HostedSearch, Prompt
from bot.core.claims.recheck import RecheckCandidate
from bot.core.claims.refute import CLAIMS, HeadFacts
from bot.core.claims.requirements import linked_issues
from bot.core.claims.rules import WHOLE, TeamRules, fenced_rules, team_rules
from bot.core.code.plan import Batch
from bot.core.code.pull_request import Issue, PostedComment, PullRequest
from bot.core.command import ReviewScope
from bot.core.costs import ConversationRecord, ReviewBudget, ToolCallRecord
from bot.core.findings.finding import Draft
from bot.core.findings.standard import Shelf, Standard
from bot.core.policy import Policy, unavailable_names
from bot.deadline import compute
from bot.errors import Forbidden, NotFound, Refused, Retryable, TimedOut, TooLarge, UserError
from bot.handlers.read import Change
from bot.handlers.read import material as read_in_step
from bot.handlers.standards import LOOK_UP, TROUBLE, nearest
from bot.interfaces import (
    Account,
    Check,
    CodeHost,
    Model,
    ModelAnswer,
    SearchPassage,
    Standards,
    Step,
    Tool,
    ToolUse,
)
from bot.job import Job
from bot.model.account import MeteredSteps
from bot.model.prompts import Prompts
from bot.model.tools import Files, SearcherFactory, ToolContext, tools_for
from bot.model.tools.bounds import bounded
from bot.model.tools.grep import ScanSearch, texts_with_word
from bot.model.tools.search_standards import hits_as_json
from bot.standards.documents import is_convention
from bot.standards.passages import is_retired

STANDARDS = "standards"
PASSES = ("correctness", "security", STANDARDS)
"""The passes that look for problems; each has its prompt, prompts/find_<name>.md."""

AT_ONCE = 2  # conversations: each reserves its worst case of the budget
READ = 12  # files beside the changed ones that are opened to look up evidence

A = TypeVar("A", bound=BaseModel)


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
class PassInput:
    """The input of the passes. `job` salts the fence names so that they cannot be guessed.

    `passes` are those that policy and operator allow; `standards` are sections that govern findings of the checks;
    `rules` are the team's. `mentions` returns the head's files that contain a word, `read` the text of one file, and
    `search` the sections nearest to a query for a file, best first; it raises Refused if there is no index.
    """

    job: str
    facts: PullFacts
    batches: tuple[Batch, ...]
    policy: Policy
    passes: tuple[str, ...] = PASSES
    standards: tuple[Standard, ...] = ()
    rules: TeamRules = field(default_factory=TeamRules)
    paths: frozenset[str] = frozenset()
    mentions: Callable[[str], Awaitable[Mapping[str, str]]] | None = None
    read: Callable[[str], Awaitable[str | None]] | None = None
    search: Callable[[str, str], Awaitable[Sequence[Standard]]] | None = None


@dataclass(frozen=True, slots=True)
class ModelSession:
    """The conversations of one job with the model, with its tools, account and journal.

    `salt`, a secret of ours, names the fences of text that stays the same from job to job, so that a cache can keep it.
    `search` is a search that the model's server runs; `trace` returns its results that come from a known standard, in the
    format of `search_standards`. `reduced` is the mode for small models: one pass, few fields, short instructions.
    """

    model: Model
    words: Prompts
    tools: Sequence[Tool]
    account: Account
    step: Step
    salt: str = ""
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    search: HostedSearch | None = None
    trace: Callable[[Sequence[SearchPassage]], Awaitable[str]] | None = None
    reduced: bool = False
    _refusals: list[str] = field(default_factory=list)
    _records: list[ConversationRecord] = field(default_factory=list)

    @property
    def conversations(self) -> tuple[ConversationRecord, ...]:
        """The records of the conversations that have ended, in the order of their names."""
        return tuple(sorted(self._records, key=lambda record: record.name))

    async def ask(
        self,
        name: str,
        ask: str,
        data: Iterable[FencedText],
        answer: type[BaseModel],
        pass_input: PassInput,
    ) -> ModelAnswer:
        """Has one conversation that asks `ask` about `data`. A refusal is an answer without a value, with the reason.

        After a refusal of the key, the quota, the model or the policy, later conversations get the same answer unasked.
        """
        try:
            return await self.ask_whole(name, ask, data, answer, pass_input)
        except TooLarge as error:
            return ModelAnswer(None, str(error))

    async def ask_whole(
        self,
        name: str,
        ask: str,
        data: Iterable[FencedText],
        answer: type[BaseModel],
        pass_input: PassInput,
    ) -> ModelAnswer:
        """As `ask`, but raises TooLarge if the prompt is too large for the model."""
        pull = pass_input.facts.pull
        prompt = Prompt(
            name=name,
            instructions=self.policy,
            rules=self._rules(pass_input),
            standards=self._standards(pass_input.rules),
            material=await compute(lambda: "\n\n".join(self._fenced(datum, pass_input) for datum in data)),
            ask=ask,
            answer=answer,
            cache_key=f"installation-{pull.ref.installation}",
            author=str(pull.author_id or pull.author),
            search=self.search,
        )
        async with self.gate:
            if self._refusals:
                return ModelAnswer(None, self._refusals[0])
            told = await self._answer(name, prompt)
            self._records.append(_record(name, told))
            return told

    async def _answer(self, name: str, prompt: Prompt) -> ModelAnswer:
        """Has the conversation. Raises TooLarge; other refusals are answers without a value."""
        try:
            return await self._traced(name, await self.model.ask(prompt, self.tools, self.step, self.account))
        except (Forbidden, NotFound, TimedOut) as error:
            self._refusals.append(str(error))
            answered = any(record.calls for record in self._records)  # such a server is only slow
            hung = isinstance(error, TimedOut) and not answered
            return ModelAnswer(None, str(error), unreachable=hung)
        except TooLarge:
            raise
        except (Refused, Retryable) as error:
            return ModelAnswer(None, str(error), unreachable=isinstance(error, Retryable))

    async def _traced(self, name: str, answer: ModelAnswer) -> ModelAnswer:
        """Adds the sections that a search on the model's server returned, as results of `search_standards`."""
        trace, passages = self.trace, answer.passages
        if trace is None or not passages:
            return answer
        text = await self.step(f"{name}/traced", lambda: trace(passages), str)
        return replace(answer, looked_up=(*answer.looked_up, ToolUse("search_standards", {}, text)))

    @property
    def policy(self) -> str:
        """Our instructions. They are the same for all jobs, so that a cache can keep them."""
        if self.reduced:
            return self.words.say("policy_reduced")
        return self.words.say("policy", claims=CLAIMS, tools=bool(self.tools))

    def _rules(self, pass_input: PassInput) -> str:
        """What the team's policy says. It is the same for all passes, so that a cache can keep it."""
        policy, rules = pass_input.policy, pass_input.rules
        if not (policy.tone or policy.language or policy.path_instructions or rules.shown or rules.contents):
            return ""
        return self.words.say(
            "rules",
            language=policy.language,
            tone=policy.tone,
            instructions=[{"paths": one.paths, "instructions": one.instructions} for one in policy.path_instructions],
            standards=bool(rules.shown),
            contents=bool(rules.contents),
        )

    def _standards(self, rules: TeamRules) -> str:
        """The sections that every prompt has, and the table of contents. Their fences are the same in every job."""
        contents = [FencedText("contents", "the team's standards", rules.contents)] if rules.contents else []
        return "\n\n".join(fence_text(datum, self.salt) for datum in (*fenced_rules(rules.shown), *contents))

    def _fenced(self, datum: FencedText, pass_input: PassInput) -> str:
        """A fenced text. Rules have the same fence in every job, so that a cache can keep them."""
        return fence_text(datum, self.salt if datum.kind == "standard" else pass_input.job)


def _record(name: str, answer: ModelAnswer) -> ConversationRecord:
    tools = tuple(
        ToolCallRecord(use.tool, json.dumps(dict(use.arguments), ensure_ascii=False), len(use.text), use.unavailable)
        for use in answer.looked_up
    )
    return ConversationRecord(name, answer.calls, tools, answer.reason)


@dataclass(frozen=True, slots=True)
class ModelReview:
    """Asks `model` with the operator's `passes` and `tools` (None: all), within the budget `allowed`.

    `account` creates the account of a job; `search` creates the searcher of a repository; `salt`, a secret, names the
    fences of the team's rules; `at_once` is the number of conversations at the same time; `choices` are the models, by
    name, that a repository may choose; `room` is the number of tokens of rules that every prompt has; `check_names` are
    the checks that the operator offers. The `reduced` mode has no tools.
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
    reduced: bool = False

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

    async def prepare(self, job: Job, inputs: ModelInputs, step: Step) -> tuple[ModelSession, PassInput]:
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
            rules=await compute(self._rules, inputs),
            search=partial(nearest, self.standards, inputs.shelf),
            paths=paths or frozenset(),
            mentions=None if paths is None else partial(texts_with_word, searcher, files),
            read=partial(_text, files),
        )
        session = self._bounded(job, inputs.policy, desk, step)
        return replace(session, search=await self._hosted(inputs.shelf), trace=self._trace(inputs.shelf)), pass_input

    def _rules(self, inputs: ModelInputs) -> TeamRules:
        conventions = {document.path for document in inputs.shelf.documents if is_convention(document.path)}
        paths = [file.path for file in inputs.change.plan.files]
        in_force = [section for section in inputs.sections if not is_retired(section.heading, section.text)]
        return team_rules(in_force, conventions, paths, self.room)

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

    def _bounded(self, job: Job, policy: Policy, desk: ToolContext, step: Step) -> ModelSession:
        """Conversations with these tools, within the budgets of the operator and the policy."""
        allowed = self.allowed.limited_by(policy.budgets)
        return ModelSession(
            self.chosen(policy),
            self.words,
            () if self.reduced else bounded(tools_for(desk, self.tools)),
            self.account(job, allowed),
            MeteredSteps(step, allowed),
            self.salt,
            asyncio.Semaphore(self.at_once),
            reduced=self.reduced,
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


def answer_value(answer: ModelAnswer, kind: type[A]) -> A | None:
    """The answer's value as `kind`; None if there is none."""
    return None if answer.value is None else kind.model_validate(answer.value)


async def head_facts(pass_input: PassInput, paths: Iterable[str], name: str = "") -> HeadFacts:
    """The changed files, those of `paths` that exist, and those that contain `name`."""
    texts: dict[str, str] = dict(pass_input.facts.heads)
    if name and pass_input.mentions:
        texts |= await pass_input.mentions(name)
    read = pass_input.read
    for path in sorted(set(paths) - texts.keys())[:READ] if read else ():
        if read and (text := await read(path)) is not None:
            texts[path] = text
    return HeadFacts(pass_input.facts.diff, texts, pass_input.paths)


async def read_facts(step: Step, name: str, pass_input: PassInput, paths: Iterable[str]) -> HeadFacts:
    """The same facts, read in a step of their own, so that a failed request is tried again."""
    return await read_in_step(step, name, lambda: head_facts(pass_input, paths))

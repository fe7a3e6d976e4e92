"""The model's part of a review: find -> merge -> refute -> verify, and hold the change against what was asked for.

Whoever finds does not confirm. What the second look cannot confirm is held back and said to be held back, never posted.

What was heard of a change, batch by batch: which passes ran, what they were not shown, which files nobody read.

What tools told a model about standards: the sections that may be cited, and searches that got no answer.

A push re-verifies: the model is asked again about open findings around whose lines the code changed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from bot.core.claims.evidence import paths_named, prove
from bot.core.claims.material import (
    FencedText,
    Material,
    PullFacts,
    budget,
    fence_text,
    is_large,
    material,
    materials,
    split_material,
)
from bot.core.claims.merge import merge
from bot.core.claims.prompt import HostedSearch, Prompt
from bot.core.claims.recheck import RecheckCandidate, recheck_batch, recheck_results
from bot.core.claims.refute import CLAIMS, HeadFacts, refute, subject, with_typed_claim
from bot.core.claims.requirements import JudgedPoint, acceptance_points, judge
from bot.core.claims.schemas import Findings, Requirements, Verdicts, to_drafts
from bot.core.claims.verify import Dropped, apply_verdicts, batch_of, groups, numbered_claims
from bot.core.code.diff import Hunk
from bot.core.code.plan import Batch, CoverageRow, FileState
from bot.core.code.syntax import symbol_at
from bot.core.costs import Usage
from bot.core.findings.anchor import anchor
from bot.core.findings.finding import Draft
from bot.core.findings.lifecycle import RecheckResult
from bot.core.findings.standard import Standard
from bot.core.policy import Policy
from bot.engine.journal import from_json
from bot.errors import Forbidden, NotFound, Refused, Retryable, TimedOut, TooLarge
from bot.interfaces import Account, Model, ModelAnswer, SearchPassage, Step, Tool, ToolUse
from bot.model.prompts import Prompts


@dataclass(frozen=True, slots=True)
class BatchResult:
    """One reading of one batch: what was answered, or why nothing was."""

    lens: str
    batch: Batch
    answer: ModelAnswer
    drafts: tuple[Draft, ...] = ()
    omitted: tuple[str, ...] = ()


def ran(heard: Sequence[BatchResult]) -> Iterator[CoverageRow]:
    """A row for each pass."""
    for name in dict.fromkeys(one.lens for one in heard):
        yield row(name, [one.answer for one in heard if one.lens == name])


def row(name: str, answers: Sequence[ModelAnswer]) -> CoverageRow:
    """Whether all readings of a pass came to an answer, and if not, why."""
    reasons = dict.fromkeys(answer.reason or "no answer" for answer in answers if answer.value is None)
    if not reasons:
        return CoverageRow(name, FileState.REVIEWED, by=(f"{len(answers)} of {len(answers)} readings",))
    failed = sum(answer.value is None for answer in answers)
    return CoverageRow(name, FileState.FAILED, f"{failed} of {len(answers)} readings failed: {'; '.join(reasons)}")


def left_out(heard: Iterable[BatchResult]) -> Iterable[CoverageRow]:
    """A row for each thing that was not shown."""
    phrases = dict.fromkeys(phrase for one in heard for phrase in one.omitted)
    return [CoverageRow("material", FileState.SKIPPED, f"not shown to the model: {phrase}") for phrase in phrases]


def missed(heard: Sequence[BatchResult]) -> tuple[tuple[str, str], ...]:
    """Files with a hunk that no pass could read, and why."""
    read = {hunk for one in heard if one.answer.value is not None for hunk in _hunks(one.batch)}
    failed = [one for one in heard if one.answer.value is None]
    unread = [
        (path, one.answer.reason) for one in failed for path, hunk in _hunks(one.batch) if (path, hunk) not in read
    ]
    return tuple(dict(unread).items())


def _hunks(batch: Batch) -> Iterator[tuple[str, Hunk]]:
    return ((part.path, hunk) for part in batch.parts for hunk in part.hunks)


def standards_in(lookups: Iterable[ToolUse]) -> Iterable[Standard]:
    """The sections that a search really returned and that govern: only these may be cited."""
    for lookup in lookups:
        if lookup.tool == "search_standards":
            yield from (from_json(one, Standard) for one in _sections(lookup.text) if one["governs"])


def unanswered(lookups: Iterable[ToolUse]) -> Iterable[CoverageRow]:
    """A row if a search of the standards got no answer: what it would have found was not applied."""
    reasons = [lookup.unavailable for lookup in lookups if lookup.tool == "search_standards" and lookup.unavailable]
    return [CoverageRow("standards", FileState.FAILED, f"standards unavailable: {reason}") for reason in reasons[:1]]


def _sections(answer: str) -> Sequence[Mapping[str, Any]]:
    """The sections in an answer of search_standards; none in an error or in an answer that was cut."""
    try:
        value = json.loads(answer)
    except ValueError:
        return ()
    return value["standards"] if isinstance(value, dict) and "standards" in value else ()


PASSES = ("correctness", "security", "standards")
"""The passes that look for problems; each has its prompt, prompts/find_<name>.md."""

AT_ONCE = 2  # conversations: each reserves its worst case of the budget
READ = 12  # files beside the changed ones that are opened to look up evidence
VERIFIED = 30  # drafts that are looked at again, the best founded first

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class PassInput:
    """What the passes work on. `job` keeps fences unforetold; `mentions` gives the head's files that have a word,
    `read` the text of one of them.

    `passes` are those that policy and operator allow; `standards` are sections known to govern before anybody searched.
    """

    job: str
    facts: PullFacts
    batches: tuple[Batch, ...]
    policy: Policy
    passes: tuple[str, ...] = PASSES
    standards: tuple[Standard, ...] = ()
    paths: frozenset[str] = frozenset()
    mentions: Callable[[str], Awaitable[Mapping[str, str]]] | None = None
    read: Callable[[str], Awaitable[str | None]] | None = None


@dataclass(frozen=True, slots=True)
class PassResults:
    """What the model's part came to. Every draft is either in `drafts` or in `dropped` with its reason.

    `rows` say of each pass whether it ran; `missed` are files of which some hunk reached no pass, and why; `weighed` is
    what it says of findings that are known.
    """

    drafts: tuple[Draft, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    requirements: tuple[JudgedPoint, ...] = ()
    standards: tuple[Standard, ...] = ()
    rows: tuple[CoverageRow, ...] = ()
    missed: tuple[tuple[str, str], ...] = ()
    weighed: tuple[RecheckResult, ...] = ()
    usage: Usage = field(default_factory=Usage)
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Passes:
    """One job's conversations with the model: its tools, its money and its journal are bound here.

    `salt`, a secret of ours, names the fences of what stays the same from job to job, so that a cache can keep it. A server
    that can may `search` the standards itself; `trace` tells what of it we can find again, as `search_standards` would.
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
    _refusals: list[str] = field(default_factory=list)

    async def __call__(self, brief: PassInput) -> PassResults:
        """All passes over a change; nothing where there is no model or nothing to read."""
        if not self.model.available or not brief.batches:
            return PassResults()
        found = await self.find(brief)
        standing = await self.refute(found, brief)
        verified = await self.verify(standing, brief)
        return replace(await self.requirements(verified, brief), versions=self.words.versions)

    async def find(self, brief: PassInput) -> PassResults:
        """What the passes claim together. A large change is read once, with all lenses at a time.

        The first conversation goes alone: it fills the server's cache for the others, or learns that we are not served.
        """
        lenses = [brief.passes] if is_large(brief.batches) else [(name,) for name in brief.passes]
        ours = len(self._policy) + len(self.words.say("find", lenses=brief.passes))
        shown = enumerate(zip(brief.batches, materials(brief.batches, brief.facts, ours), strict=True), 1)
        turns = [(lens, str(n), *what, brief) for n, what in shown for lens in lenses if lens]
        first = [await self._find(*turn) for turn in turns[:1]]
        others = await asyncio.gather(*(self._find(*turn) for turn in turns[1:]))
        heard = [one for many in (*first, *others) for one in many]
        lookups = [lookup for one in heard for lookup in one.answer.looked_up]
        drafts, absorbed = merge(one.drafts for one in heard)
        return PassResults(
            drafts=drafts,
            dropped=absorbed,
            standards=tuple({s.id: s for s in (*brief.standards, *standards_in(lookups))}.values()),
            rows=(*ran(heard), *left_out(heard), *unanswered(lookups)),
            missed=missed(heard),
            usage=sum((one.answer.usage for one in heard), Usage()),
        )

    async def refute(self, opinion: PassResults, brief: PassInput) -> PassResults:
        """Without what the files do not show, and what the code itself contradicts."""

        async def reasons() -> tuple[str, ...]:
            return tuple([await _refutation(draft, brief) for draft in opinion.drafts])

        found = await self.step("refute", reasons, tuple[str, ...])
        pairs = list(zip(opinion.drafts, found, strict=True))
        return replace(
            opinion,
            drafts=tuple(draft for draft, reason in pairs if not reason),
            dropped=(
                *opinion.dropped,
                *((draft, reason) for draft, reason in pairs if reason),
            ),
        )

    async def verify(self, opinion: PassResults, brief: PassInput) -> PassResults:
        """Without what an independent look does not confirm."""
        if not opinion.drafts:
            return opinion
        grouped = list(groups(opinion.drafts[:VERIFIED]))
        heard = await asyncio.gather(*(self._verify(n, group, brief) for n, group in enumerate(grouped, 1)))
        kept: list[Draft] = []
        dropped = [*opinion.dropped]
        for group, answer in zip(grouped, heard, strict=True):
            verdicts = _value(answer, Verdicts)
            shown = [text for verdict in verdicts.verdicts for text in verdict.evidence] if verdicts else []
            named = (*shown, *(text for draft in group for text in draft.evidence))
            good, bad = apply_verdicts(group, verdicts, await _facts(brief, paths_named(named)), answer.reason)
            kept += good
            dropped += bad
        dropped += [(draft, "held: not verified (too many findings)") for draft in opinion.drafts[VERIFIED:]]
        return replace(
            opinion,
            drafts=tuple(kept),
            dropped=tuple(dropped),
            rows=(*opinion.rows, row("verify", heard)),
            usage=sum((answer.usage for answer in heard), opinion.usage),
        )

    async def requirements(self, opinion: PassResults, brief: PassInput) -> PassResults:
        """With a word on each point that the linked issues ask for."""
        wanted = acceptance_points(brief.facts.issues)
        if not wanted:
            return opinion
        rows = [{"point": n, "issue": point.issue, "text": point.text} for n, point in enumerate(wanted, 1)]
        numbered = FencedText("points", "linked issues", json.dumps(rows, ensure_ascii=False, indent=1))
        whole = brief.batches[0] if len(brief.batches) == 1 else Batch(())
        shown = material(whole, brief.facts, budget(whole))
        answer = await self.ask("requirements", "requirements", (*shown.data, numbered), Requirements, brief)
        return replace(
            opinion,
            requirements=judge(wanted, _value(answer, Requirements), brief.facts.heads),
            rows=(*opinion.rows, row("requirements", [answer])),
            usage=opinion.usage + answer.usage,
        )

    async def _find(
        self, lens: tuple[str, ...], number: str, batch: Batch, shown: Material, brief: PassInput
    ) -> tuple[BatchResult, ...]:
        """A reading of a batch; of one that the model cannot hold a reading of each half, and so on down to a hunk."""
        name = "+".join(lens)
        try:
            answer = await self._ask(f"find/{name}/{number}", "find", shown.whole, Findings, brief, lenses=lens)
        except TooLarge as error:
            turns = enumerate(split_material(batch, shown, brief.facts), 1)
            heard = [await self._find(lens, f"{number}.{n}", *what, brief) for n, what in turns]
            if heard:
                return tuple(one for many in heard for one in many)
            answer = ModelAnswer(None, str(error))
        found = _value(answer, Findings)
        drafts = [with_typed_claim(_with_symbol(one, brief.facts)) for one in to_drafts(found, name)] if found else []
        return (BatchResult(name, batch, answer, tuple(drafts), shown.omitted),)

    async def _verify(self, number: int, group: tuple[Draft, ...], brief: PassInput) -> ModelAnswer:
        batch = batch_of(group, brief.facts.diff)
        shown = material(batch, replace(brief.facts, issues=(), said=(), problems=()), budget(batch))
        return await self.ask(f"verify/{number}", "verify", (*shown.data, numbered_claims(group)), Verdicts, brief)

    async def ask(
        self,
        name: str,
        ask: str,
        data: Iterable[FencedText],
        answer: type[BaseModel],
        brief: PassInput,
        **values: object,
    ) -> ModelAnswer:
        """One conversation; a model that cannot or will not is an answer too, with the reason.

        Without a key, a quota or such a model, or after a stop by policy, nobody asks again.
        """
        try:
            return await self._ask(name, ask, data, answer, brief, **values)
        except TooLarge as error:
            return ModelAnswer(None, str(error))

    async def _ask(
        self,
        name: str,
        ask: str,
        data: Iterable[FencedText],
        answer: type[BaseModel],
        brief: PassInput,
        **values: object,
    ) -> ModelAnswer:
        """The same. Raises TooLarge if the model cannot hold all that it has to read."""
        pull = brief.facts.pull
        prompt = Prompt(
            name=name,
            instructions=self._policy,
            rules=self._rules(brief),
            material="\n\n".join(fence_text(datum, brief.job) for datum in data),
            ask=self.words.say(ask, **values),
            answer=answer,
            cache_key=f"installation-{pull.ref.installation}",
            author=str(pull.author_id or pull.author),
            search=self.search,
        )
        async with self.gate:
            if self._refusals:
                return ModelAnswer(None, self._refusals[0])
            try:
                return await self._traced(name, await self.model.ask(prompt, self.tools, self.step, self.account))
            except (Forbidden, NotFound, TimedOut) as error:
                self._refusals.append(str(error))
                return ModelAnswer(None, str(error))
            except TooLarge:
                raise
            except (Refused, Retryable) as error:
                return ModelAnswer(None, str(error))

    async def _traced(self, name: str, answer: ModelAnswer) -> ModelAnswer:
        """With the sections that a search on the server's side found, as if we had looked them up."""
        trace, passages = self.trace, answer.passages
        if trace is None or not passages:
            return answer
        text = await self.step(f"{name}/traced", lambda: trace(passages), str)
        return replace(answer, looked_up=(*answer.looked_up, ToolUse("search_standards", {}, text)))

    @property
    def _policy(self) -> str:
        """What we want. It is the same for all jobs, so that a cache can keep it."""
        return self.words.say("policy", claims=CLAIMS)

    def _rules(self, brief: PassInput) -> str:
        """What the maintainers want. It is the same for all passes, so that a cache can keep it."""
        policy = brief.policy
        if not (policy.tone or policy.path_instructions or brief.standards):
            return ""
        said = self.words.say(
            "rules",
            tone=policy.tone,
            instructions=[{"paths": one.paths, "instructions": one.instructions} for one in policy.path_instructions],
            standards=bool(brief.standards),
        )
        sections = (FencedText("standard", section.id, section.text) for section in brief.standards)
        return "\n\n".join((said, *(fence_text(section, self.salt) for section in sections)))


def _value(answer: ModelAnswer, kind: type[A]) -> A | None:
    return None if answer.value is None else kind.model_validate(answer.value)


def _with_symbol(draft: Draft, facts: PullFacts) -> Draft:
    place = anchor(draft.path, draft.quoted, facts.diff, draft.side, draft.near)
    text = facts.heads.get(place.path, "")
    return replace(draft, symbol=symbol_at(place.path, text, place.line)) if text and place.line else draft


async def _refutation(draft: Draft, brief: PassInput) -> str:
    """Why a draft is dropped before anyone looks at it again; empty if it is not."""
    facts = await _facts(brief, {draft.path, *paths_named(draft.evidence)}, subject(draft.claim))
    if unproven := prove(draft, facts):
        return unproven.value
    contradicted = refute(draft, facts)
    return f"refuted by the code: {contradicted}" if contradicted else ""


async def _facts(brief: PassInput, paths: Iterable[str], name: str = "") -> HeadFacts:
    """The changed files, those of `paths` that exist, and those in which the name stands."""
    texts: dict[str, str] = dict(brief.facts.heads)
    if name and brief.mentions:
        texts |= await brief.mentions(name)
    read = brief.read
    for path in sorted(set(paths) - texts.keys())[:READ] if read else ():
        if read and (text := await read(path)) is not None:
            texts[path] = text
    return HeadFacts(brief.facts.diff, texts, brief.paths)


async def reverified(
    passes: Passes, brief: PassInput, opinion: PassResults, doubts: Sequence[RecheckCandidate]
) -> PassResults:
    """The opinion with what became of each of `doubts`. One that could not be judged is left out, and stays open.

    It comes last: money that is short goes to what is new. That it failed is no gap in the review of the change.
    """
    if not doubts:
        return opinion
    by_draft = {doubt.draft: doubt for doubt in doubts}
    grouped = [tuple(by_draft[draft] for draft in group) for group in groups(tuple(by_draft))]
    answers = await asyncio.gather(*(_ask(passes, brief, n, group) for n, group in enumerate(grouped, 1)))
    judged = []
    for group, answer in zip(grouped, answers, strict=True):
        if verdicts := _value(answer, Verdicts):
            named = paths_named(text for verdict in verdicts.verdicts for text in verdict.evidence)
            judged.append(recheck_results(group, verdicts, await _facts(brief, named)))
    return replace(
        opinion,
        weighed=tuple(one for group in judged for one in group),
        usage=sum((answer.usage for answer in answers), opinion.usage),
        versions=passes.words.versions,
    )


async def _ask(passes: Passes, brief: PassInput, number: int, group: Sequence[RecheckCandidate]) -> ModelAnswer:
    batch = recheck_batch(group, brief.facts.diff)
    facts = replace(brief.facts, issues=(), said=(), problems=())
    shown = material(batch, facts, budget(batch))
    data = (*shown.data, numbered_claims([doubt.draft for doubt in group]))
    return await passes.ask(f"verify/again/{number}", "reverify", data, Verdicts, brief)

"""The model's part of a review: find, merge, refute, verify, and compare the change with the linked issues.

The conversation that verifies a finding is not the one that found it. A finding that is not confirmed is held back: it is
listed with its reason and never posted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from bot.core.claims.drafts import Dropped, apply_verdicts, batch_of, groups, merge, numbered_claims
from bot.core.claims.evidence import paths_named, prove
from bot.core.claims.material import (
    FencedText,
    Material,
    PullFacts,
    UsedDefinition,
    budget,
    is_large,
    material,
    materials,
    split_material,
)
from bot.core.claims.recheck import RecheckCandidate, recheck_batch, recheck_results
from bot.core.claims.refute import HeadFacts, claimed_name, refute, with_typed_claim
from bot.core.claims.requirements import JudgedPoint, acceptance_points, judge
from bot.core.claims.rules import (
    FoundSections,
    batch_rules,
    fenced_rules,
    in_turn,
    rules_rows,
    searches,
    sections_by_key,
)
from bot.core.claims.schemas import Findings, Requirements, ShortFindings, Verdicts, to_drafts
from bot.core.claims.uses import changed_definitions, used_definition
from bot.core.code.diff import Hunk
from bot.core.code.language import language
from bot.core.code.plan import Batch, CoverageRow, FileState
from bot.core.code.syntax import symbol_at
from bot.core.costs import ConversationRecord, Usage
from bot.core.findings.anchor import anchor
from bot.core.findings.finding import Draft
from bot.core.findings.lifecycle import RecheckResult
from bot.core.findings.standard import Standard, applies_to
from bot.deadline import compute, within
from bot.errors import Refused, TooLarge
from bot.handlers.ask_model import (
    STANDARDS,
    ModelInputs,
    ModelReview,
    ModelSession,
    PassInput,
    answer_value,
    head_facts,
    read_facts,
)
from bot.handlers.read import material as read_material
from bot.handlers.standards import standards_in, unanswered
from bot.interfaces import ModelAnswer, Step
from bot.job import Job

VERIFIED = 30  # drafts that are looked at again, the best founded first


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of one pass over one batch: the answer with its drafts, and what of the material was left out."""

    lens: str
    batch: Batch
    answer: ModelAnswer
    drafts: tuple[Draft, ...] = ()
    omitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchRules:
    """The sections that one batch is shown beside those of every prompt; `reason` says why a search failed."""

    sections: tuple[Standard, ...] = ()
    reason: str = ""


def ran(readings: Sequence[BatchResult]) -> Iterator[CoverageRow]:
    """A row for each pass."""
    for name in dict.fromkeys(one.lens for one in readings):
        yield row(name, [one.answer for one in readings if one.lens == name])


def row(name: str, answers: Sequence[ModelAnswer]) -> CoverageRow:
    """A row for a pass: reviewed if all its readings have an answer, else failed with the reasons."""
    reasons = dict.fromkeys(answer.reason or "no answer" for answer in answers if answer.value is None)
    if not reasons:
        return CoverageRow(name, FileState.REVIEWED, by=(f"{len(answers)} of {len(answers)} readings",))
    failed = sum(answer.value is None for answer in answers)
    return CoverageRow(name, FileState.FAILED, f"{failed} of {len(answers)} readings failed: {'; '.join(reasons)}")


def left_out(readings: Iterable[BatchResult]) -> Iterable[CoverageRow]:
    """A row for each part of the material that was left out."""
    phrases = dict.fromkeys(phrase for one in readings for phrase in one.omitted)
    return [CoverageRow("material", FileState.SKIPPED, f"not shown to the model: {phrase}") for phrase in phrases]


def without_rules(
    readings: Sequence[BatchResult], pass_input: PassInput, shown: Sequence[tuple[Standard, ...]]
) -> Iterator[CoverageRow]:
    """Rows that keep the pass on standards from being complete: it had no section that applies, shown or searched for."""
    if STANDARDS not in pass_input.passes:
        return
    rules = pass_input.rules
    unruled = [batch for batch in pass_input.batches if not rules.apply_to(batch.paths)]
    if unruled:
        reason = f"no section of the team's rules applies to {len(unruled)} of {len(pass_input.batches)} parts"
        yield CoverageRow(STANDARDS, FileState.SKIPPED, reason)
    blind = [
        batch
        for batch, sections in zip(pass_input.batches, shown, strict=True)
        if batch not in unruled
        and not any(applies_to(s, path) for s in (*rules.shown, *sections) for path in batch.paths)
    ]
    searched = {one.batch for one in readings if any(True for _ in standards_in(one.answer.looked_up))}
    if any(batch not in searched for batch in blind):
        yield CoverageRow(STANDARDS, FileState.FAILED, f"no section was shown for {len(blind)} of {len(shown)} parts")


def missed(readings: Sequence[BatchResult]) -> tuple[tuple[str, str], ...]:
    """Files with a hunk that no pass could read, and why."""
    read = {hunk for one in readings if one.answer.value is not None for hunk in _hunks(one.batch)}
    failed = [one for one in readings if one.answer.value is None]
    unread = [
        (path, one.answer.reason) for one in failed for path, hunk in _hunks(one.batch) if (path, hunk) not in read
    ]
    return tuple(dict(unread).items())


def _hunks(batch: Batch) -> Iterator[tuple[str, Hunk]]:
    return ((part.path, hunk) for part in batch.parts for hunk in part.hunks)


@dataclass(frozen=True, slots=True)
class PassResults:
    """The results of the passes. Every draft is either in `drafts` or in `dropped` with its reason.

    `rows` has a coverage row for each pass; `missed` has the files with a hunk that no pass read, and why; `weighed` has
    the recheck results of known findings; `uncertain` are the grave ones of the dropped drafts that nothing refuted;
    `toolless` says that the model's server refuses tools.
    `unreachable` says that the model's server failed or did not answer a pass.
    """

    drafts: tuple[Draft, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    requirements: tuple[JudgedPoint, ...] = ()
    standards: tuple[Standard, ...] = ()
    rows: tuple[CoverageRow, ...] = ()
    missed: tuple[tuple[str, str], ...] = ()
    weighed: tuple[RecheckResult, ...] = ()
    uncertain: tuple[Dropped, ...] = ()
    toolless: bool = False
    usage: Usage = field(default_factory=Usage)
    versions: tuple[tuple[str, str], ...] = ()
    unreachable: bool = False
    conversations: tuple[ConversationRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes of one review, over the conversations of `session`."""

    session: ModelSession

    async def __call__(self, pass_input: PassInput) -> PassResults:
        """Runs all passes over a change; returns empty results without a model or without anything to read."""
        if not self.session.model.available or not pass_input.batches:
            return PassResults()
        if not self.session.tools:
            pass_input = _with_whole_files(pass_input)
        pass_input = await self._with_uses(pass_input)
        found = await self.find(pass_input)
        if found.toolless:
            pass_input = _with_whole_files(pass_input)
        standing = await self.refute(found, pass_input)
        verified = await self.verify(standing, pass_input)
        return replace(await self.requirements(verified, pass_input), versions=self.session.words.versions)

    async def find(self, pass_input: PassInput) -> PassResults:
        """Returns the merged claims of all passes. A large change is read once, with all lenses at the same time."""
        rules = [await self._batch_rules(n, batch, pass_input) for n, batch in enumerate(pass_input.batches, 1)]
        sections = [each.sections for each in rules]
        readings = await self._read(pass_input, sections)
        lookups = [lookup for one in readings for lookup in one.answer.looked_up]
        citable = (*pass_input.standards, *pass_input.rules.shown, *chain(*sections), *standards_in(lookups))
        drafts, absorbed = merge(one.drafts for one in readings)
        toolless = any(one.answer.toolless for one in readings)
        is_read = any(one.answer.value is not None for one in readings)
        return PassResults(
            drafts=drafts,
            dropped=absorbed,
            standards=tuple(sections_by_key(citable).values()),
            rows=(
                *ran(readings),
                *without_rules(readings, pass_input, sections),
                *(rules_rows(pass_input.rules, sections, [each.reason for each in rules]) if is_read else ()),
                *left_out(readings),
                *unanswered(lookups),
                *self._mode_rows(whole=toolless or pass_input.facts.whole),
            ),
            missed=missed(readings),
            usage=sum((one.answer.usage for one in readings), Usage()),
            toolless=toolless,
            unreachable=any(one.answer.unreachable for one in readings),
        )

    async def _read(self, pass_input: PassInput, rules: Sequence[tuple[Standard, ...]]) -> list[BatchResult]:
        """Reads every batch with every pass. A model that turns out to have no tools reads whole files from then on.

        The first conversation runs alone: it fills the server's cache for the others, or learns that the server refuses.
        """
        turns = await compute(self._turns, pass_input, rules)
        first = [await self._find(*turn) for turn in turns[:1]]
        if any(one.answer.toolless for many in first for one in many):
            turns = await compute(self._turns, _with_whole_files(pass_input), rules)
        others = await asyncio.gather(*(self._find(*turn) for turn in turns[1:]))
        return [one for many in (*first, *others) for one in many]

    def _turns(
        self, pass_input: PassInput, rules: Sequence[tuple[Standard, ...]]
    ) -> list[tuple[tuple[str, ...], str, Batch, Material, PassInput]]:
        """What `_find` is called with for each batch and pass; `rules` are the sections that each batch is shown."""
        batches, together = pass_input.batches, is_large(pass_input.batches) or self.session.reduced
        ours = len(self.session.policy) + len(self._find_words(pass_input.passes, batches))
        shown = zip(batches, materials(batches, pass_input.facts, ours), rules, strict=True)
        return [
            (lens, str(n), batch, replace(each, rules=fenced_rules(sections)), pass_input)
            for n, (batch, each, sections) in enumerate(shown, 1)
            for lens in _lenses(pass_input, batch, together=together)
        ]

    def _mode_rows(self, *, whole: bool) -> Iterator[CoverageRow]:
        """A row for a review in the reduced mode, or by a model without tools."""
        if self.session.reduced:
            yield CoverageRow("mode", FileState.SKIPPED, "reduced mode: one pass, without tools and requirements")
        elif whole:
            yield CoverageRow(
                "tools", FileState.SKIPPED, "the model has no tools: it was shown whole files where they fit"
            )

    async def refute(self, results: PassResults, pass_input: PassInput) -> PassResults:
        """Drops the drafts that the files do not show or that the code contradicts."""

        async def reasons() -> tuple[str, ...]:
            return tuple([await _refutation(draft, pass_input) for draft in results.drafts])

        found = await self.session.step("refute", reasons, tuple[str, ...])
        pairs = list(zip(results.drafts, found, strict=True))
        return replace(
            results,
            drafts=tuple(draft for draft, reason in pairs if not reason),
            dropped=(
                *results.dropped,
                *((draft, reason) for draft, reason in pairs if reason),
            ),
        )

    async def verify(self, results: PassResults, pass_input: PassInput) -> PassResults:
        """Drops the drafts that an independent conversation does not confirm."""
        if not results.drafts:
            return results
        grouped = enumerate(groups(results.drafts[:VERIFIED], pass_input.batches), 1)
        looks = await asyncio.gather(*(self._verify(f"verify/{n}", group, pass_input) for n, group in grouped))
        answered = [look for group in looks for look in group]
        readings = [answer for _, answer in answered]
        kept: list[Draft] = []
        dropped, uncertain = [*results.dropped], list[Dropped]()
        for number, (group, answer) in enumerate(answered, 1):
            verdicts = answer_value(answer, Verdicts)
            shown = [text for verdict in verdicts.verdicts for text in verdict.evidence] if verdicts else []
            named = (*shown, *(text for draft in group for text in draft.evidence))
            facts = await read_facts(self.session.step, f"verify/{number}/facts", pass_input, paths_named(named))
            verified = apply_verdicts(group, verdicts, facts, answer.reason)
            kept += verified.kept
            dropped += verified.dropped
            uncertain += verified.uncertain
        dropped += [(draft, "held: not verified (too many findings)") for draft in results.drafts[VERIFIED:]]
        return replace(
            results,
            drafts=tuple(kept),
            dropped=tuple(dropped),
            uncertain=tuple(uncertain),
            rows=(*results.rows, row("verify", readings)),
            usage=sum((answer.usage for answer in readings), results.usage),
            unreachable=results.unreachable or any(answer.unreachable for answer in readings),
        )

    async def requirements(self, results: PassResults, pass_input: PassInput) -> PassResults:
        """Adds a result for each acceptance point of the linked issues."""
        wanted = acceptance_points(pass_input.facts.issues)
        if not wanted or self.session.reduced:
            return results
        rows = [{"point": n, "issue": point.issue, "text": point.text} for n, point in enumerate(wanted, 1)]
        numbered = FencedText("points", "linked issues", json.dumps(rows, ensure_ascii=False, indent=1))
        whole = pass_input.batches[0] if len(pass_input.batches) == 1 else Batch(())
        shown = material(whole, pass_input.facts, budget(whole, pass_input.facts))
        answer = await self.session.ask(
            "requirements", "requirements", (*shown.data, numbered), Requirements, pass_input
        )
        return replace(
            results,
            requirements=judge(wanted, answer_value(answer, Requirements), pass_input.facts.heads),
            rows=(*results.rows, row("requirements", [answer])),
            usage=results.usage + answer.usage,
        )

    def _find_words(self, lenses: tuple[str, ...], batches: Iterable[Batch]) -> str:
        """What a pass looks for in batches, with hints for their languages."""
        if self.session.reduced:
            return self.session.words.say("reduced", lenses=lenses)
        languages = {language(path) for batch in batches for path in batch.paths}
        return self.session.words.say("find", lenses=lenses, languages=languages, tools=bool(self.session.tools))

    async def _find(
        self, lens: tuple[str, ...], number: str, batch: Batch, shown: Material, pass_input: PassInput
    ) -> tuple[BatchResult, ...]:
        """Reads a batch. A batch that is too large for the model is halved, down to a single hunk."""
        name = "+".join(lens)
        try:
            asked, words = f"find/{name}/{number}", self._find_words(lens, [batch])
            kind = ShortFindings if self.session.reduced else Findings
            answer = await self.session.ask_whole(asked, words, shown.whole, kind, pass_input)
        except TooLarge as error:
            turns = enumerate(split_material(batch, shown, pass_input.facts), 1)
            readings = [await self._find(lens, f"{number}.{n}", *what, pass_input) for n, what in turns]
            if readings:
                return tuple(one for many in readings for one in many)
            answer = ModelAnswer(None, str(error))
        short = answer_value(answer, ShortFindings) if self.session.reduced else None
        found = short.full() if short else None if self.session.reduced else answer_value(answer, Findings)
        drafts = (
            [with_typed_claim(_with_symbol(one, pass_input.facts)) for one in to_drafts(found, name)] if found else []
        )
        return (BatchResult(name, batch, answer, tuple(drafts), shown.omitted),)

    async def _with_uses(self, pass_input: PassInput) -> PassInput:
        """Adds the callers, overrides and tests of the definitions that the change alters or removes."""
        mentions, facts = pass_input.mentions, pass_input.facts
        wanted = {path for batch in pass_input.batches for path in batch.paths}
        files = [file for file in facts.diff if file.path in wanted or file.base_path in wanted]
        changed = await compute(changed_definitions, files, facts.heads)
        if mentions is None or not changed:
            return pass_input

        async def read() -> tuple[UsedDefinition, ...]:
            texts = [await mentions(definition.word) for definition in changed]
            return await compute(lambda: tuple(map(used_definition, changed, texts)))

        uses = await read_material(self.session.step, "uses", read)
        return replace(pass_input, facts=replace(facts, uses=uses))

    async def _batch_rules(self, number: int, batch: Batch, pass_input: PassInput) -> BatchRules:
        """The sections for a batch of a shelf that is not shown whole: first those that govern findings of the checks."""
        rules, search = pass_input.rules, pass_input.search
        if rules.whole or search is None:
            return BatchRules(batch_rules((), rules, batch))
        known = sections_by_key(rules.sections)
        keys = {section: key for key, section in known.items()}

        async def found() -> FoundSections:
            problems = [draft for draft in pass_input.facts.problems if draft.path in batch.paths]
            cited = [ref for draft in problems for ref in draft.standard_refs]
            queries = await compute(searches, batch, pass_input.facts.heads)
            try:
                hits = [await search(query, path) for path, query in queries]
            except Refused as error:
                return FoundSections(tuple(dict.fromkeys(cited)), str(error))
            nearest = [keys[section] for section in in_turn(hits) if section in keys]
            return FoundSections(tuple(dict.fromkeys((*cited, *nearest))))

        each = await self.session.step(f"rules/{number}", found, FoundSections)
        chosen = batch_rules((known[key] for key in each.keys if key in known), rules, batch)
        return BatchRules(chosen, each.reason)

    async def _verify(
        self, name: str, group: tuple[Draft, ...], pass_input: PassInput
    ) -> tuple[tuple[tuple[Draft, ...], ModelAnswer], ...]:
        """Looks at a group of drafts again. A group that is too large for the model is halved."""
        batch = batch_of(group, pass_input.facts.diff)
        shown = material(
            batch, replace(pass_input.facts, issues=(), said=(), problems=()), budget(batch, pass_input.facts)
        )
        data = (*shown.data, numbered_claims(group))
        if len(group) == 1:
            return (
                (group, await self.session.ask(name, self.session.words.say("verify"), data, Verdicts, pass_input)),
            )
        try:
            return (
                (
                    group,
                    await self.session.ask_whole(name, self.session.words.say("verify"), data, Verdicts, pass_input),
                ),
            )
        except TooLarge:
            half = len(group) // 2
            parts = enumerate((group[:half], group[half:]), 1)
            return tuple(chain(*[await self._verify(f"{name}.{n}", part, pass_input) for n, part in parts]))


def _with_whole_files(pass_input: PassInput) -> PassInput:
    """The input for a model that cannot look anything up."""
    return replace(pass_input, facts=replace(pass_input.facts, whole=True))


def _lenses(pass_input: PassInput, batch: Batch, *, together: bool) -> list[tuple[str, ...]]:
    """The passes over a batch, one or all at a time. Without a rule that applies there is nothing to compare with rules."""
    ruled = pass_input.rules.apply_to(batch.paths)
    names = tuple(name for name in pass_input.passes if ruled or name != STANDARDS)
    return [names] if together and names else [(name,) for name in names]


def _with_symbol(draft: Draft, facts: PullFacts) -> Draft:
    place = anchor(draft.path, draft.quoted, facts.diff, draft.side, draft.near)
    text = facts.heads.get(place.path, "")
    return replace(draft, symbol=symbol_at(place.path, text, place.line)) if text and place.line else draft


async def _refutation(draft: Draft, pass_input: PassInput) -> str:
    """Why a draft is dropped without a second look; empty if it is not."""
    facts = await head_facts(pass_input, {draft.path, *paths_named(draft.evidence)}, claimed_name(draft.claim))
    try:
        return await compute(within, CLAIM_SECONDS, lambda: _contradiction(draft, facts))
    except TooLarge as error:
        return f"the claim cannot be compared with the files: {error}"


def _contradiction(draft: Draft, facts: HeadFacts) -> str:
    if unproven := prove(draft, facts):
        return unproven.value
    contradicted = refute(draft, facts)
    return f"refuted by the code: {contradicted}" if contradicted else ""


CLAIM_SECONDS = 5.0
"""CPU seconds to compare one claim with the files."""


async def run_passes(model_review: ModelReview, job: Job, inputs: ModelInputs, step: Step) -> PassResults:
    """Runs every pass over the change, and asks again about findings in doubt. Returns empty results without a model."""
    if not model_review.model.available:
        return PassResults()
    session, pass_input = await model_review.prepare(job, inputs, step)
    results = await _recheck(session, pass_input, await Passes(session)(pass_input), inputs.doubts)
    return replace(results, conversations=session.conversations)


async def _recheck(
    session: ModelSession, pass_input: PassInput, results: PassResults, doubts: Sequence[RecheckCandidate]
) -> PassResults:
    """The results with a result for each of `doubts`. A finding that could not be judged is left out, and stays open.

    This comes last, so that a short budget goes to the new code first. A failure here is no gap in the review.
    """
    if not doubts:
        return results
    by_draft = {doubt.draft: doubt for doubt in doubts}
    grouped = [tuple(by_draft[draft] for draft in group) for group in groups(tuple(by_draft), pass_input.batches)]
    answers = await asyncio.gather(*(_ask_again(session, pass_input, n, group) for n, group in enumerate(grouped, 1)))
    judged = []
    for number, (group, answer) in enumerate(zip(grouped, answers, strict=True), 1):
        if verdicts := answer_value(answer, Verdicts):
            named = paths_named(text for verdict in verdicts.verdicts for text in verdict.evidence)
            facts = await read_facts(session.step, f"verify/again/{number}/facts", pass_input, named)
            judged.append(recheck_results(group, verdicts, facts))
    return replace(
        results,
        weighed=tuple(one for group in judged for one in group),
        usage=sum((answer.usage for answer in answers), results.usage),
        versions=session.words.versions,
    )


async def _ask_again(
    session: ModelSession, pass_input: PassInput, number: int, group: Sequence[RecheckCandidate]
) -> ModelAnswer:
    batch = recheck_batch(group, pass_input.facts.diff)
    facts = replace(pass_input.facts, issues=(), said=(), problems=())
    shown = material(batch, facts, budget(batch, facts))
    data = (*shown.data, numbered_claims([doubt.draft for doubt in group]))
    return await session.ask(f"verify/again/{number}", session.words.say("reverify"), data, Verdicts, pass_input)

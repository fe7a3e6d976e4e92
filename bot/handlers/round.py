"""The inputs of one review, and what follows from them: the model's input, the triage context, and the finished review."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.claims.recheck import RecheckCandidate, recheck_candidates
from bot.core.claims.rules import sections_by_key
from bot.core.code.compare import Blocks, blocks_read, new_hunks
from bot.core.code.diff import Diff
from bot.core.code.plan import Coverage, CoverageRow, FileState, add_partial_look, batches
from bot.core.code.pull_request import PullRequest
from bot.core.command import ReviewScope
from bot.core.comments.check_run import requirement, since
from bot.core.comments.remarks import remarks
from bot.core.comments.sanitize import plain
from bot.core.findings.executable_rules import SOURCE, ExecutableRules, RuleDrafts
from bot.core.findings.finding import Category, Draft, Severity, with_proof
from bot.core.findings.lifecycle import View
from bot.core.findings.standard import RuleLook, RuleState, Standard
from bot.core.findings.triage import GATES, Review, TriageContext
from bot.handlers.ask_model import STANDARDS, ModelInputs
from bot.handlers.known_findings import KnownState
from bot.handlers.passes import PassResults
from bot.handlers.read import Change, PolicyFile
from bot.handlers.run_checks import CheckedChange
from bot.handlers.standards import CitedDrafts, IndexedShelf
from bot.job import Job
from bot.standards.rule_usage import entry, in_scope

_PROBLEM = 300  # characters of a problem in a policy file: its keys are untrusted
_UNCERTAIN = 5  # uncertain claims that are listed
_OTHER_PASSES = CoverageRow("other passes", FileState.FAILED, "only the security pass was asked for")
_PARTIAL = {ReviewScope.SECURITY, ReviewScope.PATHS}  # reviews of some files or with one pass


@dataclass(frozen=True, slots=True)
class ReviewInputs:
    """The inputs of one review. `model` is the name of the model that is asked, or empty."""

    job: Job
    pull: PullRequest
    policy: PolicyFile
    change: Change
    checked: CheckedChange
    indexed: IndexedShelf
    cited_drafts: CitedDrafts
    known_state: KnownState
    model: str = ""
    results: PassResults = field(default_factory=PassResults)
    rules: ExecutableRules = field(default_factory=ExecutableRules)
    ruled: RuleDrafts = field(default_factory=RuleDrafts)

    @property
    def model_inputs(self) -> ModelInputs:
        """The input of the model's passes."""
        return ModelInputs(
            self.pull,
            self.policy.policy,
            self.change,
            self.indexed.searchable,
            self.cited_drafts.drafts,
            self.cited_drafts.standards,
            batches(self._unread.files),
            self._doubts if self.model else (),
            self.indexed.sections,
        )

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """The drafts of the checks and of the model."""
        return (*self.cited_drafts.drafts, *self.results.drafts)

    def context(self, parses: Callable[[str, str], bool]) -> TriageContext:
        """What triage judges the drafts by."""
        weighed = {one.identity: one for one in self.results.weighed}
        change = self.change
        return TriageContext(
            view=View(self.pull.head_sha, change.diff, change.heads, self._checked, self._read, weighed),
            policy=self.policy.policy,
            shelf=sections_by_key(self._standards),
            known=self.known_state.known,
            others=self.known_state.others,
            muted=self.known_state.muted,
            parses=parses,
        )

    def complete(self, review: Review, proofs: Sequence[tuple[str, ...] | None], unknown: Sequence[str]) -> Review:
        """The finished review, with coverage, remarks and notices. `unknown` are sentences on what the policy names in vain."""
        results, change, coverage = self.results, self.change, self._coverage
        return replace(
            review,
            findings=tuple(map(with_proof, review.findings, proofs)),
            dropped=(*review.dropped, *results.dropped, *self.ruled.waived),
            uncertain=self._uncertain,
            coverage=coverage,
            remarks=(*remarks(self.pull, change.diff), *map(requirement, results.requirements)),
            notices=(
                *(plain(problem, _PROBLEM) for problem in (*self.policy.problems, *unknown)),
                *self.indexed.tampered,
                *change.plan.notes,
                *review.notices,
                *self._since,
            ),
            blocks=self._blocks if self.model else {},
            conversations=results.conversations,
            lines=self._lines(coverage),
            usage=results.usage,
            versions=results.versions,
            unreachable=results.unreachable,
            awaits=self.checked.awaits,
            rules=self._rules(review),
            rule_states=self._rule_states(review),
            model=self.model,
            gate=GATES[self.policy.policy.fail_on],
            requests_changes=self.policy.policy.request_changes,
        )

    @property
    def _uncertain(self) -> tuple[tuple[Draft, str], ...]:
        """The claims that are worth a look, the gravest first, as far as the policy wants such findings at all."""
        least = Severity[self.policy.policy.severity.upper()]
        wanted = [(draft, reason) for draft, reason in self.results.uncertain if draft.severity >= least]
        ranked = sorted(
            wanted, key=lambda one: (one[0].category is not Category.SECURITY, -one[0].severity, -one[0].confidence)
        )
        return tuple(ranked[:_UNCERTAIN])

    @property
    def _incremental(self) -> bool:
        return self.job.scope.scope is ReviewScope.CHANGES

    @property
    def _unread(self) -> Diff:
        """The hunks that no model has read yet, or all of them in a full review."""
        return new_hunks(Diff(self.change.plan.files), self.known_state.seen if self._incremental else {})

    @property
    def _doubts(self) -> tuple[RecheckCandidate, ...]:
        """The findings to ask again about, unless only a part of the change is looked at."""
        if self.job.scope.scope in _PARTIAL:
            return ()
        known_state = self.known_state
        return recheck_candidates(
            known_state.known, Diff(self.change.plan.files), self.change.heads, known_state.seen, self.pull.head_sha
        )

    @property
    def _since(self) -> tuple[str, ...]:
        return since(self.known_state.since, len(self._unread.files)) if self.model and self._incremental else ()

    @property
    def _standards(self) -> tuple[Standard, ...]:
        return (*self.cited_drafts.standards, *self.results.standards)

    @property
    def _whole(self) -> bool:
        """Whether every pass finished."""
        return not self.results.missed and all(row.state is not FileState.FAILED for row in self.results.rows)

    @property
    def _checked(self) -> dict[str, tuple[str, ...]]:
        """For each file the checks that read it to its end; none where the journal does not say it."""
        if self.checked.unread is None:
            return {}
        unread = set(self.checked.unread)
        return {
            path: tuple(name for name in names if not {(name, ""), (name, path)} & unread)
            for path, names in self.checked.readers
        }

    @property
    def _read(self) -> frozenset[str]:
        """The files of which every pass read every new hunk."""
        if not self.model or not self._whole or self.job.scope.scope is ReviewScope.SECURITY:
            return frozenset()
        missed = {path for path, _ in self.results.missed}
        return frozenset(file.path for file in self.change.plan.files if file.path not in missed)

    @property
    def _blocks(self) -> Blocks:
        """The blocks that need not be read again. A partial review changes nothing."""
        if self.job.scope.scope in _PARTIAL:
            return self.known_state.seen
        return blocks_read(self.change.plan.files, unread=Diff() if self._whole else self._unread)

    @property
    def _coverage(self) -> Coverage:
        change, results, readers = self.change, self.results, dict(self.checked.readers)
        unread = {row.path: row for row in change.unread}
        unread |= {
            path: CoverageRow(path, FileState.FAILED, f"no pass read all of it: {why}") for path, why in results.missed
        }
        languages = dict(self.checked.unanalysed)
        rows = [
            unread.get(file.path)
            or CoverageRow(
                file.path,
                FileState.REVIEWED,
                by=readers.get(file.path, ()),
                unanalysed=languages.get(file.path, ""),
            )
            for file in change.plan.files
        ]
        unusable = (CoverageRow(f"check: {SOURCE}", FileState.FAILED, str(rule)) for rule in self.rules.unusable)
        asked = (*unusable, *self.indexed.rows, *self.cited_drafts.rows, *results.rows)
        look = Coverage((*rows, *change.plan.left_out), (*self.checked.rows, *asked))
        if self.job.scope.scope not in _PARTIAL:
            return look
        only_security = self.job.scope.scope is ReviewScope.SECURITY
        return add_partial_look(look, self.known_state.unreviewed, (_OTHER_PASSES,) if only_security else ())

    def _lines(self, coverage: Coverage) -> tuple[int, int]:
        """The number of changed lines, and of those in reviewed files."""
        changed = {file.path: file.additions + file.deletions for file in self.change.diff}
        read = {row.path for row in coverage.files if row.state is FileState.REVIEWED}
        return sum(changed.values()), sum(lines for path, lines in changed.items() if path in read)

    def _rules(self, review: Review) -> Mapping[str, Any]:
        """The usage of each of the team's rules in this review."""
        paths = [file.path for file in self.change.plan.files]
        seen = {standard.section or standard.id for standard in self._standards}
        return entry(self.indexed.sections, paths, seen, (*review.findings, *review.listed))

    def _rule_states(self, review: Review) -> tuple[RuleState, ...]:
        """What happened to each section in scope."""
        cited = {one.section or one.id for finding in (*review.findings, *review.listed) for one in finding.standards}
        waived = {draft.standard_refs[0]: f"{draft.path}: {why}" for draft, why in self.ruled.waived}
        unread = {name for name, path in self.checked.unread or () if not path}
        by_code = {rule.section.id for rule in self.rules.rules if SOURCE not in unread}
        judged = {one.section or one.id for one in self.results.standards} if self._judged else set()
        looks = (
            (RuleLook.CITED, dict.fromkeys(cited, "")),
            (RuleLook.WAIVED, waived),
            (RuleLook.CHECKED, dict.fromkeys(by_code, "")),
            (RuleLook.JUDGED, dict.fromkeys(judged, "")),
        )
        sections = in_scope(self.indexed.sections, [file.path for file in self.change.plan.files])
        return tuple(_state(id_, looks, self._unseen) for id_ in dict.fromkeys(section.id for section in sections))

    @property
    def _judged(self) -> bool:
        """Whether the model's pass on standards finished."""
        rows = [row for row in self.results.rows if row.path == STANDARDS]
        return bool(self.model) and all(row.state is not FileState.FAILED for row in rows)

    @property
    def _unseen(self) -> str:
        """Why a section that no rule and no finding is about was not looked at."""
        if not self.model:
            return "it has no executable rule, and no model reviewed this head"
        return "it was not shown to the model" if self._judged else "the pass on standards did not finish"


def _state(id_: str, looks: Sequence[tuple[RuleLook, Mapping[str, str]]], unseen: str) -> RuleState:
    look, why = next(((look, found[id_]) for look, found in looks if id_ in found), (RuleLook.UNSEEN, unseen))
    return RuleState(id_, look, why)


def with_rules(cited: CitedDrafts, ruled: RuleDrafts, rules: ExecutableRules) -> CitedDrafts:
    """Adds the drafts of executable rules, each with the section that carries its rule."""
    refs = {ref for draft in ruled.drafts for ref in draft.standard_refs}
    sections = {one.id: one for one in (*cited.standards, *(r.section for r in rules.rules if r.section.id in refs))}
    return replace(cited, drafts=(*ruled.drafts, *cited.drafts), standards=tuple(sections.values()))

"""What one round gathered before anything is decided, and what follows from it: what to ask, to judge by, and to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.claims.recheck import RecheckCandidate, recheck_candidates
from bot.core.code.compare import Blocks, blocks_read, new_hunks
from bot.core.code.diff import Diff
from bot.core.code.plan import Coverage, CoverageRow, FileState, add_partial_look, batches
from bot.core.code.pull_request import PullRequest
from bot.core.command import ReviewScope
from bot.core.comments.check_run import requirement, since
from bot.core.comments.remarks import remarks
from bot.core.comments.sanitize import plain
from bot.core.findings.finding import Draft, with_proof
from bot.core.findings.lifecycle import View
from bot.core.findings.standard import Standard
from bot.core.findings.triage import Review, TriageContext
from bot.handlers.ask_model import ModelInputs
from bot.handlers.known_findings import KnownState
from bot.handlers.passes import PassResults
from bot.handlers.read import Change, PolicyFile
from bot.handlers.run_checks import CheckedChange
from bot.handlers.standards import CitedDrafts, IndexedShelf
from bot.job import Job
from bot.standards.rule_usage import entry

_PROBLEM = 300  # characters of what is wrong in a policy file: its keys are whatever somebody wrote
_OTHER_PASSES = CoverageRow("other passes", FileState.FAILED, "only the security pass was asked for")
_PARTIAL = {ReviewScope.SECURITY, ReviewScope.PATHS}  # a look at a part, or with one eye


@dataclass(frozen=True, slots=True)
class ReviewInputs:
    """The material of one round. `model` is the name of the one that is asked, or empty."""

    job: Job
    pull: PullRequest
    policy: PolicyFile
    change: Change
    checked: CheckedChange
    shelved: IndexedShelf
    cited: CitedDrafts
    recalled: KnownState
    model: str = ""
    opinion: PassResults = field(default_factory=PassResults)

    @property
    def subject(self) -> ModelInputs:
        """What the model is asked about."""
        return ModelInputs(
            self.pull,
            self.policy.policy,
            self.change,
            self.shelved.searchable,
            self.cited.drafts,
            self.cited.standards,
            batches(self._unread.files),
            self._doubts if self.model else (),
        )

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """Everything that is claimed."""
        return (*self.cited.drafts, *self.opinion.drafts)

    def context(self, parses: Callable[[str, str], bool]) -> TriageContext:
        """What the drafts are judged by."""
        weighed = {one.identity: one for one in self.opinion.weighed}
        change = self.change
        return TriageContext(
            view=View(self.pull.head_sha, change.diff, change.heads, self._checked, self._read, weighed),
            policy=self.policy.policy,
            shelf={one.id: one for one in self._standards},
            known=self.recalled.known,
            others=self.recalled.others,
            muted=self.recalled.muted,
            parses=parses,
        )

    def told(self, review: Review, proofs: Sequence[tuple[str, ...] | None], unknown: Sequence[str]) -> Review:
        """The judged review with all that it has to tell; `unknown` is what the policy wants and nobody offers."""
        opinion, change = self.opinion, self.change
        return replace(
            review,
            findings=tuple(map(with_proof, review.findings, proofs)),
            dropped=(*review.dropped, *opinion.dropped),
            coverage=self._coverage,
            remarks=(*remarks(self.pull, change.diff), *map(requirement, opinion.requirements)),
            notices=(
                *(plain(problem, _PROBLEM) for problem in (*self.policy.problems, *unknown)),
                *self.shelved.tampered,
                *change.plan.notes,
                *review.notices,
                *self._since,
            ),
            blocks=self._blocks if self.model else {},
            usage=opinion.usage,
            versions=opinion.versions,
            rules=self._rules(review),
            model=self.model,
        )

    @property
    def _incremental(self) -> bool:
        return self.job.scope.scope is ReviewScope.CHANGES

    @property
    def _unread(self) -> Diff:
        """What no model has read yet, or all of it where that is wanted."""
        return new_hunks(Diff(self.change.plan.files), self.recalled.seen if self._incremental else {})

    @property
    def _doubts(self) -> tuple[RecheckCandidate, ...]:
        """The findings to ask again about, unless only a part of the change is looked at."""
        if self.job.scope.scope in _PARTIAL:
            return ()
        recalled = self.recalled
        return recheck_candidates(
            recalled.known, Diff(self.change.plan.files), self.change.heads, recalled.seen, self.pull.head_sha
        )

    @property
    def _since(self) -> tuple[str, ...]:
        return since(self.recalled.since, len(self._unread.files)) if self.model and self._incremental else ()

    @property
    def _standards(self) -> tuple[Standard, ...]:
        return (*self.cited.standards, *self.opinion.standards)

    @property
    def _whole(self) -> bool:
        """Whether every pass that was wanted came to its end."""
        return not self.opinion.missed and all(row.state is not FileState.FAILED for row in self.opinion.rows)

    @property
    def _checked(self) -> dict[str, tuple[str, ...]]:
        """For each file the checks that read it to its end."""
        failed = {row.path for row in self.checked.rows if row.state is FileState.FAILED}
        return {
            path: tuple(name for name in names if not {f"check: {name}", f"check: {name}: {path}"} & failed)
            for path, names in self.checked.readers
        }

    @property
    def _read(self) -> frozenset[str]:
        """The files of which the model saw all that is new, in every way it looks at them."""
        if not self.model or not self._whole or self.job.scope.scope is ReviewScope.SECURITY:
            return frozenset()
        missed = {path for path, _ in self.opinion.missed}
        return frozenset(file.path for file in self.change.plan.files if file.path not in missed)

    @property
    def _blocks(self) -> Blocks:
        """What need not be read again. A look at a part leaves that as it was."""
        if self.job.scope.scope in _PARTIAL:
            return self.recalled.seen
        return blocks_read(self.change.plan.files, unread=Diff() if self._whole else self._unread)

    @property
    def _coverage(self) -> Coverage:
        change, opinion, readers = self.change, self.opinion, dict(self.checked.readers)
        unread = {row.path: row for row in change.unread}
        unread |= {
            path: CoverageRow(path, FileState.FAILED, f"no pass read all of it: {why}") for path, why in opinion.missed
        }
        rows = [
            unread.get(file.path) or CoverageRow(file.path, FileState.REVIEWED, by=readers.get(file.path, ()))
            for file in change.plan.files
        ]
        asked = (*self.shelved.rows, *self.cited.rows, *opinion.rows)
        look = Coverage((*rows, *change.plan.left_out), (*self.checked.rows, *asked))
        if self.job.scope.scope not in _PARTIAL:
            return look
        only_security = self.job.scope.scope is ReviewScope.SECURITY
        return add_partial_look(look, self.recalled.unreviewed, (_OTHER_PASSES,) if only_security else ())

    def _rules(self, review: Review) -> Mapping[str, Any]:
        """What happened to each rule of the team in this review."""
        paths = [file.path for file in self.change.plan.files]
        seen = {one.id for one in self._standards}
        return entry(self.shelved.sections, paths, seen, (*review.findings, *review.listed))

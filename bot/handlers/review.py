"""The use case: review a pull request. Read, check, cite, ask the model, triage, publish, conclude, record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from bot.core.claims.references import SOURCE as REFERENCES
from bot.core.code.language import is_nameless
from bot.core.code.plan import CoverageRow, FileState
from bot.core.code.pull_request import PullRequest
from bot.core.comments.check_run import check_key, concluded, conclusion, failed, started, stopped
from bot.core.comments.comment import GATE_LIFTED, LinkBase, inline, review_body
from bot.core.comments.marker import Signer
from bot.core.comments.post import ReviewPost
from bot.core.comments.replies import not_lifted
from bot.core.findings.anchor import Place
from bot.core.findings.executable_rules import ExecutableRule, ExecutableRules, executable_rules, rule_drafts
from bot.core.findings.finding import Finding
from bot.core.findings.known import DismissedBy, KnownFinding, new_known_finding, pack
from bot.core.findings.triage import Review, triage
from bot.core.policy import Policy
from bot.core.story import story_of
from bot.deadline import compute
from bot.errors import Superseded
from bot.handlers.ask_model import ModelReview
from bot.handlers.check_runs import CheckReporter, optional
from bot.handlers.known_findings import KnownFindings, KnownState
from bot.handlers.passes import run_passes
from bot.handlers.questions import SummaryWriter
from bot.handlers.read import Change, PolicyFile, material, read_change, read_policy
from bot.handlers.round import ReviewInputs, with_rules
from bot.handlers.run_checks import (
    CheckedChange,
    FoundReferences,
    ReadFiles,
    find_references,
    prove_suggestions,
    run_checks,
    with_references,
    with_reports,
)
from bot.handlers.standards import CitedDrafts, cite, shelve
from bot.interfaces import Check, CodeHost, Publisher, ReportSource, Standards, Step
from bot.job import Job, Trigger
from bot.model.tools import Files, SearcherFactory
from bot.storage.audit import AuditLog
from bot.storage.ledger import Ledger, ReviewRecord

MARKED = 60
"""Findings without a comment of their own whose markers a review's body carries."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One review from start to finish. Every line that touches the world is a step. `watch` sees the review before it is posted."""

    host: CodeHost
    publisher: Publisher
    model_review: ModelReview
    standards: Standards
    checks: Sequence[Check]
    check_rules: Callable[[Sequence[ExecutableRule]], Check] | None
    search: SearcherFactory | None
    reports: ReportSource | None
    ledger: Ledger
    signer: Signer
    parses: Callable[[str, str], bool]
    known_findings: KnownFindings
    summary_writer: SummaryWriter
    watch: Callable[[Review], None] = lambda _: None

    async def __call__(self, job: Job, step: Step) -> str:
        """Reviews the pull request at its current head; returns the conclusion. Raises Superseded."""
        pull = await self._seen(job, step)
        if pull.closed:
            raise Superseded("the pull request is closed")
        key, reporter = check_key(pull, job.id), CheckReporter(self.publisher, self.signer)
        await reporter.show(pull, started(key), "started", step)
        review = await self.review(job, pull, step)
        self.watch(review)
        url = await self._publish(job, pull, review, step)
        known = await step("settled", lambda: self.known_findings.settle(pull, review.known), tuple[KnownFinding, ...])
        review = await self._lift(pull, review, step)
        await reporter.end_aloud(pull, concluded(review, key, url), "concluded", step)
        await step("recorded", lambda: self._record(job, pull, replace(review, known=known), url), type(None))
        await self._unlabel(job, step)
        await self._signal(job, "rocket", step)
        await self._summarise(job, pull, step)
        return conclusion(review).value

    async def review(self, job: Job, pull: PullRequest, step: Step) -> Review:
        """Returns the review without posting it."""
        inputs = await self._read_inputs(job, pull, step)
        review = await compute(lambda: triage(inputs.drafts, inputs.context(self.parses)))
        checks, read = self._checks(inputs.policy.policy, inputs.rules), read_files(inputs.change)
        proofs = await step(
            "suggestions", lambda: prove_suggestions(checks, review.findings, read), tuple[tuple[str, ...] | None, ...]
        )
        unknown = self.model_review.unknown(inputs.policy.policy)
        return await compute(inputs.complete, review, proofs, unknown)

    async def _read_inputs(self, job: Job, pull: PullRequest, step: Step) -> ReviewInputs:
        """Read, check, cite, recall, ask."""
        policy = await step("policy", lambda: read_policy(self.host, pull), PolicyFile)
        needed = self._needs(self._checks(policy.policy))
        change = await material(
            step, "change", lambda: read_change(self.host, pull, policy.policy, needed, job.scope.paths)
        )
        indexed = await shelve(self.host, self.standards, pull, policy.policy, change.diff, step)
        rules = executable_rules(indexed.sections)
        checks = self._checks(policy.policy, rules)
        checked = await step("checks", lambda: run_checks(checks, read_files(change)), CheckedChange)
        checked = await self._with_references(checked, pull, policy.policy, change, step)
        checked = await self._with_reports(checked, pull, policy.policy, change, step)
        ruled = await compute(
            rule_drafts, checked.drafts, rules.rules, change.heads, change.diff, policy.policy.waivers
        )
        cited_drafts = await step(
            "citations", lambda: cite(self.standards, indexed, ruled.others, policy.policy.cites), CitedDrafts
        )
        known_state = await step("recalled", lambda: self.known_findings.recall(pull, policy.policy, job), KnownState)
        model = self.model_review.chosen(policy.policy)
        name = model.name if model.available else ""
        cited_drafts = with_rules(cited_drafts, ruled, rules)
        inputs = ReviewInputs(
            job, pull, policy, change, checked, indexed, cited_drafts, known_state, name, rules=rules, ruled=ruled
        )
        if not self.model_review.model.available:
            return inputs
        asked = await compute(lambda: inputs.model_inputs)
        return replace(inputs, results=await run_passes(self.model_review, job, asked, step))

    async def _with_references(
        self, checked: CheckedChange, pull: PullRequest, policy: Policy, change: Change, step: Step
    ) -> CheckedChange:
        """Adds what the change leaves broken elsewhere, if the operator and the policy want that."""
        if self.search is None or not (policy.checks is None or REFERENCES in policy.checks):
            return checked
        files = Files(self.host, pull)
        searcher = self.search(files)
        found = await step(
            "references", lambda: find_references(searcher, files, change.diff, change.heads), FoundReferences
        )
        return with_references(checked, found, change.diff)

    async def _with_reports(
        self, checked: CheckedChange, pull: PullRequest, policy: Policy, change: Change, step: Step
    ) -> CheckedChange:
        """Adds what the team's own analysers found at the head, if there is anywhere to read it."""
        source = self.reports
        if source is None or not source.reads(policy.sarif):
            return checked

        async def add_reports() -> CheckedChange:
            read = read_files(change)
            found = await source.reports(pull, policy.sarif, [file.path for file in read.files])
            return await compute(with_reports, checked, found, read)

        return await step("SARIF", add_reports, CheckedChange)

    async def abandon(self, job: Job, reason: str, step: Step) -> str:
        """Reports on the check run, and to the person who asked, that the review was superseded or stopped."""
        pull = await self._seen(job, step)
        reporter = CheckReporter(self.publisher, self.signer)
        await reporter.end(pull, stopped(check_key(pull, job.id), reason), "abandoned", step)
        await self._signal(job, "confused", step)
        return "abandoned"

    async def fail(self, job: Job, reason: str, step: Step) -> str:
        """Reports that the review failed, and why: on the check run or else in a comment, never silent, never green."""
        pull = await self._seen(job, step)
        run = failed(check_key(pull, job.id), reason)
        await CheckReporter(self.publisher, self.signer).end_aloud(pull, run, "abandoned", step)
        await self._unlabel(job, step)
        await self._signal(job, "confused", step)
        return "abandoned"

    async def _signal(self, job: Job, reaction: str, step: Step) -> None:
        """Reacts to the comment that asked for the review, if one did."""
        if job.comment:
            await optional(step, "reacted", lambda: self.publisher.react(job, reaction))

    async def _unlabel(self, job: Job, step: Step) -> None:
        """Removes the label that asked for the review, if one did."""
        if job.trigger is Trigger.LABEL:
            await optional(step, "unlabel", lambda: self.publisher.unlabel(job.pull, job.text))

    async def _summarise(self, job: Job, pull: PullRequest, step: Step) -> None:
        """Bring the walkthrough up to date where the policy wants one after each review."""
        policy = (await step("policy", lambda: read_policy(self.host, pull), PolicyFile)).policy
        if policy.summary == "always":
            await self.summary_writer(job, pull, policy, step)

    async def _seen(self, job: Job, step: Step) -> PullRequest:
        if job.seen is not None:
            return job.seen
        return await step("pull", lambda: self.host.pull_request(job.pull), PullRequest)

    def _checks(self, policy: Policy, rules: ExecutableRules | None = None) -> list[Check]:
        """The checks that operator and policy want; the one for `rules` if there are any."""
        checks = [
            *self.checks,
            *([self.check_rules(rules.rules)] if self.check_rules and rules and rules.rules else []),
        ]
        return [check for check in checks if policy.checks is None or check.name in policy.checks]

    def _needs(self, checks: Sequence[Check]) -> Callable[[str], bool]:
        """The files that must be read whole: the model needs their context, and some checks need whole files."""
        model = self.model_review.model.available
        return lambda path: model or is_nameless(path) or any(check.whole and check.reads(path) for check in checks)

    async def _publish(self, job: Job, pull: PullRequest, review: Review, step: Step) -> str:
        """Posts one review if there are findings; returns its address, or an empty text."""
        if not review.findings:
            return ""
        post = post_of(review, job, pull, self.signer)
        return await step("publish", lambda: self.publisher.review(pull, post), str)

    async def _lift(self, pull: PullRequest, review: Review, step: Step) -> Review:
        """Withdraws our requests for changes if nothing fails the check; returns the review, with what GitHub refused."""
        if review.failing or not review.requests_changes:
            return review
        trouble = await optional(step, "lifted", lambda: self.publisher.lift(pull, GATE_LIFTED))
        return replace(review, notices=(*review.notices, not_lifted(trouble))) if trouble else review

    async def _record(self, job: Job, pull: PullRequest, review: Review, url: str) -> None:
        news = [new_known_finding(finding, pull.head_sha) for finding in (*review.findings, *review.listed)]
        detail = {
            "seen": dict(review.blocks),
            "posted": len(review.findings),
            "listed": len(review.listed),
            "dropped": len(review.dropped),
            "files": len(review.coverage.files),
            "files_read": sum(row.state is FileState.REVIEWED for row in review.coverage.files),
            "lines": review.lines[0],
            "lines_read": review.lines[1],
            "base": pull.base_ref,
            "unreviewed": [asdict(row) for row in _unreviewed(review)],
            "usage": asdict(review.usage),
            "versions": dict(review.versions),
            "rules": dict(review.rules),
            "unreachable": review.unreachable,
            "awaits": review.awaits,
        }
        story = story_of(review, LinkBase.of(pull))
        end = conclusion(review).value
        record = ReviewRecord(job.id, pull.ref, pull.head_sha, job.trigger.value, end, url, detail, story)
        log = AuditLog(self.ledger.database)
        known = {finding.identity for finding in await self.ledger.findings(pull.ref) if not finding.standing}
        for finding in review.known:  # a thumbs down has no event of its own, and that of a thread may be lost
            if finding.dismissed_by in {DismissedBy.REACTION, DismissedBy.THREAD} and finding.identity not in known:
                what = f"dismissed {finding.identity}"
                await log.append(
                    job, what, finding.reason, finding=finding.identity, by=finding.by, how=finding.dismissed_by
                )
        await self.ledger.record(record, [*review.known, *news])
        posted = [finding.identity for finding in review.findings]
        await log.append(
            job, "reviewed", end, head=pull.head_sha, url=url, model=review.model, posted=posted,
            prompts=dict(review.versions), tokens=review.usage.input + review.usage.output,
        )  # fmt: skip


def read_files(change: Change) -> ReadFiles:
    """What the checks read of a change."""
    plan = change.plan
    return ReadFiles(plan.files, change.heads, change.diff.files, plan.skimmed, change.builtins_at)


def _unreviewed(review: Review) -> tuple[CoverageRow, ...]:
    """The failed rows, which a later partial review of the same head keeps."""
    without = () if review.model else (CoverageRow("model", FileState.FAILED, "no model reviewed this head"),)
    return (*review.coverage.failed, *without)


def post_of(review: Review, job: Job, pull: PullRequest, signer: Signer) -> ReviewPost:
    """The review as one post. Its key names the job and the head, so that it can be posted once only."""
    name = signer.name("review", str(pull.ref.repo_id or pull.ref.repo), str(pull.ref.number), pull.head_sha, job.id)
    key = signer.mark(pull.ref, "review", name)
    address = LinkBase.of(pull)
    hanging = [finding for finding in review.findings if finding.anchor.place is Place.INLINE]
    elsewhere = [finding for finding in (*review.findings, *review.listed) if finding not in hanging]

    def mark(finding: Finding) -> str:
        return signer.mark(pull.ref, "finding", finding.identity, pack(new_known_finding(finding, pull.head_sha)))

    return ReviewPost(
        key=key,
        commit=pull.head_sha,
        body=review_body(review, address, "\n".join([*map(mark, elsewhere[:MARKED]), key])),
        comments=tuple(inline(finding, address, mark(finding)) for finding in hanging),
        requests_changes=review.requests_changes and review.failing > 0,
    )

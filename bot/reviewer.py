"""The use case: review a pull request. Read it aloud: read, check, cite, ask, triage, publish, conclude, record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bot.asking import Asking, Subject
from bot.checking import CheckedChange, prove_suggestions, run_checks
from bot.citing import Cited, Shelved, cite, shelve
from bot.errors import Superseded
from bot.interfaces import Check, CodeHost, Publisher, Standards, Step
from bot.job import Job, Trigger
from bot.keeping import Keeper, Recalled
from bot.ledger import Ledger, ReviewRecord
from bot.passes import Opinion
from bot.reading import Change, PolicyFile, material, read_change, read_policy
from bot.review.anchor import Place
from bot.review.command import Scope
from bot.review.comment import Address, inline, review_body
from bot.review.coverage import Coverage, Covered, State
from bot.review.diff import Diff
from bot.review.doubt import Doubt, doubts
from bot.review.finding import Finding, with_proof
from bot.review.interdiff import fresh, read
from bot.review.known import Known, first, packed
from bot.review.lifecycle import View
from bot.review.marker import Signer
from bot.review.plan import batches
from bot.review.policy import Policy
from bot.review.post import ReviewPost
from bot.review.pull_request import PullRequest
from bot.review.remarks import remarks
from bot.review.report import check_key, concluded, conclusion, requirement, since, started, stopped
from bot.review.rule_ledger import entry
from bot.review.standard import Standard
from bot.review.title import plain
from bot.review.triage import Context, Review, triage
from bot.summarising import Summarising

_PROBLEM = 300  # characters of what is wrong in a policy file: its keys are whatever somebody wrote
MARKED = 60
"""Findings without a comment of their own whose markers a review's body carries."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One review, start to finish. Every line that touches the world is a step."""

    host: CodeHost
    publisher: Publisher
    asking: Asking
    standards: Standards
    checks: Sequence[Check]
    ledger: Ledger
    signer: Signer
    parses: Callable[[str, str], bool]
    keeper: Keeper
    summarising: Summarising

    async def __call__(self, job: Job, step: Step) -> str:
        """Review the pull request at its head now; the word says how it ended. Raises Superseded."""
        pull = await self._seen(job, step)
        if pull.closed:
            raise Superseded("the pull request is closed")
        await step("started", lambda: self.publisher.check(pull, started(check_key(pull))), int)
        review = await self.review(job, pull, step)
        url = await self._publish(job, pull, review, step)
        known = await step("settled", lambda: self.keeper.settle(pull, review.known), tuple[Known, ...])
        await step("concluded", lambda: self.publisher.check(pull, concluded(review, check_key(pull), url)), int)
        await step("recorded", lambda: self._record(job, pull, replace(review, known=known), url), type(None))
        await self._acknowledge(job, pull, step)
        return conclusion(review).value

    async def review(self, job: Job, pull: PullRequest, step: Step) -> Review:
        """Everything up to what will be said; nothing is posted."""
        policy = await step("policy", lambda: read_policy(self.host, pull), PolicyFile)
        checks = self._checks(policy.policy)
        change = await material(
            step, "change", lambda: read_change(self.host, pull, policy.policy, self._needs(checks), job.scope.paths)
        )
        checked = await step("checks", lambda: run_checks(checks, change.plan.files, change.heads), CheckedChange)
        shelved = await shelve(self.host, self.standards, pull, policy.policy, change.diff, step)
        cited = await step("citations", lambda: cite(self.standards, shelved, checked.drafts), Cited)
        recalled = await step("recalled", lambda: self.keeper.recall(pull, policy.policy), Recalled)
        model, incremental = self.asking.model, job.scope.scope is Scope.CHANGES
        unread = fresh(Diff(change.plan.files), recalled.seen if incremental else {})
        subject = Subject(
            pull,
            policy.policy,
            change,
            shelved.searchable,
            cited.drafts,
            cited.standards,
            batches(unread.files),
            _doubts(pull, change, recalled, job) if model.available else (),
        )
        opinion = await self.asking(job, subject, step)
        partly = since(recalled.since, len(unread.files)) if model.available and incremental else ()
        review = triage(
            (*cited.drafts, *opinion.drafts),
            Context(
                view=View(
                    pull.head_sha,
                    change.diff,
                    change.heads,
                    _checked(checked),
                    _read(change, opinion, job),
                    {one.identity: one for one in opinion.weighed},
                ),
                policy=policy.policy,
                shelf={one.id: one for one in (*cited.standards, *opinion.standards)},
                known=recalled.known,
                others=recalled.others,
                muted=recalled.muted,
                parses=self.parses,
            ),
        )
        proofs = await step(
            "suggestions",
            lambda: prove_suggestions(checks, review.findings, change.heads),
            tuple[tuple[str, ...] | None, ...],
        )
        return replace(
            review,
            findings=tuple(map(with_proof, review.findings, proofs)),
            dropped=(*review.dropped, *opinion.dropped),
            coverage=_coverage(change, checked, (*shelved.rows, *cited.rows), opinion),
            remarks=(*remarks(pull, change.diff), *map(requirement, opinion.requirements)),
            notices=(
                *(plain(problem, _PROBLEM) for problem in (*policy.problems, *self.asking.unknown(policy.policy))),
                *shelved.tampered,
                *change.plan.notes,
                *review.notices,
                *partly,
            ),
            blocks=_blocks(change, opinion, recalled, unread, job) if model.available else {},
            usage=opinion.usage,
            versions=opinion.versions,
            rules=_rules(change, shelved, (*cited.standards, *opinion.standards), review),
            model=model.name if model.available else "",
        )

    async def abandon(self, job: Job, reason: str, step: Step) -> str:
        """Say on the check run of a head that its review was superseded or stopped."""
        pull = await self._seen(job, step)
        await step("abandoned", lambda: self.publisher.check(pull, stopped(check_key(pull), reason)), int)
        return "abandoned"

    async def fail(self, job: Job, reason: str, step: Step) -> str:
        """Say on the check run that the review failed, and why: never silent, never green."""
        if job.comment:
            await step("reacted", lambda: self.publisher.react(job, "confused"), type(None))
        return await self.abandon(job, f"The review failed: {reason}", step)

    async def _acknowledge(self, job: Job, pull: PullRequest, step: Step) -> None:
        """Where the review was asked for: a label comes off, a comment gets a rocket; the walkthrough is brought up to date."""
        if job.trigger is Trigger.LABEL:
            await step("unlabel", lambda: self.publisher.unlabel(pull.ref, job.text), type(None))
        if job.comment:
            await step("reacted", lambda: self.publisher.react(job, "rocket"), type(None))
        policy = (await step("policy", lambda: read_policy(self.host, pull), PolicyFile)).policy
        if policy.summary == "always":
            await self.summarising(job, pull, policy, step)

    async def _seen(self, job: Job, step: Step) -> PullRequest:
        if job.seen is not None:
            return job.seen
        return await step("pull", lambda: self.host.pull_request(job.pull), PullRequest)

    def _checks(self, policy: Policy) -> list[Check]:
        return [check for check in self.checks if policy.checks is None or check.name in policy.checks]

    def _needs(self, checks: Sequence[Check]) -> Callable[[str], bool]:
        """Which files must be read whole: a model wants their context, some checks cannot do with the hunks."""
        model = self.asking.model.available
        return lambda path: model or any(check.whole and check.reads(path) for check in checks)

    async def _publish(self, job: Job, pull: PullRequest, review: Review, step: Step) -> str:
        """Post one review, if there is something to say; its address, or nothing."""
        if not review.findings:
            return ""
        post = post_of(review, job, pull, self.signer)
        return await step("publish", lambda: self.publisher.review(pull, post), str)

    async def _record(self, job: Job, pull: PullRequest, review: Review, url: str) -> None:
        news = [first(finding, pull.head_sha) for finding in (*review.findings, *review.listed)]
        detail = {
            "seen": dict(review.blocks),
            "posted": len(review.findings),
            "listed": len(review.listed),
            "dropped": len(review.dropped),
            "files": len(review.coverage.files),
            "usage": asdict(review.usage),
            "versions": dict(review.versions),
            "rules": dict(review.rules),
        }
        record = ReviewRecord(job.id, pull.ref, pull.head_sha, job.trigger.value, conclusion(review).value, url, detail)
        await self.ledger.record(record, [*review.known, *news])


def post_of(review: Review, job: Job, pull: PullRequest, signer: Signer) -> ReviewPost:
    """The review as one post. Its key names the job and the head, so that it can be posted once only."""
    name = signer.name("review", str(pull.ref.repo_id or pull.ref.repo), str(pull.ref.number), pull.head_sha, job.id)
    key = signer.mark(pull.ref, "review", name)
    address = Address.of(pull)
    hanging = [finding for finding in review.findings if finding.anchor.place is not Place.SUMMARY]
    elsewhere = [finding for finding in (*review.findings, *review.listed) if finding not in hanging]

    def mark(finding: Finding) -> str:
        return signer.mark(pull.ref, "finding", finding.identity, packed(first(finding, pull.head_sha)))

    return ReviewPost(
        key=key,
        commit=pull.head_sha,
        body=review_body(review, address, "\n".join([*map(mark, elsewhere[:MARKED]), key])),
        comments=tuple(inline(finding, address, mark(finding)) for finding in hanging),
    )


def _coverage(change: Change, checked: CheckedChange, standards: Sequence[Covered], opinion: Opinion) -> Coverage:
    readers = dict(checked.readers)
    unread = {row.path: row for row in change.unread}
    unread |= {path: Covered(path, State.FAILED, f"no pass read all of it: {why}") for path, why in opinion.missed}
    read = [
        unread.get(file.path) or Covered(file.path, State.REVIEWED, by=readers.get(file.path, ()))
        for file in change.plan.files
    ]
    return Coverage((*read, *change.plan.left_out), (*checked.rows, *standards, *opinion.rows))


def _checked(checked: CheckedChange) -> dict[str, tuple[str, ...]]:
    """For each file the checks that read it to its end."""
    failed = {row.path for row in checked.rows if row.state is State.FAILED}
    return {
        path: tuple(name for name in names if not {f"check: {name}", f"check: {name}: {path}"} & failed)
        for path, names in checked.readers
    }


def _read(change: Change, opinion: Opinion, job: Job) -> frozenset[str]:
    """The files of which the model saw all that is new, in every way it looks at them."""
    if not _whole(opinion) or job.scope.scope is Scope.SECURITY:
        return frozenset()
    missed = {path for path, _ in opinion.missed}
    return frozenset(file.path for file in change.plan.files if file.path not in missed)


def _doubts(pull: PullRequest, change: Change, recalled: Recalled, job: Job) -> tuple[Doubt, ...]:
    """The findings to ask again about, unless only a part of the change is looked at."""
    if job.scope.scope in {Scope.SECURITY, Scope.PATHS}:
        return ()
    return doubts(recalled.known, Diff(change.plan.files), change.heads, recalled.seen, pull.head_sha)


def _blocks(change: Change, opinion: Opinion, recalled: Recalled, unread: Diff, job: Job) -> dict[str, tuple[str, ...]]:
    """What need not be read again. A look at a part, or with one eye, leaves that as it was."""
    if job.scope.scope in {Scope.SECURITY, Scope.PATHS}:
        return recalled.seen
    return read(change.plan.files, unread=Diff() if _whole(opinion) else unread)


def _whole(opinion: Opinion) -> bool:
    """Whether every pass that was wanted came to its end."""
    return not opinion.missed and all(row.state is not State.FAILED for row in opinion.rows)


def _rules(change: Change, shelved: Shelved, seen: Iterable[Standard], review: Review) -> Mapping[str, Any]:
    """What happened to each rule of the team in this review."""
    paths = [file.path for file in change.plan.files]
    return entry(shelved.sections, paths, {one.id for one in seen}, (*review.findings, *review.listed))

"""The use case: review a pull request. Read it aloud: read, check, cite, ask, triage, publish, conclude, record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from bot.asking import Asking, Subject
from bot.checking import CheckedChange, run_checks
from bot.citing import Cited, Shelved, cite, shelve
from bot.errors import Superseded
from bot.interfaces import Check, CodeHost, Publisher, Standards, Step
from bot.job import Job, Trigger
from bot.ledger import FindingRecord, Ledger, ReviewRecord
from bot.passes import Opinion
from bot.reading import Change, PolicyFile, material, read_change, read_policy
from bot.review.anchor import Place
from bot.review.comment import Address, inline, review_body
from bot.review.coverage import Coverage, Covered, State
from bot.review.known import Known, first
from bot.review.lifecycle import View
from bot.review.marker import Signer
from bot.review.policy import Policy
from bot.review.post import ReviewPost
from bot.review.pull_request import PullRequest
from bot.review.remarks import remarks
from bot.review.report import check_key, concluded, conclusion, requirement, started, stopped
from bot.review.triage import Context, Review, triage


@dataclass(frozen=True, slots=True)
class Heard:
    """The findings that are already on the pull request."""

    known: tuple[Known, ...] = ()


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

    async def __call__(self, job: Job, step: Step) -> str:
        """Review the pull request at its head now; the word says how it ended. Raises Superseded."""
        pull = await self._seen(job, step)
        if pull.closed:
            raise Superseded("the pull request is closed")
        await step("started", lambda: self.publisher.check(pull, started(check_key(pull))), int)
        review = await self.review(job, pull, step)
        url = await self._publish(job, pull, review, step)
        await step("concluded", lambda: self.publisher.check(pull, concluded(review, check_key(pull), url)), int)
        await step("recorded", lambda: self._record(job, pull, review, url), type(None))
        if job.trigger is Trigger.LABEL:
            await step("unlabel", lambda: self.publisher.unlabel(pull.ref, job.text), type(None))
        return conclusion(review).value

    async def review(self, job: Job, pull: PullRequest, step: Step) -> Review:
        """Everything up to what will be said; nothing is posted."""
        policy = await step("policy", lambda: read_policy(self.host, pull), PolicyFile)
        checks = self._checks(policy.policy)
        change = await material(
            step, "change", lambda: read_change(self.host, pull, policy.policy, self._needs(checks))
        )
        checked = await step("checks", lambda: run_checks(checks, change.plan.files, change.heads), CheckedChange)
        shelved = await step(
            "shelf", lambda: shelve(self.host, self.standards, pull, policy.policy, change.diff), Shelved
        )
        cited = await step("citations", lambda: cite(self.standards, shelved.shelf, checked.drafts), Cited)
        subject = Subject(
            pull, policy.policy, change, shelved.shelf, cited.drafts, cited.standards, change.plan.batches
        )
        opinion = await self.asking(job, subject, step)
        heard = await step("heard", lambda: self._heard(pull), Heard)
        review = triage(
            (*cited.drafts, *opinion.drafts),
            Context(
                view=View(pull.head_sha, change.diff, change.heads, _checked(checked)),
                policy=policy.policy,
                shelf={one.id: one for one in (*cited.standards, *opinion.standards)},
                known=heard.known,
                parses=self.parses,
            ),
        )
        model = self.asking.model
        return replace(
            review,
            dropped=(*review.dropped, *opinion.dropped),
            coverage=_coverage(change, checked, shelved, opinion),
            remarks=(*remarks(pull, change.diff), *map(requirement, opinion.requirements)),
            notices=(*policy.problems, *shelved.tampered, *change.plan.notes),
            usage=opinion.usage,
            versions=opinion.versions,
            model=model.name if model.available else "",
        )

    async def abandon(self, job: Job, reason: str, step: Step) -> str:
        """Say on the check run of a head that its review was superseded or stopped."""
        pull = await self._seen(job, step)
        await step("abandoned", lambda: self.publisher.check(pull, stopped(check_key(pull), reason)), int)
        return "abandoned"

    async def fail(self, job: Job, reason: str, step: Step) -> str:
        """Say on the check run that the review failed, and why: never silent, never green."""
        return await self.abandon(job, f"The review failed: {reason}", step)

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

    async def _heard(self, pull: PullRequest) -> Heard:
        """What the ledger knows, or, should it be new or lost, what our own signed markers say."""
        known = [finding.identity for finding in await self.ledger.findings(pull.ref)]
        if not known and pull.review_comments:
            known = sorted(self.signer.findings(pull.ref, await self.host.said(pull.ref)))
        return Heard(tuple(known))

    async def _publish(self, job: Job, pull: PullRequest, review: Review, step: Step) -> str:
        """Post one review, if there is something to say; its address, or nothing."""
        if not review.findings:
            return ""
        post = post_of(review, job, pull, self.signer)
        return await step("publish", lambda: self.publisher.review(pull, post), str)

    async def _record(self, job: Job, pull: PullRequest, review: Review, url: str) -> None:
        posted = [_record(finding, pull) for finding in review.findings]
        detail = {
            "posted": len(review.findings),
            "listed": len(review.listed),
            "dropped": len(review.dropped),
            "files": len(review.coverage.files),
            "usage": asdict(review.usage),
            "versions": dict(review.versions),
        }
        record = ReviewRecord(job.id, pull.ref, pull.head_sha, job.trigger.value, conclusion(review).value, url, detail)
        await self.ledger.record(record, posted)


def post_of(review: Review, job: Job, pull: PullRequest, signer: Signer) -> ReviewPost:
    """The review as one post. Its key names the job and the head, so that it can be posted once only."""
    name = signer.name("review", str(pull.ref.repo_id or pull.ref.repo), str(pull.ref.number), pull.head_sha, job.id)
    key = signer.mark(pull.ref, "review", name)
    address = Address.of(pull)
    hanging = [finding for finding in review.findings if finding.anchor.place is not Place.SUMMARY]
    loose = [signer.mark(pull.ref, "finding", one.identity) for one in review.findings if one not in hanging]
    return ReviewPost(
        key=key,
        commit=pull.head_sha,
        body=review_body(review, address, "\n".join([*loose, key])),
        comments=tuple(
            inline(finding, address, signer.mark(pull.ref, "finding", finding.identity)) for finding in hanging
        ),
    )


def _coverage(change: Change, checked: CheckedChange, shelved: Shelved, opinion: Opinion) -> Coverage:
    readers = dict(checked.readers)
    unread = {row.path: row for row in change.unread}
    unread |= {path: Covered(path, State.FAILED, f"no pass read all of it: {why}") for path, why in opinion.missed}
    read = [
        unread.get(file.path) or Covered(file.path, State.REVIEWED, by=readers.get(file.path, ()))
        for file in change.plan.files
    ]
    return Coverage((*read, *change.plan.left_out), (*checked.rows, *shelved.rows, *opinion.rows))


def _record(finding: Finding, pull: PullRequest) -> FindingRecord:
    draft, place = finding.draft, finding.anchor
    detail = {
        "path": place.path,
        "line": place.line,
        "quoted": "" if draft.source == "secrets" else place.text or draft.quoted,
        "rule": finding.topic,
        "category": draft.category.value,
        "severity": draft.severity.name.lower(),
        "title": draft.title,
        "source": draft.source,
        "standards": [standard.id for standard in finding.standards],
    }
    return FindingRecord(finding.identity, "open", pull.head_sha, pull.head_sha, detail)

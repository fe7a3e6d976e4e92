"""Job -> RouteDecision: who may ask, whether there is anything to do, and whether it can start. Every event passes here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from bot.core.code.plan import globs_of
from bot.core.code.pull_request import PullRef, PullRequest
from bot.core.command import Command, Verb, parse
from bot.core.comments import replies
from bot.core.comments.check_run import check_key, held, queued_to_merge, stopped, waiting
from bot.core.comments.marker import Signer
from bot.core.policy import Policy
from bot.errors import Forbidden, NotFound, Retryable, UserError
from bot.handlers.answer import Answerer
from bot.handlers.check_runs import CheckReporter, optional
from bot.handlers.known_findings import ABOUT_KNOWN_FINDINGS
from bot.handlers.permissions import Gate
from bot.handlers.read import PolicyFile, read_policy
from bot.handlers.review import Reviewer
from bot.interfaces import CodeHost, Handlers, Publisher, Step
from bot.job import Job, Route, RouteDecision, Trigger
from bot.storage.audit import AuditLog
from bot.storage.conversations import ConversationStore
from bot.storage.ledger import Ledger

_AUTOMATIC = {
    Trigger.OPENED,
    Trigger.PUSHED,
    Trigger.RETARGETED,
    Trigger.READY,
    Trigger.RECOVERED,
    Trigger.SET_UP,
    Trigger.CHECKS_ENDED,
}
_PUSHES = {Trigger.PUSHED, Trigger.RETARGETED}
_NEWCOMERS = {"FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "NONE"}
_CLOSED = "The pull request is closed."
_LOCKED = "The conversation is locked, so nothing can be posted."
_APPEARS_WITHIN = 2
"""Further tries to read a pull request that is not found."""


@dataclass(frozen=True, slots=True)
class Router:
    """Decides. Every event that is not automatic must pass the gate of permissions, new kinds of events too."""

    host: CodeHost
    publisher: Publisher
    gate: Gate
    conversations: ConversationStore
    signer: Signer

    async def __call__(self, job: Job, step: Step) -> RouteDecision:
        if job.trigger is Trigger.MERGED:
            return RouteDecision(Route.STOP, reason="the pull request was merged", settle=True)
        if job.trigger is Trigger.CLOSED:
            return RouteDecision(Route.STOP, reason="the pull request was closed or became a draft")
        if job.trigger is Trigger.MERGE_GROUP:
            return await self._merge_group(job, step)
        if job.trigger is Trigger.CHECKS_ENDED and not await step("awaited", lambda: self._awaits(job), bool):
            return RouteDecision(Route.NOTHING, reason="no review of this head waits for reports")
        if job.trigger not in _AUTOMATIC and (ignored := await self.gate.ignores(job, step)):
            return RouteDecision(Route.NOTHING, reason=ignored)
        try:
            pull = await step("pull", self._appearing(job.pull), PullRequest)
        except (NotFound, Forbidden) as error:
            return RouteDecision(Route.NOTHING, reason=f"the pull request cannot be read: {error}", unread=True)
        if pull.archived:
            return RouteDecision(Route.NOTHING, reason="the repository is archived, so nothing can be posted")
        policy = (await step("policy", lambda: read_policy(self.host, pull), PolicyFile)).policy
        routed = replace(await self._routed(job, pull, policy, step), seen=pull)
        return await self._told(job, pull, routed, step)

    def _appearing(self, ref: PullRef) -> Callable[[], Awaitable[PullRequest]]:
        """Reads a pull request that may have been opened a moment ago: GitHub's API answers 404 until it knows it."""
        missed = 0

        async def read() -> PullRequest:
            nonlocal missed
            try:
                return await self.host.pull_request(ref)
            except NotFound as error:
                missed += 1
                if missed > _APPEARS_WITHIN:
                    raise
                raise Retryable(str(error)) from error

        return read

    async def _routed(self, job: Job, pull: PullRequest, policy: Policy, step: Step) -> RouteDecision:
        if job.trigger in _AUTOMATIC:
            return await self._automatic(job, pull, policy, step)
        if reason := await self._not_for_us(job, pull, policy, step):
            return RouteDecision(Route.NOTHING, reason=reason)
        admission = await self.gate(job, policy, pull, step)
        if not admission.admitted:
            if admission.tell and job.trigger in {Trigger.COMMAND, Trigger.LABEL} and not pull.locked:
                await self._say(job, replies.refused(admission.reason), step, courtesy=True)
            return RouteDecision(Route.NOTHING, reason=admission.reason, silent=True)
        return await self._wish(job, pull, step)

    async def _wish(self, job: Job, pull: PullRequest, step: Step) -> RouteDecision:
        """What somebody who may ask wants."""
        match job.trigger:
            case Trigger.UNLABEL:
                return RouteDecision(Route.STOP, reason="the label was taken off")
            case Trigger.RESOLVED | Trigger.UNRESOLVED:
                return RouteDecision(Route.ANSWER)
            case _ if pull.locked:
                return RouteDecision(Route.NOTHING, reason=_LOCKED)
            case Trigger.COMMAND:
                return await self._command(job, pull, step)
            case Trigger.REPLY:
                return RouteDecision(Route.ANSWER, pull.head_sha)
            case Trigger.LABEL | Trigger.RERUN:
                return _review(pull)
        return RouteDecision(Route.NOTHING, reason=f"no use for {job.trigger}")

    async def _automatic(self, job: Job, pull: PullRequest, policy: Policy, step: Step) -> RouteDecision:
        wanted = policy.triggers.pushed if job.trigger in _PUSHES else policy.triggers.opened
        asked = job.trigger is Trigger.SET_UP  # by the operator, who is not known on GitHub
        if not wanted and not job.is_repetition and not asked:
            return RouteDecision(
                Route.NOTHING, reason="the repository's policy turns automatic reviews off for this event"
            )
        if pull.closed:
            return RouteDecision(Route.NOTHING, reason=_CLOSED)
        if job.is_repetition and pull.head_sha != job.head_sha:
            return RouteDecision(
                Route.NOTHING, reason="the head that was to be reviewed again is not the head any more"
            )
        reason = await self._obstacle(pull, policy, step, asked=asked)
        if reason:
            return RouteDecision(Route.NOTHING, pull.head_sha, reason=reason, visible=not job.is_repetition)
        if (bound := await self.gate.bounds(job, step)).over:
            reason = f"There were {bound.over}. A person can start a review with /assistant review."
            return RouteDecision(Route.NOTHING, pull.head_sha, reason=reason, visible=bound.tell, silent=True)
        return RouteDecision(Route.REVIEW, pull.head_sha, forced=job.trigger is Trigger.RETARGETED or job.is_repetition)

    async def _awaits(self, job: Job) -> bool:
        """Whether the newest review of the pull request is of this head and waits for reports of other analysers."""
        newest = await Ledger(self.conversations.database).reviews(job.pull, limit=1)
        return any(review["head"] == job.head_sha and review["detail"].get("awaits") for review in newest)

    async def _obstacle(self, pull: PullRequest, policy: Policy, step: Step, *, asked: bool = False) -> str:
        """What a person has to do before there is an automatic review; said on the check run."""
        if pull.locked:
            return _LOCKED
        if pull.draft and not policy.triggers.drafts:
            return "This is a draft: the review starts when it is marked ready, or with /assistant review."
        if by := await step("paused", lambda: self.conversations.paused(pull.ref), str):
            return (
                f"Paused by {by}. Use /assistant resume for automatic reviews, or /assistant review for one review now."
            )
        if not asked and await self._held_back(pull, policy, step):
            return f"First contribution: a maintainer can start the review with the label {policy.label}."
        return ""

    async def _held_back(self, pull: PullRequest, policy: Policy, step: Step) -> bool:
        """Whether a stranger's pull request waits for a maintainer. Who pushes to this repository is no stranger."""
        newcomers = policy.triggers.first_time_contributors or ("always" if pull.private else "after_label")
        stranger = newcomers == "collaborators" or pull.author_association in _NEWCOMERS
        if newcomers == "always" or not stranger or (pull.author_is_bot and not pull.from_fork):
            return False
        if newcomers == "after_label" and policy.label in pull.labels:
            return False
        return not await self.gate.permits(pull.author, pull.author_association, policy, pull, step)

    async def _not_for_us(self, job: Job, pull: PullRequest, policy: Policy, step: Step) -> str:
        """Why a label or a reply is none of our business, whoever it comes from."""
        if job.trigger in {Trigger.LABEL, Trigger.UNLABEL} and job.text != policy.label:
            return f"the label {job.text!r} is not ours"
        if job.trigger is Trigger.LABEL and policy.label not in pull.labels:
            return "the label was taken off again"
        if job.trigger is Trigger.REPLY and not await step("whose thread", lambda: self._ours(job), bool):
            return "a reply in somebody else's thread"
        return ""

    async def _ours(self, job: Job) -> bool:
        """Whether the thread of a reply begins with a finding of ours."""
        said = await self.host.comments(job.pull)
        return any(one.id == job.in_reply_to and one.by_us and one.kind == "inline" for one in said)

    async def _command(self, job: Job, pull: PullRequest, step: Step) -> RouteDecision:
        try:
            command = parse(job.text)
        except UserError:
            return RouteDecision(Route.ANSWER, pull.head_sha, reason="a command that needs help")
        match command:
            case Command(verb=Verb.REVIEW, paths=paths):
                routed = _review(pull)
                if (
                    routed.route is Route.REVIEW
                    and paths
                    and not await step("matches", lambda: self._matches(pull, paths), bool)
                ):
                    routed = RouteDecision(Route.NOTHING, reason=replies.no_file_matches(paths))
                if routed.route is Route.NOTHING:
                    await self._say(job, routed.reason, step)
                return routed
            case Command(verb=Verb.STOP):
                return RouteDecision(Route.STOP, pull.head_sha, reason=f"{job.actor} said stop")
        return RouteDecision(Route.ANSWER, pull.head_sha)

    async def _matches(self, pull: PullRequest, paths: Sequence[str]) -> bool:
        """Whether any of the paths or globs matches a changed file."""
        wanted = globs_of(paths)
        return any(wanted.match(file.path) for file in await self.host.diff(pull))

    async def _merge_group(self, job: Job, step: Step) -> RouteDecision:
        """A merge queue waits for every required check: ours has nothing to add to what it said on the pull request."""
        key = f"merge/{job.pull.repo_id}/{job.pull.number}/{job.head_sha}"
        candidate = PullRequest(job.pull, "", "", "", "", "", job.head_sha)
        await step("merge group", lambda: self.publisher.check(candidate, queued_to_merge(key)), int)
        return RouteDecision(Route.NOTHING, job.head_sha, reason="a merge queue's candidate: answered at once")

    async def _told(self, job: Job, pull: PullRequest, routed: RouteDecision, step: Step) -> RouteDecision:
        """Tells the person who asked in a comment what was decided, with a reaction."""
        reaction = _REACTIONS[routed.route]
        reacts = routed.route is not Route.NOTHING or job.trigger is Trigger.COMMAND
        if job.comment and reacts and not pull.locked and not routed.silent:
            await optional(step, "react", lambda: self.publisher.react(job, reaction))
        audit = AuditLog(self.conversations.database)
        what = "refused" if routed.silent else routed.route.value
        await step("audited", lambda: audit.append(job, what, routed.reason, head=pull.head_sha), type(None))
        return routed

    async def announce(self, job: Job, reason: str, step: Step) -> None:
        """Shows on the check run that a review waits for a worker or, with a `reason`, that there will be none."""
        if (pull := job.seen) is None:
            pull = await step("pull", lambda: self.host.pull_request(job.pull), PullRequest)
        key, reporter = check_key(pull, job.id), CheckReporter(self.publisher, self.signer)
        if reason:
            await reporter.end(pull, stopped(key, reason), "not reviewed", step)
        else:
            await reporter.show(pull, waiting(key), "queued", step)

    async def hold(self, job: Job, reason: str, until: str, step: Step) -> None:
        """Shows on the check run what the review waits for, and when it is tried again."""
        if job.seen is not None and job.owes_review:
            run = held(check_key(job.seen, job.id), reason, until)
            await CheckReporter(self.publisher, self.signer).show(job.seen, run, "held", step)

    async def _say(self, job: Job, words: str, step: Step, *, courtesy: bool = False) -> None:
        """Replies. A `courtesy`, such as a refusal, never holds up what somebody else waits for."""
        key = self.signer.mark(job.pull, "reply", self.signer.name("reply", job.id))
        await step("said", lambda: self.publisher.reply(job, f"{words}\n\n{key}", key, courtesy=courtesy), str)


def use_cases(route: Router, review: Reviewer, answer: Answerer) -> Handlers:
    """Which use case takes which job: a review, an answer, or only a look at what became of known findings."""

    def answer_job(job: Job, step: Step) -> Awaitable[str]:
        handler = answer.known_findings if job.trigger in ABOUT_KNOWN_FINDINGS else answer
        return handler(job, step)

    def owner(job: Job) -> Reviewer | Answerer:
        return answer if job.is_question else review

    def abandon(job: Job, reason: str, step: Step) -> Awaitable[str]:
        return owner(job).abandon(job, reason, step)

    async def fail(job: Job, reason: str, step: Step) -> str:
        if not (job.is_question or job.owes_review):
            return "failed"  # a check run would speak of a review that was not owed
        return await owner(job).fail(job, reason, step)

    return Handlers(route, review, answer_job, abandon, fail, route.announce, route.hold)


_REACTIONS = {Route.NOTHING: "confused", Route.REVIEW: "eyes", Route.ANSWER: "eyes", Route.STOP: "rocket"}


def _review(pull: PullRequest) -> RouteDecision:
    if pull.closed:
        return RouteDecision(Route.NOTHING, reason=_CLOSED)
    return RouteDecision(Route.REVIEW, pull.head_sha, forced=True)

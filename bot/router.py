"""Job -> Routed: who may ask, whether there is anything to do, and whether it can start. The one gate for every event."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from bot.errors import Forbidden, NotFound, UserError
from bot.interfaces import CodeHost, Publisher, Step
from bot.job import Job, Route, Routed, Trigger
from bot.reading import PolicyFile, read_policy
from bot.review.command import Command, Verb, parse
from bot.review.policy import Policy
from bot.review.pull_request import Permission, PullRequest
from bot.review.report import check_key, stopped, waiting

_ASKED = {Trigger.COMMAND, Trigger.REPLY, Trigger.LABEL, Trigger.UNLABEL, Trigger.RERUN}
_NEWCOMERS = {"FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "NONE"}


@dataclass(frozen=True, slots=True)
class Router:
    """The gate. `bots` are the account ids of bots that may command."""

    host: CodeHost
    publisher: Publisher
    bots: Collection[int] = ()

    async def __call__(self, job: Job, step: Step) -> Routed:
        if job.trigger is Trigger.CLOSED:
            return Routed(Route.STOP, reason="the pull request was closed or became a draft")
        if job.trigger in _ASKED and job.actor_is_bot and job.actor_id not in self.bots:
            return Routed(Route.NOTHING, reason="bots do not command")
        try:
            pull = await step("pull", lambda: self.host.pull_request(job.pull), PullRequest)
        except (NotFound, Forbidden) as error:
            return Routed(Route.NOTHING, reason=f"the pull request cannot be read: {error}")
        policy = (await step("policy", lambda: read_policy(self.host, pull), PolicyFile)).policy
        routed = replace(await self._routed(job, pull, policy, step), seen=pull)
        return await self._told(job, pull, routed, step)

    async def _routed(self, job: Job, pull: PullRequest, policy: Policy, step: Step) -> Routed:
        if job.trigger in {Trigger.LABEL, Trigger.UNLABEL} and job.text != policy.label:
            return Routed(Route.NOTHING, reason=f"the label {job.text!r} is not ours")
        if job.trigger not in _ASKED:
            return await self._automatic(job, pull, policy, step)
        if not await self._may(job.actor, job.actor_association, policy, pull, step):
            return Routed(Route.NOTHING, reason=f"{job.actor} may not command here")
        match job.trigger:
            case Trigger.COMMAND:
                return _command(job, pull)
            case Trigger.UNLABEL:
                return Routed(Route.STOP, reason="the label was taken off")
            case Trigger.REPLY:
                return Routed(Route.ANSWER, pull.head_sha)
        return _review(pull)

    async def _automatic(self, job: Job, pull: PullRequest, policy: Policy, step: Step) -> Routed:
        wanted = policy.triggers.pushed if job.trigger is Trigger.PUSHED else policy.triggers.opened
        if not wanted:
            return Routed(Route.NOTHING, reason="this repository's policy wants no automatic review here")
        if pull.closed or pull.archived:
            return Routed(Route.NOTHING, reason="the pull request is closed or the repository archived")
        if pull.draft and not policy.triggers.drafts:
            reason = "A draft: the review starts when it is ready, or on /assistant review."
            return Routed(Route.NOTHING, reason=reason, visible=True)
        newcomers = policy.triggers.first_time_contributors or ("always" if pull.private else "after_label")
        if newcomers != "always" and pull.author_association in _NEWCOMERS and not pull.author_is_bot:
            known = await self._may(pull.author, pull.author_association, policy, pull, step)
            labelled = newcomers == "after_label" and policy.label in pull.labels
            if not known and not labelled:
                reason = f"New here: a maintainer can start the review with the label {policy.label}."
                return Routed(Route.NOTHING, reason=reason, visible=True)
        return Routed(Route.REVIEW, pull.head_sha)

    async def _may(self, login: str, association: str, policy: Policy, pull: PullRequest, step: Step) -> bool:
        """Whether `login` may command. An association of OWNER is a quick yes; everything else is asked of GitHub.

        `author_association` is computed without a viewer and shows private members as strangers, and a member or an
        outside collaborator may still have no write permission: only the API knows. No answer means no.
        """
        if association == "OWNER":
            return True
        if not login:
            return False
        try:
            permission = await step(f"permission of {login}", lambda: self.host.permission(pull.ref, login), Permission)
        except (NotFound, Forbidden):
            return False
        return permission >= Permission[policy.minimum_permission.upper()]

    async def _told(self, job: Job, pull: PullRequest, routed: Routed, step: Step) -> Routed:
        """Say on the pull request what was decided: a reaction to a comment, a check run for a review."""
        if job.comment:
            reaction = "confused" if routed.route is Route.NOTHING else "eyes"
            await step("react", lambda: self.publisher.react(job, reaction), type(None))
        key = check_key(pull)
        if routed.route is Route.REVIEW:
            await step("queued", lambda: self.publisher.check(pull, waiting(key)), int)
        elif routed.visible:
            await step("not reviewed", lambda: self.publisher.check(pull, stopped(key, routed.reason)), int)
        return routed


def _review(pull: PullRequest) -> Routed:
    if pull.closed or pull.archived:
        return Routed(Route.NOTHING, reason="the pull request is closed or the repository archived")
    return Routed(Route.REVIEW, pull.head_sha, forced=True)


def _command(job: Job, pull: PullRequest) -> Routed:
    try:
        command = parse(job.text)
    except UserError:
        return Routed(Route.ANSWER, pull.head_sha, reason="a command that needs help")
    match command:
        case None:
            return Routed(Route.NOTHING, reason="no command")
        case Command(verb=Verb.REVIEW):
            return _review(pull)
        case Command(verb=Verb.STOP):
            return Routed(Route.STOP, pull.head_sha, reason=f"{job.actor} said stop")
    return Routed(Route.ANSWER, pull.head_sha)

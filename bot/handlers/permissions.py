"""Who may ask, and how often. Asked for every event that a person starts. A permission that cannot be found out is refused."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from bot.core.code.pull_request import Permission, PullRequest
from bot.core.policy import Policy
from bot.errors import Refused, Retryable
from bot.interfaces import CodeHost, Step
from bot.job import Job, Trigger
from bot.storage.conversations import ConversationStore, RequestCount, RequestLimits

_UNCOUNTED = {Trigger.RESOLVED, Trigger.UNRESOLVED, Trigger.UNLABEL}  # many at once cost nothing: nobody is answered


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether somebody may ask; if not, why, and whether that may be said aloud: once a day is enough."""

    admitted: bool
    reason: str = ""
    tell: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """The one gate. `bots` are numeric ids of bots that may command: of their Apps, or of their accounts."""

    host: CodeHost
    conversations: ConversationStore
    bots: Collection[int] = ()
    limits: RequestLimits = field(default_factory=RequestLimits)

    async def ignores(self, job: Job, step: Step) -> str:
        """The reason to ignore the sender before any other look: a bot that is not on the list, or this App. Empty for people."""
        if not job.actor_is_bot:
            return ""
        if not {job.actor_id, job.actor_app} - {0} & set(self.bots):
            return "bots cannot use commands"
        if await step("is it us", lambda: self.host.is_us(job.actor, job.actor_app), bool):
            return "never ourselves"
        return ""

    async def __call__(self, job: Job, policy: Policy, pull: PullRequest, step: Step) -> Admission:
        """Whether the sender of `job` may ask for it now. Every request counts, those that are refused too."""
        listed = job.actor_is_bot  # whoever is not was ignored
        permitted = listed or await self.permits(job.actor, job.actor_association, policy, pull, step)
        if permitted and job.trigger in _UNCOUNTED:
            return Admission(admitted=True)
        counted = await step(
            "counted", lambda: self.conversations.count(job, self.limits, permitted=permitted), RequestCount
        )
        if not permitted:
            reason = f"{job.actor} cannot use commands here: this needs {policy.minimum_permission} permission or more"
            return Admission(admitted=False, reason=reason, tell=counted.tell)
        return Admission(admitted=not counted.over, reason=counted.over, tell=counted.tell)

    async def bounds(self, job: Job, step: Step) -> RequestCount:
        """Whether an event that starts a review by itself is one too many for its pull request or its sender today."""
        return await step("counted", lambda: self.conversations.count_automatic(job, self.limits), RequestCount)

    async def permits(self, login: str, association: str, policy: Policy, pull: PullRequest, step: Step) -> bool:
        """Whether `login` has the permission that the policy asks for.

        `author_association` does not depend on who reads it: it shows private members as strangers, and a MEMBER or
        COLLABORATOR may still have no write permission. OWNER alone is a quick yes; for the rest only the API knows. The
        step tries again what may pass; what is left after that is a no.
        """
        if association == "OWNER":
            return True
        if not login:
            return False
        try:
            permission = await step(f"permission of {login}", lambda: self.host.permission(pull.ref, login), Permission)
        except (Refused, Retryable):
            return False
        return permission >= Permission[policy.minimum_permission.upper()]

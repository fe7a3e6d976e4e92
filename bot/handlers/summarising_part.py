"""The walkthrough of a change: one comment, written once and edited in place."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.code.pull_request import PullRequest
from bot.core.comments import replies as reply
from bot.core.comments.marker import Signer
from bot.core.policy import Policy
from bot.handlers.questions import Answering
from bot.interfaces import Publisher, Step
from bot.job import Job


@dataclass(frozen=True, slots=True)
class Summarising:
    """Writes it: on request, or after each review where the policy says `summary: always`."""

    answering: Answering
    publisher: Publisher
    signer: Signer

    async def __call__(self, job: Job, pull: PullRequest, policy: Policy, step: Step) -> str:
        """Write the walkthrough as the change is now; the comment's address."""
        subject = await self.answering.subject(pull, policy, step)
        tour = await self.answering.walkthrough(job, subject, step)
        name = self.signer.name("summary", str(pull.ref.repo_id or pull.ref.repo), str(pull.ref.number))
        key = self.signer.mark(pull.ref, "summary", name)
        body = f"{reply.walkthrough(tour, pull.head_sha)}\n\n{key}"
        return await step("walkthrough", lambda: self.publisher.keep(pull.ref, body, key), str)

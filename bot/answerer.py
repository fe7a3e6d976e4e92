"""The use case: answer a command. One reply where it was asked, and a reaction when it is done."""

from __future__ import annotations

from dataclasses import dataclass

from bot.citing import Shelved, shelve
from bot.errors import UserError
from bot.interfaces import CodeHost, Publisher, Standards, Step
from bot.job import Job
from bot.ledger import Ledger
from bot.reading import PolicyFile, material, read_policy
from bot.review import reply
from bot.review.command import Command, Verb, parse
from bot.review.comment import Address
from bot.review.marker import Signer
from bot.review.policy import Policy
from bot.review.pull_request import PullRequest

OFFERED = (Verb.REVIEW, Verb.STANDARDS, Verb.STATUS, Verb.CONFIG, Verb.STOP, Verb.HELP)
"""The verbs that do something here."""


@dataclass(frozen=True, slots=True)
class Answerer:
    """One answer, start to finish. Every line that touches the world is a step."""

    host: CodeHost
    publisher: Publisher
    standards: Standards
    ledger: Ledger
    signer: Signer

    async def __call__(self, job: Job, step: Step) -> str:
        """Answer the command in `job.text`; the word names what was asked."""
        pull = job.seen
        if pull is None:
            pull = await step("pull", lambda: self.host.pull_request(job.pull), PullRequest)
        policy = (await step("policy", lambda: read_policy(self.host, pull), PolicyFile)).policy
        try:
            command = parse(job.text) or Command(Verb.HELP)
            word, body = command.verb.value, await self._body(command, pull, policy, step)
        except UserError as error:
            word, body = "not understood", str(error)
        await self._say(job, body, step)
        return word

    async def fail(self, job: Job, reason: str, step: Step) -> str:
        """Say that there is no answer, and why."""
        await self._say(job, f"There is no answer: {reason}", step)
        return "failed"

    async def _body(self, command: Command, pull: PullRequest, policy: Policy, step: Step) -> str:
        match command.verb:
            case Verb.STANDARDS:
                return await self._standards(command.text, pull, policy, step)
            case Verb.STATUS:
                return await self._status(pull)
            case Verb.CONFIG:
                return reply.config(policy)
            case Verb.HELP:
                return reply.usage(OFFERED, policy.label)
        raise UserError(f"`{command.verb}` is not offered here. Try `/assistant help`.")

    async def _standards(self, question: str, pull: PullRequest, policy: Policy, step: Step) -> str:
        diff = await material(step, "diff", lambda: self.host.diff(pull))
        shelved = await step("shelf", lambda: shelve(self.host, self.standards, pull, policy, diff), Shelved)
        hits = await self.standards.search(shelved.shelf, question, limit=3)
        return reply.sections(question, [hit for hit in hits if hit.governs], Address.of(pull))

    async def _status(self, pull: PullRequest) -> str:
        reviews = await self.ledger.reviews(pull.ref, limit=5)
        findings = await self.ledger.findings(pull.ref)
        return reply.status(reviews, findings)

    async def _say(self, job: Job, body: str, step: Step) -> None:
        key = self.signer.mark(job.pull, "reply", self.signer.name("reply", job.id))
        await step("reply", lambda: self.publisher.reply(job, f"{body}\n\n{key}", key), str)
        await step("done", lambda: self.publisher.react(job, "rocket"), type(None))

"""The use case: answer a command or a reply. One answer where it was asked, and a reaction when it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf

from bot.core.code.pull_request import PostedComment, PullRequest
from bot.core.command import Command, Verb, parse
from bot.core.comments import replies
from bot.core.comments.comment import LinkBase
from bot.core.comments.marker import Signer
from bot.core.findings.known import KnownFinding
from bot.core.findings.standard import Hit
from bot.core.findings.topic import kind_of
from bot.core.policy import describe
from bot.errors import UserError
from bot.handlers.known_findings import KnownFindings
from bot.handlers.questions import Question, QuestionAnswerer, SummaryWriter
from bot.handlers.read import PolicyFile, read_policy
from bot.handlers.standards import consult
from bot.interfaces import CodeHost, Publisher, Standards, Step
from bot.job import Job, Trigger
from bot.storage.audit import AuditLog
from bot.storage.conversations import ConversationStore
from bot.storage.ledger import Ledger, SpendingLimit

_KEPT = 4_000  # characters of a question or an answer that are remembered
_THREAD = 8_000  # characters of a thread


@dataclass(frozen=True, slots=True)
class AnswerInputs:
    """One request: the command, and all that it is about. `thread` is known where a finding was named."""

    job: Job
    pull: PullRequest
    file: PolicyFile
    command: Command
    step: Step
    thread: FindingThread | None = None


@dataclass(frozen=True, slots=True)
class FindingThread:
    """The thread that a request stands in. `finding` is the identity of what it is about, if that is ours."""

    root: int = 0
    path: str = ""
    opening: str = ""
    said: str = ""
    finding: str = ""


@dataclass(frozen=True, slots=True)
class Answerer:
    """One answer, start to finish. Every line that touches the world is a step."""

    host: CodeHost
    publisher: Publisher
    standards: Standards
    question_answerer: QuestionAnswerer
    summary_writer: SummaryWriter
    known_findings: KnownFindings
    ledger: Ledger
    conversations: ConversationStore
    signer: Signer
    bounds: tuple[SpendingLimit, ...] = ()

    @property
    def _audit(self) -> AuditLog:
        return AuditLog(self.ledger.database)

    async def __call__(self, job: Job, step: Step) -> str:
        """Answer `job`; the word names what was asked."""
        pull = job.seen
        if pull is None:
            pull = await step("pull", lambda: self.host.pull_request(job.pull), PullRequest)
        file = await step("policy", lambda: read_policy(self.host, pull), PolicyFile)
        try:
            replied = job.trigger is Trigger.REPLY
            command = Command(Verb.EXPLAIN, job.text) if replied else parse(job.text) or Command(Verb.HELP)
            body = await self._verbs[command.verb](AnswerInputs(job, pull, file, command, step))
        except UserError as error:
            await self._say(job, str(error), "confused", step)
            return "not understood"
        await self._say(job, body, "rocket", step)
        return command.verb.value

    async def about(self, job: Job, known: KnownFinding, step: Step) -> str:
        """What a command answers about a finding that is named, in a thread or not. Nothing is posted. Raises UserError."""
        pull = await step("pull", lambda: self.host.pull_request(job.pull), PullRequest)
        file = await step("policy", lambda: read_policy(self.host, pull), PolicyFile)
        thread = await step("thread", lambda: self._thread_about(job, known), FindingThread)
        command = parse(job.text) or Command(Verb.EXPLAIN)
        return await self._verbs[command.verb](AnswerInputs(job, pull, file, command, step, thread))

    async def abandon(self, job: Job, reason: str, step: Step) -> str:
        """Somebody said stop: no words, and nothing more is asked of anybody."""
        await self._say(job, "", "confused", step)
        return "abandoned"

    async def fail(self, job: Job, reason: str, step: Step) -> str:
        """Say that there is no answer, and why."""
        await self._say(job, f"The question could not be answered: {reason}", "confused", step)
        return "failed"

    @property
    def _verbs(self) -> Mapping[Verb, Callable[[AnswerInputs], Awaitable[str]]]:
        return {
            Verb.ASK: self._ask,
            Verb.SUMMARY: self._summary,
            Verb.STANDARDS: self._standards,
            Verb.EXPLAIN: self._explain,
            Verb.DISMISS: self._dismiss,
            Verb.RESOLVE: self._resolve,
            Verb.PAUSE: self._pause,
            Verb.RESUME: self._resume,
            Verb.STATUS: self._status,
            Verb.CONFIG: self._config,
            Verb.HELP: self._help,
        }

    async def _ask(self, asked: AnswerInputs) -> str:
        thread = await self._thread(asked)
        if not self.question_answerer.available:
            hits = await self._hits(asked)
            said = f"{replies.NO_MODEL} {replies.sections(asked.command.text, hits, LinkBase.of(asked.pull))}"
            if not hits:
                raise UserError(said)
            return said
        return await self._answer(asked, thread)

    async def _explain(self, asked: AnswerInputs) -> str:
        """More about the finding of a thread. Without a model its own data, once: a reply to a reply would add nothing."""
        thread = await self._finding_thread(asked)
        if self.question_answerer.available:
            return await self._answer(asked, thread)
        before = await asked.step("before", lambda: self._answers(asked, thread), int)
        if before and asked.job.trigger is Trigger.REPLY:
            return ""
        known = await asked.step("finding", lambda: self._known(asked, thread), KnownFinding)
        inputs = await self.question_answerer.inputs(asked.pull, asked.file.policy, asked.step)
        query = f"{kind_of(known.topic)} {known.title}"
        hits = await consult(self.standards, inputs.shelf, query, known.path, limit=1)
        body = replies.explained(known, [hit.standard for hit in hits], LinkBase.of(asked.pull))
        await self._remember(asked, thread, body)
        return body

    async def _answer(self, asked: AnswerInputs, thread: FindingThread) -> str:
        """The model's answer. It never changes the state of a finding: it may propose that a person dismisses it."""
        inputs = await self.question_answerer.inputs(asked.pull, asked.file.policy, asked.step)
        opening = thread.opening if thread.finding else ""
        question = Question(asked.command.text or "Explain this.", thread.root, opening, thread.path, thread.said)
        answered = await self.question_answerer.answer(asked.job, inputs, question, asked.step)
        if answered.reason:
            raise UserError(f"The question could not be answered: {answered.reason}.")
        await self._remember(asked, thread, answered.text)
        said = replies.answered(
            answered.text, answered.citations, LinkBase.of(asked.pull), asked.pull.head_sha, known=answered.known
        )
        if not answered.conceded:
            return said
        check = await asked.step("found by", lambda: self._check_of(asked, thread), str)
        return f"{said}\n\n{replies.proposal(check)}"

    async def _summary(self, asked: AnswerInputs) -> str:
        if asked.file.policy.summary == "off":
            raise UserError(replies.SUMMARY_IS_OFF)
        await self.summary_writer(asked.job, asked.pull, asked.file.policy, asked.step)
        return ""

    async def _standards(self, asked: AnswerInputs) -> str:
        return replies.sections(asked.command.text, await self._hits(asked), LinkBase.of(asked.pull))

    async def _hits(self, asked: AnswerInputs) -> Sequence[Hit]:
        """The sections of the team's documents about what is asked."""
        inputs = await self.question_answerer.inputs(asked.pull, asked.file.policy, asked.step)
        return await consult(self.standards, inputs.shelf, asked.command.text)

    async def _dismiss(self, asked: AnswerInputs) -> str:
        thread = await self._finding_thread(asked)
        reason = asked.command.text or "no reason given"
        await asked.step("dismissed", lambda: self._changed(asked.job, thread, reason, resolved=False), str)
        return await self.known_findings.lift(asked.pull, asked.file.policy, asked.step)

    async def _resolve(self, asked: AnswerInputs) -> str:
        thread = await self._finding_thread(asked)
        await asked.step("resolved", lambda: self._changed(asked.job, thread, "dealt with", resolved=True), str)
        return await self.known_findings.lift(asked.pull, asked.file.policy, asked.step)

    async def _changed(self, job: Job, thread: FindingThread, reason: str, *, resolved: bool) -> str:
        if thread.root:
            known = await self.known_findings.dismiss(job.pull, thread.root, job.actor, reason, resolved=resolved)
        else:
            known = await self.known_findings.dismiss_unthreaded(
                job.pull, thread.finding, job.actor, reason, resolved=resolved
            )
        what = "resolved" if resolved else "dismissed"
        await self._audit.append(job, what, reason, finding=known.identity if known else thread.finding)
        return known.identity if known else ""

    async def _pause(self, asked: AnswerInputs) -> str:
        async def pause() -> None:
            await self.conversations.pause(asked.pull.ref, asked.job.actor)
            await self._audit.append(asked.job, "paused")

        await asked.step("paused", pause, type(None))
        return replies.PAUSED

    async def _resume(self, asked: AnswerInputs) -> str:
        async def resume() -> None:
            await self.conversations.resume(asked.pull.ref)
            await self._audit.append(asked.job, "resumed")

        await asked.step("resumed", resume, type(None))
        return replies.RESUMED

    async def _status(self, asked: AnswerInputs) -> str:
        ref = asked.pull.ref
        reviews, findings = await self.ledger.reviews(ref, limit=5), await self.ledger.findings(ref)
        people = dict.fromkeys(filter(None, (asked.job.actor, asked.pull.author)))
        balances = await self.ledger.balances(ref, reported(self.bounds, people))
        return replies.status(reviews, findings, await self.conversations.paused(ref), balances)

    async def _config(self, asked: AnswerInputs) -> str:
        file = asked.file
        problems = (*file.problems, *self.question_answerer.model_review.unknown(file.policy))
        return replies.config(describe(file.policy, dict(file.sources)), problems)

    async def _help(self, asked: AnswerInputs) -> str:
        return replies.usage(list(Verb), asked.file.policy.label)

    async def _thread(self, asked: AnswerInputs) -> FindingThread:
        """The thread that a request stands in; the conversation as a whole if it stands in none."""
        if asked.job.thread != "inline":
            return FindingThread()
        return await asked.step("thread", lambda: self._read_thread(asked.job), FindingThread)

    async def _finding_thread(self, asked: AnswerInputs) -> FindingThread:
        thread = asked.thread or await self._thread(asked)
        if not thread.finding:
            raise UserError(replies.NO_THREAD)
        return thread

    async def _read_thread(self, job: Job) -> FindingThread:
        return self._thread_of(job, job.in_reply_to or job.comment, await self.host.comments(job.pull))

    async def _thread_about(self, job: Job, known: KnownFinding) -> FindingThread:
        """The thread of a finding; its own words if it hangs on no line."""
        said = await self.host.comments(job.pull)
        ours = (one for one in said if one.kind == "inline" and one.by_us)
        root = next((one.id for one in ours if known.identity in self.signer.read(job.pull, "finding", one.body)), 0)
        words = "\n\n".join(filter(None, (known.title, known.why)))
        return self._thread_of(job, root, said) if root else FindingThread(0, known.path, words, finding=known.identity)

    def _thread_of(self, job: Job, root: int, everything: Sequence[PostedComment]) -> FindingThread:
        """What stood in the thread when the request was made: later words are nobody's question."""
        said = [one for one in everything if root in {one.id, one.in_reply_to}]
        first = next((one for one in said if one.id == root), None)
        if first is None:
            return FindingThread(root)
        names = self.signer.read(job.pull, "finding", first.body) if first.by_us else ()
        before = [one for one in said if root < one.id < (job.comment or inf)]
        words = "\n".join(f"{one.author}: {_words(one)}" for one in before)[-_THREAD:]
        return FindingThread(root, first.path or "", _words(first), words, next(iter(names), ""))

    async def _known(self, asked: AnswerInputs, thread: FindingThread) -> KnownFinding:
        found = [one for one in await self.ledger.findings(asked.pull.ref) if one.identity == thread.finding]
        if not found:
            raise UserError(replies.FORGOTTEN)
        return found[0]

    async def _check_of(self, asked: AnswerInputs, thread: FindingThread) -> str:
        """The check that found what the thread is about; empty for a finding of a model."""
        found = (one.check for one in await self.ledger.findings(asked.pull.ref) if one.identity == thread.finding)
        return next(found, "")

    async def _answers(self, asked: AnswerInputs, thread: FindingThread) -> int:
        return len(await self.conversations.exchanges(asked.pull.ref, thread.root))

    async def _remember(self, asked: AnswerInputs, thread: FindingThread, answer: str) -> None:
        job, question = asked.job, asked.command.text[:_KEPT]
        kept = self.conversations.remember
        await asked.step("remembered", lambda: kept(job, thread.root, question, answer[:_KEPT]), type(None))

    async def _say(self, job: Job, body: str, reaction: str, step: Step) -> None:
        """Nothing to say is no comment; a reaction stands for it."""
        if body:
            key = self.signer.mark(job.pull, "reply", self.signer.name("reply", job.id))
            await step("reply", lambda: self.publisher.reply(job, f"{body}\n\n{key}", key), str)
        await step("done", lambda: self.publisher.react(job, reaction), type(None))


def reported(bounds: Sequence[SpendingLimit], people: Iterable[str] = ()) -> tuple[SpendingLimit, ...]:
    """What a status reports: the scopes with a limit, and the last 30 days of the pull request, the repository and people."""
    month = timedelta(days=30)
    of_people = [bound for bound in bounds if bound.scope == "person"] + [SpendingLimit("person", month)]
    shown = [bound for bound in bounds if bound.scope != "person"]
    shown += [SpendingLimit("pull", month), SpendingLimit("repository", month)]
    ranked = sorted(shown, key=lambda bound: (_ORDER.index(bound.scope), bound.within or month))
    return (*ranked, *(replace(bound, person=person) for person in people for bound in of_people))


_ORDER = ("job", "pull", "repository", "installation")


def _words(said: PostedComment) -> str:
    return said.body.partition("<!-- assistant")[0].strip()

"""Questions of people to the model, with the tools, standards and material of a review, and the walkthrough of a change.

The model's server remembers the conversation of a thread if the operator wants that; our journal remembers it too. There it
begins with the memory of our journal, and then gets only what is new. If it cannot go on (too long, gone, or left with half an
answer), a new one begins in the same way, so nothing depends on it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import BaseModel

from bot.core.claims.evidence import CitedPlace, prove_citations
from bot.core.claims.material import FencedText, budget
from bot.core.claims.material import material as material_of
from bot.core.claims.memory import Memory, recall
from bot.core.claims.prompt import Prompt
from bot.core.claims.rules import sections_by_key
from bot.core.claims.schemas import Citation, Explanation, Reply, Walkthrough
from bot.core.code.plan import Batch
from bot.core.code.pull_request import PostedComment, PullRef, PullRequest, written_before
from bot.core.command import first_line
from bot.core.comments import replies
from bot.core.comments.marker import Signer
from bot.core.comments.walkthrough import WalkthroughFacts, tour
from bot.core.costs import estimate
from bot.core.findings.known import KnownFinding
from bot.core.findings.standard import Standard
from bot.core.policy import Policy
from bot.errors import BudgetExhausted, Forbidden, NotFound, Refused, Retryable, TimedOut, UserError
from bot.handlers.ask_model import ModelInputs, ModelReview, ModelSession, PassInput
from bot.handlers.read import material, read_change
from bot.handlers.standards import shelve, standards_in
from bot.interfaces import Account, Model, ModelAnswer, Publisher, Step, Tool
from bot.job import Job
from bot.model.tools import Files
from bot.storage.conversations import ConversationStore, ServerConversation
from bot.storage.ledger import Ledger

if TYPE_CHECKING:
    from bot.model.responses import ResponsesConversations

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ThreadQuestion:
    """What is asked in a `thread`: what is shown of the change, what our journal remembers, and the question itself.

    `name` is that of the prompt; the answer has the shape of `kind`.
    """

    thread: int
    name: str
    data: Sequence[FencedText]
    past: Sequence[FencedText]
    question: FencedText
    kind: type[BaseModel]


@dataclass(frozen=True, slots=True)
class OpenAIMemory:
    """Asks within the one conversation of a thread. Each step is journaled; what a crash leaves behind is empty."""

    server: ResponsesConversations
    store: ConversationStore

    async def __call__(self, session: ModelSession, pass_input: PassInput, inquiry: ThreadQuestion) -> ModelAnswer:
        """The answer. A conversation that the server refuses to go on with is replaced once."""
        ref, thread, name = pass_input.facts.pull.ref, inquiry.thread, inquiry.name
        talk = await session.step("talk", lambda: self.store.talk(ref, thread), ServerConversation)
        over = talk.over
        if not over:
            answer, over = await self._within(talk, session, pass_input, inquiry, name)
            if not over:
                return answer
            name = f"{name}/anew"
        try:
            talk = await session.step("talk/new", lambda: self._begin(ref, thread, talk, over), ServerConversation)
        except (Refused, Retryable) as error:
            return ModelAnswer(None, str(error))
        return (await self._within(talk, session, pass_input, inquiry, name))[0]

    async def _within(
        self, talk: ServerConversation, session: ModelSession, pass_input: PassInput, inquiry: ThreadQuestion, name: str
    ) -> tuple[ModelAnswer, str]:
        """The answer, and what the server said if it refused the conversation itself."""
        fresh = [one for one in inquiry.data if not talk.knows(_as_text(one))]
        shown = (*fresh, *(() if talk.told else inquiry.past), inquiry.question)
        within = _Within(session.model, talk)
        inner = replace(session, model=within)
        answer = await inner.ask(name, inner.words.say(inquiry.name), shown, inquiry.kind, pass_input)
        texts = [*within.instructions, *map(_as_text, fresh)]
        opening = sum(map(estimate, (*texts, *map(_as_text, shown[len(fresh) :]))))
        after = talk.after(texts, opening, answer.held)
        after = replace(after, broken=answer.value is None)
        ref, thread = pass_input.facts.pull.ref, inquiry.thread
        await session.step(f"{name}/talk", lambda: self.store.keep_talk(ref, thread, after), type(None))
        return answer, within.refused

    async def _begin(self, ref: PullRef, thread: int, before: ServerConversation, why: str) -> ServerConversation:
        """A new conversation for the thread; the one before it is deleted."""
        talk = ServerConversation(await self.server.create())
        await self.store.keep_talk(ref, thread, talk)
        log.info("%s, thread %d: a new conversation at the model's server: %s", ref, thread, why)
        if before.id:
            try:
                await self.server.delete(before.id)
            except NotFound:
                log.info("%s, thread %d: the conversation %s is gone", ref, thread, before.id)
            except (Refused, Retryable) as error:
                log.warning("%s, thread %d: the conversation %s stays: %s", ref, thread, before.id, error)
        return talk


@dataclass(slots=True)
class _Within:
    """A model within a conversation: what that knows of our instructions is not said again.

    `instructions` are those of the prompt; `refused` is the server's reason if it refused to go on.
    """

    model: Model
    talk: ServerConversation
    instructions: tuple[str, ...] = ()
    refused: str = ""

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def available(self) -> bool:
        return self.model.available

    async def ask(self, prompt: Prompt, tools: Sequence[Tool], step: Step, account: Account) -> ModelAnswer:
        """As Model.ask; a refusal of this one conversation is an answer without a value."""
        parts = (prompt.instructions, prompt.rules, prompt.standards)
        self.instructions = tuple(filter(None, parts))
        instructions, rules, standards = ("" if self.talk.knows(part) else part for part in parts)
        here = replace(
            prompt,
            instructions=instructions,
            rules=rules,
            standards=standards,
            conversation=self.talk.id,
            held=self.talk.tokens,
        )
        try:
            return await self.model.ask(here, tools, step, account)
        except (Forbidden, BudgetExhausted, TimedOut):
            raise
        except Refused as error:
            self.refused = str(error)
            return ModelAnswer(None, self.refused)

    async def close(self) -> None:
        """The model is somebody else's."""


def _as_text(datum: FencedText) -> str:
    return f"{datum.kind}\n{datum.source}\n{datum.text}"


@dataclass(frozen=True, slots=True)
class SummaryWriter:
    """Writes the walkthrough: on request, or after each review where the policy says `summary: always`."""

    question_answerer: QuestionAnswerer
    publisher: Publisher
    signer: Signer

    async def __call__(self, job: Job, pull: PullRequest, policy: Policy, step: Step) -> str:
        """Write the walkthrough as the change is now; the comment's address."""
        inputs = await self.question_answerer.inputs(pull, policy, step)
        tour = await self.question_answerer.walkthrough(job, inputs, step)
        name = self.signer.name("summary", str(pull.ref.repo_id or pull.ref.repo), str(pull.ref.number))
        key = self.signer.mark(pull.ref, "summary", name)
        body = f"{replies.walkthrough(tour, pull.head_sha)}\n\n{key}"
        return await step("walkthrough", lambda: self.publisher.keep(pull.ref, body, key), str)


_READ = 12  # files that are opened to check what an answer cites
_KNOWN = 60  # findings that are mentioned


@dataclass(frozen=True, slots=True)
class Question:
    """A person's question. `thread` is the first comment of a thread, 0 for the pull request's conversation.

    `finding` is the text of the finding that the thread is about, `path` its file, `said` what others wrote there.
    """

    text: str
    thread: int = 0
    finding: str = ""
    path: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """An answer and the citations that hold, or the reason why there is none. `conceded`: the model no longer holds the finding."""

    text: str = ""
    known: bool = True
    conceded: bool = False
    citations: tuple[CitedPlace, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class QuestionAnswerer:
    """Conversations about a pull request that are not a review. With `openai_memory` the model's server remembers them too."""

    model_review: ModelReview
    ledger: Ledger
    conversations: ConversationStore
    openai_memory: OpenAIMemory | None = None

    @property
    def available(self) -> bool:
        """Whether there is a model to ask."""
        return self.model_review.model.available

    async def inputs(self, pull: PullRequest, policy: Policy, step: Step) -> ModelInputs:
        """The change with its standards."""
        host, standards = self.model_review.host, self.model_review.standards
        change = await material(step, "change", lambda: read_change(host, pull, policy, lambda _: True))
        indexed = await shelve(host, standards, pull, policy, change.diff, step)
        return ModelInputs(pull, policy, change, indexed.shelf, batches=change.plan.batches, sections=indexed.sections)

    async def answer(self, job: Job, inputs: ModelInputs, question: Question, step: Step) -> QuestionResult:
        """Ask, with what is remembered of the conversation, and keep of the citations only what is there."""
        session, pass_input = await self.model_review.prepare(job, inputs, step)
        facts = replace(
            pass_input.facts,
            said=tuple(filter(_between_people, written_before(pass_input.facts.said, job.thread, job.comment))),
        )
        pass_input = replace(pass_input, facts=facts)
        memory = await material(step, "memory", lambda: self._memory(inputs.pull, question))
        findings = await material(step, "findings", lambda: self.ledger.findings(inputs.pull.ref))
        data = [
            *_change(pass_input, question.path),
            *_lines("findings", "the review so far", map(_summary_of, findings[:_KNOWN])),
            *_finding(question),
        ]
        name, kind = ("explain", Explanation) if question.finding else ("answer", Reply)
        asked = FencedText("question", job.actor, question.text)
        return await self._ask(
            session, pass_input, ThreadQuestion(question.thread, name, data, _remembered(memory), asked, kind)
        )

    async def walkthrough(self, job: Job, inputs: ModelInputs, step: Step) -> WalkthroughFacts:
        """What the change consists of; with a model, what it says of it too."""
        change = inputs.change
        seen = tour(inputs.pull, change.diff, change.heads, change.plan.left_out)
        if not self.available or not inputs.batches:
            return seen
        session, pass_input = await self.model_review.prepare(job, inputs, step)
        answer = await session.ask(
            "summary", session.words.say("summary"), _change(pass_input), Walkthrough, pass_input
        )
        if answer.value is None:
            return replace(seen, risks=(*seen.risks, f"No model described this change: {answer.reason}."))
        return replace(seen, told=Walkthrough.model_validate(answer.value))

    async def _ask(self, session: ModelSession, pass_input: PassInput, inquiry: ThreadQuestion) -> QuestionResult:
        if self.openai_memory:
            answer = await self.openai_memory(session, pass_input, inquiry)
        else:
            shown = (*inquiry.data, *inquiry.past, inquiry.question)
            answer = await session.ask(inquiry.name, session.words.say(inquiry.name), shown, inquiry.kind, pass_input)
        if answer.value is None:
            return QuestionResult(reason=answer.reason or "the model gave no answer")
        said = answer.value
        citations = [Citation.model_validate(one) for one in said["citations"]]
        standards = sections_by_key((*pass_input.rules.shown, *standards_in(answer.looked_up)))
        proven = await session.step(
            "cited",
            lambda: self._proven(pass_input.facts.pull, citations, list(standards.values())),
            tuple[CitedPlace, ...],
        )
        return QuestionResult(
            text=said["answer"],
            known=said["known"],
            conceded=said.get("stance") == "concede",
            citations=proven,
        )

    async def _proven(
        self, pull: PullRequest, citations: Sequence[Citation], standards: Sequence[Standard]
    ) -> tuple[CitedPlace, ...]:
        """The citations that hold, judged by the files at the head."""
        files = Files(self.model_review.host, pull)
        texts: dict[str, str] = {}
        for path in list(dict.fromkeys(one.ref for one in citations if one.kind == "file"))[:_READ]:
            try:
                texts[path] = await files.text(path, "head")
            except (Refused, UserError):
                continue
        return prove_citations(citations, texts, standards)

    async def _memory(self, pull: PullRequest, question: Question) -> Memory:
        return recall(await self.conversations.exchanges(pull.ref, question.thread), question.text)


def _change(pass_input: PassInput, path: str = "") -> list[FencedText]:
    """The change as a review sees it: all of it where that is one batch, else what belongs to `path`."""
    whole = pass_input.batches[0] if len(pass_input.batches) == 1 else None
    batch = whole or next((one for one in pass_input.batches if path in one.paths), Batch(()))
    found = material_of(batch, pass_input.facts, budget(batch, pass_input.facts))
    return list(found.whole)


def _between_people(said: PostedComment) -> bool:
    """Whether people said it to each other: questions to us, and our answers, are in the memory of the conversation."""
    return not (said.by_us or first_line(said.body))


def _finding(question: Question) -> list[FencedText]:
    if not question.finding:
        return []
    said = [FencedText("thread", "comments in the thread, oldest first", question.said)] if question.said else []
    return [FencedText("finding", question.path, question.finding), *said]


def _remembered(memory: Memory) -> list[FencedText]:
    return [
        *_lines("summary", "how older exchanges of this conversation began", memory.summary),
        *_lines("recalled", "older exchanges that may matter here", map(str, memory.recalled)),
        *_lines("history", "the last exchanges of this conversation", map(str, memory.recent)),
    ]


def _lines(kind: str, source: str, lines: Iterable[str]) -> list[FencedText]:
    text = "\n".join(lines)
    return [FencedText(kind, source, text)] if text else []


def _summary_of(one: KnownFinding) -> str:
    about = {"path": one.path, "line": one.line, "severity": one.severity.name.lower()}
    return json.dumps({**about, "title": one.title, "state": one.state}, ensure_ascii=False)

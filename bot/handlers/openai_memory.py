"""Conversations of threads that the model's server remembers, if the operator wants that; our journal remembers them too.

A conversation there begins with the memory of our journal, and then gets only what is new. If it cannot go on (too long,
gone, or left with half an answer), a new one begins in the same way, so nothing depends on it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import BaseModel

from bot.core.claims.material import FencedText
from bot.core.claims.prompt import Prompt
from bot.core.code.pull_request import PullRef
from bot.core.costs import estimate
from bot.errors import BudgetExhausted, Forbidden, NotFound, Refused, Retryable, TimedOut
from bot.handlers.ask_model import ModelSession, PassInput
from bot.interfaces import Account, Model, ModelAnswer, Step, Tool
from bot.storage.conversations import ConversationStore, ServerConversation

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

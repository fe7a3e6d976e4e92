"""A batch that is more than the model can hold is read in halves, down to a hunk; only what is left is unread."""

import asyncio

import pytest

from bot.core.code.plan import FileState
from bot.core.costs import ConversationLimits, ReviewBudget
from bot.engine.database import pack, unpack
from bot.errors import AssistantError
from bot.handlers.ask_model import ModelSession
from bot.handlers.passes import Passes
from bot.model.account import MeteredSteps
from tests.support.conversation import Crash, Journal, responses
from tests.support.model_server import ModelServer
from tests.support.model_turns import fails, says
from tests.support.pass_input import pass_input
from tests.support.product_with_model import Request
from tests.support.scripted_model import WORDS, FreeAccount, findings

FILES = {f"src/part_{n}.py": "".join(f"value_{i} = compute({n})\n" for i in range(40)) for n in range(4)}
HUGE = {**FILES, "src/huge.py": "".join(f"value_{i} = compute(9)\n" for i in range(200))}
ROOM = 2_500  # characters of hunks that the model can hold: one of FILES, or two


def shown(body):
    """The hunks of a request, as a model sees them."""
    return Request(body).blocks["diff"]


class Narrow(ModelServer):
    """A server whose model holds a few thousand characters; `read` are the hunks that it was able to look at."""

    def __init__(self, room=ROOM):
        super().__init__(self.answer)
        self.room, self.read = room, []

    def answer(self, body):
        if sum(map(len, shown(body))) > self.room:
            return fails(400, "context_length_exceeded", message="Your input exceeds the context window")
        self.read += shown(body)
        return says(findings())


class Durable(Journal):
    """A Journal that keeps refusals too, as the engine does."""

    async def __call__(self, name, work, kind, /):
        async def tried():
            try:
                return {"ok": await work()}
            except AssistantError as error:
                return {"error": pack(error)}

        entry = await super().__call__(name, tried, dict[str, kind | dict])
        if "error" in entry:
            raise unpack(entry["error"])
        return entry["ok"]


def read(server, files, step=None, limits=None):
    """One pass over new files."""
    model = responses(server, limits=limits or ConversationLimits())
    passes = Passes(ModelSession(model, WORDS, (), FreeAccount(), step or Journal()))
    return asyncio.run(passes(pass_input(files, passes=("correctness",))))


def test_a_batch_that_the_model_cannot_hold_is_read_in_halves():
    server = Narrow()
    results = read(server, FILES)

    assert results.missed == ()
    assert [(row.state, row.by) for row in results.rows if row.path == "correctness"] == [
        (FileState.REVIEWED, ("2 of 2 readings",))
    ]
    assert len(server.read) == len(set(server.read)) == len(FILES)
    assert len(server.asked) == 3


def test_a_batch_over_our_own_estimate_is_halved_before_it_is_sent():
    server = Narrow(room=10**6)
    results = read(server, FILES, limits=ConversationLimits(input=3_700))

    assert results.missed == ()
    assert len(server.read) == len(FILES)
    assert len(server.asked) > 1


def test_only_a_hunk_that_does_not_fit_even_alone_is_unread():
    server = Narrow()
    results = read(server, HUGE)

    assert [path for path, _ in results.missed] == ["src/huge.py"]
    assert results.missed[0][1].startswith("the input is too long for the model")
    assert len(server.read) == len(FILES)
    assert [row.state for row in results.rows if row.path == "correctness"] == [FileState.FAILED]


def test_a_crash_while_halving_asks_nothing_twice():
    undisturbed, journal = Narrow(), Durable()
    expected = read(undisturbed, HUGE, journal)
    for place in range(1, len(journal.entries) + 1):
        server, entries = Narrow(), {}
        with pytest.raises(Crash):
            read(server, HUGE, Durable(place, entries))

        assert read(server, HUGE, Durable(None, entries)) == expected
        assert len(server.asked) == len(undisturbed.asked)


def test_halving_stays_within_the_calls_of_a_review():
    server = Narrow()
    results = read(server, HUGE, MeteredSteps(Journal(), ReviewBudget(calls=3)))

    assert len(server.asked) == 3
    assert {reason for _, reason in results.missed} == {
        "this review may make 3 model calls (ASSISTANT_CALLS_PER_REVIEW, or budgets.calls of the policy, sets the limit)"
    }

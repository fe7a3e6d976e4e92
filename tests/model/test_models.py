"""What every Model promises, whichever server is behind it."""

import pytest

from bot.core.costs import ConversationLimits
from bot.errors import NotFound, Retryable, UserError
from tests.support.conversation import TALKING, YES, Crash, Journal, Lookup, ask, core, offline, responses
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, ends, refuses, says
from tests.support.scripted_model import FreeAccount


@pytest.fixture(params=TALKING, ids=lambda make: make.__name__)
def make(request):
    return request.param


def talk(make, *turns, tools=(), **parts):
    """The answer to a script, from a server that found nothing wrong with what it was asked."""
    server = ModelServer(turns)
    answer = ask(make(server), *tools, **parts)
    assert not server.rejected
    return answer, server


def results(server):
    """What the last request tells of tools, in order."""
    items = server.asked[-1].body.get("input") or server.asked[-1].body["messages"]
    told = [item for item in items if item.get("type") == "function_call_output" or item.get("role") == "tool"]
    return [item.get("output") or item.get("content") for item in told]


@pytest.mark.parametrize("make", [offline, *TALKING])
def test_an_answer_has_a_value_or_a_reason(make):
    answer = ask(make(ModelServer([says(YES)])))
    assert (answer.value is None) == bool(answer.reason)


@pytest.mark.parametrize("make", [offline, *TALKING])
def test_a_model_says_whether_it_can_be_asked(make):
    model = make()
    assert model.available == (make is not offline)
    assert model.name


def test_an_answer_fits_the_schema(make):
    answer, server = talk(make, says(YES))
    assert answer.value == YES
    assert answer.usage.calls == len(server.asked) == 1
    assert answer.usage.input > 0


def test_tools_run_at_once_and_answer_in_order(make):
    tool = Lookup()
    turns = [calls(("look_up", {"q": "a"}), ("look_up", {"q": "b"})), says(YES), says(YES)]
    answer, server = talk(make, *turns, tools=[tool])
    assert answer.value == YES
    assert tool.asked == [{"q": "a"}, {"q": "b"}]
    assert [text for text in results(server) if text.startswith("found")] == ["found: a", "found: b"]
    assert [(one.tool, one.text) for one in answer.looked_up] == [("look_up", "found: a"), ("look_up", "found: b")]
    assert answer.usage.tool_calls == 2


@pytest.mark.parametrize(
    ("call", "says_", "told"),
    [
        (("look_up", {"q": "x"}), UserError("no such file"), "error: no such file"),
        (("look_up", {"q": "x"}), NotFound("HTTP 404"), "not available: HTTP 404"),
        (("look_up", "{half"), "", "error: the arguments are not a JSON object"),
        (("look_up", "[1]"), "", "error: the arguments are not a JSON object"),
        (("look_up", "[" * 100_000), "", "error: the arguments are not a JSON object"),
        (("rm_rf", {"q": "/"}), "", "error: there is no such tool"),
    ],
)
def test_what_goes_wrong_in_a_tool_is_told_to_the_model(make, call, says_, told):
    answer, server = talk(make, calls(call), says(YES), says(YES), tools=[Lookup(says=says_)])
    assert answer.value == YES
    assert told in results(server)


def test_a_tool_that_may_work_later_is_left_to_the_engine(make):
    with pytest.raises(Retryable):
        talk(make, calls(("look_up", {"q": "x"})), tools=[Lookup(says=Retryable("GitHub 502"))])


def test_an_answer_lists_the_tool_calls_in_order(make):
    found = '{"standards": [{"id": "style.md#names"}]}'
    tools = [Lookup("read_file", "text"), Lookup("search_standards", found)]
    turn = calls(("search_standards", {"q": "names"}), ("read_file", {"q": "a.py"}))
    answer, _ = talk(make, turn, says(YES), says(YES), tools=tools)
    assert [(use.tool, use.text) for use in answer.looked_up] == [("search_standards", found), ("read_file", "text")]


def test_at_a_cap_of_calls_an_answer_is_forced(make):
    server = ModelServer(lambda body: says(YES) if closed(body) else calls(("look_up", {"q": "x"})))
    model = make(server)
    model.limits = ConversationLimits(calls=3)
    answer = ask(model, Lookup())
    assert answer.value == YES
    assert len(server.asked) == 3
    assert [closed(one.body) for one in server.asked] == [False, False, True]


def test_four_hundred_tool_calls_are_thirty(make):
    tool = Lookup()
    flood = calls(*[("look_up", {"q": "x"})] * 400)
    answer, server = talk(make, flood, says(YES), tools=[tool])
    assert answer.value == YES
    assert len(tool.asked) == len(answer.looked_up) == 30
    assert closed(server.asked[-1].body)
    assert sum(text.startswith("denied") for text in results(server)) == 370


def test_a_model_that_never_stops_calling_ends_without_an_answer(make):
    server = ModelServer(lambda _: calls(("look_up", {"q": "x"})))
    model = make(server)
    model.limits = ConversationLimits(calls=3)
    answer = ask(model, Lookup())
    assert answer.value is None
    assert "calling tools" in answer.reason
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "wrong", ["{half", '{"known": true}', "", '{"citations": [], "known": 1, "answer": "", "x": 1}']
)
def test_an_invalid_answer_gets_one_repair(make, wrong):
    answer, server = talk(make, says(wrong), says(YES))
    assert answer.value == YES
    assert ("invalid answer" in str(server.asked[-1].body)) == bool(wrong)
    answer, server = talk(make, says(wrong), says(wrong))
    assert answer.value is None
    assert "no valid answer" in answer.reason
    assert len(server.asked) == 2
    assert answer.usage.calls == 2


def test_a_cut_answer_gets_one_larger_try(make):
    answer, server = talk(make, ends("length", '{"known": tr'), says(YES))
    assert answer.value == YES
    assert [ceiling(one.body) for one in server.asked] == [12_000, 48_000]
    answer, server = talk(make, ends("length"), ends("length"))
    assert answer.value is None
    assert answer.reason == "the answer was cut off at 48000 tokens"


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        (refuses(), "the model refused to answer"),
        (ends("content_filter", "half"), "the answer is incomplete: content_filter"),
    ],
)
def test_a_refusal_is_a_reason_and_is_not_asked_again(make, turn, reason):
    answer, server = talk(make, turn)
    assert (answer.value, answer.reason) == (None, reason)
    assert len(server.asked) == 1


def test_after_any_crash_nothing_is_asked_or_run_twice(make):
    turns = [calls(("look_up", {"q": "a"}), ("look_up", {"q": "b"})), says("{half"), says(YES), says(YES)]
    tool, journal = Lookup(), Journal()
    whole, server = talk(make, *turns, tools=[tool], step=journal)
    for dies_after in range(1, len(journal.entries) + 1):
        again, entries, second = Lookup(), {}, ModelServer(turns)
        with pytest.raises(Crash):
            ask(make(second), again, step=Journal(dies_after, entries))
        answer = ask(make(second), again, step=Journal(entries=entries))
        assert answer.value == whole.value
        assert len(second.asked) == len(server.asked)
        assert sorted(one["q"] for one in again.asked) == ["a", "b"]
        sent = [str(one.body) for one in second.asked]
        assert len(set(sent)) == len(sent)


def test_steps_have_names_that_are_unique_and_stable(make):
    journal = Journal()
    turn = calls(("look_up", {"q": "a"}), ("look_up", {"q": "b"}))
    talk(make, turn, says(YES), says(YES), tools=[Lookup()], step=journal)
    assert list(journal.entries)[:4] == ["find/1/call-1", "find/1/tool-1-1", "find/1/tool-1-2", "find/1/call-2"]


def test_without_money_nothing_is_sent(make):
    account = FreeAccount(100)
    answer, server = talk(make, account=account)
    assert answer.value is None
    assert "this review may use 100 tokens" in answer.reason
    assert not server.asked


def test_when_money_runs_out_the_answer_is_forced(make):
    account = FreeAccount(28_000, used=4_000)
    big = {"input_tokens": 22_000, "prompt_tokens": 22_000}
    server = ModelServer([calls(("look_up", {"q": "x"}), usage=big)])
    answer = ask(make(server), Lookup(), account=account)
    assert answer.value is None
    assert "may use 28000 tokens" in answer.reason
    assert answer.usage.calls == 1
    roomy = FreeAccount(150_000, used=100_000)
    answer, server = talk(make, calls(("look_up", {"q": "x"}), usage=big), says(YES), tools=[Lookup()], account=roomy)
    assert answer.value == YES
    assert closed(server.asked[1].body)


class Slow(Journal):
    """A journal that says that every call took long."""

    async def __call__(self, name, work, kind, /):
        await super().__call__(name, work, kind)
        if "call" in name:
            self.entries[name]["seconds"] = 500.0
        return await super().__call__(name, work, kind)


def test_when_time_runs_out_the_answer_is_forced(make):
    turn = calls(("look_up", {"q": "x"}))
    answer, server = talk(make, turn, says(YES), tools=[Lookup()], step=Slow())
    assert answer.value == YES
    assert closed(server.asked[1].body)


def test_when_the_conversation_grows_long_the_answer_is_forced(make):
    turn = calls(("look_up", {"q": "x"}), usage={"input_tokens": 210_000, "prompt_tokens": 210_000})
    answer, server = talk(make, turn, says(YES), tools=[Lookup()])
    assert answer.value == YES
    assert closed(server.asked[1].body)


def test_what_a_call_cost_is_settled(make):
    account = FreeAccount()
    answer, _ = talk(make, says(YES), account=account)
    assert account.used == answer.usage.tokens
    assert not account.held


def test_a_server_that_does_not_count_is_counted_for(make):
    answer, _ = talk(make, says(YES, usage=None))
    assert answer.usage.input > 100
    assert answer.usage.output > 10


def test_a_price_is_known_or_unknown_never_nothing():
    answer, _ = talk(responses, says(YES))
    assert answer.usage.dollars > 0
    model = core(ModelServer([says(YES)]))
    model.model = "our-deployment"
    assert ask(model).usage.dollars is None


def closed(body):
    """Whether a request leaves the model nothing to do but answer."""
    return body.get("tool_choice", "none") == "none"


def ceiling(body):
    return body.get("max_output_tokens") or body["max_completion_tokens"]

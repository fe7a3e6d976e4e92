"""What is sent to servers of the Chat Completions API, and what is read from them."""

import json
import time

import pytest

from bot.core.costs import ConversationLimits
from bot.model.conversation import Capabilities
from tests.support.conversation import YES, Lookup, ask, chat, grammar, schemaless
from tests.support.model_requests import problems
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, says

LOOK = calls(("look_up", {"q": "x"}))


def sent(*turns, model=chat, tools=(), **parts):
    """The bodies of a conversation with a server that rejected none of them."""
    server = ModelServer(turns)
    ask(model(server), *tools, **parts)
    assert not server.rejected
    return server.calls_to("/v1/chat/completions")


def test_one_system_message_and_one_of_the_user():
    (body,) = sent(says(YES))
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"] == "You review code.\n\nNames are nouns."
    assert body["messages"][1]["content"].endswith("\n\nIs it good?")


MATRIX = {
    "schema after the tools": (Capabilities(), [LOOK, says("Fine."), says(YES)], ["tools", "tools", "schema"]),
    "schema with the tools": (
        Capabilities(schema_with_tools=True),
        [LOOK, says(YES)],
        ["tools schema", "tools schema"],
    ),
    "no schema": (Capabilities(schema=False), [LOOK, says("Fine."), says(YES)], ["tools", "tools", ""]),
    "one tool at a time": (
        Capabilities(parallel_tools=False),
        [LOOK, says("Fine."), says(YES)],
        ["tools", "tools", "schema"],
    ),
}


@pytest.mark.parametrize("case", MATRIX)
def test_what_a_server_cannot_do_is_asked_for_otherwise(case):
    able, turns, offered = MATRIX[case]
    server = ModelServer(turns)
    assert ask(chat(server, capabilities=able), Lookup()).value == YES
    assert not server.rejected
    bodies = server.calls_to("/v1/chat/completions")
    named = {"tools": "tools", "response_format": "schema"}
    assert [" ".join(word for key, word in named.items() if key in body) for body in bodies] == offered
    assert {body.get("parallel_tool_calls") for body in bodies} <= {able.parallel_tools, None}


def test_without_a_schema_its_text_is_shown_and_a_fence_around_the_answer_is_taken_off():
    server = ModelServer([says(f"```json\n{json.dumps(YES)}\n```")])
    assert ask(schemaless(server)).value == YES
    assert '"additionalProperties": false' in server.asked[0].body["messages"][1]["content"]


@pytest.mark.parametrize(
    "said",
    [
        "Here is my answer:\n\n```json\n{}\n```\nI hope it helps.",
        "```\n{}```",
        "<think>\nIs it `{`, or ```[]```?\n</think>\n\n```json\n{}\n```",
        "<think></think>{}",
    ],
)
def test_an_answer_is_found_among_words_and_thoughts(said):
    value = YES | {"answer": "use ```</think>```"}
    assert ask(schemaless(ModelServer([says(said.replace("{}", json.dumps(value)))]))).value == value


@pytest.mark.parametrize("said", ["```" + "\n" * 100_000, "```\n" * 50_000, "<think>" * 50_000])
def test_nothing_a_model_writes_takes_long_to_read(said):
    started = time.process_time()
    assert ask(schemaless(ModelServer([says(said), says(YES)]))).value == YES
    assert time.process_time() - started < 2


def test_the_operators_options_pass_through():
    options = {"temperature": 0.2, "top_p": 0.9, "seed": 7, "top_k": 40}
    server = ModelServer([says(YES)])
    server.allowed = {"top_k"}
    assert ask(chat(server, options=options)).value == YES
    assert not server.rejected
    body = server.asked[0].body
    assert {key: body[key] for key in ("temperature", "top_p", "seed", "top_k")} == {
        "temperature": 0.2,
        "top_p": 0.9,
        "seed": 7,
        "top_k": 40,
    }
    assert body["model"] == "local-model"
    assert body["messages"]


def test_an_older_server_has_another_word_for_the_limit():
    server = ModelServer([says(YES)])
    ask(chat(server, limit_field="max_tokens"))
    assert server.asked[0].body["max_tokens"] == 12_000
    assert "max_completion_tokens" not in server.asked[0].body


def test_calls_go_back_with_their_results_and_without_empty_fields():
    _, second = sent(LOOK, says(YES), model=grammar, tools=[Lookup()])
    call, result = second["messages"][2:]
    assert call.keys() == {"role", "content", "tool_calls"}
    assert result == {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "found: x"}


def test_a_person_sees_the_answer_come_and_the_answer_is_the_same():
    said = []
    server = ModelServer([LOOK, says(YES)])
    model = chat(server, progress=said.append, capabilities=Capabilities(schema_with_tools=True))
    answer = ask(model, Lookup())
    assert answer.value == YES
    assert not server.rejected
    assert answer.usage.input > 100
    said = [piece for piece in said if piece]
    assert said[0] == "[look_up]\n"
    assert "".join(said[1:]) == json.dumps(YES)
    assert len(said) > 3


def test_a_server_that_can_count_is_asked_near_the_limit():
    server = ModelServer([says(YES)])
    server.tokens = 2_000
    model = chat(server, capabilities=Capabilities(count_tokens=True), limits=ConversationLimits(input=3_000))
    assert ask(model, material="word and number 12 \n" * 400).value == YES
    (asked,) = server.calls_to("/tokenize")
    assert asked.keys() == {"model", "messages"}


GOOD = sent(says("Fine."), says(YES), tools=[Lookup()])[0]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"input": []},
        {"max_output_tokens": 5},
        {"temperature": "hot"},
        {"messages": GOOD["messages"][::-1]},
        {"messages": [*GOOD["messages"], GOOD["messages"][1]]},
        {"messages": [*GOOD["messages"], {"role": "tool", "tool_call_id": "c", "content": "x"}]},
        {"messages": [{"role": "robot", "content": "hello"}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {"type": "object"}}}},
        {"tools": [{"type": "function", "function": GOOD["tools"][0]["function"] | {"strict": False}}]},
    ],
    ids=lambda spoilt: next(iter(spoilt)),
)
def test_the_stand_in_knows_a_bad_request(spoilt):
    assert not problems("chat", GOOD)
    assert problems("chat", GOOD | spoilt)

"""What is sent to the Responses API, and what is read from it."""

import asyncio
import hashlib
import hmac
import json

import pytest
from pydantic import SecretStr

from bot.core.costs import CODE_RUN, FILE_SEARCH, Usage, with_price
from bot.model.client import Endpoint
from bot.model.conversation import ModelRequest
from bot.model.responses import code_interpreter, file_search
from tests.support.conversation import YES, Journal, Lookup, ask, core, prompt, responses
from tests.support.model_requests import problems
from tests.support.model_server import ModelServer, prefixes_of
from tests.support.model_turns import calls, says
from tests.support.scripted_model import FreeAccount

LOOK = calls(("look_up", {"q": "x"}))


def sent(*turns, model=responses, tools=(), **parts):
    """The bodies of a conversation with a server that rejected none of them."""
    server = ModelServer(turns)
    ask(model(server), *tools, **parts)
    assert not server.rejected
    return server.calls_to("/v1/responses")


def test_items_stand_in_the_order_of_their_life():
    (body,) = sent(says(YES))
    assert [(item["role"], "prompt_cache_breakpoint" in item["content"][0]) for item in body["input"]] == [
        ("developer", True),
        ("developer", True),
        ("user", True),
        ("user", False),
    ]
    assert body["input"][-1]["content"][0]["text"] == "Is it good?"


def test_an_empty_part_is_no_message():
    (body,) = sent(says(YES), rules="", material="")
    assert [item["role"] for item in body["input"]] == ["developer", "user", "user"]


@pytest.mark.parametrize(
    ("address", "ours"),
    [("", True), ("https://api.openai.com/v1", True), ("https://x.openai.azure.com/openai/v1/", False)],
)
def test_only_openai_itself_is_openai(address, ours):
    assert Endpoint(SecretStr("sk-test"), address).is_openai == ours


def test_nothing_is_stored_and_the_author_is_not_named():
    (body,) = sent(says(YES))
    assert body["store"] is False
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["safety_identifier"] == hmac.new(b"pepper", b"42", hashlib.sha256).hexdigest()
    assert body["prompt_cache_key"] == "inst-1"
    assert not body.keys() & {"instructions", "prompt", "previous_response_id", "conversation", "metadata"}


def test_every_step_continues_the_one_before_byte_for_byte():
    first, second, third = sent(LOOK, LOOK, says(YES), tools=[Lookup()])
    for earlier, later in ((first, second), (second, third)):
        assert json.dumps(later["input"]).startswith(json.dumps(earlier["input"])[:-1])
        assert {**later, "input": 0} == {**earlier, "input": 0}


def test_a_second_push_reuses_the_prefix_up_to_the_rules():
    first, second = sent(says(YES))[0], sent(says(YES), material="another change", job="job-2")[0]
    instructions, rules, material = zip(prefixes_of(first), prefixes_of(second), strict=True)
    assert instructions[0] == instructions[1]
    assert rules[0] == rules[1]
    assert material[0] != material[1]


def test_the_same_change_asked_otherwise_reuses_everything_but_the_question():
    first, second = sent(says(YES))[0], sent(says(YES), ask="Is it safe?", name="find/2")[0]
    assert list(prefixes_of(first)) == list(prefixes_of(second))
    server = ModelServer([says(YES), says(YES)])
    model = responses(server)
    assert ask(model).usage.cached == 0
    again = ask(model, ask="Is it safe?").usage
    assert again.cached > 100
    assert again.written == 0


def test_reasoning_and_calls_go_back_word_for_word():
    _, second = sent(LOOK, says(YES), tools=[Lookup()])
    kinds = [item["type"] for item in second["input"][4:]]
    assert kinds == ["reasoning", "function_call", "function_call_output"]
    assert second["input"][4]["encrypted_content"].startswith("sealed-")


def test_items_that_we_have_no_use_for_go_back_too():
    searched = {
        "id": "ws_1",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "x"},
    }
    server = ModelServer([calls(("look_up", {"q": "x"}), items=(searched,)), says(YES)])
    ask(responses(server), Lookup())
    assert not server.rejected
    assert searched in server.calls_to("/v1/responses")[-1]["input"]


def test_at_the_end_tools_stay_in_the_list_and_may_not_be_called():
    bodies = sent(*[LOOK] * 11, says(YES), tools=[Lookup()])
    assert [body["tool_choice"] for body in bodies] == ["auto"] * 11 + ["none"]
    assert len({json.dumps(body["tools"]) for body in bodies}) == 1


def test_tools_are_sorted_so_that_the_order_of_offer_does_not_matter():
    (body,) = sent(says(YES), tools=[Lookup("b"), Lookup("a")])
    assert [tool["name"] for tool in body["tools"]] == ["a", "b"]


def test_what_is_said_while_working_is_not_the_answer():
    server = ModelServer([says(YES, commentary="I will look at the tests first.")])
    assert ask(responses(server)).value == YES


def test_an_unknown_server_gets_the_common_core():
    (body,) = sent(says(YES), model=core)
    assert body.keys() == {"model", "input", "store", "max_output_tokens", "text"}
    assert "prompt_cache_breakpoint" not in json.dumps(body)


def test_where_a_schema_suppresses_tools_it_waits_for_the_last_call():
    tools, final = sent(says("It looks fine."), says(YES), model=core, tools=[Lookup()])
    assert ("tools" in tools, "text" in tools) == (True, False)
    assert ("tools" in final, "text" in final) == (False, True)


def test_hosted_tools_are_passed_on_counted_and_paid():
    hits = [{"file_id": "file-1", "filename": "style.md", "score": 0.9, "text": "Names are nouns.", "attributes": {}}]
    search = {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["names"], "results": hits}
    run = {
        "id": "ci_1",
        "type": "code_interpreter_call",
        "status": "completed",
        "container_id": "cntr_1",
        "code": "1 + 1",
        "outputs": [],
    }
    server = ModelServer([says(YES, items=(search, run))])
    plain = ask(responses(ModelServer([says(YES)]))).usage
    answer = ask(responses(server, hosted=(file_search(["vs_1"]), code_interpreter())))
    assert not server.rejected
    body = server.asked[0].body
    assert body["tool_choice"] == "auto"
    assert body["max_tool_calls"] == 8
    assert set(body["include"]) >= {"file_search_call.results", "code_interpreter_call.outputs"}
    assert body["tools"][1]["container"]["network_policy"] == {"type": "disabled"}
    assert [(found.query, found.text) for found in answer.passages] == [("names", "Names are nouns.")]
    assert (answer.usage.tool_calls, answer.usage.file_searches, answer.usage.code_runs) == (2, 1, 1)
    assert answer.usage.dollars > plain.dollars + FILE_SEARCH + CODE_RUN


@pytest.mark.parametrize(
    ("tool", "fee"), [(file_search(["vs_1"]), FILE_SEARCH), (code_interpreter(), CODE_RUN), ({}, 0)]
)
def test_the_fees_of_the_servers_own_tools_are_reserved_before_the_call(tool, fee):
    reserved = []

    class Strict(FreeAccount):
        async def reserve(self, name, worst, likely=None, kept=None):
            reserved.append(worst)
            await super().reserve(name, worst)

    ask(responses(ModelServer([says(YES)]), hosted=(tool,) if tool else ()), account=Strict())
    (worst,) = reserved
    tokens_alone = with_price(Usage(input=worst.input, written=worst.input, output=worst.output), "gpt-6.2-sol")
    assert worst.dollars == pytest.approx(tokens_alone.dollars + 8 * fee)


def test_a_person_sees_the_answer_come_and_the_answer_is_the_same():
    said = []
    server = ModelServer([LOOK, says(YES)])
    answer = ask(responses(server, progress=said.append), Lookup())
    assert answer.value == YES
    assert not server.rejected
    assert said[0] == "[look_up]\n"
    assert "".join(said[1:]) == json.dumps(YES)
    assert len(said) > 3


def test_the_server_path_does_not_stream():
    assert all("stream" not in body for body in sent(LOOK, says(YES), tools=[Lookup()]))


def test_a_client_is_made_when_first_used_and_again_after_it_was_closed():
    model = responses(ModelServer([says(YES), says(YES)]))
    assert model.endpoint._client is None

    async def use():
        first = await model.ask(prompt(), (), Journal(), FreeAccount())
        await model.close()
        assert model.endpoint._client is None
        return first, await model.ask(prompt(), (), Journal(), FreeAccount())

    assert [answer.value for answer in asyncio.run(use())] == [YES, YES]


GOOD = responses().request(
    prompt(), responses().opening(prompt()), ModelRequest((Lookup(),), callable=True, schema=True, ceiling=99)
)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"messages": []},
        {"response_format": {"type": "json_object"}},
        {"instructions": "be nice"},
        {"prompt": {"id": "pmpt_1"}},
        {"previous_response_id": "resp_1"},
        {"metadata": {"pr": "1"}},
        {"store": True},
        {"max_output_tokens": 15},
        {"max_output_tokens": "25000"},
        {"tool_choice": "maybe"},
        {"reasoning": {"effort": "enormous"}},
        {"service_tier": "free"},
        {"truncation": "yes"},
        {"safety_identifier": "x" * 129},
        {"prompt_cache_options": {"mode": "always"}},
        {"tools": [GOOD["tools"][0] | {"strict": False}]},
        {"tools": [GOOD["tools"][0] | {"parameters": {"type": "object", "properties": {"q": {}}}}]},
        {"tools": [file_search(["vs_1"], 51)]},
        {"text": {"format": GOOD["text"]["format"] | {"name": "two words"}}},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        {"input": [{"type": "function_call_output", "output": "x"}]},
        {"input": [{"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "s"}]},
        {"input": [{"role": "robot", "content": "hello"}]},
        {"input": GOOD["input"][:3] + GOOD["input"][2:3]},
        {"input": [GOOD["input"][2] | {"role": "developer"}]},
    ],
    ids=lambda spoilt: next(iter(spoilt)),
)
def test_the_stand_in_knows_a_bad_request(spoilt):
    assert not problems("responses", GOOD)
    assert problems("responses", GOOD | spoilt)

"""The habits of model servers as users report them: each is understood, or ends with an honest reason."""

import json
import re

import httpx2
import pytest

from bot.core.costs import ConversationLimits
from bot.errors import Forbidden, NotFound, RateLimited, Refused, Retryable, TooLarge
from bot.model.conversation import Capabilities
from bot.model.refusals import named_limit
from tests.support.conversation import YES, Lookup, ask, chat, core, responses
from tests.support.model_server import ModelServer, canonical
from tests.support.model_turns import calls, completion, garbles, rejects, response, says

TOO_LONG = {
    "OpenAI": (400, {"error": {"message": "m", "code": "context_length_exceeded", "param": "messages"}}),
    "Azure": (400, {"error": {"message": "Your input exceeds the context window of this model.", "code": None}}),
    "a minute's tokens": (
        429,
        {
            "error": {
                "message": "Request too large for gpt-4o on tokens per min (TPM): Limit 4096, Requested 9000.",
                "code": "rate_limit_exceeded",
            }
        },
    ),
    "vLLM": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested 9000.",
        },
    ),
    "vLLM, newer": (
        400,
        {"error": {"message": "The decoder prompt (length 9000) is longer than the maximum model length of 4096."}},
    ),
    "SGLang": (
        400,
        {"message": "The input (9000 tokens) is longer than the model's context length (4096 tokens).", "code": 400},
    ),
    "llama.cpp": (
        400,
        {"error": {"code": 400, "message": "try increasing it", "type": "exceed_context_size_error", "n_ctx": 4096}},
    ),
    "llama.cpp, older": (500, {"error": {"code": 500, "message": "Context size has been exceeded."}}),
    "llama-cpp-python": (500, {"error": {"message": "Requested tokens (9000) exceed context window of 4096"}}),
    "LM Studio": (
        400,
        {
            "error": "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with "
            "context length of only 4096 tokens"
        },
    ),
    "Gemini": (
        400,
        {
            "error": {
                "code": 400,
                "message": "The input token count (9000) exceeds the maximum number of tokens allowed (4096).",
                "status": "INVALID_ARGUMENT",
            }
        },
    ),
    "Gemini, a list": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (9000) exceeds the maximum number of tokens allowed (4096).",
                }
            }
        ],
    ),
    "LiteLLM": (
        400,
        {
            "error": {
                "message": "litellm.ContextWindowExceededError: AnthropicError - prompt is too long: 9000 tokens > 4096",
                "code": "400",
            }
        },
    ),
    "Bedrock": (400, {"message": "Input is too long for requested model."}),
    "xAI": (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 4096 but the request contains 9000 tokens.",
        },
    ),
    "Mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 9000 tokens, too large for model with 4096 maximum context length",
        },
    ),
    "TGI": (
        422,
        {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9000 `inputs`"},
    ),
    "Cohere": (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"}),
    "Moonshot": (400, {"error": {"message": "Invalid request: Your request exceeded model token limit: 8192"}}),
    "Qwen": (400, {"error": {"message": "Range of input length should be [1, 30720]", "code": "invalid_parameter"}}),
    "Zhipu": (400, {"error": {"code": "1261", "message": "Prompt 超长"}}),
    "a proxy": (413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
}


@pytest.mark.parametrize("make", [responses, chat])
@pytest.mark.parametrize("server", TOO_LONG)
def test_too_long_is_understood_in_the_words_of_every_server(make, server):
    status, body = TOO_LONG[server]
    with pytest.raises(TooLarge, match="too long for the model"):
        ask(make(ModelServer([rejects(status, body)])))


OTHER = {
    "a wait for the minute's tokens": (
        429,
        {"error": {"message": "Rate limit reached on tokens per min (TPM): Limit 30000, Used 25000, Requested 9000."}},
        RateLimited,
        "asks to wait",
    ),
    "too many tokens a minute": (
        429,
        {"message": "Too many tokens, please wait before trying again."},
        RateLimited,
        "",
    ),
    "a text": (400, {"error": "the model is not loaded"}, Refused, "the model is not loaded"),
    "a list": (400, [{"error": {"message": "API key expired"}}], Refused, "API key expired"),
    "details": (
        422,
        {"detail": [{"loc": ["body", "seed"], "msg": "Input should be a number"}]},
        Refused,
        "body.seed: Input should be a number",
    ),
    "a page": (
        400,
        "<html><head><title>Blocked by the firewall</title></head></html>",
        Refused,
        "Blocked by the firewall",
    ),
    "a page that is not found": (404, "404 page not found", NotFound, "404 page not found"),
    "a filter": (
        400,
        {"error": {"message": "The response was filtered", "code": "content_filter"}},
        Refused,
        "filtered",
    ),
    "loading": (503, {"error": {"message": "Loading model", "code": 503}}, Retryable, "HTTP 503"),
}


@pytest.mark.parametrize("make", [responses, chat])
@pytest.mark.parametrize("fault", OTHER)
def test_a_body_of_any_shape_yields_its_reason(make, fault):
    status, body, kind, reason = OTHER[fault]
    with pytest.raises(kind) as raised:
        ask(make(ModelServer([rejects(status, body)])))
    assert type(raised.value) is kind
    assert reason in str(raised.value)


@pytest.mark.parametrize("make", [responses, chat])
def test_a_redirect_is_reported_with_its_target(make):
    with pytest.raises(Refused, match=r"redirects to https://new\.test/v1 .*OPENAI_BASE_URL"):
        ask(make(ModelServer([rejects(307, "", location="https://new.test/v1")])))


def test_a_wait_until_a_date_is_understood():
    with pytest.raises(RateLimited) as raised:
        ask(chat(ModelServer([rejects(429, {}, retry_after="Wed, 21 Oct 2015 07:28:00 GMT")])))
    assert raised.value.after == 0.0


def test_a_web_page_in_place_of_an_answer_is_named():
    with pytest.raises(Retryable, match=r"web page \(Sign in\)"):
        ask(chat(ModelServer([garbles("<!doctype html><html><body>Sign in</body></html>")])))


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        ({"error": {"message": "overloaded", "code": 502}}, Retryable),
        ({"error": {"message": "Rate limit exceeded: free-models-per-min", "code": 429}}, RateLimited),
        ({"error": {"message": "Provider returned error", "code": 400}}, Refused),
        ({"error": {"message": "key", "code": 401}}, Forbidden),
        ({"choices": [{"finish_reason": "error", "message": {"role": "assistant", "content": "Half"}}]}, Retryable),
        ({"choices": [{"error": {"message": "gone", "code": 502}, "message": {"content": ""}}]}, Retryable),
    ],
)
def test_a_failure_inside_an_answer_is_no_answer(failed, kind):
    with pytest.raises(kind) as raised:
        ask(chat(ModelServer([garbles(json.dumps(failed))])))
    assert type(raised.value) is kind


JSON = json.dumps(YES)
INDENTED = json.dumps(YES, indent=2)
SPELLINGS = {
    "byte order mark": "\ufeff{}",
    "thought": "<think>\nThere is a {brace} here.\n</think>\n\n{}",
    "thought, not opened": "There is a brace, hm.\n</think>\n\n{}",
    "thinking": "<thinking>hm</thinking>{}",
    "thought with a draft": '<think>{"citations": [], "known": false, "answer": "no"}</think>{}',
    "fence": "```json\n{}\n```",
    "fence, upper case": "```JSON\n{}\n```",
    "fence, another word": "```jsonc\n{}\n```",
    "fence, tildes": "~~~\n{}\n~~~",
    "fence, not closed": "```json\n{}",
    "fence among words": "Here you are:\n\n```json\n{}\n```\n\nHope this helps!",
    "two fences": "```python\nprint({'a': 1})\n```\n\n```json\n{}\n```",
    "example, then the answer": 'The form is {"answer": "…"}.\n\n{}',
    "words before": "Here is the JSON: {}",
    "words after": "{}\n\nLet me know if you need {more}.",
    "a list of one": "[{}]",
    "thought in a fence": "<think>\nhm ```x```\n</think>\n\n```json\n{}\n```",
}


@pytest.mark.parametrize("make", [responses, chat])
@pytest.mark.parametrize("answer", [JSON, INDENTED], ids=["line", "lines"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_answer_is_read_in_every_spelling_without_a_repair(make, spelling, answer):
    server = ModelServer([says(SPELLINGS[spelling].replace("{}", answer))])
    assert ask(make(server)).value == YES
    assert len(server.asked) == 1


def test_an_answer_that_is_encoded_twice_is_read():
    assert ask(chat(ModelServer([says(json.dumps(JSON))]))).value == YES


@pytest.mark.parametrize("said", ["<think>hm", "", "I have looked.", "{}", '{"answer": "yes"', '<think>{"answer": 1}'])
def test_what_holds_no_answer_ends_with_a_reason_after_one_repair(said):
    server = ModelServer([says(said), says(said)])
    answer = ask(chat(server))
    assert answer.value is None
    assert "no valid answer" in answer.reason
    assert len(server.asked) == 2


def test_content_in_parts_is_read_without_its_thoughts():
    thoughts = {"type": "thinking", "thinking": [{"type": "text", "text": '{"answer": "no"}'}]}
    said = completion(says("x"), {"model": "m"})
    said["choices"][0]["message"]["content"] = [thoughts, {"type": "text", "text": JSON}]
    assert ask(chat(ModelServer([garbles(json.dumps(said))]))).value == YES


ARGUMENTS = {
    "an object": {"q": "x"},
    "text": '{"q": "x"}',
    "fenced": '```json\n{"q": "x"}\n```',
    "encoded twice": json.dumps('{"q": "x"}'),
}


def called(*wanted):
    """A completion with tool calls as they are written here."""
    said = completion(calls(("look_up", "{}")), {"model": "m"})
    said["choices"][0]["message"]["tool_calls"] = list(wanted)
    return garbles(json.dumps(said))


@pytest.mark.parametrize("spelling", ARGUMENTS)
def test_a_tool_runs_with_its_arguments_in_every_spelling(spelling):
    tool = Lookup()
    function = {"name": "look_up", "arguments": ARGUMENTS[spelling]}
    server = ModelServer([called({"id": "c", "type": "function", "function": function}), says("Fine."), says(JSON)])
    assert ask(chat(server), tool).value == YES
    assert tool.asked == [{"q": "x"}]
    assert not server.rejected


@pytest.mark.parametrize("arguments", [None, "", "null"])
def test_a_call_without_arguments_has_empty_ones(arguments):
    tool = Lookup()
    function = {"name": "look_up", "arguments": arguments}
    server = ModelServer([called({"id": "c", "type": "function", "function": function}), says("Fine."), says(JSON)])
    assert ask(chat(server), tool).value == YES
    assert tool.asked == [{}]


@pytest.mark.parametrize("name", ["", None, "same"])
def test_calls_without_an_id_of_their_own_get_one(name):
    tool = Lookup()
    call = {"id": name, "type": "function", "function": {"name": "look_up", "arguments": '{"q": "x"}'}}
    server = ModelServer([called(call, call), says("Fine."), says(JSON)])
    assert ask(chat(server), tool).value == YES
    assert not server.rejected
    results = [item["tool_call_id"] for item in server.asked[1].body["messages"] if item["role"] == "tool"]
    assert len(set(results)) == 2


def streamed(*deltas, ending="stop"):
    """A stream of these pieces."""
    rows = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    rows.append({"choices": [{"index": 0, "delta": {}, "finish_reason": ending}]})
    return garbles("".join(f"data: {json.dumps(row)}\n\n" for row in rows))


def test_pieces_of_calls_without_an_index_are_put_together():
    tool, shown = Lookup(), []
    first = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": '{"q"'}}
    pieces = [{"tool_calls": [first]}, {"tool_calls": [{"function": {"arguments": ': "x"}'}}]}]
    second = {"id": "d", "type": "function", "function": {"name": "look_up", "arguments": {"q": "y"}}}
    server = ModelServer([streamed(*pieces, {"tool_calls": [second]}, ending="tool_calls"), says("Fine."), says(JSON)])
    assert ask(chat(server, progress=shown.append), tool).value == YES
    assert tool.asked == [{"q": "x"}, {"q": "y"}]
    assert shown[:2] == ["[look_up]\n", ""]


def test_a_stream_of_content_in_parts_is_read():
    thoughts = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}
    server = ModelServer([streamed(thoughts, {"content": [{"type": "text", "text": JSON}]})])
    assert ask(chat(server, progress=lambda _: None)).value == YES


def test_an_error_inside_a_stream_may_pass():
    raw = f"data: {json.dumps({'choices': [], 'error': {'message': 'upstream gone', 'type': 'upstream'}})}\n\n"
    with pytest.raises(Retryable):
        ask(chat(ModelServer([garbles(raw)]), progress=lambda _: None))


REFUSED = {
    "Mistral": (
        "max_completion_tokens",
        422,
        {"message": {"detail": [{"loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]}},
    ),
    "an older server": (
        "max_completion_tokens",
        400,
        {"error": {"message": "Unrecognized request argument supplied: max_completion_tokens"}},
    ),
    "o3-mini": (
        "parallel_tool_calls",
        400,
        {
            "error": {
                "message": "Unsupported parameter: it is not supported with this model",
                "param": "parallel_tool_calls",
            }
        },
    ),
    "in other words": (
        "parallel_tool_calls",
        400,
        {"error": {"message": "Le champ parallel_tool_calls n'est pas permis"}},
    ),
    "no choice": ("tool_choice", 400, {"error": {"message": "`tool_choice` is not a valid argument"}}),
    "no schema": ("response_format", 400, {"error": {"message": "This response_format type is unavailable now"}}),
    "no grammar": ("response_format", 400, {"error": {"message": "structured outputs are not supported"}}),
    "temperature": (
        "temperature",
        400,
        {"error": {"message": "Only the default (1) value is supported.", "param": "temperature"}},
    ),
    "Ollama": ("tools", 400, {"error": {"message": "gemma3:latest does not support tools", "type": "api_error"}}),
    "vLLM": (
        "tools",
        400,
        {"message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'},
    ),
    "OpenRouter": ("tools", 404, {"error": {"message": "No endpoints found that support tool use.", "code": 404}}),
    "llama.cpp": ("tools", 500, {"error": {"code": 500, "message": "tools param requires --jinja flag"}}),
}


@pytest.mark.parametrize("server", REFUSED)
def test_a_field_that_is_refused_is_left_out_once_and_for_all(server, caplog):
    name, status, body = REFUSED[server]
    served = ModelServer(lambda asked: rejects(status, body) if name in asked else says(JSON))
    model = chat(served, options={"temperature": 0.2})
    assert ask(model, Lookup()).value == YES
    assert ask(model, Lookup()).value == YES
    assert sum(name in asked.body for asked in served.asked) == 1
    assert not served.rejected
    assert "the model server" in caplog.text


def test_a_schema_that_is_refused_is_shown_as_text():
    refused = {"error": {"message": "This response_format type is unavailable now"}}
    server = ModelServer(lambda body: rejects(400, refused) if "response_format" in body else says(JSON))
    assert ask(chat(server)).value == YES
    assert '"additionalProperties": false' in server.asked[1].body["messages"][-1]["content"]
    assert [message["role"] for message in server.asked[1].body["messages"]] == ["system", "user"]


def test_reasoning_that_the_responses_api_refuses_is_left_out():
    refused = {"error": {"message": "Unsupported parameter: 'reasoning.effort'", "param": "reasoning.effort"}}
    server = ModelServer(lambda body: rejects(400, refused) if "reasoning" in body else says(JSON))
    model = responses(server)
    assert [ask(model).value, ask(model).value] == [YES, YES]
    assert ["reasoning" in asked.body for asked in server.asked] == [True, False, False]


def test_what_stays_refused_ends_with_the_servers_reason():
    server = ModelServer(lambda _: rejects(400, {"error": {"message": "top_p: bad luck"}}))
    with pytest.raises(Refused, match="bad luck"):
        ask(chat(server, options={"top_p": 0.9}), Lookup())
    assert len(server.asked) == 2


def test_a_server_without_a_system_role_gets_one_message():
    refused = {"error": {"message": "Conversation roles must alternate user/assistant (System role not supported)"}}
    has = lambda body: body["messages"][0]["role"] == "system"  # noqa: E731
    server = ModelServer(lambda body: rejects(400, refused) if has(body) else says(JSON))
    assert ask(chat(server)).value == YES
    (message,) = server.asked[1].body["messages"]
    assert message["content"].startswith("You review code.")


def test_a_field_of_an_answer_is_not_echoed_where_it_is_refused():
    first = completion(calls(("look_up", {"q": "x"})), {"model": "m"})
    first["choices"][0]["message"]["reasoning"] = "I look it up."
    refused = {"error": {"message": "'messages.2' : property 'reasoning' is unsupported"}}

    def script(body):
        if any("reasoning" in message for message in body["messages"]):
            return rejects(400, refused)
        return garbles(json.dumps(first)) if len(body["messages"]) == 2 else says(JSON)

    server = ModelServer(script)
    assert ask(chat(server), Lookup()).value == YES


def test_calls_in_the_history_are_told_where_tools_are_required_with_them():
    refused = {"error": {"message": "Anthropic expects the `tools=` param to be passed in when tool calls are there."}}

    def script(body):
        if any(message["role"] == "tool" for message in body["messages"]):
            return says("Fine.") if "tools" in body else rejects(400, refused)
        return calls(("look_up", {"q": "x"})) if "tools" in body else says(JSON)

    server = ModelServer(script)
    assert ask(chat(server), Lookup()).value == YES
    told = server.asked[-1].body["messages"]
    assert [message["role"] for message in told] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "found: x" in told[3]["content"]


LIMITS = {
    "max_tokens is too large: 25000. This model supports at most 16384 completion tokens, you provided 25000.": 16384,
    "max_tokens: 25000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022": 8192,
    "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]": 8192,
    "`max_tokens` must be less than or equal to `8192`, the maximum value for this model": 8192,
    "maxOutputTokens value of 25000 but the supported range is from 1 (inclusive) to 8193 (exclusive).": 8192,
    "max_tokens darf höchstens 4,096 sein": 4096,
    "maximum context length is 8192 tokens. However, you requested 26000 tokens "
    "(1000 in the messages, 25000 in the completion).": 7192,
    "'max_tokens' is too large: 25000. This model's maximum context length is 16384 tokens and your request has 3000 "
    "input tokens (25000 > 16384 - 3000).": 13384,
    "maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.": 0,
    "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' with gpt-5-2025-08-07.": 0,
}


@pytest.mark.parametrize("message", LIMITS)
def test_the_room_for_an_answer_is_read_in_every_wording(message):
    assert named_limit(message, 25_000)[0] == LIMITS[message]


@pytest.mark.parametrize("make", [responses, chat])
def test_a_named_limit_is_obeyed_on_the_next_try_and_remembered(make):
    refused = {"error": {"message": "max_tokens is too large. This model supports at most 8192 tokens."}}
    limit = lambda body: body.get("max_output_tokens") or body["max_completion_tokens"]  # noqa: E731
    server = ModelServer(lambda body: rejects(400, refused) if limit(body) > 8192 else says(JSON))
    model = make(server)
    assert [ask(model).value, ask(model).value] == [YES, YES]
    assert [limit(asked.body) for asked in server.asked][1:] == [8192, 8192]


LONG = "word and number 12 \n" * 1_000


@pytest.mark.parametrize("make", [responses, chat])
def test_an_answer_to_a_prompt_that_was_cut_in_silence_is_no_answer(make):
    server = ModelServer([says(JSON, usage={"prompt_tokens": 2050, "input_tokens": 2050})])
    model = make(server)
    answer = ask(model, material=LONG)
    assert answer.value is None
    assert re.match(r"not reviewed: the server read 2050 of about \d{4} tokens; .*num_ctx", answer.reason)
    assert model.calibration.ratio == 1.0


def test_a_count_that_stays_while_the_prompt_grows_shows_a_cut():
    turns = [calls(("look_up", {"q": "x"}), usage={"prompt_tokens": 4096}), says(JSON, usage={"prompt_tokens": 4096})]
    answer = ask(chat(ModelServer(turns)), Lookup(says="another word and number 34 " * 500), material=LONG)
    assert answer.value is None
    assert "read 4096 of about" in answer.reason


def test_two_counts_that_happen_to_be_the_same_are_no_cut_while_they_cover_what_was_sent():
    usage = {"prompt_tokens": 20_000}
    turns = [calls(("look_up", {"q": "x"}), usage=usage), says("Fine.", usage=usage), says(JSON, usage=usage)]
    found = "another word and number 34 " * 500
    assert ask(chat(ModelServer(turns)), Lookup(says=found), material=LONG).value == YES


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": 0}, {"prompt_tokens": None}, {"prompt_tokens": 3_500}, None])
def test_a_count_that_is_missing_or_a_little_low_cuts_nothing(usage):
    assert ask(chat(ModelServer([says(JSON, usage=usage)])), material=LONG).value == YES


def test_another_script_that_takes_few_tokens_is_not_taken_for_a_cut():
    usage = {"prompt_tokens": 6_000}
    assert ask(chat(ModelServer([says(JSON, usage=usage)])), material="Сложность кода растёт\n" * 1_000).value == YES


def test_a_server_that_counts_cached_tokens_apart_is_believed():
    usage = {"prompt_tokens": 50, "prompt_tokens_details": {"cached_tokens": 4_800}}
    assert ask(chat(ModelServer([says(JSON, usage=usage)])), material=LONG).value == YES


@pytest.mark.parametrize("counted", ['{"tokens": [1, 2]}', "[]", "busy", "{", '{"count": "many"}', '{"count": null}'])
def test_a_counter_of_tokens_may_answer_anything(counted):
    server = ModelServer([says(JSON)])
    served = server.transport()

    class Odd(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            if request.url.path == "/tokenize":
                return httpx2.Response(200, content=counted, request=request)
            return await served.handle_async_request(request)

    limits = ConversationLimits(input=8_000)
    model = chat(server, capabilities=Capabilities(count_tokens=True), limits=limits)
    model.endpoint.transport = Odd()
    assert ask(model, material=LONG).value == YES


def test_null_fields_that_a_gateway_adds_to_an_answer_do_not_go_back():
    """LiteLLM adds some to each call of a tool, and OpenAI behind it refuses them. OpenAI's own items stay as they came."""
    first = response(calls(("look_up", {"q": "x"})), {"model": "m"})
    first["output"] = [item | {"namespace": None, "caller": None} for item in first["output"]]

    def script(body):
        nulls = any(value is None for item in body["input"] for value in item.values())
        told = any(item.get("type") == "function_call_output" for item in body["input"])
        return rejects(400, {"error": "null"}) if nulls else says(JSON) if told else garbles(json.dumps(first))

    server = ModelServer(script)
    server.emitted |= {
        canonical({key: value for key, value in one.items() if value is not None}) for one in first["output"]
    }
    assert ask(core(server), Lookup()).value == YES


def test_a_lesson_that_did_not_help_is_forgotten(caplog):
    """The refusal names a tool's type by accident; what it is about is something else."""
    refused = {"error": {"message": "input: Field required in FunctionToolCallParam, tool calls, tool_choice"}}
    server = ModelServer([rejects(400, refused)] * 3 + [calls(("look_up", {"q": "x"})), says(YES), says(YES)])
    model = chat(server)
    with pytest.raises(Refused, match="Field required"):
        ask(model, Lookup())
    before = len(server.asked)
    server.script = iter([calls(("look_up", {"q": "x"})), says(YES), says(YES)])
    assert ask(model, Lookup()).value == YES
    assert before > 1
    assert "tools" in server.asked[before].body
    assert "sent again from now on" in caplog.text


@pytest.mark.parametrize("make", [responses, chat])
def test_an_answer_that_the_server_itself_cannot_read_is_not_waited_for(make):
    """llama.cpp, after an answer under a grammar was cut off at its limit."""
    said = "The model produced output that does not match the expected peg-native format"
    server = ModelServer([rejects(500, {"error": {"code": 500, "message": said, "type": "server_error"}})])
    with pytest.raises(Refused, match="could not read the model's answer"):
        ask(make(server))

"""Every way in which a model server is known to fail, and what becomes of it. None of them is an answer."""

import asyncio
import json

import httpx2
import pytest

from bot.core.costs import ConversationLimits
from bot.errors import AssistantError, Forbidden, RateLimited, Refused, Retryable, TimedOut, TooLarge
from bot.model import conversation
from bot.model.client import ERROR_BYTES
from bot.model.responses import ResponsesModel
from tests.support.conversation import YES, ask, chat, endpoint, responses
from tests.support.model_faults import FAULTS
from tests.support.model_server import ModelServer
from tests.support.model_turns import Turn, fails, garbles, raises, says
from tests.support.scripted_model import FreeAccount


@pytest.mark.parametrize("make", [responses, chat])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_as_stated(make, fault):
    turn, kind, detail = FAULTS[fault]
    server = ModelServer([turn])
    with pytest.raises(kind) as raised:
        ask(make(server))
    assert type(raised.value) is kind
    if isinstance(raised.value, Retryable):
        assert raised.value.after == detail
    else:
        assert detail in str(raised.value)
    assert "sk-" not in str(raised.value)
    assert len(server.asked) == 1, "the engine retries, not the client"


def spoilt(value):
    """`value` with each part of it, one at a time, of another shape."""
    yield from (None, -7, 1.5, True, "x", [], {}, [1], {"code": [1]})
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        for other in spoilt(part):
            copy = value.copy()
            copy[key] = other
            yield copy


HIT = {"file_id": "f", "filename": "n", "text": "t", "attributes": {"a": 1}, "score": 0.5}
RESPONSE = {
    "status": "incomplete",
    "incomplete_details": {"reason": "steered"},
    "error": {"code": "server_error", "message": "m"},
    "output": [
        {"type": "message", "phase": None, "content": [{"type": "output_text", "text": "{}"}]},
        {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"},
        {"type": "file_search_call", "queries": ["q"], "results": [HIT]},
    ],
    "usage": {"input_tokens": 5, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 1}},
}
CALL = {"id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}}
COMPLETION = {
    "error": None,
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "x", "tool_calls": [CALL]}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 1}},
}


@pytest.mark.parametrize(
    ("model", "reply"),
    [
        (responses(), RESPONSE),
        (responses(), RESPONSE | {"status": "failed"}),
        (responses(), RESPONSE | {"status": "completed"}),
        (chat(), COMPLETION),
    ],
)
def test_a_reply_of_any_shape_is_a_turn_or_a_fault_and_costs_no_less_than_nothing(model, reply):
    read = 0
    for other in spoilt(reply):
        try:
            usage = model.read(json.dumps(other)).usage
        except AssistantError:
            continue
        read += 1
        counted = (usage.input, usage.output, usage.cached, usage.written)
        assert all(isinstance(one, int) and one >= 0 for one in counted), other
    assert read


@pytest.mark.parametrize("make", [responses, chat])
def test_a_lost_answer_is_counted_with_its_input_and_a_usual_output(make):
    server = ModelServer([raises(httpx2.ReadError("reset")), says(YES)])
    account = FreeAccount()
    with pytest.raises(Retryable):
        ask(make(server), account=account)
    answer = ask(make(server), account=account)
    assert account.used > answer.usage.tokens + 12_000 // 4
    assert not account.held


@pytest.mark.parametrize("make", [responses, chat])
def test_a_refused_request_costs_nothing(make):
    account = FreeAccount()
    with pytest.raises(RateLimited):
        ask(make(ModelServer([fails(429)])), account=account)
    assert account.used == 0
    assert not account.held


@pytest.mark.parametrize("make", [responses, chat])
def test_a_server_that_hangs_is_left(make, monkeypatch):
    monkeypatch.setattr(conversation, "PATIENCE", 0.05)
    model = make(ModelServer([says(YES, seconds=30)]))
    model.limits = ConversationLimits(seconds=0.05)
    with pytest.raises(TimedOut, match="did not answer within"):
        ask(model)


@pytest.mark.parametrize("make", [responses, chat])
def test_too_much_input_is_never_sent(make):
    server = ModelServer([says(YES)])
    with pytest.raises(TooLarge, match="over the limit of 260000"):
        ask(make(server), material="word and number 12 \n" * 100_000)
    assert not server.calls_to("/v1/responses")
    assert not server.calls_to("/v1/chat/completions")


def test_near_the_limit_the_server_is_asked_to_count():
    server = ModelServer([says(YES), says(YES)])
    model = responses(server, limits=ConversationLimits(input=3_000))
    server.tokens = 2_999
    assert ask(model, material="word and number 12 \n" * 400).value == YES
    server.tokens = 3_001
    with pytest.raises(TooLarge, match="about 3001 tokens"):
        ask(model, material="word and number 12 \n" * 400)
    assert len(server.calls_to("/v1/responses/input_tokens")) == 2
    assert not server.rejected


@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        (says(YES, broken_off=True), Retryable),
        (garbles('data: {"type": "response.crea'), Retryable),
        (garbles('event: error\ndata: {"error": {"message": "gone", "code": "server_error"}}\n\n'), Retryable),
        (garbles('event: error\ndata: {"error": {"message": "no", "code": "insufficient_quota"}}\n\n'), Forbidden),
        (Turn(failed="server_error"), Retryable),
        (fails(429, "insufficient_quota"), Forbidden),
    ],
)
@pytest.mark.parametrize("make", [responses, chat])
def test_a_broken_stream_is_no_answer(make, turn, kind):
    with pytest.raises(kind):
        ask(make(ModelServer([turn]), progress=lambda _: None))


def test_redirects_are_not_followed():
    hosts = []

    def elsewhere(request):
        hosts.append(request.url.host)
        return httpx2.Response(307, headers={"location": "http://evil.test/v1/responses"})

    model = responses()
    model.endpoint.transport = httpx2.MockTransport(elsewhere)
    with pytest.raises(Refused, match="HTTP 307"):
        ask(model)
    assert hosts == ["model.test"]


def test_no_request_leaves_for_another_host():
    server = ModelServer([says(YES)])
    door = endpoint(server)

    async def stray():
        try:
            await door.client.post("http://evil.test/v1/responses", body={}, cast_to=httpx2.Response)
        finally:
            await door.close()

    with pytest.raises(Forbidden, match=r"evil\.test was stopped: only model\.test is allowed"):
        asyncio.run(stray())
    assert not server.asked


def test_no_socket_is_opened_by_a_model_that_talks_to_a_scripted_server(monkeypatch):
    def opened(*_):
        pytest.fail("a socket was opened")

    monkeypatch.setattr("socket.getaddrinfo", opened)
    monkeypatch.setattr("socket.socket.connect", opened)
    monkeypatch.setattr("socket.socket.connect_ex", opened)
    assert ask(responses(ModelServer([says(YES)]))).value == YES


def test_the_canary_sings_without_its_server(monkeypatch):
    tried = []

    def opened(*args, **_):
        tried.append(args[0])
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", opened)
    door = endpoint(None)
    door.transport = None
    with pytest.raises(Retryable):
        ask(ResponsesModel("gpt-6.2-sol", door))
    assert tried == [b"model.test"]


def test_a_gateway_that_fails_with_http_200_fails():
    error = {"error": {"code": 502, "message": "provider returned an error"}}
    with pytest.raises(Retryable, match="HTTP 502"):
        ask(chat(ModelServer([garbles(json.dumps(error))])))


@pytest.mark.parametrize("make", [responses, chat])
def test_a_connection_that_was_never_made_is_named_and_costs_nothing(make):
    account = FreeAccount()
    with pytest.raises(Retryable, match="cannot connect to the model server"):
        ask(make(ModelServer([raises(httpx2.ConnectError("refused"))])), account=account)
    assert (account.used, account.held) == (0, {})


@pytest.mark.parametrize("make", [responses, chat])
def test_the_body_of_an_error_is_read_up_to_its_bound(make):
    taken = 0

    class Endless(httpx2.AsyncByteStream):
        async def __aiter__(self):
            nonlocal taken
            while True:
                taken += 65_536
                yield b"x" * 65_536

    model = make(ModelServer())
    model.endpoint.transport = httpx2.MockTransport(lambda _: httpx2.Response(400, stream=Endless()))
    with pytest.raises(AssistantError):
        ask(model)
    assert taken <= 4 * ERROR_BYTES

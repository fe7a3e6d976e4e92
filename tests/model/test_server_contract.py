"""What every model server has to keep to with us, held against the scripted server, llama.cpp and LiteLLM's proxy, on both APIs."""

import asyncio
import threading
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from bot.app import UseCases, build_model, build_reviewer
from bot.cli.serve import Server, listen
from bot.core.claims.schemas import Reply
from bot.core.code.plan import FileState
from bot.core.comments.check_run import conclusion
from bot.core.comments.marker import Signer
from bot.core.comments.post import Conclusion
from bot.core.costs import ConversationLimits
from bot.engine.journal import InlineSteps
from bot.errors import TooLarge
from bot.handlers.ask_model import PASSES
from bot.hosts.local import LocalHost
from bot.job import Job, Trigger
from bot.model.chat import ChatModel
from bot.model.client import Endpoint
from bot.model.conversation import Capabilities, Conversation, ModelRequest
from bot.model.responses import ResponsesModel
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from tests.support.conversation import YES, Journal, Lookup, prompt
from tests.support.litellm_proxy import KEY, litellm_proxy
from tests.support.llama_server import llama_server
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, rejects, says
from tests.support.scripted_model import FreeAccount

CONTEXT = 8_192
LONG = "The change adds the word pallet here, and the word parcel there. " * 400
TOO_LONG = {"message": "This model's maximum context length is 8192 tokens. However, you requested 20000 tokens."}


def says_what_it_can(body):
    """Answers as a server with a context of CONTEXT tokens; asks a tool first where it may."""
    if len(str(body)) > 4 * CONTEXT // 2:
        return rejects(400, {"error": TOO_LONG})
    told = any("function_call_output" in str(item) or item.get("role") == "tool" for item in items(body))
    return calls(("look_up", {"q": "x"})) if body.get("tool_choice") == "auto" and not told else says(YES)


def items(body):
    return body.get("input") or body["messages"]


@contextmanager
def scripted(_folder):
    """The scripted server over loopback."""
    model, (socket, url), loop = ModelServer(says_what_it_can), listen(), asyncio.new_event_loop()
    server = Server(model.app, socket)
    thread = threading.Thread(target=loop.run_until_complete, args=(server.run_here(),), daemon=True)
    thread.start()
    yield f"{url}/v1"
    server.should_exit = True
    thread.join(20)
    loop.close()


@contextmanager
def llama(folder):
    with llama_server(folder, CONTEXT) as url:
        yield url


@contextmanager
def litellm(folder):
    with scripted(folder) as upstream, litellm_proxy(folder, upstream) as url:
        yield url


SERVERS = [
    pytest.param(scripted, id="scripted"),
    *(pytest.param(one, id=one.__name__, marks=pytest.mark.long) for one in (llama, litellm)),
]


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("server")) as url:
        yield request.param, url


@pytest.fixture(params=["chat", "responses"])
def model(server, request):
    """Makes a model on the server, on one of the APIs."""
    _, url = server

    def make(**options):
        endpoint, able = Endpoint(SecretStr(KEY), url), Capabilities(schema_with_tools=request.param == "responses")
        kind = ChatModel if request.param == "chat" else ResponsesModel
        more = {} if request.param == "chat" else {"effort": ""}
        return kind("m", endpoint, **{"capabilities": able} | more | options)

    make.api = request.param
    return make


def ask(model, *tools, **parts):
    """Holds one conversation and closes the connections, which belong to its event loop."""

    async def hold():
        try:
            return await model.ask(prompt(**parts), tools, Journal(), FreeAccount())
        finally:
            await model.close()

    return asyncio.run(hold())


def is_answer(answer):
    """Whether there is an answer that fits, or the reason why there is none."""
    if answer.value is None:
        return bool(answer.reason)
    return bool(Reply.model_validate(answer.value))


def knows_schemas(server, model):
    """Whether the server holds the model to a schema: llama.cpp ignores it on Responses."""
    return not (server[0] is llama and model.api == "responses")


def test_an_answer_fits_the_schema_or_there_is_a_reason(server, model):
    answers = [ask(model(), job=f"job-{n}") for n in range(3)]
    assert all(map(is_answer, answers))
    assert all(one.usage.input > 0 and one.usage.output >= 0 for one in answers)
    if knows_schemas(server, model):
        assert all(one.value is not None for one in answers)


def test_a_request_with_tools_is_accepted_and_a_call_is_answered(server, model):
    tool = Lookup()
    answer = ask(model(), tool)
    assert is_answer(answer)
    if server[0] is not llama:  # a model of random weights calls none
        assert answer.value == YES
        assert [use.text for use in answer.looked_up] == ["found: x"]


def test_a_streamed_answer_keeps_to_the_same(server, model):
    said = []
    answer = ask(model(progress=said.append))
    assert is_answer(answer)
    if knows_schemas(server, model):
        assert answer.value is not None
        assert "".join(said).lstrip().startswith(("{", "```"))


def test_an_input_over_the_context_is_too_large(model):
    with pytest.raises(TooLarge, match="too long for the model"):
        ask(model(), material=LONG)


def test_an_answer_is_no_longer_than_was_allowed(model):
    limits = ConversationLimits(output=150, longest=200, by_task=False)
    answer = ask(model(limits=limits))
    assert is_answer(answer)
    assert answer.usage.output <= answer.usage.calls * 200


def test_a_count_of_tokens_is_a_number_whatever_the_server_says(model):
    made, asked = model(), prompt()

    async def count():
        offer = ModelRequest((), callable=False, schema=True, ceiling=100)
        request = made.request(asked, made.opening(asked), offer)
        try:
            return await Conversation(made, asked, (), Journal(), FreeAccount())._counted(request)
        finally:
            await made.close()

    assert asyncio.run(count()) >= 0


PATCH = "--- /dev/null\n+++ b/app.py\n@@ -0,0 +1,2 @@\n+def pay(order):\n+    return order.total\n"


async def _review(folder, url, api):
    settings = Settings.read(
        _env_file=None,
        assistant_model_api=api,
        assistant_model="m",
        assistant_effort="",
        openai_api_key=KEY,
        openai_base_url=url,
        assistant_checks="hygiene",
    )
    host = await LocalHost.from_patch(PATCH, folder)
    with Database(f"sqlite:///{folder}/ledger.db") as database:
        model = build_model(settings, b"secret")
        shelf, ledger, signer = FolderStandards(folder / "standards.db"), Ledger(database), Signer(b"key")
        reviewer = build_reviewer(UseCases(settings, host, host, shelf, ledger, signer, model))
        review = await reviewer.review(Job("job", host.pull.ref, Trigger.OPENED), host.pull, InlineSteps())
        await model.close()
        return review


def test_a_review_is_made_or_each_pass_says_why_not(server, model, tmp_path):
    review = asyncio.run(_review(tmp_path, server[1], model.api))
    passes = [row for row in review.coverage.passes if row.path in PASSES]
    assert {row.path for row in passes} == set(PASSES)
    assert all(row.state is FileState.REVIEWED or row.reason for row in passes)
    assert conclusion(review) is Conclusion.NEUTRAL or all(row.state is FileState.REVIEWED for row in passes)

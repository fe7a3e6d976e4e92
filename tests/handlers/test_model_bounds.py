"""What the operator allows of a model, what a repository may take away from it, and that nobody can add to it."""

import asyncio
import json
import time
from dataclasses import replace
from uuid import uuid4

import pytest
from genai_prices.data import providers

from bot.app import UseCases, build_model, build_reviewer
from bot.core.code.diff import blob_id
from bot.core.code.pull_request import PullRef
from bot.core.command import parse
from bot.core.comments.marker import Signer
from bot.core.costs import PRICES, ConversationLimits, Price, ReviewBudget, Usage, review_dollars, with_price
from bot.core.policy import PATH
from bot.engine.journal import InlineSteps
from bot.errors import ConfigurationError, UserError
from bot.handlers.ask_model import ModelSession
from bot.handlers.passes import Passes
from bot.hosts.local import LocalHost
from bot.interfaces import TreeFile
from bot.job import Job, Trigger
from bot.model.account import MeteredSteps
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from tests.support.conversation import Crash, Journal, Lookup, responses
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, says
from tests.support.pass_input import pass_input
from tests.support.product_with_model import Request
from tests.support.scripted_model import WORDS, FreeAccount, findings

PATCH = "--- /dev/null\n+++ b/app.py\n@@ -0,0 +1,2 @@\n+def pay(order):\n+    return order.total\n"
LOOK = [("list_files", {"pattern": f"*{name}*", "side": "head"}) for name in "abc"]


def curious(body):
    """Looks three things up, then finds nothing."""
    return says(findings()) if Request(body).told else calls(*LOOK)


def settings(**changes):
    few = {"assistant_checks": "hygiene", "assistant_passes": "correctness,security"}
    ours = {"openai_api_key": "sk-secret", "openai_base_url": "http://model.test/v1"}
    return Settings.read(_env_file=None, **few | ours | changes)


async def _review(folder, policy, script, changes):
    server, ledger = ModelServer(script), Ledger(Database(f"sqlite:///{folder}/{uuid4()}.db"))
    ledger.database.migrate()
    host = await LocalHost.from_patch(PATCH, folder)
    text = policy.encode()
    host.contents = {**host.contents, blob_id(text): text}
    host.entries = (TreeFile(PATH, blob_id(text), len(text)), TreeFile("app.py", blob_id(text), 1))
    host.pull = replace(host.pull, ref=PullRef("octo/shop", 1, 1, 1))
    model = build_model(settings(**changes), b"pepper")
    model.endpoint.transport = server.transport()
    parts = UseCases(settings(**changes), host, host, FolderStandards(":memory:"), ledger, Signer(b"key"), model)
    await build_reviewer(parts)(Job("job-1", host.pull.ref, Trigger.OPENED), InlineSteps())
    await model.close()
    ledger.database.close()
    assert not server.rejected
    return server, host.concluded


@pytest.fixture
def review(tmp_path):
    """Review a small change with such settings under such a policy: the model server and the check run."""

    def review(policy="", script=curious, **changes):
        return asyncio.run(_review(tmp_path, policy, script, changes))

    return review


OPERATOR = {
    "assistant_dollars_per_review": (0.01, 0, "this review may cost $0.01"),
    "assistant_dollars_per_pull_day": (0.01, 0, "this pull request within 1 day may cost"),
    "assistant_dollars_per_repository_day": (0.01, 0, "this repository within 1 day may cost"),
    "assistant_dollars_per_installation_month": (0.01, 0, "this installation within 30 days may cost"),
    "assistant_tokens_per_review": (100, 0, "this review may use 100 tokens"),
    "assistant_calls_per_review": (1, 1, "this review may make 1 model calls"),
    "assistant_seconds_per_review": (0, 0, "this review may wait 0 seconds for the model"),
}


@pytest.mark.parametrize("name", OPERATOR)
def test_what_the_operator_does_not_allow_is_not_asked_and_the_check_is_neutral_and_says_so(review, name):
    bound, asked, reason = OPERATOR[name]
    server, check = review(**{name: bound})

    assert len(server.asked) == asked
    assert reason in check.text
    assert check.conclusion == "neutral"


REPOSITORY = {
    "dollars: 0.01": (0, "this review may cost $0.01"),
    "tokens: 100": (0, "this review may use 100 tokens"),
    "calls: 1": (1, "this review may make 1 model calls"),
    "seconds: 0": (0, "this review may wait 0 seconds for the model"),
}


@pytest.mark.parametrize("line", REPOSITORY)
def test_a_repository_can_take_away(review, line):
    asked, reason = REPOSITORY[line]
    server, check = review(f"budgets:\n  {line}\n")

    assert len(server.asked) == asked
    assert reason in check.text


def finds_once(body):
    """Claims one mistake in each pass, and confirms it."""
    asked = Request(body)
    if asked.purpose == "verify":
        said = [
            {"finding": n, "evidence": ["app.py:2: return order.total"], "reason": "so", "verdict": "holds"}
            for n, _ in enumerate(asked.claims, 1)
        ]
        return says({"verdicts": said})
    return says(
        findings(
            {
                "path": "app.py",
                "quoted_code": "    return order.total",
                "near": 2,
                "evidence": ["app.py:2: return order.total"],
            }
        )
    )


DEAREST = ("o1-pro", "gpt-5.5-pro", "gpt-4.5-preview", "gpt-4-32k", "gpt-4", "claude-3-opus-latest")


@pytest.mark.parametrize("model", [*PRICES, *DEAREST])
def test_a_model_at_any_price_makes_a_whole_review_at_the_default_limits(review, model):
    usage = {"input_tokens": 9_000, "output_tokens": 1_500}
    server, check = review(script=lambda body: replace(finds_once(body), usage=usage), assistant_model=model)

    assert {Request(one.body).purpose for one in server.asked} == {"find", "verify"}
    assert check.title == "1 new finding"
    assert "failed" not in check.text


def test_the_default_dollars_pay_a_small_review_of_every_priced_model():
    """The dearest call of it, reserved at its worst with a second look kept, fits after all the others were made."""
    limits, seen = ConversationLimits(), 0
    for provider in providers:
        for model in provider.models:
            prices = model.prices[-1].prices if isinstance(model.prices, list) else model.prices
            rates = [getattr(rate, "base", rate) for rate in (prices.input_mtok, prices.output_mtok)]
            if None in rates:
                continue
            price = Price(float(rates[0]), float(rates[0]), 1.25 * float(rates[0]), float(rates[1]))
            made = Usage(input=90_000, output=12_000)
            find = Usage(input=9_000, written=9_000, output=limits.ceiling("find") // 4)
            kept = Usage(input=9_000, written=9_000, output=limits.ceiling("verify") // 4)
            needed = sum(with_price(usage, "m", {"m": price}).dollars for usage in (made, find, kept))
            assert needed <= review_dollars(price), model.id
            seen += 1
    assert seen > 1_000


def test_a_server_that_hangs_ends_in_a_review_of_the_checks_within_the_seconds_of_the_review(review):
    started = time.monotonic()
    server, check = review(script=lambda _: replace(says(findings()), seconds=60.0), assistant_seconds_per_review=0.3)

    assert time.monotonic() - started < 20
    assert len(server.asked) == 1
    assert "this review may wait 0 seconds for the model (ASSISTANT_SECONDS_PER_REVIEW" in check.text
    assert check.conclusion == "neutral"


def test_a_repository_cannot_add(review):
    much = "dollars: 1000\n  tokens: 100000000\n  calls: 1000\n  seconds: 10000\n  tool_calls: 1000"
    server, check = review(f"budgets:\n  {much}\n", assistant_calls_per_review=1, assistant_tool_calls_per_review=1)

    assert len(server.asked) == 1
    assert "this review may make 1 model calls" in check.text


@pytest.mark.parametrize(
    ("policy", "changes"),
    [("", {"assistant_tool_calls_per_review": 1}), ("budgets:\n  tool_calls: 1\n", {})],
    ids=["operator", "repository"],
)
def test_tools_answer_so_often(review, policy, changes):
    server, _ = review(policy, **changes)
    told = Request(server.asked[1].body).told

    assert [text.startswith("denied") for text in told] == [False, True, True]


@pytest.mark.parametrize(
    ("policy", "changes"),
    [("", {"assistant_tool_characters_per_review": 9}), ("budgets:\n  tool_characters: 9\n", {})],
    ids=["operator", "repository"],
)
def test_tools_answer_so_much(review, policy, changes):
    server, _ = review(policy, **changes)
    first, *others = Request(server.asked[1].body).told

    assert first.startswith("2 files a\n… (")
    assert all(text.startswith("denied") for text in others)


THREE = [("look_up", {"q": letter}) for letter in "abc"]


def looked_up(entries, tool, dies_after=None):
    """One life of a review whose every conversation wants three look-ups, where five are allowed."""
    server = ModelServer(lambda body: says(findings()) if Request(body).told else calls(*THREE))
    step = MeteredSteps(Journal(dies_after, entries), ReviewBudget(tool_calls=5))
    passes = Passes(ModelSession(responses(server), WORDS, [tool], FreeAccount(), step))
    asyncio.run(passes(pass_input()))


def test_a_crash_gives_no_more_look_ups_than_are_allowed():
    undisturbed = {}
    looked_up(undisturbed, Lookup())
    expected = {name for name in undisturbed if "/tool-" in name}
    assert len(expected) == 5
    for place in range(1, len(undisturbed) + 1):
        entries, tool = {}, Lookup()
        with pytest.raises(Crash):
            looked_up(entries, tool, place)
        lost = len(tool.asked) - sum("/tool-" in name for name in entries)
        looked_up(entries, tool)

        assert {name for name in entries if "/tool-" in name} == expected, f"after {place} entries"
        assert len(tool.asked) == 5 + lost


@pytest.mark.parametrize(
    "words", ["dollars=1000", "--model gpt-6.2-astra", "budgets.calls=9", "effort=high", "tools=all"]
)
def test_who_comments_cannot_choose_a_model_or_raise_a_bound(words):
    with pytest.raises(UserError):
        parse(f"/assistant review {words}")


def names(server):
    return {tool.get("name", tool["type"]) for tool in server.asked[0].body["tools"]}


def test_only_the_tools_that_the_operator_offers_are_offered(review):
    server, _ = review(script=lambda _: says(findings()), assistant_tools="read_file, list_files")

    assert names(server) == {"read_file", "list_files"}


def test_tools_of_the_server_are_off_until_they_are_switched_on(review):
    usual, _ = review(script=lambda _: says(findings()))
    more, _ = review(
        script=lambda _: says(findings()), assistant_code_interpreter=True, assistant_file_search="vs_1,vs_2"
    )

    assert not {"code_interpreter", "file_search"} & names(usual)
    hosted = {tool["type"]: tool for tool in more.asked[0].body["tools"] if tool["type"] != "function"}
    assert hosted["code_interpreter"]["container"]["network_policy"] == {"type": "disabled"}
    assert hosted["file_search"]["vector_store_ids"] == ["vs_1", "vs_2"]


PRICED = {"local": {"input": 1000, "cached": 0, "written": 0, "output": 0}}


@pytest.mark.parametrize("where", ["inline", "file"])
def test_prices_can_be_told(review, tmp_path, where):
    text = json.dumps(PRICED)
    if where == "file":
        text = str(tmp_path / "prices.json")
        (tmp_path / "prices.json").write_text(json.dumps(PRICED))
    server, check = review(assistant_model="local", assistant_prices=text, assistant_dollars_per_review=1)

    assert not server.asked, "at a dollar for a thousand tokens"
    assert "this review may cost $1.00" in check.text


def test_a_model_without_a_price_costs_an_unknown_amount_and_its_tokens_are_bounded(review):
    server, check = review(assistant_model="local")
    none, bounded = review(assistant_model="local", assistant_tokens_per_review=100)

    assert server.asked
    assert "cost unknown" in check.text
    assert not none.asked
    assert "this review may use 100 tokens" in bounded.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"assistant_prices": "/nowhere/prices.json"}, "cannot be read"),
        ({"assistant_prices": "{"}, "is not JSON"),
        ({"assistant_prices": '{"local": {"input": 1}}'}, "each model needs input, cached, written and output"),
        ({"assistant_capabilities": "schema,telepathy"}, "telepathy: there are only schema"),
        ({"assistant_effort": "extreme"}, "ASSISTANT_EFFORT"),
        ({"assistant_input_tokens": 10}, "ASSISTANT_INPUT_TOKENS"),
    ],
)
def test_a_setting_that_makes_no_sense_is_said_before_anything_runs(changes, reason):
    with pytest.raises(ConfigurationError, match=reason):
        build_model(settings(**changes), b"pepper")


def test_a_change_that_the_model_cannot_hold_is_said_to_be_unread(review):
    advice = f"path_instructions:\n  - paths: ['*.py']\n    instructions: {'Names are nouns. ' * 200}\n"
    server, check = review(advice, assistant_input_tokens=4000)

    assert not server.calls_to("/v1/responses")
    assert "over the limit of 4000" in check.text
    assert check.conclusion == "neutral"


def test_the_effort_and_the_options_are_the_operators(review):
    server, _ = review(script=lambda _: says(findings()), assistant_effort="high")
    chat, _ = review(
        script=lambda _: says(findings()),
        assistant_model_api="chat",
        assistant_model_options={"temperature": 0.2, "seed": 7},
        assistant_capabilities="schema,schema_with_tools",
    )

    assert server.asked[0].body["reasoning"] == {"effort": "high"}
    assert (chat.asked[0].body["temperature"], chat.asked[0].body["seed"]) == (0.2, 7)
    assert chat.asked[0].body["parallel_tool_calls"] is False

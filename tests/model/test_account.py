"""Money and tokens: bounded before a call, settled after it."""

import asyncio
from datetime import timedelta

import pytest

from bot.app_openai import limits_of
from bot.core.code.pull_request import PullRef
from bot.core.costs import (
    CODE_RUN,
    FILE_SEARCH,
    NEAR_LIMIT,
    PRICES,
    Calibration,
    ConversationLimits,
    Price,
    Usage,
    longest_answer,
    with_price,
)
from bot.errors import BudgetExhausted
from bot.job import Job, Trigger
from bot.model.account import LedgerAccount, person_of
from bot.settings import Settings
from bot.storage.database import Database
from bot.storage.ledger import Ledger, Shortage, SpendingLimit
from tests.support.conversation import TALKING, YES, ask, chat
from tests.support.model_server import ModelServer
from tests.support.model_turns import rejects, says
from tests.support.repository import pull_request
from tests.support.scripted_model import FreeAccount

PULL = PullRef("octo/shop", 7, repo_id=42, installation=5)


@pytest.fixture
def ledger(tmp_path):
    with Database(f"sqlite:///{tmp_path / 'ledger.db'}") as database:
        ledger = Ledger(database)
        yield ledger


def test_a_lost_answer_is_spent_when_the_call_is_made_again(ledger):
    async def lose():
        account = LedgerAccount(ledger, Job("a", PULL, Trigger.OPENED), (SpendingLimit("job", tokens=100),))
        await account.reserve("call-1", Usage(input=40))
        await account.reserve("call-1", Usage(input=40))
        with pytest.raises(BudgetExhausted, match="this review may use 100 tokens; 80 are used or reserved"):
            await account.reserve("call-1", Usage(input=40))

    asyncio.run(lose())


def account_of(ledger, **limit):
    return LedgerAccount(ledger, Job("a", PULL, Trigger.OPENED), (SpendingLimit("job", **limit),))


def test_what_a_killed_process_reserved_is_settled_when_its_call_is_made_again(ledger):
    async def restart():
        for _ in range(5):  # each time another process, which dies during the call
            await account_of(ledger, tokens=100).reserve("call-1", Usage(input=60), Usage(input=8))
        return await ledger.spent(PULL, SpendingLimit("job"), "a")

    assert asyncio.run(restart()).tokens == 4 * 8 + 60


def test_a_call_that_does_not_fit_waits_until_a_call_under_way_is_settled(ledger):
    async def wait():
        account = account_of(ledger, tokens=100)
        await account.reserve("call-1", Usage(input=80))
        second = asyncio.create_task(account.reserve("call-2", Usage(input=80)))
        await asyncio.sleep(0.1)
        waited = not second.done()
        await account.settle("call-1", Usage(input=10))
        await second
        await account.settle("call-2", Usage(input=80))
        with pytest.raises(BudgetExhausted):  # nobody is under way, so nothing will be freed
            await account.reserve("call-3", Usage(input=80))
        return waited

    assert asyncio.run(wait())


def test_a_waiting_call_asks_the_ledger_again_only_when_a_call_ended(ledger):
    asked = []

    class Counted(Ledger):
        async def reserve(self, call, bounds):
            asked.append(call.name.rsplit("/", 1)[0])
            return await super().reserve(call, bounds)

    async def wait():
        account = account_of(Counted(ledger.database), tokens=100)
        await account.reserve("call-1", Usage(input=80))
        second = asyncio.create_task(account.reserve("call-2", Usage(input=80)))
        await asyncio.sleep(0.1)
        await account.settle("call-1", Usage(input=10))
        await second

    asyncio.run(wait())

    assert asked == ["a/call-1", "a/call-2", "a/call-2"]


def test_a_call_tries_again_if_another_ended_meanwhile_and_does_not_wait_without_patience(ledger):
    full = Shortage("full", pending=True)
    account = LedgerAccount(ledger, Job("a", PULL, Trigger.OPENED), (SpendingLimit("job", tokens=1),), patience=0)

    assert asyncio.run(account._wait(account._settled - 1, full))
    assert not asyncio.run(account._wait(account._settled, full))


@pytest.mark.parametrize(("limit", "cost"), [({"tokens": 1_000}, {"input": 1}), ({"dollars": 1.0}, {"dollars": 0.001})])
@pytest.mark.parametrize(("share", "nearly"), [(NEAR_LIMIT - 0.02, False), (NEAR_LIMIT + 0.02, True)])
def test_a_review_ends_soon_from_a_share_of_its_limit_on(ledger, limit, cost, share, nearly):
    async def spend():
        account = account_of(ledger, **limit)
        usage = Usage(**{name: type(value)(value * round(share * 1_000)) for name, value in cost.items()})
        await account.reserve("call-1", usage)
        return await account.settle("call-1", usage)

    assert asyncio.run(spend()) is nearly


@pytest.mark.parametrize(
    ("limit", "setting"),
    [
        (SpendingLimit("job", tokens=1), "ASSISTANT_TOKENS_PER_REVIEW"),
        (SpendingLimit("job", dollars=0.1), "ASSISTANT_DOLLARS_PER_REVIEW"),
        (SpendingLimit("pull", dollars=0.1), "ASSISTANT_DOLLARS_PER_PULL_DAY"),
        (SpendingLimit("repository", dollars=0.1), "ASSISTANT_DOLLARS_PER_REPOSITORY_DAY"),
        (SpendingLimit("installation", dollars=0.1), "ASSISTANT_DOLLARS_PER_INSTALLATION_MONTH"),
    ],
)
def test_a_refusal_names_the_setting_that_sets_the_limit(ledger, limit, setting):
    account = LedgerAccount(ledger, Job("a", PULL, Trigger.OPENED), (limit,))
    assert setting.lower() in Settings.model_fields
    with pytest.raises(BudgetExhausted, match=setting):
        asyncio.run(account.reserve("call-1", Usage(input=5, dollars=0.5)))


def test_one_persons_spending_leaves_another_persons_alone(ledger):
    limit = SpendingLimit("person", timedelta(days=1), dollars=1.0)
    alice, again, bob = (
        LedgerAccount(
            ledger, Job(name, PULL, Trigger.COMMAND, actor=who, text="/assistant ask x"), (limit,), patience=0
        )
        for name, who in (("a", "alice"), ("b", "alice"), ("c", "bob"))
    )

    async def spend():
        await alice.reserve("call-1", Usage(input=5, dollars=0.8))
        with pytest.raises(BudgetExhausted, match="ASSISTANT_DOLLARS_PER_PERSON_DAY"):
            await again.reserve("call-1", Usage(input=5, dollars=0.8))
        await bob.reserve("call-1", Usage(input=5, dollars=0.8))

    asyncio.run(spend())


def test_a_call_waits_for_the_calls_of_other_jobs_that_share_a_limit(ledger):
    limit = SpendingLimit("pull", timedelta(days=1), tokens=100)

    async def wait():
        first, second = (LedgerAccount(ledger, Job(name, PULL, Trigger.OPENED), (limit,)) for name in "ab")
        await first.reserve("call-1", Usage(input=80))
        waiting = asyncio.create_task(second.reserve("call-1", Usage(input=80)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await first.settle("call-1", Usage(input=20))
        await waiting
        impatient = LedgerAccount(ledger, Job("c", PULL, Trigger.OPENED), (limit,), patience=0)
        with pytest.raises(BudgetExhausted, match="100 are used or reserved"):
            await impatient.reserve("call-1", Usage(input=10))

    asyncio.run(wait())


def test_what_a_later_call_needs_is_kept_from_the_calls_before_it(ledger):
    async def keep():
        account = account_of(ledger, tokens=100)
        with pytest.raises(BudgetExhausted):
            await account.reserve("find/1", Usage(input=60), None, Usage(input=41))
        await account.reserve("find/1", Usage(input=60), None, Usage(input=40))
        await account.settle("find/1", Usage(input=60))
        await account.reserve("verify/1", Usage(input=40))

    asyncio.run(keep())


@pytest.mark.parametrize(
    ("trigger", "text", "person"),
    [
        (Trigger.OPENED, "", "olga"),
        (Trigger.PUSHED, "", "olga"),
        (Trigger.COMMAND, "/assistant review", "bob"),
        (Trigger.COMMAND, "/assistant ask why", "bob"),
        (Trigger.LABEL, "", "bob"),
        (Trigger.RERUN, "", "bob"),
    ],
)
def test_spending_belongs_to_who_asked_or_else_to_who_opened_the_pull_request(trigger, text, person):
    job = Job("a", PULL, trigger, actor="bob", text=text, seen=pull_request(author="olga"))
    assert person_of(job) == person


def test_the_output_limit_follows_the_task_the_measured_use_and_the_model():
    limits, measured = ConversationLimits(), Calibration()
    for output in (500, 700, 900, 600, 800):
        assert measured.ceiling("find/a/1", 12_000) == 12_000
        measured = measured.with_output("find/a/1", output)
    assert measured.ceiling("find/b/2", 12_000) == 2_700
    assert measured.ceiling("find/b/2", 1_000) == 1_000
    assert measured.ceiling("verify/1", limits.ceiling("verify/1")) == 6_000
    assert measured.with_output("find/a/2", 10).ceiling("find/a/3", 12_000) == 2_700
    assert [longest_answer(name) for name in ("gpt-4o-mini", "openai/gpt-4.1", "GPT-4", "o3-pro", "our-model")] == [
        16_384,
        32_768,
        0,
        100_000,
        0,
    ]


@pytest.mark.parametrize("make", TALKING, ids=lambda make: make.__name__)
def test_a_limit_that_the_server_or_the_table_names_is_what_is_reserved(make):
    """The first call learns 4,096 from the refusal; the second reserves no more than that."""
    reserved = []

    class Strict(FreeAccount):
        async def reserve(self, name, worst, likely=None, kept=None):
            reserved.append((worst.output, kept.output))
            await super().reserve(name, worst)

    cap = rejects(400, {"error": {"message": "max_tokens is too large: 12000. At most 4096.", "param": "max_tokens"}})
    model = make(ModelServer([cap, says(YES), says(YES)]))
    for _ in range(2):
        assert ask(model, account=Strict()).value == YES
    assert reserved == [(12_000, 6_000), (4_096, 6_000)]
    model.prices = {model.model: Price(1, 1, 1, 1, longest=3_000)}
    ask(model, account=Strict(10))
    assert reserved[-1] == (3_000, 6_000)


def test_with_little_money_the_answer_gets_less_room_before_the_call_is_given_up():
    server = ModelServer([says(YES)] * 2)
    assert ask(chat(server), account=FreeAccount(9_000)).value == YES
    assert server.asked[0].body["max_completion_tokens"] == 6_000
    assert "may use 1500 tokens" in ask(chat(server), account=FreeAccount(1_500)).reason


def test_the_operators_own_number_of_output_tokens_holds_for_every_task():
    limits = limits_of(Settings(_env_file=None, assistant_output_tokens=30_000))
    assert {limits.ceiling(name) for name in ("find/a/1", "verify/1", "answer")} == {30_000}
    assert limits.ceiling("verify/1", longer=True) == 60_000
    assert limits_of(Settings(_env_file=None)).ceiling("verify/1") == 6_000


def test_without_a_price_tokens_still_bound_and_most_of_them_is_nearly_all(ledger):
    async def spend():
        account = LedgerAccount(
            ledger, Job("a", PULL, Trigger.OPENED), (SpendingLimit("job", tokens=100, dollars=0.01),)
        )
        for name, tokens in (("call-1", 60), ("call-2", 30)):
            unknown = Usage(input=tokens, dollars=None)
            await account.reserve(name, unknown)
            yield await account.settle(name, unknown)
        with pytest.raises(BudgetExhausted, match="tokens"):
            await account.reserve("call-3", Usage(input=20, dollars=None))

    async def told():
        return [nearly async for nearly in spend()]

    assert asyncio.run(told()) == [False, True]


def test_a_call_costs_what_the_table_says():
    usage = Usage(input=100_000, cached=60_000, written=30_000, output=2_000)
    dollars = (10_000 * 2 + 60_000 * 0.10 + 30_000 * 2.50 + 2_000 * 10) / 1e6
    assert with_price(usage, "gpt-6.2-sol").dollars == pytest.approx(dollars)
    assert with_price(usage, "gpt-6.2-sol-2026-11-17").dollars == pytest.approx(dollars)


def test_long_input_costs_double():
    short, long = Usage(input=272_000, output=1_000), Usage(input=272_001, output=1_000)
    assert with_price(long, "gpt-6.2-sol").dollars == pytest.approx(2 * 0.544 + 1.5 * 0.01, abs=1e-4)
    assert with_price(short, "gpt-6.2-sol").dollars == pytest.approx(0.544 + 0.01)


def test_tools_that_the_server_runs_are_paid_by_the_call():
    assert with_price(Usage(file_searches=4, code_runs=2), "gpt-6.2-sol").dollars == pytest.approx(
        4 * FILE_SEARCH + 2 * CODE_RUN
    )


def test_an_unknown_model_costs_an_unknown_amount_unless_the_operator_names_a_price():
    usage = Usage(input=100_000)
    assert with_price(usage, "our-deployment").dollars is None
    assert with_price(usage, "our-deployment", PRICES | {"our-deployment": Price(3, 1, 3, 9)}).dollars == 0.3
    assert (with_price(usage, "our-deployment") + with_price(usage, "gpt-6.2-sol")).dollars is None


def test_a_prompt_cache_is_never_dearer_than_the_table_says_it_is():
    assert all(price.cached <= price.input <= price.written < price.output for price in PRICES.values())

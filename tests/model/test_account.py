"""Money and tokens: bounded before a call, settled after it."""

import asyncio

import pytest

from bot.app_openai import limits_of
from bot.core.code.pull_request import PullRef
from bot.core.costs import (
    CODE_RUN,
    FILE_SEARCH,
    PRICES,
    ConversationLimits,
    Price,
    ReviewBudget,
    Usage,
    with_price,
)
from bot.errors import BudgetExhausted
from bot.job import Job, Trigger
from bot.model.account import LedgerAccount
from bot.settings import Settings
from bot.storage.database import Database
from bot.storage.ledger import Ledger, SpendingLimit

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


@pytest.mark.parametrize("model", PRICES)
def test_every_model_of_the_table_can_make_a_review_at_the_default_limits(ledger, model):
    """Three passes and two second looks of a usual size, each reserved at its worst, within the default dollars."""
    limits, account = ConversationLimits(), account_of(ledger, dollars=ReviewBudget().dollars)

    async def review():
        for task in ("find/correctness/1", "find/security/1", "find/standards/1", "verify/1", "requirements"):
            size = 8_000
            worst = Usage(calls=1, input=size, written=size, output=limits.ceiling(task))
            await account.reserve(task, with_price(worst, model))
            await account.settle(task, with_price(Usage(calls=1, input=size, output=1_500), model))

    asyncio.run(review())


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

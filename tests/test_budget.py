"""Money and tokens: bounded before a call, settled after it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BudgetExhausted
from bot.review.budget import Allowance, Budget
from bot.review.price import CODE_RUN, FILE_SEARCH, PRICES, Price, priced
from bot.review.usage import Usage


def used(tokens=0, dollars=0.0):
    return Usage(calls=1, input=tokens, dollars=dollars)


def budget(**limits):
    return Budget((Allowance("this review", **limits),))


def test_a_call_that_could_exceed_an_allowance_is_refused_before_it_is_made():
    with pytest.raises(BudgetExhausted, match=r"this review may cost \$1\.00"):
        budget(dollars=1.0).reserve("call-1", used(dollars=1.01))
    with pytest.raises(BudgetExhausted, match="this review may use 100 tokens"):
        budget(tokens=100).reserve("call-1", used(101))
    assert budget(tokens=100).reserve("call-1", used(100)).held


def test_the_scope_that_refuses_is_named():
    both = Budget((Allowance("this review", dollars=9.0), Allowance("this repository today", dollars=0.5)))
    with pytest.raises(BudgetExhausted, match="this repository today"):
        both.reserve("call-1", used(dollars=0.6))


def test_reservations_of_calls_in_flight_count():
    first = budget(tokens=100).reserve("call-1", used(60))
    with pytest.raises(BudgetExhausted):
        first.reserve("call-2", used(60))
    assert first.settle("call-1", used(10)).reserve("call-2", used(60)).held


def test_a_lost_answer_is_spent_when_the_call_is_made_again():
    again = budget(tokens=100).reserve("call-1", used(40)).reserve("call-1", used(40))
    assert again.allowances[0].used_tokens == 40
    with pytest.raises(BudgetExhausted):
        again.reserve("call-1", used(40))


def test_without_a_price_tokens_still_bound():
    unknown = Usage(input=60, dollars=None)
    spent = budget(tokens=100, dollars=0.01).reserve("call-1", unknown).settle("call-1", unknown)
    with pytest.raises(BudgetExhausted, match="tokens"):
        spent.reserve("call-2", unknown)


def test_a_conversation_ends_while_its_last_call_can_still_be_paid():
    plenty = budget(dollars=1.0)
    assert plenty.lasts(used(dollars=0.4))
    assert not plenty.lasts(used(dollars=0.6))
    assert not plenty.settle("call-1", used(dollars=0.8)).lasts(used(dollars=0.01))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30))
def test_what_is_spent_never_exceeds_the_allowance(calls):
    now = budget(tokens=200)
    for number, (worst, actual) in enumerate(calls):
        try:
            now = now.reserve(str(number), used(worst))
        except BudgetExhausted:
            continue
        now = now.settle(str(number), used(min(worst, actual)))
    assert now.allowances[0].used_tokens <= 200
    assert not now.held


def test_a_call_costs_what_the_table_says():
    usage = Usage(input=100_000, cached=60_000, written=30_000, output=2_000)
    dollars = (10_000 * 2 + 60_000 * 0.10 + 30_000 * 2.50 + 2_000 * 10) / 1e6
    assert priced(usage, "gpt-6.2-sol").dollars == pytest.approx(dollars)
    assert priced(usage, "gpt-6.2-sol-2026-11-17").dollars == pytest.approx(dollars)


def test_long_input_costs_double():
    short, long = Usage(input=272_000, output=1_000), Usage(input=272_001, output=1_000)
    assert priced(long, "gpt-6.2-sol").dollars == pytest.approx(2 * 0.544 + 1.5 * 0.01, abs=1e-4)
    assert priced(short, "gpt-6.2-sol").dollars == pytest.approx(0.544 + 0.01)


def test_tools_that_the_server_runs_are_paid_by_the_call():
    assert priced(Usage(file_searches=4, code_runs=2), "gpt-6-luna").dollars == pytest.approx(
        4 * FILE_SEARCH + 2 * CODE_RUN
    )


def test_an_unknown_model_costs_an_unknown_amount_unless_the_operator_names_a_price():
    usage = Usage(input=100_000)
    assert priced(usage, "our-deployment").dollars is None
    assert priced(usage, "our-deployment", PRICES | {"our-deployment": Price(3, 1, 3, 9)}).dollars == 0.3
    assert (priced(usage, "our-deployment") + priced(usage, "gpt-6-luna")).dollars is None


def test_a_prompt_cache_is_never_dearer_than_the_table_says_it_is():
    assert all(price.cached <= price.input <= price.written < price.output for price in PRICES.values())

"""Newest head wins, on the real server with its real engine: nothing is posted for a head that nobody looks at any more."""

import asyncio

import pytest

from bot.core.findings.muting import add_rates
from bot.engine.durable import Pace
from bot.storage.figures import Figures, Window
from tests.support.product import FLAWED, RunningProduct
from tests.support.review_rounds import ours, over


@pytest.fixture(scope="module")
def product():
    """A server that waits a moment for further pushes."""
    product = RunningProduct(Pace(debounce=0.5, poll=0.03, patience=60))
    yield product
    product.close()


def test_twenty_pushes_in_a_minute_are_one_review_of_the_newest_head(product):
    pull = product.open({"app.py": "def pay(order):\n    return order.total\n"})
    for n in range(20):
        product.play(pull.push({"app.py": f"# Push {n}.\n" + FLAWED}))
    product.settle()

    (review,) = pull.reviews
    assert review.commit == pull.head
    assert {said.original_commit for said in ours(pull)} == {pull.head}


@pytest.mark.parametrize("ends", ["close", "merge", "draft"])
def test_a_pull_request_that_is_over_before_its_review_gets_none(product, ends):
    pull = product.open()
    if ends == "draft":
        pull.convert_to_draft()
    else:
        product.play(pull.close(merged=ends == "merge"))
    product.settle()

    assert pull.reviews == []
    assert "success" not in [run.conclusion for run in pull.check_runs()]


def test_a_thread_that_is_resolved_and_a_merge_are_heard_of(product):
    pull = product.open()
    product.settle()
    first, *rest = ours(pull)
    pull.resolve(first, "alice")
    product.settle()
    assert over(pull) == [first]
    product.play(pull.close(merged=True))
    product.settle()

    merged = add_rates(asyncio.run(Figures(product.here.app.ledger.database).outcomes(Window())))
    assert (merged.dismissed, merged.ignored, merged.total) == (1, len(rest), 1 + len(rest))

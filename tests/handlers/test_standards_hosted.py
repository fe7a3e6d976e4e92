"""Reviews with the hosted index: what it costs the second time, and what happens when it is not there."""

import time

import pytest

from bot.handlers import standards as citing
from tests.support.product_with_hosted_index import FILES, ProductWithHostedIndex, details, reviewed


@pytest.fixture(scope="module")
def product():
    product = ProductWithHostedIndex()
    yield product
    product.close()


@pytest.fixture(autouse=True)
def _healthy(product):
    yield
    product.store.refuses.clear()
    product.store.slow.clear()


def cites(pull):
    return any("docs/standards/python.md" in one.body for one in pull.comments)


def test_the_second_review_uploads_nothing(product):
    repo = product.repository(FILES)
    first = reviewed(product, repo)
    uploaded = product.store.count("POST", "files")
    second = reviewed(product, repo)

    assert cites(first)
    assert cites(second)
    assert uploaded >= 2
    assert product.store.count("POST", "files") == uploaded


def test_an_expired_store_is_filled_again(product):
    repo = product.repository(FILES)
    reviewed(product, repo)
    for store in product.store.stores.values():
        store.status = "expired"

    assert cites(reviewed(product, repo))


@pytest.mark.parametrize(
    "refused",
    [
        {"GET vector_stores": 503},
        {"POST files": 500},
        {"POST vector_stores/[^/]+/file_batches": 400},
        {"GET vector_stores": 401},
        {"POST vector_stores/[^/]+/search": 404},
        {"POST vector_stores/[^/]+/search": 503},
    ],
    ids=str,
)
def test_a_store_that_does_not_answer_costs_citations_and_never_the_review(product, refused):
    product.store.refuses.update(refused)
    pull = reviewed(product)

    assert "standards unavailable: " in details(pull)
    assert {comment.line for comment in pull.comments} == {3, 4}
    assert not cites(pull)
    assert pull.check_runs()[-1].conclusion == "neutral"


@pytest.mark.parametrize("slow", ["GET vector_stores", "POST vector_stores/[^/]+/search"])
def test_a_slow_store_is_not_waited_for(product, monkeypatch, slow):
    monkeypatch.setattr(citing, "PATIENCE", 0.5)
    monkeypatch.setattr(citing, "LOOK_UP", 0.5)
    product.store.slow[slow] = 5
    begun = time.perf_counter()
    pull = reviewed(product)

    assert "standards unavailable: the index did not answer in time" in details(pull)
    assert {comment.line for comment in pull.comments} == {3, 4}
    assert time.perf_counter() - begun < 5


def test_a_question_to_a_store_that_is_down_is_not_answered_with_a_no(product):
    pull = reviewed(product)
    product.store.refuses["POST vector_stores/[^/]+/search"] = 503
    pull.comment("alice", "/assistant standards may I use a bare except?")
    product.settle()

    answer = pull.state.comments[-1].body
    assert "standards are unavailable now" in answer
    assert "do not cover" not in answer

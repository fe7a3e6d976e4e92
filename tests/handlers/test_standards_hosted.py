"""Reviews with the hosted index: what it costs the second time, and what happens when it is not there."""

import time

import pytest

from bot.handlers import standards as citing
from tests.support.product_with_hosted_index import FILES, HostedTheatre, details, reviewed


@pytest.fixture(scope="module")
def theatre():
    theatre = HostedTheatre()
    yield theatre
    theatre.close()


@pytest.fixture(autouse=True)
def _healthy(theatre):
    yield
    theatre.store.refuses.clear()
    theatre.store.slow.clear()


def cites(pull):
    return any("docs/standards/python.md" in one.body for one in pull.comments)


def test_the_second_review_uploads_nothing(theatre):
    repo = theatre.repository(FILES)
    first = reviewed(theatre, repo)
    uploaded = theatre.store.count("POST", "files")
    second = reviewed(theatre, repo)

    assert cites(first)
    assert cites(second)
    assert uploaded >= 2
    assert theatre.store.count("POST", "files") == uploaded


def test_an_expired_store_is_filled_again(theatre):
    repo = theatre.repository(FILES)
    reviewed(theatre, repo)
    for store in theatre.store.stores.values():
        store.status = "expired"

    assert cites(reviewed(theatre, repo))


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
def test_a_store_that_does_not_answer_costs_citations_and_never_the_review(theatre, refused):
    theatre.store.refuses.update(refused)
    pull = reviewed(theatre)

    assert "standards unavailable: " in details(pull)
    assert {comment.line for comment in pull.comments} == {3, 4}
    assert not cites(pull)
    assert pull.check_runs()[-1].conclusion == "neutral"


@pytest.mark.parametrize("slow", ["GET vector_stores", "POST vector_stores/[^/]+/search"])
def test_a_slow_store_is_not_waited_for(theatre, monkeypatch, slow):
    monkeypatch.setattr(citing, "PATIENCE", 0.5)
    monkeypatch.setattr(citing, "LOOK_UP", 0.5)
    theatre.store.slow[slow] = 5
    begun = time.perf_counter()
    pull = reviewed(theatre)

    assert "standards unavailable: the index did not answer in time" in details(pull)
    assert {comment.line for comment in pull.comments} == {3, 4}
    assert time.perf_counter() - begun < 5


def test_a_question_to_a_store_that_is_down_is_not_answered_with_a_no(theatre):
    pull = reviewed(theatre)
    theatre.store.refuses["POST vector_stores/[^/]+/search"] = 503
    pull.comment("alice", "/assistant standards may I use a bare except?")
    theatre.settle()

    answer = pull.state.comments[-1].body
    assert "standards are unavailable now" in answer
    assert "do not cover" not in answer

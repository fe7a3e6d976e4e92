"""The invariants hold after a review, and each is seen to be broken in a world that breaks it."""

import copy
import time
from dataclasses import replace

import pytest

from bot.sandbox.world.state import CheckRun
from tests.support.invariants import Evidence, Violation, violations, visible
from tests.support.product import RunningProduct
from tests.support.run_records import RunRecord, run_records

SECRET = "a-secret-of-nobody-4f9d"


@pytest.fixture(scope="module")
def told():
    """A reviewed pull request, and the evidence about it."""
    product = RunningProduct()
    pull = product.open()
    product.settle()
    runs = product.play(run_records(product.app.engine))
    reviews = product.play(product.app.ledger.reviews())
    product.close()
    return pull, Evidence(product.sandbox.world, runs, reviews, {"job": 0.1}, 1.0, (SECRET,), {"log": b"started"})


@pytest.fixture
def pull(told):
    """The pull request; what a test does to it is undone."""
    state = told[0].state
    before = copy.copy(state.reviews), copy.copy(state.review_comments), copy.deepcopy(told[0].repo.check_runs)
    yield told[0]
    state.reviews[:], state.review_comments[:], told[0].repo.check_runs[:] = before


def broken(evidence):
    return {violation.rule for violation in violations(evidence)}


def test_a_review_without_any_fault_keeps_every_promise(told):
    assert violations(told[1]) == []
    assert told[0].reviews


@pytest.mark.parametrize("status", ["queued", "waiting", "running", "given up"])
def test_a_run_that_is_left_over_is_seen(told, status):
    left = RunRecord("review/1", "review", status, 1, ended=False, word="")

    assert violations(replace(told[1], runs=(left,))) == [Violation("I1", "review/1", status)]


def test_a_check_run_that_never_ends_is_seen(told, pull):
    pull.check_runs()[-1].status = "in_progress"

    assert broken(told[1]) == {"I1"}


def test_a_head_without_a_word_is_seen(told, pull):
    pull.repo.check_runs.clear()

    assert broken(told[1]) == {"I1"}


def test_a_review_that_is_posted_twice_is_seen(told, pull):
    pull.state.reviews.append(pull.state.reviews[0])

    assert broken(told[1]) == {"I2"}


def test_a_finding_that_has_two_threads_is_seen(told, pull):
    pull.state.review_comments.append(pull.state.review_comments[0])

    assert broken(told[1]) == {"I2"}


def test_a_review_of_a_head_that_was_replaced_long_before_is_seen(told, pull):
    (review,) = pull.reviews
    where = f"{pull.repo.full_name}#{pull.number}"
    heads = {where: [(review.commit, time.time() - 600), ("f" * 40, time.time() - 300)]}

    assert broken(replace(told[1], heads=heads)) == {"I3"}


def test_a_green_check_run_without_a_whole_review_is_seen(told, pull):
    pull.check_runs()[-1].conclusion = "success"
    assert broken(told[1]) == {"I4"}

    whole = [row | {"detail": row["detail"] | {"unreviewed": []}} for row in told[1].reviews]
    assert violations(replace(told[1], reviews=whole)) == []


def test_a_job_that_spent_too_much_is_seen(told):
    assert broken(replace(told[1], spending={"job": 1.01})) == {"I5"}


def test_a_secret_in_a_comment_or_a_log_is_seen(told, pull):
    assert broken(replace(told[1], written={"log": f"key {SECRET}".encode()})) == {"I6"}

    pull.repo.check_runs.append(
        CheckRun(id=1, name="review", head_sha=pull.head, status="completed", text=f"The key is {SECRET}.")
    )
    assert broken(told[1]) == {"I6"}


def test_a_failure_that_nobody_is_told_is_seen(told, pull):
    failed = RunRecord("review/1", "review", "failed", 1, ended=True, word="")
    for run in pull.repo.check_runs:
        run.conclusion = "success"

    assert "I8" in broken(replace(told[1], runs=(failed,)))


def test_two_histories_with_the_same_end_look_alike(told, pull):
    before = visible(told[1].world)
    assert visible(told[1].world) == before

    pull.state.review_comments.clear()
    assert visible(told[1].world) != before

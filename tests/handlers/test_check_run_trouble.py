"""Trouble beside the review costs neither the review nor the truth of its check run. On our real server."""

import pytest

from bot.core.comments.check_run import NOT_REVIEWED
from bot.engine.durable import Pace
from bot.hosts.github.refusals import refusal
from bot.sandbox.world.faults import Fault
from tests.support.product import FLAWED, RunningProduct
from tests.support.review_rounds import ours

FOUND = "2 new findings (checks only)"


@pytest.fixture(scope="module")
def product():
    product = RunningProduct(Pace(debounce=0, poll=0.03, patience=60, retry=0.005, lasting=8))
    yield product
    product.close()


@pytest.fixture
def pull(product):
    """A pull request that was reviewed; what is planned later ends with the test."""
    pull = product.open()
    product.settle()
    assert states(pull) == [("completed", FOUND)]
    yield pull
    product.sandbox.asgi.planned.clear()


def states(pull):
    return [(run.status, run.title) for run in pull.check_runs()]


def fails(product, *calls, status=403, times=99):
    product.sandbox.plan(*(Fault(*call.split(), status, "No", times=times) for call in calls))


@pytest.mark.parametrize("status", [403, 500])
def test_a_refused_reaction_costs_no_review(product, pull, status):
    fails(product, "POST */reactions", status=status)
    pull.comment("alice", "/assistant review full")
    product.settle()

    assert states(pull)[1:] == [("completed", "No new findings, 2 still open (checks only)")]


def test_a_label_that_cannot_be_taken_off_leaves_no_check_run_of_a_failed_review_open(product, pull):
    fails(product, "DELETE */labels/*", "GET */pulls/*/comments")
    pull.label("alice", "assistant:review")
    product.settle()

    assert states(pull)[1:] == [("completed", NOT_REVIEWED)]
    assert "The next push, Re-run or `/assistant review` starts it again." in pull.check_runs()[-1].summary


@pytest.mark.parametrize("event", ["merge", "resolve"])
def test_an_event_that_owes_no_review_leaves_the_check_run_alone_when_it_fails(product, pull, event):
    fails(product, "GET */pulls/*/comments", "GET */pulls/*/files", "PATCH */pulls/comments/*")
    if event == "merge":
        product.play(pull.close(merged=True))
    else:
        pull.resolve(ours(pull)[0], "alice")
    product.settle()

    assert states(pull) == [("completed", FOUND)]


def test_an_automatic_event_that_fails_leaves_a_reviewed_head_alone(product, pull):
    product.play(pull.close())
    product.settle()
    fails(product, f"GET */pulls/{pull.number}", status=500, times=8)
    pull.reopen()
    product.settle()

    assert states(pull) == [("completed", FOUND)]


@pytest.mark.parametrize("status", [403, 404, 422, 500])
def test_the_newest_check_run_of_every_head_ends_where_none_can_be_changed(product, pull, status):
    fails(product, "PATCH */check-runs/*", status=status, times=999)
    for n in range(3):
        product.play(pull.push({"app.py": f"# {n}\n{FLAWED}"}))
        product.play(product.here.deliver())
    product.settle()

    newest = {run.head_sha: run for run in pull.repo.check_runs}
    assert {run.status for run in newest.values()} == {"completed"}
    assert len([run for run in pull.check_runs() if run.status != "completed"]) <= 1
    assert "which may still be shown as waiting or running. This one counts." in pull.check_runs()[-1].summary


@pytest.mark.parametrize(
    "body", [b"  <!-- Hello --><html>", b"502 Bad Gateway <html>", b'{"message": "<!DOCTYPE html><title>Unicorn!"}']
)
def test_an_error_page_in_any_wrapping_is_not_shown(body):
    assert str(refusal(502, {}, body, 0.0)) == "GitHub 502: an error page instead of an answer"

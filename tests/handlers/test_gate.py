"""A gate fails the check run and requests changes while a grave finding is open, and lets go when none is."""

import pytest

from bot.sandbox.world.faults import Fault, lost_answer
from tests.support.product import BASE, RunningProduct

FLAWED = "def pay(order):\n    try:\n        order.charge()\n    except:\n        order.cancel()\n    return order\n"
CLEAN = "def pay(order):\n    order.charge()\n    return order\n"


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


@pytest.fixture(scope="module")
def repo(product):
    return product.repository(BASE | {".github/assistant.yml": "fail_on: warning\nrequest_changes: true\n"})


@pytest.fixture
def flawed(product, repo):
    """A pull request with one grave finding, reviewed."""
    pull = product.open({"app.py": FLAWED}, repo=repo)
    product.settle()
    assert stands(pull) == ("failure", ["CHANGES_REQUESTED"])
    return pull


def stands(pull):
    """The conclusion of the newest check run, and the states of the reviews that have a body."""
    return pull.check_runs()[-1].conclusion, [review.state for review in pull.reviews if review.body]


def test_a_fix_withdraws_the_request_for_changes(product, flawed):
    product.play(flawed.push({"app.py": CLEAN}))
    product.settle()

    assert stands(flawed) == ("neutral", ["DISMISSED"])


def test_a_push_that_leaves_the_finding_open_leaves_the_request(product, flawed):
    product.play(flawed.push({"other.py": "x = 1\n"}))
    product.settle()

    assert stands(flawed) == ("failure", ["CHANGES_REQUESTED"])


@pytest.mark.parametrize("way", ["command", "resolved thread"])
def test_a_dismissal_ends_the_failure_at_once_and_says_why(product, flawed, way):
    (thread,) = flawed.comments
    (before,) = flawed.check_runs()
    text = before.text
    if way == "command":
        flawed.reply(thread.id, "alice", "/assistant dismiss it cannot fail")
    else:
        flawed.resolve(thread, "alice")
    product.settle()

    (run,) = flawed.check_runs()
    assert stands(flawed) == ("neutral", ["DISMISSED"])
    assert run.summary.startswith("No open finding fails the check any more: each was fixed or dismissed.")
    assert run.text == text


def test_a_stranger_cannot_end_the_failure(product, flawed):
    product.sandbox.world.user("mallory")
    flawed.reply(flawed.comments[0].id, "mallory", "/assistant dismiss please")
    product.settle()

    assert stands(flawed) == ("failure", ["CHANGES_REQUESTED"])


def test_requests_of_other_people_stay(product, flawed):
    theirs = flawed.review("alice", "Not like this.", "REQUEST_CHANGES")
    product.play(flawed.push({"app.py": CLEAN}))
    product.settle()

    assert theirs.state == "CHANGES_REQUESTED"
    assert stands(flawed)[1] == ["DISMISSED", "CHANGES_REQUESTED"]


def test_our_own_pull_request_gets_a_comment_since_github_allows_no_request(product, repo):
    pull = product.open({"app.py": FLAWED}, repo=repo, author=f"{product.sandbox.world.app.slug}[bot]")
    product.settle()

    assert stands(pull) == ("failure", ["COMMENTED"])
    assert len(pull.comments) == 1


def test_without_the_option_a_failed_check_requests_no_changes(product):
    repo = product.repository(BASE | {".github/assistant.yml": "fail_on: warning\n"})
    pull = product.open({"app.py": FLAWED}, repo=repo)
    product.settle()

    assert stands(pull) == ("failure", ["COMMENTED"])


def test_a_withdrawal_that_github_refuses_is_told_where_people_look(product, repo):
    pushed, dismissed = product.open({"app.py": FLAWED}, repo=repo), product.open({"app.py": FLAWED}, repo=repo)
    product.settle()
    where = f"/repos/{repo.state.full_name}/pulls/*/dismissals"
    fault = Fault("PUT", where, 403, "Resource not accessible by integration", times=99)
    product.sandbox.plan(fault)
    product.play(pushed.push({"app.py": CLEAN}))
    dismissed.reply(dismissed.comments[0].id, "alice", "/assistant dismiss it cannot fail")
    product.settle()
    product.sandbox.asgi.planned.remove(fault)

    for said in (pushed.check_runs()[-1].summary, dismissed.comments[-1].body):
        assert "could not be withdrawn" in said
        assert "Resource not accessible by integration" in said
        assert "A person who may dismiss reviews can do it" in said
    assert [stands(pull)[1] for pull in (pushed, dismissed)] == [["CHANGES_REQUESTED"]] * 2


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        (lambda path: lost_answer("POST", path), ["CHANGES_REQUESTED"]),
        (lambda path: Fault("POST", path, 422, "Validation Failed"), ["COMMENTED"]),
    ],
    ids=["lost answer", "refused request"],
)
def test_a_fault_of_the_request_leaves_one_whole_review(product, repo, fault, states):
    product.sandbox.plan(fault(f"/repos/{repo.state.full_name}/pulls/*/reviews"))
    pull = product.open({"app.py": FLAWED}, repo=repo)
    product.settle()

    assert stands(pull) == ("failure", states)
    assert len(pull.comments) == 1

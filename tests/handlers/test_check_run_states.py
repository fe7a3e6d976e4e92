"""The check run of a head tells the truth, and always ends: whole sequences of events through our real server."""

import pytest

from bot.hosts.github.refusals import refusal
from bot.sandbox.world import faults
from tests.support.product import FLAWED, RunningProduct


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


@pytest.fixture
def pull(product):
    """A pull request that was reviewed."""
    pull = product.open()
    product.settle()
    assert shown(pull) == ("completed", "neutral", "2 new findings (checks only)")
    return pull


def shown(pull):
    """The newest check run of the head, as GitHub's list of checks shows it."""
    run = pull.check_runs()[-1]
    return run.status, run.conclusion, run.title


def unfinished(pull):
    return [run for run in pull.repo.check_runs if run.status != "completed"]


async def reopened(pull):
    await pull.close()
    pull.reopen()


async def drafted(pull):
    pull.convert_to_draft()
    pull.ready()


async def pushed_again(pull):
    pull._announce("synchronize", "alice")


async def opened_again(pull):
    pull._announce("opened", "alice")


@pytest.mark.parametrize("events", [reopened, drafted, pushed_again, opened_again])
def test_a_second_event_for_a_reviewed_head_leaves_its_check_run_alone(product, pull, events):
    before = shown(pull)

    product.play(events(pull))
    product.settle()

    assert shown(pull) == before
    assert unfinished(pull) == []
    assert len(pull.reviews) == 1


def test_another_base_branch_on_the_same_head_is_reviewed(product):
    repo = product.repository()
    below = product.open({"app.py": FLAWED}, repo=repo, branch="below")
    pull = product.open({"app.py": "def pay(order):\n    breakpoint()\n    return order\n"}, repo=repo)
    product.settle()
    assert shown(pull)[2] == "1 new finding (checks only)"

    product.play(pull.retarget("below"))
    product.settle()

    assert below.state.head_ref == "below"
    assert [run.status for run in pull.check_runs()] == ["completed", "completed"]
    assert shown(pull)[2] == "No new findings, 1 still open (checks only)"


@pytest.mark.parametrize("command", ["/assistant review nope/**", "/assistant review docs/none.md"])
def test_a_path_that_matches_no_changed_file_is_answered_and_changes_no_check(product, pull, command):
    before = shown(pull)

    pull.comment("alice", command)
    product.settle()

    answer = pull.state.comments[-1]
    asked = pull.state.comments[-2]
    assert answer.body.startswith(f"No changed file matches `{command.split()[-1]}`.")
    assert [reaction for _, _, reaction in asked.reactions] == ["confused"]
    assert shown(pull) == before
    assert len(pull.check_runs()) == 1


REFUSED = [403, 404, 422]


@pytest.mark.parametrize("status", REFUSED)
def test_a_refused_check_run_costs_no_review_and_is_said_once_in_a_comment(product, status):
    product.sandbox.plan(faults.server_error("POST", "*/check-runs", status=status, times=1_000))
    pull = product.open()
    product.settle()
    product.play(pull.push({"app.py": "# Payments.\n" + FLAWED}))
    product.settle()
    product.sandbox.asgi.planned.clear()

    assert len(pull.reviews) == 1
    assert pull.check_runs() == []
    (comment,) = pull.state.comments
    assert "GitHub did not accept the check run of this review." in comment.body
    assert "**No new findings, 2 still open (checks only)**" in comment.body


@pytest.mark.parametrize("status", [403, 404])
def test_a_check_run_that_cannot_be_changed_is_replaced_by_one_that_ends(product, status):
    product.sandbox.plan(faults.server_error("PATCH", "*/check-runs/*", status=status, times=1_000))
    pull = product.open()
    product.settle()
    product.sandbox.asgi.planned.clear()

    assert len(pull.reviews) == 1
    assert shown(pull) == ("completed", "neutral", "2 new findings (checks only)")
    assert pull.state.comments == []


def test_an_error_page_of_github_is_not_shown_to_people():
    error = refusal(502, {}, b"<html><body><h1>Unicorn!</h1></body></html>", 0.0)

    assert str(error) == "GitHub 502: an error page instead of an answer"


def test_re_run_all_checks_does_what_re_run_does(product, pull):
    pull.rerequest_all("alice")
    product.settle()

    assert len(pull.check_runs()) == 2
    assert [run.status for run in pull.check_runs()] == ["completed", "completed"]
    assert shown(pull)[2] == "No new findings, 2 still open (checks only)"


def test_at_rest_the_newest_check_run_of_every_head_has_ended(product):
    newest = {
        (repo.full_name, run.head_sha): run
        for repo in product.sandbox.world.repositories.values()
        for run in repo.check_runs
    }

    assert len(newest) > 10
    assert [run.title for run in newest.values() if run.status != "completed"] == []

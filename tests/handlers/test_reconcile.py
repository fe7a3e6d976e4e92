"""What a dead server missed is found after its start, without a person. On our real server and the sandbox."""

import time

import pytest

from bot.core.code.pull_request import PullRef
from bot.handlers.reconcile import Reconciler
from bot.hosts.github.auth import WRITE, Grant
from bot.hosts.github.client import repository
from bot.hosts.github.installations import GitHubInstallations
from bot.hosts.github.publisher import GitHubPublisher
from bot.sandbox.world import hooks
from bot.sandbox.world.faults import Fault
from bot.storage.ledger import ReviewRecord
from tests.support.product import RunningProduct

NOWHERE = "http://127.0.0.1:9/webhooks/github"
LATER = 600.0
"""Seconds after which a pull request counts as quiet."""


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


def look(product, state=None, *, later=LATER):
    """One look of the reconciler, so many seconds from now, and the work that it starts; returns its state."""
    client = product.app.client
    client._tokens._minted.clear()  # a token of the sandbox knows only the repositories of its time
    reconciler = Reconciler(
        GitHubInstallations(client), GitHubPublisher(client), product.app.ledger, lambda: time.time() + later
    )
    after = product.play(reconciler(product.app.engine, state or {}))
    product.settle()
    return after


def lose(product):
    """Sends what happened to a server that is down."""
    product.play(product.sandbox.deliver(product.here.client, NOWHERE))


def drop(product):
    """Forgets what happened, as if GitHub had never sent it."""
    product.sandbox.world.deliveries.clear()


def outcomes(*pulls):
    return [[(run.status, run.conclusion) for run in pull.check_runs()] for pull in pulls]


REVIEWED = [("completed", "neutral")]


def test_five_events_during_a_downtime_are_five_reviews_and_no_second_look_repeats_them(product):
    repo = product.repository()
    pulls = [product.open(repo=repo, branch=f"b{n}") for n in range(4)]
    asked = product.open(repo=repo, branch="asked")
    lose(product)
    state = look(product, later=0)
    asked.comment("alice", "/assistant review full")
    lose(product)
    state = look(product, state, later=0)
    again = look(product, state, later=0)

    assert outcomes(*pulls) == [REVIEWED] * 4
    assert len(asked.check_runs()) == 2
    assert [len(pull.reviews) for pull in pulls] == [1] * 4
    assert again["totals"] == state["totals"]
    assert state["totals"]["deliveries"] == 6


def test_a_delivery_that_reached_us_at_last_is_not_taken_again(product):
    pull = product.open()
    lose(product)
    product.play(product.here.deliver())  # nothing is pending
    [entry] = product.sandbox.world.deliveries[-1:]
    entry.code = 502
    hooks.redeliver(product.sandbox.world, entry)
    product.settle()
    before = len(product.sandbox.requests)
    look(product, later=0)

    fetched = [one.path for one in product.sandbox.requests[before:] if one.path.endswith(f"deliveries/{entry.id}")]
    assert outcomes(pull) == [REVIEWED]
    assert fetched == []


def test_an_open_head_that_github_never_told_us_of_is_reviewed_once(product):
    pull = product.open()
    drop(product)
    state = look(product)
    look(product, state)

    assert outcomes(pull) == [REVIEWED]
    assert len(pull.reviews) == 1


@pytest.mark.parametrize("reason", ["just changed", "draft", "older than the installation", "long unchanged"])
def test_a_pull_request_without_a_lost_event_is_left_alone(product, reason):
    pull = product.open(draft=reason == "draft")
    drop(product)
    if reason == "older than the installation":
        pull.state.created_at = "2025-12-01T00:00:00Z"
    look(product, later={"just changed": 0, "long unchanged": 4 * 24 * 3600}.get(reason, LATER))

    assert outcomes(pull) == [[]]


def test_a_check_run_without_a_living_job_ends_and_the_head_is_reviewed(product):
    pull = product.open()
    drop(product)
    key = f"review/{pull.repo.id}/{pull.number}/{pull.state.head_sha}/0123456789abcdef"
    ref = product.play(_ref(product, pull))
    product.play(
        product.app.client.write(
            *ref, {"name": "review-assistant", "head_sha": pull.state.head_sha, "external_id": key}
        )
    )
    assert outcomes(pull) == [[("queued", None)]]
    look(product)

    assert outcomes(pull) == [[("completed", "neutral")] * 2]
    assert "The work on this review was lost" in pull.check_runs()[0].summary
    assert len(pull.reviews) == 1


async def _ref(product, pull):
    installation = product.sandbox.world.installation_of(pull.repo).id
    ref = PullRef(pull.repo.full_name, pull.number, pull.repo.id, installation)
    return Grant.of(ref, WRITE), "POST", repository(ref.repo, "check-runs")


def test_a_withdrawn_permission_and_an_uninstalled_app_are_made_up_for_once_they_are_back(product):
    pull = product.open()
    installation = product.sandbox.world.installation_of(pull.repo)
    granted, installation.permissions = installation.permissions, {"metadata": "read"}
    product.app.client._tokens._minted.clear()
    product.settle()
    assert outcomes(pull) == [[]]
    installation.permissions = granted
    look(product)

    assert outcomes(pull) == [REVIEWED]


def test_trouble_with_github_ends_a_look_and_the_next_one_goes_on(product):
    pull = product.open()
    lose(product)
    product.sandbox.plan(Fault("GET", "*/app", 502))
    down = look(product, later=0)
    product.sandbox.plan(Fault("GET", "*/app/installations", 502))
    up = look(product, down, later=0)

    assert (down["down"], up["down"]) == (True, False)
    assert outcomes(pull) == [REVIEWED]


def test_a_review_whose_model_was_down_is_repeated_once_after_a_while(product):
    pull = product.open()
    product.settle()
    [row] = [one for one in product.play(product.app.ledger.reviews()) if one["repo"] == pull.repo.full_name]
    ref = PullRef(row["repo"], row["number"], row["repo_id"], row["installation"])
    detail = row["detail"] | {"unreachable": True}
    record = ReviewRecord(row["job"], ref, row["head"], row["trigger"], row["outcome"], row["url"], detail)
    product.play(product.app.ledger.record(record))
    state = look(product, later=60)
    before = outcomes(pull)
    look(product, look(product, state, later=1000), later=5000)

    assert before == [REVIEWED]
    assert outcomes(pull) == [REVIEWED * 2]
    assert len(pull.reviews) == 1

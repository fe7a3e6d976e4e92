"""What a dead server missed is found after its start, without a person. On our real server and the sandbox."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from bot.core.code.pull_request import PullRef
from bot.handlers.reconcile import Reconciler
from bot.hosts.github.auth import WRITE, Grant
from bot.hosts.github.client import repository
from bot.hosts.github.installations import GitHubInstallations
from bot.hosts.github.publisher import GitHubPublisher
from bot.interfaces import AppInstallation
from bot.sandbox.world import hooks
from bot.sandbox.world.faults import Fault
from bot.storage.ledger import ReviewRecord
from tests.support.product import FLAWED, RunningProduct

NOWHERE = "http://127.0.0.1:9/webhooks/github"
LATER = 600.0
"""Seconds after which a pull request counts as quiet."""


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


def look(product, state=None, *, later=LATER, **options):
    """One look of the reconciler, so many seconds from now, and the work that it starts; returns its state."""
    client = product.app.client
    client._tokens._minted.clear()  # a token of the sandbox knows only the repositories of its time
    reconciler = Reconciler(
        GitHubInstallations(client), GitHubPublisher(client), product.app.ledger, lambda: time.time() + later, **options
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


@pytest.mark.parametrize("path", ["/app", "/app/hook/deliveries*"])
def test_a_look_that_github_cut_short_is_repeated_within_half_a_minute(product, path):
    pull = product.open()
    lose(product)
    product.sandbox.plan(Fault("GET", path, 502))
    first = look(product, later=0)
    product.sandbox.asgi.planned.clear()
    second = look(product, first, later=0)

    assert outcomes(pull) == [REVIEWED]
    assert (first["again"], second["again"]) == (30, 300)


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


def test_an_outage_of_three_days_heals_with_one_look_pushes_mentions_and_commands_too(product):
    repo = product.repository()
    known = product.open(repo=repo, branch="known")
    product.settle()
    pulls = [product.open(repo=repo, branch=f"day{n}") for n in range(6)]
    known.comment("alice", "@review-assistant what does this change do?")
    known.comment("alice", "/assistant pause")
    pushed = pulls[-1]
    product.play(pushed.push({"app.py": FLAWED + "\n\ndef refund(order):\n    return None\n"}))
    lose(product)
    spread(product.sandbox.world, 2.9 * 24 * 3600)
    begun = time.monotonic()
    state = look(product, later=0)

    assert outcomes(*pulls[:-1]) == [REVIEWED] * 5
    assert [run.conclusion for run in pushed.check_runs()][-1:] == ["neutral"]
    assert len(answers(known)) == 2  # to the question and to the command
    assert state["totals"]["deliveries"] >= 9
    assert time.monotonic() - begun < 60


def answers(pull):
    """What we said in the conversation."""
    return [one for one in pull.state.comments if one.author.login == "review-assistant[bot]"]


def spread(world, seconds):
    """Moves the entries of the delivery log into the past: the first one so far, the last one to now."""
    for number, entry in enumerate(world.deliveries):
        ago = seconds * (1 - number / len(world.deliveries))
        entry.delivered_at = datetime.fromtimestamp(world.clock() - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_server_without_an_address_asks_for_deliveries_every_few_seconds_and_for_the_rest_seldom(product):
    repo = product.repository()
    pull = product.open(repo=repo)
    lose(product)
    first = look(product, later=0, polls=True)
    before = len(product.sandbox.requests)
    idle = [look(product, first, later=10, polls=True)]
    asked = [one.path for one in product.sandbox.requests[before:]]
    for n in range(2, 8):
        idle.append(look(product, idle[-1], later=10 * n, polls=True))
    product.open(repo=repo, branch="next")
    lose(product)
    found = look(product, idle[-1], later=100, polls=True)

    assert outcomes(pull) == [REVIEWED]
    assert first["again"] == found["again"] == 10
    assert [state["again"] for state in idle] == [11, 12, 13, 14, 15, 15, 15]
    assert [path.rpartition("/")[2] for path in asked] == ["deliveries"]
    assert look(product, found, later=301, polls=True)["looked"] > found["looked"]


def test_a_check_run_that_could_not_end_without_its_permission_ends_once_it_is_back(product):
    pull = product.open()
    product.settle()
    key = f"review/{pull.repo.id}/{pull.number}/{pull.state.head_sha}/fedcba9876543210"
    ref = product.play(_ref(product, pull))
    product.play(
        product.app.client.write(
            *ref, {"name": "review-assistant", "head_sha": pull.state.head_sha, "external_id": key}
        )
    )
    state = look(product, look(product))
    before = len(product.sandbox.requests)
    look(product, state)
    asked = [one.path for one in product.sandbox.requests[before:] if pull.state.head_sha in one.path]

    assert sorted(outcomes(pull)[0]) == [("completed", "neutral")] * 2
    assert len(pull.reviews) == 1
    assert asked == []


def test_a_review_that_failed_without_a_report_is_repeated_after_a_new_installation(product):
    pull = product.open()
    world = product.sandbox.world
    old = world.installation_of(pull.repo)
    old.permissions = {"metadata": "read", "pull_requests": "read"}
    product.app.client._tokens._minted.clear()
    product.settle()
    silent = outcomes(pull), list(pull.reviews)
    del world.installations[old.id]
    new = product.sandbox.install("octo")
    new.repositories += old.repositories
    new.created_at = "2126-01-01T00:00:00Z"  # after the pull request
    look(product)

    assert silent == ([[]], [])
    assert outcomes(pull) == [REVIEWED]


def test_looks_are_bounded_and_reach_every_installation_and_repository_in_turn():
    view = ManyInstallations(50, 7)
    reconciler = Reconciler(view, None, Idle(), lambda: 1e9)
    state, asked = {"delivered": 1e9}, []
    for _ in range(9):
        view.asked = 0
        state = asyncio.run(reconciler(Idle(), state))
        asked.append(view.asked)

    assert max(asked) <= 2 + 20 + 60
    assert len(view.seen) == 50 * 7


class ManyInstallations:
    """A host with many installations and no work; it counts what is asked."""

    def __init__(self, installations, repositories):
        self.size, self.repos = installations, repositories
        self.asked, self.seen = 0, set()

    async def greet(self):
        return "review-assistant"

    async def deliveries(self, _since):
        self.asked += 1
        return ()

    async def installations(self):
        self.asked += 1
        return tuple(AppInstallation(number, 0.0) for number in range(1, self.size + 1))

    async def repositories(self, installation):
        self.asked += 1
        return tuple(PullRef(f"o/r{n}", 0, 1000 * installation + n, installation) for n in range(1, self.repos + 1))

    async def open_pulls(self, repository):
        self.asked += 1
        self.seen.add(repository.repo_id)
        return ()


class Idle:
    """An engine, and a ledger, without anything."""

    async def wake(self):
        return 0

    async def reviews(self, **_):
        return ()


def test_trouble_with_github_ends_a_look_and_the_next_one_goes_on(product):
    pull = product.open()
    lose(product)
    product.sandbox.plan(Fault("GET", "*/app", 502))
    down = look(product, later=0)
    product.sandbox.plan(Fault("GET", "*/app/installations", 502))
    up = look(product, down, later=0)

    assert (down["down"], up["down"]) == (True, False)
    assert outcomes(pull) == [REVIEWED]


@pytest.mark.parametrize("lack", ["unreachable", "awaits"])
def test_a_review_whose_model_or_reports_were_missing_is_repeated_once_after_a_while(product, lack):
    pull = product.open()
    product.settle()
    [row] = [one for one in product.play(product.app.ledger.reviews()) if one["repo"] == pull.repo.full_name]
    ref = PullRef(row["repo"], row["number"], row["repo_id"], row["installation"])
    detail = row["detail"] | {lack: True}
    record = ReviewRecord(row["job"], ref, row["head"], row["trigger"], row["outcome"], row["url"], detail)
    product.play(product.app.ledger.record(record))
    state = look(product, later=60)
    before = outcomes(pull)
    look(product, look(product, state, later=1000), later=5000)

    assert before == [REVIEWED]
    assert outcomes(pull) == [REVIEWED * 2]
    assert len(pull.reviews) == 1

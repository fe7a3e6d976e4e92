"""The n-th request of a review with a model fails, for every n and in every kind: the review ends complete or says why not.

Every request of a run is inside a step, also the ones that follow a fault.
"""

import re
from itertools import count
from types import SimpleNamespace

import pytest

from bot.engine.durable import Pace
from bot.handlers.check_runs import CheckReporter
from bot.hosts.github import client, refusals
from bot.sandbox.world import hooks
from bot.sandbox.world.faults import Fault
from tests.support.invariants import World, shown, violations
from tests.support.model_faults import FAULTS
from tests.support.product_with_model import ProductWithModel, Request
from tests.support.small_review import BASE, CALLS, SETTINGS, code, script
from tests.support.steps_watch import watched_requests

HTML = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
LIMITED = "You have exceeded a secondary rate limit"
PASSING = {
    "server error": {"status": 502, "message": "Bad Gateway"},
    "reset": {"status": 0},
    "accepted, then reset": {"status": 0, "after": True},
    "accepted, then 502": {"status": 502, "after": True},
    "401": {"status": 401, "message": "Bad credentials"},
    "403, retry-after": {"status": 403, "message": LIMITED, "headers": {"retry-after": "0"}},
    "429 without a time": {"status": 429, "message": LIMITED},
    "truncated": {"status": 200, "cut": True},
    "web page": {"status": 200, "page": HTML},
    "web page, 503": {"status": 503, "page": HTML},
}
"""Faults that pass: the next attempt succeeds, so the review must be complete."""
LASTING = {
    "403": {"status": 403, "message": "Resource not accessible by integration"},
    "404": {"status": 404},
    "422": {"status": 422},
}
"""Refusals, which no attempt heals: the review may be incomplete, but says so."""
MODEL_PASSING = {"server error", "reset", "half an answer", "a web page", "rate limit in ms", "overloaded"}
MODEL = (*sorted(MODEL_PASSING), "key", "quota", "unknown model", "unprocessable", "context")
NUMBERS = count(1000)


class Script:
    """The small review's script; the calls of a pull request whose number was planned fail."""

    def __init__(self):
        self.planned = {}  # NUMBER in the code -> [call that fails, turn]

    def __call__(self, body):
        number = int(re.search(r"NUMBER = (\d+)", Request(body).text)[1])
        place, turn = self.planned.get(number, (0, None))
        if place:
            self.planned[number] = (place - 1, turn)
        return turn if place == 1 else script(body)


@pytest.fixture(scope="module")
def product():
    limits = pytest.MonkeyPatch()
    for module in (client, refusals):
        limits.setattr(module, "SECONDARY_LIMIT_SECONDS", 0.05)
    pace = Pace(debounce=0, poll=0.02, patience=60, retry=0.01)
    with watched_requests() as (outside, inside):
        product = ProductWithModel(Script(), pace=pace, **SETTINGS)
        product.outside, product.inside = outside, inside
        yield product
        product.close()
    limits.undo()


@pytest.fixture(scope="module")
def whole(product):
    """A review without a fault: what it shows, and the methods of its requests within the repository."""
    _, pull = review(product)
    product.settle()
    requests = [one for one in product.sandbox.requests if one.path.startswith(f"/repos/{pull.repo.full_name}/")]
    assert len(product.model.asked) == CALLS
    return SimpleNamespace(shown=shown(pull), methods=[one.method for one in requests])


def review(product):
    """Opens a pull request in a repository of its own, of which nothing was read yet."""
    number = next(NUMBERS)
    return number, product.play(product.repository(BASE).open_pull(f"Pull {number}", "", code(number)))


def chosen(every, kinds, methods):
    """Pairs of a request's number and a kind: all of them, or a twelfth, spread over the numbers and kinds."""
    pairs = [(nth, kind) for nth in range(1, len(methods) + 1) for kind in kinds]
    if every:
        return pairs
    return [pair for at, pair in enumerate(pairs) if at % 12 == pair[0] % 12]


def found(product, expected=None):
    """The invariants that do not hold, and the requests outside of steps."""
    secrets = [product.sandbox.world.secret]
    world = World(product.sandbox, product.app.settings.database, expected=lambda _: expected, secrets=secrets)
    return violations(world), product.outside, product.model.rejected


def faulty(product, pairs, kinds):
    """A pull request for each pair, whose n-th request fails; returns them with their pairs."""
    pulls = {}
    for nth, kind in pairs:
        _, pull = review(product)
        product.sandbox.plan(Fault("*", f"/repos/{pull.repo.full_name}/*", nth=nth, **({"status": 502} | kinds[kind])))
        pulls[nth, kind] = pull
    product.settle()
    assert [fault for fault in product.sandbox.asgi.planned if not fault.seen] == []
    product.sandbox.asgi.planned.clear()
    return pulls


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)], ids=["some", "every"])
def test_a_passing_fault_of_any_request_to_github_costs_no_review(product, whole, every):
    pulls = faulty(product, chosen(every, PASSING, whole.methods), PASSING)

    assert {pair: shown(pull) for pair, pull in pulls.items() if shown(pull) != whole.shown} == {}
    assert found(product) == ([], [], [])


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)], ids=["some", "every"])
def test_a_refusal_of_any_request_to_github_ends_in_a_review_or_says_why_not(product, whole, every):
    pulls = faulty(product, chosen(every, LASTING, whole.methods), LASTING)

    ended = {pair: [run.conclusion for run in pull.check_runs() if run.conclusion] for pair, pull in pulls.items()}
    silent = {pair for pair, conclusions in ended.items() if not conclusions and not pulls[pair].state.comments}
    assert silent <= {(1, "403")}, "only what cannot be read at all is not told"
    assert {conclusion for conclusions in ended.values() for conclusion in conclusions} == {"neutral"}
    for delivery in list(product.sandbox.deliveries):
        if delivery.repository in {pulls[pair].repo.id for pair in silent}:
            hooks.redeliver(product.sandbox.world, delivery)
    product.settle()
    assert all(shown(pulls[pair]) == whole.shown for pair in silent)
    assert found(product) == ([], [], [])


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)], ids=["each kind", "every call"])
def test_a_fault_of_any_call_of_the_model_ends_in_a_review_or_says_why_not(product, whole, every):
    pulls = {}
    for at, kind in enumerate(MODEL):
        for place in range(1, CALLS + 1) if every else [at % CALLS + 1]:
            number, pull = review(product)
            product.model.script.planned[number] = (place, FAULTS[kind][0])
            pulls[kind, place] = pull
    product.settle()

    assert all(place <= 0 for place, _ in product.model.script.planned.values())
    assert {
        pair: shown(pull) for pair, pull in pulls.items() if pair[0] in MODEL_PASSING and shown(pull) != whole.shown
    } == {}
    assert {pull.check_runs()[-1].conclusion for pull in pulls.values()} == {"neutral"}
    assert found(product) == ([], [], [])


def test_every_request_of_a_run_is_inside_a_step(product, monkeypatch):
    """Of reviews with and without faults, which the tests above watch; and of commands and questions."""
    _, pull = review(product)
    for words in ("/assistant review full", "/assistant status", "@review-assistant why?", "/assistant summary"):
        pull.comment("alice", words)
    product.settle()
    assert len(product.inside) > 40
    assert product.outside == []

    async def show(self, pull, run, *_):
        await self.publisher.check(pull, run)

    monkeypatch.setattr(CheckReporter, "show", show)
    review(product)
    product.settle()
    assert {line.split()[0] for line in product.outside} >= {"GET", "POST"}, "the watch sees a request outside a step"
    product.outside.clear()

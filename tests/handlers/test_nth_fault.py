"""Each request of a review with a model fails in turn, in each kind: every pull request is reviewed once all the same."""

import re

import pytest

from bot.engine.durable import Pace
from bot.sandbox.world.faults import Fault
from tests.support.model_turns import says
from tests.support.product_with_model import ProductWithModel, Request
from tests.support.scripted_model import finding, findings

BASE = {"app.py": "def pay(order):\n    return order\n", "docs/rules.md": "# Rules\n\nName every constant.\n"}
CLAIM = finding(
    path="app.py", quoted_code="    return order.total * 3", title="Unnamed constant", near=2, evidence=["app.py:2 3"]
)
EVIDENCE = ["app.py:2: return order.total * 3"]
VERDICT = {"verdicts": [{"finding": 1, "evidence": EVIDENCE, "reason": "It is there.", "verdict": "holds"}]}
KINDS = {
    "server error": {"status": 502, "message": "Bad Gateway"},
    "dropped": {"status": 0},
    "accepted but unanswered": {"status": 502, "after": True},
    "limited": {"status": 403, "message": "You have exceeded a secondary rate limit", "headers": {"retry-after": "0"}},
    "expired token": {"status": 401, "message": "Bad credentials"},
    "web page": {"status": 404, "headers": {"content-type": "text/html"}},
}


def script(body):
    asked = Request(body)
    return says(findings(CLAIM)) if asked.purpose == "find" else says(VERDICT)


@pytest.fixture(scope="module")
def product():
    pace = Pace(debounce=0, poll=0.02, patience=60, retry=0.01)
    product = ProductWithModel(
        script, pace=pace, assistant_checks="hygiene", assistant_passes="correctness", assistant_fetch_megabytes=0
    )
    yield product
    product.close()


def code(number):
    return {"app.py": f"def pay(order):\n    return order.total * 3\n\n\nNUMBER = {number}\n"}


def endpoints(requests):
    """The kinds of requests, as method and glob."""
    paths = ((one.method, re.sub(r"/(\d+|[0-9a-f]{40})(?=/|$)", "/*", one.path)) for one in requests)
    return sorted({(method, re.sub(r".*/repos/[^/]+/[^/]+", "*", path)) for method, path in paths})


@pytest.fixture(scope="module")
def wanted(product):
    """The requests of a review without a fault; who we are is asked once in a process."""
    product.play(product.repository(BASE).open_pull("Whole", "", code(9)))
    product.settle()
    return [request for request in endpoints(product.sandbox.requests) if request != ("GET", "/app")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_any_single_request_costs_no_review(product, wanted, kind):
    faults = [Fault(method, glob, **KINDS[kind]) for method, glob in wanted]
    product.sandbox.plan(*faults)
    repo = product.repository(BASE)  # of which nothing was read yet
    pulls = [product.play(repo.open_pull(f"Pull {n}", "", code(n), branch=f"b{n}")) for n in range(2)]
    product.settle()
    product.sandbox.asgi.planned.clear()

    assert {("POST", "*/pulls/*/reviews"), ("GET", "*/git/trees/*"), ("POST", "*/check-runs")} <= set(wanted)
    assert [fault.path for fault in faults if not fault.seen] == []
    assert [(len(pull.reviews), len(pull.comments)) for pull in pulls] == [(1, 1)] * 2
    assert [[run.conclusion for run in pull.check_runs()] for pull in pulls] == [["neutral"]] * 2

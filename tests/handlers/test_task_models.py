"""Which model reads what: as the operator says, and as a repository chooses among what is offered. On our real server."""

import pytest

from tests.support.model_turns import says
from tests.support.product import BASE
from tests.support.product_with_model import ProductWithModel, Request
from tests.support.scripted_model import findings

CLAIM = {"path": "app.py", "quoted_code": "        charge(order)", "near": 3, "evidence": ["app.py:3: charge(order)"]}


def answers(body):
    """Each pass claims the same; the second look confirms it."""
    request = Request(body)
    if request.purpose != "verify":
        return says(findings(CLAIM))
    verdict = {"evidence": ["app.py:3: charge(order)"], "reason": "It is so.", "verdict": "holds"}
    return says({"verdicts": [verdict | {"finding": n} for n, _ in enumerate(request.claims, 1)]})


@pytest.fixture(scope="module")
def product():
    product = ProductWithModel(
        answers,
        assistant_model="usual",
        assistant_model_verify="second",
        assistant_model_tasks="security=guard",
        assistant_model_choices="small, large",
    )
    yield product
    product.close()


def asked(product, policy):
    """The model of each pass and task of one review, and the newest check run."""
    before = len(product.model.asked)
    pull = product.open(repo=product.repository(BASE | {".github/assistant.yml": policy}))
    product.settle()
    requests = [Request(one.body) for one in product.model.asked[before:]]
    models = {request.lens or request.purpose: request.body["model"] for request in requests}
    return models, pull.check_runs()[-1]


def test_a_repository_chooses_among_the_offered_models_and_the_tasks_keep_theirs(product):
    models, check = asked(product, "model: small\n")

    assert models == {"correctness": "small", "security": "guard", "standards": "small", "verify": "second"}
    assert "small; security: guard; verify: second" in check.text


def test_a_model_that_is_not_offered_is_not_asked_and_the_check_run_says_so(product):
    models, check = asked(product, "model: smal\n")

    assert models == {"correctness": "usual", "security": "guard", "standards": "usual", "verify": "second"}
    assert "model: smal is not offered here; did you mean small?" in check.summary

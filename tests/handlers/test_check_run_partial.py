"""A look at a part of a change never makes its check better: through our real server, with a scripted model."""

import pytest

from tests.support.product import BASE, RunningProduct
from tests.support.scripted_model import ScriptedModel

CLEAN = {"app.py": "def pay(order):\n    return order or None\n", "README.md": "# Shop\n\nPays orders.\n"}
NOTHING = {"walkthrough": "", "findings": []}


@pytest.fixture(scope="module")
def model():
    return ScriptedModel()


@pytest.fixture(scope="module")
def product(model):
    product = RunningProduct(model=model, assistant_checks="secrets", assistant_requests_per_person_hour=10_000)
    yield product
    product.close()


@pytest.mark.parametrize("command", ["review README.md", "review security", "review nope/**"])
def test_a_partial_look_never_makes_a_check_better(product, model, command):
    model.answers = {}
    pull = product.open(CLEAN)
    product.settle()
    status, conclusion, title = shown(pull)
    assert (status, conclusion) == ("completed", "neutral")
    assert "not reviewed" in title

    model.answers = {"find": NOTHING}
    pull.comment("alice", f"/assistant {command}")
    product.settle()

    assert shown(pull)[:2] == ("completed", "neutral")
    assert "not reviewed" in shown(pull)[2]


@pytest.mark.parametrize("command", ["review README.md", "review security"])
def test_a_partial_look_alone_is_not_green_and_the_whole_review_after_it_is(product, model, command):
    model.answers = {"find": NOTHING}
    pull = product.open(
        CLEAN, repo=product.repository({**BASE, ".github/assistant.yml": "triggers:\n  opened: false\n"})
    )
    product.settle()
    assert pull.check_runs() == []

    pull.comment("alice", f"/assistant {command}")
    product.settle()
    assert shown(pull)[:2] == ("completed", "neutral")
    pull.comment("alice", "/assistant review")
    product.settle()
    assert shown(pull) == ("completed", "success", "No new findings")

    pull.comment("alice", f"/assistant {command}")
    product.settle()
    assert shown(pull) == ("completed", "success", "No new findings")


def shown(pull):
    """The newest check run of the head, as GitHub's list of checks shows it."""
    run = pull.check_runs()[-1]
    return run.status, run.conclusion, run.title


def test_a_partial_look_after_another_base_branch_is_not_green(product, model):
    model.answers = {"find": NOTHING}
    repo = product.repository({**BASE, ".github/assistant.yml": "triggers:\n  pushed: false\n"})
    below = product.open({"app.py": "def pay(order):\n    return order.total\n"}, repo=repo, branch="below")
    pull = product.open(CLEAN, repo=repo)
    product.settle()
    assert below.number < pull.number
    assert shown(pull) == ("completed", "success", "No new findings")

    product.play(pull.retarget("below"))
    product.settle()
    pull.comment("alice", "/assistant review README.md")
    product.settle()

    assert shown(pull)[:2] == ("completed", "neutral")

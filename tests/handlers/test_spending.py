"""Who spent what on a pull request, and what is left, as `/assistant status` says on GitHub. On our real server."""

import re
from dataclasses import replace

import pytest

from tests.support.model_turns import says
from tests.support.product_with_model import ProductWithModel, Request
from tests.support.scripted_model import findings

BILLED = {"input_tokens": 10_000, "output_tokens": 1_000}
ANSWER = {"citations": [], "known": True, "answer": "Because it is so."}


def answers(body):
    """Finds nothing, answers every question; each call costs three cents."""
    said = ANSWER if "# Look for " not in Request(body).text else findings()
    return replace(says(said), usage=BILLED)


@pytest.fixture(scope="module")
def product():
    product = ProductWithModel(answers)
    yield product
    product.close()


def status(product, pull, login):
    """The table of what was spent, as dollars and what is left by scope."""
    before = len(pull.state.comments)
    pull.comment(login, "/assistant status")
    product.settle()
    (answer,) = (one.body for one in pull.state.comments[before:] if "| spent on |" in one.body)
    rows = re.findall(r"^\| (.+?) \| (\d+) \| \$([\d.]+) \| (.+?) \|$", answer, re.MULTILINE)
    return {scope: (float(dollars), left) for scope, _, dollars, left in rows}, answer


def test_the_status_names_who_asked_and_who_opened_and_what_is_left(product):
    repo = product.repository()
    repo.user("bob", "write")
    pull = product.open(repo=repo)
    product.settle()
    pull.comment("bob", "/assistant ask Why?")
    product.settle()

    rows, _ = status(product, pull, "bob")
    reviewed, asked = rows["`alice`, 30 days"][0], rows["`bob`, 30 days"][0]
    assert reviewed > asked > 0
    assert rows["this pull request, 30 days"] == (pytest.approx(reviewed + asked), "no limit")
    assert rows["this pull request, 1 day"] == (pytest.approx(reviewed + asked), f"${5 - reviewed - asked:.2f}")
    assert rows["this repository, 1 day"][1] == f"${50 - reviewed - asked:.2f}"
    assert rows["the installation, 30 days"][0] >= reviewed + asked


def test_the_status_of_a_pull_request_without_reviews_tells_what_is_left(product):
    pull = product.open(draft=True)
    product.settle()

    rows, answer = status(product, pull, "alice")
    assert "This pull request has not been reviewed yet." in answer
    assert rows["this pull request, 1 day"] == (0.0, "$5.00")
    assert rows["`alice`, 30 days"][1] == "no limit"

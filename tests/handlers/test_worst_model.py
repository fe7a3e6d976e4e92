"""A model that answers the worst, through the sandbox and the model server: nothing invented is posted, nothing is lost."""

import random
import re

import pytest

from bot.core.code.pull_request import PullRef
from tests.support.model_turns import refuses, says
from tests.support.product import BASE
from tests.support.product_with_model import ProductWithModel, Request
from tests.support.scripted_model import finding

HEAD = """import os


def refund(order, amount, user):
    if user.is_admin or order.owner == user and amount <= order.paid:
        return pay(amount)


def collect(item, into=None):
    into.append(item)
    return into
"""
FILES = {"app.py": HEAD, "notes.txt": "Amounts are in cents.\n"}
ROWS = [row for text in (*FILES.values(), *BASE.values()) for row in text.split("\n") if row.strip()]
QUOTES = [
    *ROWS,
    "",
    "   ",
    "raise CartLocked(order.id)",
    "with LOCK:\n    pass",
    "x" * 9_000,
    "}",
    "...",
    "`import os`",
]
PATHS = [
    *FILES,
    "docs/standards/python.md",
    "cart.py",
    "shop/locks.py",
    "../../etc/passwd",
    "",
    "/",
    "https://evil.test/a",
]
EVIDENCE = ["seen", "", "app.py:5: user.is_admin", "app.py:9 collect", "shop/locks.py:1: LOCK", "app.py:999: nothing"]


def claims(chance, count):
    """Claims about what is and what is not there, each with a title of its own."""
    return [
        finding(
            path=chance.choice(PATHS),
            side=chance.choice(["RIGHT", "LEFT"]),
            quoted_code=chance.choice(QUOTES),
            near=chance.choice([None, -5, 5, 600]),
            title=f"Claim {number} of what refunds do wrong",
            evidence=chance.sample(EVIDENCE, 2),
            category=chance.choice(["correctness", "security", "standards", "tests"]),
            severity=chance.choice(["error", "warning", "note"]),
            confidence=chance.choice([-1.0, 0.05, 0.9, 7.0]),
            suggestion=chance.choice([None, "    pass"]),
        )
        for number in range(count)
    ]


CLAIMED = {
    "hijacked": claims(random.Random(1), 40),
    "verbose": claims(random.Random(2), 120),
    "repetitive": [
        finding(path="app.py", quoted_code=ROWS[2], near=5, title="The same again", evidence=["app.py:5: if user"])
    ]
    * 60,
    "silent": None,
    "refusing": None,
}


def answers(habit):
    """The script of a model that claims the same in every pass and confirms all of it, or says nothing at all."""

    def script(body):
        request = Request(body)
        if CLAIMED[habit] is None:
            return refuses() if habit == "refusing" else says("")
        if request.purpose != "verify":
            return says({"walkthrough": "", "findings": CLAIMED[habit]})
        evidence = ["app.py:5: if user.is_admin", "app.py:9: def collect"]
        verdict = {"evidence": evidence, "reason": "so", "verdict": "holds"}
        return says({"verdicts": [verdict | {"finding": n} for n, _ in enumerate(request.claims, 1)]})

    return script


@pytest.fixture(scope="module")
def product():
    product = ProductWithModel(assistant_checks="secrets", assistant_dollars_per_repository_day=10**6)
    yield product
    product.close()


@pytest.mark.parametrize("habit", CLAIMED)
def test_what_is_posted_stands_in_the_files_whatever_the_model_says(product, habit):
    product.model.script = answers(habit)
    pull = product.open(FILES, repo=product.repository(BASE | {".github/assistant.yml": "comments: 30\n"}))
    product.settle()
    run = pull.check_runs()[-1]
    known = product.play(product.app.ledger.findings(PullRef(pull.repo.full_name, pull.number, pull.repo.id)))
    claimed = {one["title"]: one for one in CLAIMED[habit] or ()}

    assert (run.status, run.conclusion) == ("completed", "neutral")
    assert {comment.path for comment in pull.comments} <= set(FILES)
    assert all(comment.line is None or comment.line <= len(HEAD.split("\n")) for comment in pull.comments)
    assert bool(known) == bool(claimed)
    for one in known:
        said = claimed[one.title]
        quoted = [squeezed(row) for row in said["quoted_code"].split("\n") if squeezed(row)]
        assert one.path in {*FILES, *BASE}
        assert one.path == said["path"]
        assert quoted
        assert all(any(row in squeezed(there) for there in ROWS) for row in quoted)
    if habit == "repetitive":
        assert [one.title for one in known] == ["The same again"]


def squeezed(text):
    return re.sub(r"[\s`]", "", text)

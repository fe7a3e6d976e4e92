"""A small review with a model: one changed file, one claim and its verdict, so that every request of it can be counted."""

from tests.support.model_turns import says
from tests.support.product_with_model import Request
from tests.support.scripted_model import finding, findings

BASE = {"app.py": "def pay(order):\n    return order\n", "docs/rules.md": "# Rules\n\nName every constant.\n"}
SETTINGS = {"assistant_checks": "hygiene", "assistant_passes": "correctness", "assistant_fetch_megabytes": 0}
CALLS = 2
"""Model calls of one review."""
CLAIM = finding(
    path="app.py", quoted_code="    return order.total * 3", title="Unnamed constant", near=2, evidence=["app.py:2 3"]
)
EVIDENCE = ["app.py:2: return order.total * 3"]
VERDICT = {"verdicts": [{"finding": 1, "evidence": EVIDENCE, "reason": "It is there.", "verdict": "holds"}]}


def script(body):
    """One claim for each pass, which the second look confirms."""
    return says(findings(CLAIM)) if Request(body).purpose == "find" else says(VERDICT)


def code(number):
    """The head of a pull request: the same flaw, at the same place, in other code."""
    return {"app.py": f"def pay(order):\n    return order.total * 3\n\n\nNUMBER = {number}\n"}

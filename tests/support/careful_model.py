"""A scripted model that looks something up, finds a real problem and an invented one, and confirms its own words."""

from tests.support.model_turns import calls, says
from tests.support.product_with_model import Request
from tests.support.scripted_model import findings

EVIL = '<script>alert("x")</script>'
CODE = "def pay(order):\n    try:\n        return order.total / order.count\n    except:\n        return 0\n"
DIVIDES = {
    "path": "app.py",
    "quoted_code": "        return order.total / order.count",
    "near": 3,
    "evidence": ["app.py:3 order.count"],
    "title": f"An empty order divides by zero {EVIL}",
}
NOWHERE = {"path": "nowhere.py", "quoted_code": "gone()", "near": 1, "title": "A file that is nowhere"}


def careful(body, found=DIVIDES):
    """A model that looks something up, finds a problem, invents another one, and confirms its own words."""
    asked = Request(body)
    if not asked.told and asked.purpose == "find":
        return calls(("grep", {"pattern": "order", "path": None, "side": "head"}))
    if asked.purpose == "find":
        return says(findings(found, NOWHERE) if asked.lens == "correctness" else findings())
    verdict = {"evidence": ["app.py:3 / order.count"], "reason": "as the code says", "verdict": "holds"}
    return says({"verdicts": [verdict | {"finding": n} for n, _ in enumerate(asked.claims, 1)]})

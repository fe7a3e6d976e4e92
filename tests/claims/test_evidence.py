"""A model's claims against the files: what is not there is dropped with its reason, however sure the model is."""

from dataclasses import replace

import pytest

from bot.core.claims.evidence import find_line, prove, with_found_evidence
from bot.core.claims.refute import HeadFacts, with_typed_claim
from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.findings.finding import Category, Draft, DropReason, Severity

HEAD = "import os\n\n\ndef refund(order, amount):\n    if amount <= order.paid:\n        return pay(amount)\n\n\ndef old(values):\n    return values[len(values)]\n"
HUNK = Hunk(
    (
        Line("def refund(order, amount):", 4, 4),
        Line("    if amount < order.paid:", 5, None),
        Line("    if amount <= order.paid:", None, 5),
        Line("        return pay(amount)", 6, 6),
    )
)
FACTS = HeadFacts(
    Diff((FileDiff("shop/cart.py", Status.MODIFIED, (HUNK,)),)),
    {"shop/cart.py": HEAD, "shop/api.py": "from shop.cart import refund\nrefund(order, -1)\n"},
)
DRAFT = Draft(
    path="shop/cart.py",
    quoted="    if amount <= order.paid:",
    title="A negative amount charges the customer",
    why="It is below what was paid.",
    severity=Severity.ERROR,
    category=Category.CORRECTNESS,
    source="correctness",
    near=5,
    confidence=0.9,
)
CHANGED = ("shop/cart.py:5: if amount <= order.paid:",)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"quoted": "    if amount < order.paid:"}, None),
        ({"path": "shop/locks.py", "quoted": "with LOCK:"}, DropReason.NO_FILE),
        ({"quoted": ""}, DropReason.NO_QUOTE),
        ({"quoted": " \n\n"}, DropReason.NO_QUOTE),
        ({"quoted": "    raise CartLocked(order.id)"}, DropReason.NO_SUCH_CODE),
        ({"quoted": "    lock(order)\n    unlock(order)\n    if amount <= order.paid:"}, DropReason.NO_SUCH_CODE),
        ({"path": "shop/api.py", "quoted": "refund(order, 2)", "evidence": CHANGED}, DropReason.NO_SUCH_CODE),
        ({"quoted": "    return values[len(values)]"}, DropReason.UNCHANGED),
        (
            {"quoted": "    return values[len(values)]", "evidence": ("shop/cart.py:9: def old(values):",)},
            DropReason.UNCHANGED,
        ),
        ({"quoted": "    return values[len(values)]", "evidence": CHANGED}, None),
        ({"path": "shop/api.py", "quoted": "refund(order, -1)", "evidence": CHANGED}, None),
        ({"confidence": 0.05}, DropReason.DOUBTFUL),
        ({"confidence": 0.3}, None),
        ({"category": Category.MAINTAINABILITY}, DropReason.STYLE),
        ({"category": Category.MAINTAINABILITY, "standard_refs": ("docs/py.md#x",)}, None),
        ({"category": Category.MAINTAINABILITY, "claim": "unused: amount"}, None),
    ],
)
def test_a_claim_needs_a_file_a_quote_a_change_confidence_and_for_style_a_standard(changed, reason):
    assert prove(replace(DRAFT, **changed), FACTS) == reason


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("shop/cart.py:5: if amount <= order.paid:", 5),
        ("shop/cart.py:5 amount", 5),
        ("`shop/cart.py:6`: `return pay(amount)`", 6),
        ("shop/cart.py L6 - return pay(amount)", 6),
        ("cart.py, line 6: return pay(amount)", 6),
        ("shop/cart.py: return pay(amount)", 6),
        ("shop/cart.py:5: if amount < order.paid:", 5),
        ("shop/api.py:90: refund(order, -1)", 2),
        ("seen", None),
        ("shop/cart.py", None),
        ("shop/cart.py:5", None),
        ("shop/cart.py:5: }", None),
        ("shop/cart.py:5: with LOCK:", None),
        ("shop/cart.py:9: pay", 6),
        ("shop/cart.py:40: pay", None),
        ("shop/locks.py:12: with LOCK:", None),
        ("", None),
    ],
)
def test_evidence_is_a_path_and_code_that_stands_there(text, line):
    found = find_line(text, FACTS)

    assert (found and found.line) == line


def test_evidence_that_is_not_found_is_not_kept():
    draft = replace(DRAFT, evidence=("seen", *CHANGED, "shop/locks.py:1: with LOCK:"))

    assert with_found_evidence(draft, FACTS).evidence == CHANGED


@pytest.mark.parametrize(
    ("title", "claim"),
    [
        ("`rate` is never used", "unused: rate"),
        ("Unused variable rate", "unused: rate"),
        ("The local variable 'rate' is not used anywhere.", "unused: rate"),
        ("rate is not defined", "undefined: rate"),
        ("Undefined name `rate`", "undefined: rate"),
        ("Missing import for rate", "undefined: rate"),
        ("`rate` is never closed", "never_closed: rate"),
        ("`rate()` is not awaited", "missing_await: rate"),
        ("No tests for `rate`", "missing_test: rate"),
        ("docs/rates.md does not exist", "missing_file: docs/rates.md"),
        ("`rate` is undefined when the cart is empty", ""),
        ("Unused discounts are lost", ""),
        ("Undefined behaviour", ""),
        ("The total is unused by callers that pass rate", ""),
        ("An empty cart divides by zero", ""),
    ],
)
def test_a_title_that_says_unused_undefined_or_missing_is_a_typed_claim(title, claim):
    assert with_typed_claim(replace(DRAFT, quoted="rate = total(cart)", title=title)).claim == claim


def test_in_javascript_a_value_that_exists_may_be_undefined():
    draft = replace(DRAFT, path="cart.ts", quoted="const rate = find(cart)", title="rate is undefined")

    assert with_typed_claim(draft).claim == ""

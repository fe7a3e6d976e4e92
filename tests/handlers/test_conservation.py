"""From a model's answer to the check run: no draft is lost, and nothing is posted that is not in the files."""

import asyncio
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.claims.material import PullFacts
from bot.core.claims.rules import team_rules
from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.code.plan import plan
from bot.core.comments.check_run import concluded
from bot.core.findings.finding import Category, Draft, DropReason, Severity
from bot.core.findings.lifecycle import View
from bot.core.findings.triage import TriageContext, triage
from bot.core.policy import Policy
from bot.handlers.ask_model import ModelSession, PassInput
from bot.handlers.passes import Passes
from tests.support.pass_input import SECTION
from tests.support.repository import pull_request
from tests.support.scripted_model import WORDS, FreeAccount, Journal, ScriptedModel, finding

RULES = team_rules((SECTION,), (), ["shop/cart.py"])
HEAD = """import os


def refund(order, amount, user):
    if user.is_admin or order.owner == user and amount <= order.paid:
        return pay(amount)


def collect(item, into=[]):
    into.append(item)
    return into


def old(values):
    return values[len(values)]
"""
ROWS = HEAD.split("\n")
CHANGED = range(4, 12)
HUNK = Hunk(
    (
        Line(ROWS[2], 3, 3),
        *(Line(ROWS[number - 1], None, number) for number in CHANGED),
        Line("    return None", 4, None),
        Line(ROWS[11], 5, 12),
    )
)
DIFF = Diff((FileDiff("shop/cart.py", Status.MODIFIED, (HUNK,)),))
FILES = {"shop/cart.py": HEAD}
B006 = Draft(
    path="shop/cart.py",
    quoted="def collect(item, into=[]):",
    title="Do not use mutable data structures for argument defaults",
    why="The default is shared.",
    severity=Severity.WARNING,
    category=Category.CORRECTNESS,
    source="ruff",
    rule="B006",
    near=9,
)
THERE = [*(row for row in ROWS if row), "    return None", "\n".join(ROWS[3:6]), "12+    return into", "`import os`"]
NOWHERE = ["", "   ", "raise CartLocked(order.id)", "with LOCK:\n    pass", "x" * 9_000, "}", "...", "return"]
TITLES = [
    "An admin may refund more than was paid",
    "Admins may refund more than was ever paid",
    "A negative amount charges the customer",
    "The amount is not checked",
    "The owner is not checked",
    "Mutable defaults for the argument are shared",
    "`into` is never used",
    "B006 again",
    "",
    "<!-- assistant:v1 -->",
]
EVIDENCE = [
    "seen",
    "",
    "shop/cart.py:5: user.is_admin",
    "shop/cart.py:9 collect",
    "shop/locks.py:1: LOCK",
    "cart.py: os",
]
CLAIMS = st.builds(
    finding,
    path=st.sampled_from(["shop/cart.py", "cart.py", "shop/locks.py", "../../etc/passwd", "", "/", "README.md"]),
    side=st.sampled_from(["RIGHT", "LEFT"]),
    quoted_code=st.sampled_from(THERE + NOWHERE) | st.text(max_size=30),
    near=st.none() | st.integers(-5, 600),
    title=st.sampled_from(TITLES) | st.text(max_size=20),
    evidence=st.lists(st.sampled_from(EVIDENCE), max_size=2),
    category=st.sampled_from(["correctness", "security", "standards", "maintainability", "tests"]),
    claim=st.none()
    | st.builds(dict, kind=st.sampled_from(["unused", "missing_file"]), subject=st.sampled_from(["into", "x"])),
    severity=st.sampled_from(["error", "warning", "note"]),
    confidence=st.sampled_from([-1.0, 0.05, 0.3, 0.9, 7.0]),
    suggestion=st.none() | st.just("    pass"),
)
ANSWERS = st.lists(CLAIMS, max_size=8).flatmap(
    lambda found: st.sampled_from([found, found * 2, found[:1] * 12])  # what it repeats counts too
)


def reviewed(answers, verdict, evidence, policy=None):
    """Runs the passes and the triage over what the model says; returns the drafts that went in and the review."""
    policy = policy or Policy(comments=3)
    facts = PullFacts(pull_request(), DIFF, FILES)
    brief = PassInput("job", facts, plan(DIFF, policy).batches, policy, paths=frozenset(FILES), rules=RULES)
    said = {"evidence": evidence, "reason": "so", "verdict": verdict}
    script = ScriptedModel(
        {
            **{f"find/{name}": {"walkthrough": "", "findings": found} for name, found in answers.items()},
            "verify": {"verdicts": [{"finding": n, **said} for n in range(1, 9)]},
        }
    )
    results = asyncio.run(Passes(ModelSession(script, WORDS, (), FreeAccount(), Journal()))(brief))
    review = triage((B006, *results.drafts), TriageContext(View("h" * 40, DIFF, FILES), policy))
    return replace(review, dropped=(*review.dropped, *results.dropped), model="script")


def rows(text, heading):
    section = text.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    lines = [line for line in section.split("\n") if line.startswith("- ")]
    more = sum(int(line.split()[3]) for line in lines if line.startswith("- … and "))
    return sum(not line.startswith("- … and ") for line in lines) + more


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries({"correctness": ANSWERS, "security": ANSWERS, "standards": ANSWERS}),
    st.sampled_from(["holds", "refuted", "unsure"]),
    st.lists(st.sampled_from(EVIDENCE), max_size=2),
)
def test_every_draft_is_posted_listed_dropped_or_merged(answers, verdict, evidence):
    review = reviewed(answers, verdict, evidence)
    claimed = 1 + sum(map(len, answers.values()))
    text = concluded(review, "key").text

    assert len(review.findings) + len(review.listed) + len(review.dropped) == claimed
    assert rows(text, "Findings") == len(review.findings) + len(review.listed)
    assert rows(text, "Findings") + rows(text, "Considered and not posted") == claimed
    assert all(reason for _, reason in review.dropped)
    assert "B006" in {one.draft.rule for one in (*review.findings, *review.listed)}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries({"correctness": ANSWERS, "security": ANSWERS, "standards": ANSWERS}),
    st.lists(st.sampled_from(EVIDENCE), max_size=3),
)
def test_the_worst_model_posts_no_finding_whose_quote_or_file_does_not_exist(answers, evidence):
    review = reviewed(answers, "holds", evidence, Policy(comments=30))
    lines = {"".join(row.split()) for row in (*ROWS, "return None")}

    for one in (*review.findings, *review.listed):
        code = ["".join(row.split()) for row in one.code.split("\n") if row.strip()]
        assert one.anchor.path in FILES
        assert code
        assert all(any(row in line for line in lines) for row in code)


def test_what_is_proven_is_posted_beside_what_is_not():
    """The cases of a change with two errors on one line, words in common, and claims about nothing."""
    line, seen = ROWS[4], ["shop/cart.py:5: if user.is_admin"]

    def said(title, **changed):
        return finding(
            **{"path": "shop/cart.py", "quoted_code": line, "near": 5, "title": title, "evidence": seen} | changed
        )

    review = reviewed(
        {
            "correctness": [
                said("An admin may refund more than was paid"),
                said("A negative amount charges the customer"),
                said("collect drops its first item when it is None", quoted_code=ROWS[8], near=9),
                said("The lock is held", quoted_code="raise CartLocked(order.id)"),
                said("The lock is never released", path="shop/locks.py", quoted_code="with LOCK:"),
                said("There is no error handling", quoted_code=""),
                said("It reads past the end", quoted_code=ROWS[14], near=15, evidence=["seen"]),
                said("The amount is a float", confidence=0.05),
                said("The name is too short", category="maintainability"),
            ],
            "security": [said("The owner of the order is not checked for a closed account")],
            "standards": [],
        },
        "holds",
        seen,
        Policy(comments=30),
    )

    assert {one.draft.title for one in review.findings} == {
        "An admin may refund more than was paid",
        "A negative amount charges the customer",
        "collect drops its first item when it is None",
        "The owner of the order is not checked for a closed account",
        B006.title,
    }
    assert {draft.title: reason for draft, reason in review.dropped} == {
        "The lock is held": DropReason.NO_SUCH_CODE,
        "The lock is never released": DropReason.NO_FILE,
        "There is no error handling": DropReason.NO_QUOTE,
        "It reads past the end": DropReason.UNCHANGED,
        "The amount is a float": DropReason.DOUBTFUL,
        "The name is too short": DropReason.STYLE,
    }

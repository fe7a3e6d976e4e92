"""A suggestion is offered only if the checks find nothing in its result that was not there before."""

import asyncio

import pytest

from bot.core.comments.comment import LinkBase, body
from bot.core.findings.anchor import Anchor, Place
from bot.core.findings.finding import Category, Draft, Finding, Severity, with_proof
from bot.core.findings.problem import Problem
from bot.engine.journal import from_json, to_json
from bot.handlers.run_checks import CheckedChange, prove_suggestions, run_checks
from bot.interfaces import CheckResult
from tests.support.pass_input import whole

HEAD = "one()\nbad()\n"


class Lint:
    """Finds `bad` in Python; it cannot read what says so."""

    name, whole = "lint", True

    def reads(self, path):
        return path.endswith(".py")

    async def run(self, files):
        found = [
            Problem(one.path, n, n, "L1", "Bad", "It is bad.", Severity.WARNING, Category.HYGIENE, "lint")
            for one in files
            for n, line in enumerate(one.text.split("\n"), 1)
            if "bad" in line
        ]
        return CheckResult(tuple(found), tuple((one.path, "unreadable") for one in files if "unreadable" in one.text))


def finding(suggestion, path="a.py"):
    draft = Draft(path, "one()", "One", "It is one.", Severity.NOTE, Category.HYGIENE, "lint", "L2")
    return Finding(draft, Anchor(Place.INLINE, path, line=1, text="one()", exact=True), suggestion=suggestion)


@pytest.mark.parametrize(
    ("suggestion", "proof"),
    [("good()", ("lint",)), ("bad()", None), ("unreadable()", None), ("", ("lint",)), (None, None)],
)
def test_a_suggestion_leaves_the_checks_no_worse(suggestion, proof):
    proofs = asyncio.run(prove_suggestions([Lint()], [finding(suggestion)], {"a.py": HEAD}))

    assert proofs == (proof,)


def test_the_comment_says_what_was_tried():
    (proof,) = asyncio.run(prove_suggestions([Lint()], [finding("good()")], {"a.py": HEAD}))
    said = body(with_proof(finding("good()"), proof), LinkBase())

    assert (
        "Tested on this commit: it applies to exactly these lines, the file still parses, lint found nothing new."
        in said
    )


def test_where_no_check_reads_and_nothing_parses_nothing_is_claimed():
    (proof,) = asyncio.run(prove_suggestions([Lint()], [finding("good()", "a.txt")], {"a.txt": HEAD}))

    assert "it applies to exactly these lines.</sub>" in body(with_proof(finding("good()", "a.txt"), proof), LinkBase())


def test_without_proof_there_is_no_suggestion():
    assert "suggestion" not in body(with_proof(finding("bad()"), None), LinkBase())


def test_a_check_that_could_not_read_a_file_says_so_by_value():
    files = [whole("a.py", "good()\n"), whole("b.py", "unreadable()\n")]

    checked = asyncio.run(run_checks([Lint()], files, {"a.py": "good()\n", "b.py": "unreadable()\n"}))

    assert checked.unread == (("lint", "b.py"),)
    assert from_json(to_json(CheckedChange(), CheckedChange), CheckedChange).unread is None

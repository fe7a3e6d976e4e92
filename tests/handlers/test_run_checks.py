"""A suggestion is offered only if the checks find nothing in its result that was not there before."""

import asyncio
import time
from dataclasses import replace

import pytest

from bot.checks.hygiene import Hygiene
from bot.checks.secrets import Secrets
from bot.core.code.diff import Diff, Status, parse_patch
from bot.core.code.plan import Coverage, CoverageRow, FileState
from bot.core.comments.check_run import concluded
from bot.core.comments.comment import LinkBase, body
from bot.core.findings.anchor import Anchor, Place
from bot.core.findings.finding import Category, Draft, Finding, Severity, with_proof
from bot.core.findings.lifecycle import View
from bot.core.findings.problem import Problem
from bot.core.findings.triage import TriageContext, triage
from bot.core.policy import Policy
from bot.engine.journal import from_json, to_json
from bot.handlers.read import read_change
from bot.handlers.run_checks import CheckedChange, ReadFiles, prove_suggestions, run_checks
from bot.interfaces import CheckResult
from tests.support.pass_input import whole
from tests.support.repository import Repository, pull_request

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
    proofs = asyncio.run(prove_suggestions([Lint()], [finding(suggestion)], ReadFiles((), {"a.py": HEAD})))

    assert proofs == (proof,)


def test_the_comment_says_what_was_tried():
    (proof,) = asyncio.run(prove_suggestions([Lint()], [finding("good()")], ReadFiles((), {"a.py": HEAD})))
    said = body(with_proof(finding("good()"), proof), LinkBase())

    assert (
        "Tested on this commit: it applies to exactly these lines, the file still parses, lint found nothing new."
        in said
    )


def test_where_no_check_reads_and_nothing_parses_nothing_is_claimed():
    (proof,) = asyncio.run(prove_suggestions([Lint()], [finding("good()", "a.txt")], ReadFiles((), {"a.txt": HEAD})))

    assert "it applies to exactly these lines.</sub>" in body(with_proof(finding("good()", "a.txt"), proof), LinkBase())


def test_without_proof_there_is_no_suggestion():
    assert "suggestion" not in body(with_proof(finding("bad()"), None), LinkBase())


def test_a_check_that_could_not_read_a_file_says_so_by_value():
    files = [whole("a.py", "good()\n"), whole("b.py", "unreadable()\n")]

    checked = asyncio.run(run_checks([Lint()], ReadFiles(files, {"a.py": "good()\n", "b.py": "unreadable()\n"})))

    assert checked.unread == (("lint", "b.py"),)
    assert from_json(to_json(CheckedChange(), CheckedChange), CheckedChange).unread is None


KEY = "AKIA" + "Z7QX2MTRV5LKNB3P"


def added(path, text):
    lines = text.split("\n")
    return parse_patch(path, Status.ADDED, f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines))


def rules(read, *checks):
    checked = asyncio.run(run_checks(checks, read))
    return sorted((draft.path, draft.near, draft.rule) for draft in checked.drafts), dict(checked.readers)


def test_files_that_people_did_not_write_are_read_for_exact_secrets_only():
    text = f'{{"access_key": "{KEY}"}}\npassword = "kT9bVx2LmN8sPfYh"\n<<<<<<< HEAD'
    read = ReadFiles((), {}, skimmed=(added("vendor/a.py", text), added("terraform.tfstate", text)))

    found, readers = rules(read, Secrets(), Hygiene(), Lint())

    assert found == [("terraform.tfstate", 1, "aws-access-key"), ("vendor/a.py", 1, "aws-access-key")]
    assert readers == {"vendor/a.py": ("secrets",), "terraform.tfstate": ("secrets",)}


def test_a_long_line_costs_the_guesses_about_it_and_nothing_else():
    long = f'password = "kT9bVx2LmN8sPfYh" {"iVBORw0KGgo" * 900} {KEY}'
    text = f"# TODO cut\n{long}\npassword = 'kT9bVx2LmN8sPfYh'\nbreakpoint()"

    found, _ = rules(ReadFiles((added("a.py", text),), {"a.py": text}), Secrets(), Hygiene())

    assert found == [
        ("a.py", 1, "unowned-todo"),
        ("a.py", 2, "aws-access-key"),
        ("a.py", 3, "hardcoded-secret"),
        ("a.py", 4, "debug-statement"),
    ]


def test_of_a_file_over_the_bounds_the_changed_lines_are_read():
    head = "a,b\n" * 150_000 + f"k,{KEY}\n"
    file = parse_patch("d.csv", Status.MODIFIED, f"@@ -150000,1 +150000,2 @@\n a,b\n+k,{KEY}\n")
    began = time.process_time()

    assert rules(ReadFiles((file,), {"d.csv": head}), Secrets(), Hygiene())[0] == [("d.csv", 150_001, "aws-access-key")]
    assert time.process_time() - began < 5


def test_a_script_without_a_suffix_is_read_by_the_checks_of_its_language():
    text = "#!/usr/bin/env python3\nbad()"

    found, readers = rules(ReadFiles((added("bin/run", text),), {"bin/run": text}), Lint())

    assert found == [("bin/run", 2, "L1")]
    assert readers == {"bin/run": ("lint",)}


def test_a_left_over_that_moves_alone_to_another_file_is_not_news():
    todo = "# TODO sort the rows by their number"
    gone = parse_patch("old.py", Status.MODIFIED, f"@@ -1,2 +1 @@\n-{todo}\n x = 1\n")
    texts = {"new.py": f"{todo}\ny = 1\n{todo}\nbreakpoint()"}

    found, _ = rules(ReadFiles((added("new.py", texts["new.py"]),), texts, (gone,)), Hygiene())

    assert found == [("new.py", 3, "unowned-todo"), ("new.py", 4, "debug-statement")]


SETTINGS = {
    ".gitattributes": "vendor/ours/** -linguist-vendored\napi/** linguist-generated\n",
    "pyproject.toml": '[tool.ruff]\nbuiltins = ["_"]\n',
    "sub/ruff.toml": 'builtins = ["env"]\n',
    "bad/pyproject.toml": "not toml [",
    "other/.gitattributes": "* linguist-generated\n",
}


def test_the_base_branch_says_what_is_generated_and_which_names_are_built_in():
    changed = ("vendor/ours/a.py", "api/a.py", "a.py", "sub/deep/b.py", "bad/c.py")
    head = {".gitattributes": "* linguist-generated\n"}
    host = Repository(head, SETTINGS, diff=Diff(tuple(added(path, "x = 1") for path in changed)))

    change = asyncio.run(read_change(host, pull_request(), Policy(), lambda _: False))

    assert [file.path for file in change.plan.files] == ["vendor/ours/a.py", "a.py", "sub/deep/b.py", "bad/c.py"]
    assert [(row.path, row.reason) for row in change.plan.left_out] == [("api/a.py", "generated, by .gitattributes")]
    names = [change.builtins_at(path) for path in ("a.py", "sub/deep/b.py", "bad/c.py")]
    assert names == [{"_"}, {"env"}, {"_"}]
    assert not change.plan.notes


def test_code_that_no_analyser_reads_is_named_and_counted_apart():
    paths = ("a.py", "b.hs", "c.md", "d.zig", "e.json")
    read = ReadFiles([added(path, "one()") for path in paths], dict.fromkeys(paths, "one()"))

    checked = asyncio.run(run_checks([Lint()], read))
    rows = [
        CoverageRow(path, FileState.REVIEWED, by=("secrets",), unanalysed=name) for path, name in checked.unanalysed
    ]
    review = replace(triage([], TriageContext(View("h" * 40, Diff(())), Policy())), coverage=Coverage(tuple(rows)))
    run = concluded(review, "review/1/1/head")

    assert checked.unanalysed == (("b.hs", "haskell"), ("d.zig", "zig"))
    assert run.title == "No new findings, 2 without an analyser (checks only)"
    assert "secrets (secrets and patterns only: no analyser for Haskell)" in run.text
    assert concluded(replace(review, model="m"), "review/1/1/head").title == "No new findings"

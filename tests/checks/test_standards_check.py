"""The check `standards`: the rules that documents carry, run by ast-grep in the jail."""

import asyncio

import pytest

from bot.checks.jail import Jail
from bot.checks.standards import RulesCheck
from bot.core.findings.executable_rules import executable_rules
from bot.core.findings.standard import Standard
from bot.interfaces import Source


def rules(*blocks):
    sections = [
        Standard("rules.md", (f"Rule {n}",), f"rule-{n}", n, n + 9, "b" * 40, f"```ast-grep\n{block}\n```\n")
        for n, block in enumerate(blocks)
    ]
    return executable_rules(sections).rules


def run(found, *files):
    return asyncio.run(RulesCheck(Jail())(found).run([Source(*file) for file in files]))


PRINT = "language: python\nrule: {pattern: print($A)}"
CONSOLE = "language: javascript\nmessage: No console\nrule: {pattern: console.log($$$A)}"


def test_each_rule_reads_its_own_languages_in_one_run():
    checked = run(
        rules(PRINT, CONSOLE), ("a.py", "x = 1\nprint(x)\n"), ("b.ts", "console.log(1)\n"), ("c.go", "print(1)")
    )

    assert sorted((one.path, one.line, one.rule, one.title, one.source) for one in checked.problems) == [
        ("a.py", 2, "rule-0", "Rule 0", "standards"),
        ("b.ts", 1, "rule-1", "No console", "standards"),
    ]
    assert checked.failed == ()


@pytest.mark.parametrize(
    "broken", ["language: python\nrule: {kindd: x}", "language: python\nrule: {kind: no_such_kind}"]
)
def test_a_rule_that_ast_grep_refuses_is_named_and_the_others_still_run(broken):
    checked = run(rules(broken, PRINT), ("a.py", "print(1)\n"), ("b.py", "print(2)\n"))

    assert sorted((one.path, one.rule) for one in checked.problems) == [("a.py", "rule-1"), ("b.py", "rule-1")]
    assert [path for path, _ in checked.failed] == [""]
    assert "rule rule-0: gave no output" in checked.failed[0][1]


def test_a_file_over_the_bounds_is_not_read_and_says_so():
    checked = run(rules(PRINT), ("a.py", "x" * 600_000))

    assert checked.failed == (("a.py", "is over 512 KB"),)

"""`assistant standards check`: every executable rule is tried on its own examples."""

import json

import pytest
from typer.testing import CliRunner

from bot.cli.commands import cli

RULE = "# Log\n\n## No print\n\n```yaml ast-grep\nid: no-print\nlanguage: python\nrule: {pattern: print($A)}\n```\n\n"
BAD, GOOD = "```python bad\nprint(1)\n```\n\n", "```python good\nlog(1)\n```\n"


def check(*arguments):
    return CliRunner().invoke(cli, ["standards", "check", *map(str, arguments)])


@pytest.fixture
def document(tmp_path):
    return tmp_path / "log.md"


def test_the_examples_that_we_publish_all_work(request):
    run = check(request.config.rootpath / "examples" / "standards" / "executable.md")

    assert (run.exit_code, run.stdout.splitlines()[-1]) == (0, "5 of 5 executable rules work.")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (RULE + GOOD, "it has no example in a fence that is marked `python bad`"),
        (RULE + BAD, "it has no example in a fence that is marked `python good`"),
        (RULE + BAD.replace("print", "log") + GOOD, "it does not find the bad example on line 12"),
        (RULE + BAD + GOOD.replace("log", "print"), "it finds the good example on line 16"),
        (RULE.replace("pattern", "patern") + BAD + GOOD, "unknown field `patern`"),
        (RULE.replace("python", "toml") + BAD + GOOD, "ast-grep cannot read toml"),
        (RULE.replace("rule:", "rules:") + BAD + GOOD, "rule: Field required"),
    ],
)
def test_a_rule_that_does_not_work_is_named_and_exits_with_1(document, text, problem):
    document.write_text(text)

    run, as_json = check(document), check(document, "--json")

    assert (run.exit_code, as_json.exit_code) == (1, 1)
    assert f"{document}:6" in run.stdout
    assert problem in run.stdout
    assert any(problem in one for row in json.loads(as_json.stdout) for one in row["problems"])


def test_documents_without_rules_and_files_that_are_not_there_are_answered(document):
    document.write_text("# Log\n\nUse the logger.\n")

    assert "There are no executable rules" in check(document).stdout
    assert check(document.with_name("nowhere.md")).exception is not None

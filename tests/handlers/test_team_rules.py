"""A team's own rule runs as code: cited, waived only where the policy allows it, and listed in the check run."""

import pytest

from tests.support.product import RunningProduct

RULE = """# Services

## Log with the logger

Rule: `no-print`; severity: error; scope: `services/**`

Services write logs with the logger, never with print.

```yaml ast-grep
language: python
rule:
  pattern: print($$$ARGUMENTS)
```

## Names

Name every function after what it returns.
"""
BROKEN = "# Old\n\n## Rule\n\n```yaml ast-grep\nlanguage: python\nrule: {kindd: call}\n```\n"
WAIVED = "print(1)  # assistant: allow no-print — this script writes to the terminal\n"


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


def reviewed(product, files, **base):
    documents = {"docs/standards/services.md": RULE, "services/a.py": "print('old')\n", ".github/assistant.yml": ""}
    pull = product.open(files, repo=product.repository(documents | base.pop("documents", {})))
    product.settle()
    return pull


def test_a_broken_rule_is_a_finding_on_the_new_line_that_cites_exactly_its_section(product):
    pull = reviewed(product, {"services/a.py": "print('old')\nprint('new')\n", "tools/b.py": "print('out of scope')\n"})

    (comment,) = pull.comments
    assert (comment.path, comment.line) == ("services/a.py", 2)
    assert "docs/standards/services.md" in comment.body
    assert "Log with the logger" in comment.body
    assert "Services write logs with the logger, never with print." in comment.body


def test_the_check_run_says_of_each_rule_what_was_done_with_it(product):
    text = reviewed(product, {"services/a.py": "print('old')\nprint('new')\n"}).check_runs()[-1].text

    assert "Rules in scope: 1 cited by a finding, 1 not looked at" in text
    assert "| `docs/standards/services.md#log-with-the-logger` | cited by a finding |" in text
    assert "| `docs/standards/services.md#names` | not looked at | it has no executable rule, and no model" in text


def test_a_rule_that_finds_nothing_was_checked_by_code(product):
    pull = reviewed(product, {"services/a.py": "print('old')\nx = 1\n"})

    assert pull.comments == []
    assert "| `docs/standards/services.md#log-with-the-logger` | checked by code |" in pull.check_runs()[-1].text


def test_a_waiver_is_listed_where_the_policy_allows_it(product):
    allowed = {".github/assistant.yml": "waivers: [no-print]\n"}
    pull = reviewed(product, {"services/b.py": WAIVED}, documents=allowed)

    assert pull.comments == []
    text = pull.check_runs()[-1].text
    assert "waived on line 1: this script writes to the terminal" in text
    assert "| `docs/standards/services.md#log-with-the-logger` | waived |" in text


def test_a_waiver_does_not_count_without_the_policy_of_the_base_branch(product):
    pull = reviewed(product, {"services/b.py": WAIVED, ".github/assistant.yml": "waivers: ['*']\n"})

    assert ["The waiver here does not count" in comment.body for comment in pull.comments] == [True]


def test_a_gate_fails_the_check_where_the_policy_says_fail_on(product):
    documents = {
        "docs/standards/services.md": RULE.replace("severity: error", "enforcement: gate"),
        ".github/assistant.yml": "fail_on: error\n",
    }
    pull = reviewed(product, {"services/b.py": "print(1)\n"}, documents=documents)

    assert pull.check_runs()[-1].conclusion == "failure"


def test_a_rule_that_cannot_run_is_named_and_the_check_is_not_green(product):
    pull = reviewed(product, {"services/b.py": "x = 1\n"}, documents={"docs/standards/old.md": BROKEN})

    run = pull.check_runs()[-1]
    assert "rule rule: gave no output" in run.text
    assert "not reviewed" in run.title

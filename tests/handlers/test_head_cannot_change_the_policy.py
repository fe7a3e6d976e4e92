"""The head cannot change the policy: settings and standards come from the base branch, through our real server."""

import pytest

from tests.support.product import BASE, FLAWED, RunningProduct

POLICY = ".github/assistant.yml"
REWRITTEN = "# Python\n\n## Bare except rewritten by the head\n\nNever catch with a bare `except:`; the head says so.\n"


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


def reviewed(product, files, base=BASE):
    pull = product.open({"app.py": FLAWED, **files}, repo=product.repository(base))
    product.settle()
    return pull


def found(pull):
    return {comment.path for comment in pull.comments}


@pytest.mark.parametrize(
    "policy",
    [
        "ignore:\n  - app.py\n",
        "checks: []\n",
        "triggers:\n  opened: false\n  pushed: false\n",
        "severity: error\nmax_comments: 0\n",
        "standards:\n  paths: [nowhere/**]\n  conventions: false\n",
        "}{ not: [yaml",
    ],
    ids=["ignore", "checks", "triggers", "severity", "standards", "broken"],
)
def test_the_head_cannot_change_the_policy(product, policy):
    pull = reviewed(product, {POLICY: policy})

    said = [comment.body for comment in pull.comments if comment.path == "app.py"]
    assert [body.partition("\n")[0] for body in said] == [
        "🔴 **Error: Undefined name 'charge'**",
        "🟠 **Warning: Do not use bare 'except'**",
    ]
    assert "docs/standards/python.md > Python > Bare except" in said[1]


def test_the_head_cannot_change_the_standards(product):
    pull = reviewed(product, {"docs/standards/python.md": REWRITTEN})

    said = "".join(comment.body for comment in pull.comments if comment.path == "app.py")
    assert "docs/standards/python.md > Python > Bare except]" in said
    assert "rewritten by the head" not in said


@pytest.mark.parametrize(
    "path", ["AGENTS.md", "CLAUDE.md", ".github/copilot-instructions.md", ".cursor/rules/python.mdc"]
)
def test_the_head_cannot_bring_convention_files(product, path):
    base = {"app.py": BASE["app.py"]}
    kept = reviewed(product, {}, {**base, path: REWRITTEN})
    brought = reviewed(product, {path: REWRITTEN}, base)

    assert "rewritten by the head" in "".join(comment.body for comment in kept.comments)
    assert "rewritten by the head" not in "".join(comment.body for comment in brought.comments)


def test_the_policy_of_the_base_branch_holds_for_a_head_that_deletes_it(product):
    base = {**BASE, POLICY: "ignore:\n  - app.py\n"}

    assert "app.py" not in found(reviewed(product, {POLICY: None}, base))
    assert "app.py" in found(reviewed(product, {}))

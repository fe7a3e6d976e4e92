"""The example is a pull request worth reviewing: its flaws are on lines it changes, its standards are on the base."""

import asyncio
from pathlib import Path

from bot.core.policy import Policy, parse
from bot.sandbox.example import load
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world import history

EXAMPLES = Path(__file__).parents[2] / "examples"
FLAWS = {
    "shop/vouchers.py": ["import os", "= {}", "except:", 'f"There', "print(", ".untill", "audit("],
    "shop/cart.py": ["breakpoint()", "# TODO:"],
    "shop/payments.py": ["AKIA", "except Exception:"],
    "tests/test_cart.py": ["@pytest.mark.skip", "Voucher("],
}


def test_the_pull_request_changes_four_files_and_closes_its_issue(tmp_path):
    async def play():
        pull = await load(Sandbox.create(tmp_path), EXAMPLES / "shop")
        return pull, await history.changed(pull.repo, pull.state)

    pull, changed = asyncio.run(play())
    assert "Fixes #1" in pull.state.body
    assert pull.repo.issues[1].title == "Customers can redeem a voucher"
    assert {file.change.path for file in changed.files} == set(FLAWS)
    assert 60 <= sum(file.changed for file in changed.files) <= 120


def test_every_flaw_stands_on_a_line_that_the_pull_request_adds(tmp_path):
    async def play():
        pull = await load(Sandbox.create(tmp_path), EXAMPLES / "shop")
        return await history.changed(pull.repo, pull.state)

    changed = asyncio.run(play())
    for path, flaws in FLAWS.items():
        added = [row.text for hunk in changed.file(path).hunks for row in hunk.rows if row.kind == "+"]
        for flaw in flaws:
            assert any(flaw in line for line in added), flaw


def test_standards_and_policy_are_on_the_base_branch(tmp_path):
    async def play():
        pull = await load(Sandbox.create(tmp_path), EXAMPLES / "shop")
        return {entry.path for entry in await pull.repo.git.tree(pull.state.base_sha)}

    paths = asyncio.run(play())
    assert ".github/assistant.yml" in paths
    assert {f"docs/standards/{path.name}" for path in (EXAMPLES / "standards").glob("*.md")} <= paths


def test_the_annotated_policy_names_every_key_and_is_valid():
    policy, problems = parse((EXAMPLES / "assistant.yml").read_text())
    assert not problems
    assert set(Policy.model_fields) == policy.model_fields_set
    for name in ("triggers", "standards", "budgets"):
        assert set(type(getattr(policy, name)).model_fields) == getattr(policy, name).model_fields_set

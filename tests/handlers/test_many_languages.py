"""One pull request in nineteen languages, through the front door: every hole is a finding, and what no analyser reads is named."""

from pathlib import Path

import pytest
import yaml

from bot.checks import jail_cell
from bot.core.code.language import language
from tests.support.product import RunningProduct

HOLES = Path(__file__).parents[2] / "benchmarks" / "holes" / "tuned.yml"

pytestmark = pytest.mark.skipif(bool(jail_cell.obstacle()), reason=f"nothing can be confined: {jail_cell.obstacle()}")


def one_of_each_language():
    """The first planted hole of each language, and of workflows: path -> (text with the hole, clean twin)."""
    first = {}
    for hole in yaml.safe_load(HOLES.read_text()):
        first.setdefault((language(hole["path"]), hole["path"].startswith(".github/")), hole)
    return {hole["path"]: (hole["bad"], hole["good"]) for hole in first.values()}


def test_each_hole_in_each_language_is_a_finding_and_the_rest_is_named():
    product = RunningProduct()
    try:
        holes = one_of_each_language()
        files = {path: bad for path, (bad, _) in holes.items()} | {"src/Main.hs": "main = print 1\n"}
        pull = product.open(files, repo=product.repository({"README.md": "# Shop\n"}))
        product.settle()
        run = pull.check_runs()[-1]
    finally:
        product.close()

    findings, _, coverage = run.text.partition("Coverage")
    assert len(holes) >= 19
    assert [path for path in holes if path not in findings] == []
    assert "1 without an analyser (checks only)" in run.title
    assert "secrets and patterns only: no analyser for Haskell" in coverage
    assert 1 <= len(pull.comments) <= 10

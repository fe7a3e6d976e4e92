"""The benchmark of planted holes: enough of them in enough languages, enough found, and their clean twins left alone."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

from bot.checks import jail_cell, zizmor
from bot.checks.jail import Jail

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "checks.py"
needs_all = pytest.mark.skipif(
    bool(jail_cell.obstacle()) or zizmor.offer(Jail()) is None, reason="an analyser cannot run here"
)


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("checks_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_holes_are_many_and_in_many_languages(benchmark):
    planted = {half: benchmark.holes(half) for half in benchmark.HALVES}
    every_hole = [hole for holes in planted.values() for hole in holes]

    assert len(every_hole) >= 120
    assert len(planted["fresh"]) >= len(every_hole) / 2
    assert len({hole.path for hole in every_hole}) == len(every_hole)
    assert len(Counter(hole.group for hole in every_hole)) >= 18
    assert all(hole.bad != hole.good for hole in every_hole)


@needs_all
def test_most_holes_are_found_and_their_clean_twins_are_left_alone(benchmark, capsys):
    for half in benchmark.HALVES:
        recall, alarms = benchmark.show(half, every_one=False)

        assert recall >= 0.95, capsys.readouterr().out
        assert alarms == 0, capsys.readouterr().out

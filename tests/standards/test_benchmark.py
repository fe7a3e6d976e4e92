"""Retrieval over the example's documents stays as good as the README says, and citations stay rare enough to trust."""

import runpy
from pathlib import Path

import pytest

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "standards.py"))


@pytest.fixture(scope="module")
def shelf():
    return BENCHMARK["standards"]()


@pytest.fixture(scope="module")
def scores(shelf):
    return BENCHMARK["evaluate"](BENCHMARK["ours"](shelf))


@pytest.fixture(scope="module")
def governed(shelf):
    return BENCHMARK["governed"](BENCHMARK["ours"](shelf))


def test_there_is_enough_to_measure(shelf):
    asked = [query for query in BENCHMARK["queries"]() if query.wanted]

    assert len(shelf) >= 150
    assert len(asked) >= 60
    assert {query.kind for query in asked} == {"prose", "code", "finding"}


def test_every_label_names_a_section_that_exists(shelf):
    known = {one.id.replace(".md#", "#") for one in shelf}

    assert {one for query in BENCHMARK["queries"]() for one in query.wanted} <= known


def test_the_section_that_governs_is_among_the_first_five(scores):
    assert scores["overall"].recall >= 0.85
    assert scores["overall"].rank >= 0.65
    assert scores["finding"].recall >= 0.95


def test_boost_and_lexicon_are_worth_having(shelf, scores):
    plain = BENCHMARK["evaluate"](BENCHMARK["plain"](shelf))

    assert scores["overall"].recall > plain["overall"].recall
    assert scores["overall"].rank > plain["overall"].rank


def test_what_the_documents_do_not_cover_is_never_cited(governed):
    _, wrong, total = governed["uncovered"]

    assert total >= 40
    assert wrong == 0


def test_a_finding_is_cited_with_the_right_section_or_with_none(governed):
    right, wrong, total = governed["finding"]

    assert right / total >= 0.85
    assert wrong / total <= 0.05

"""Retrieval over the example's documents stays as good as the README says, and citations stay rare enough to trust."""

import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BENCHMARK = runpy.run_path(str(BENCHMARKS / "standards.py"))
CITATIONS = runpy.run_path(str(BENCHMARKS / "citations.py"))


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


@pytest.fixture(scope="module")
def outcomes():
    return [outcome for guide in CITATIONS["guides"]() for outcome in CITATIONS["outcomes"](guide)]


@pytest.mark.parametrize("part", ["first", "second", "third"])
def test_findings_cite_the_sentence_that_governs_in_guides_of_other_teams(outcomes, part):
    own = [outcome for outcome in outcomes if outcome.guide.part == part]
    score = CITATIONS["Score"].of(own)

    assert score.governed >= 70
    assert score.right / score.governed >= 0.85
    assert score.right / (score.right + score.wrong) >= 0.95
    assert score.wrong / score.asked <= 0.02


def test_every_label_of_a_guide_names_a_line(outcomes):
    without = {(o.guide.name, rule) for o in outcomes for rule in o.guide.governs if not o.guide.lines(rule)}
    asked = {(outcome.guide.name, outcome.rule) for outcome in outcomes}
    unasked = {(o.guide.name, rule) for o in outcomes for rule in o.guide.governs} - asked

    assert not without
    assert not unasked


def test_questions_find_their_rule_in_the_language_of_the_document():
    found = [right for _, _, right in CITATIONS["answered"]()]

    assert len(found) >= 60
    assert sum(found) / len(found) >= 0.90

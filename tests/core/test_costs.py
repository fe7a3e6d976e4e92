"""About how many tokens, without a tokenizer."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.costs import Calibration, estimate

SOURCES = sorted((Path(__file__).parents[2] / "bot").rglob("*.py"))


def test_code_is_about_four_characters_a_token():
    text = "".join(path.read_text() for path in SOURCES)
    assert 3.3 < len(text) / estimate(text) < 4.6


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), (" word", 1), ("1234567", 3), ("日本語", 3), ("\n\n", 1)]
)
def test_small_texts(text, tokens):
    assert estimate(text) == tokens


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one, other):
    assert estimate(one + "\n" + other) >= max(estimate(one), estimate(other)) - 1
    assert estimate(one) <= len(one)


def test_a_megabyte_takes_less_than_a_second():
    text = "".join(path.read_text() for path in SOURCES)
    text = (text * (10**6 // len(text) + 1))[: 10**6]
    started = time.process_time()
    estimate(text)
    assert time.process_time() - started < 1


def test_what_was_billed_corrects_what_is_estimated():
    learned = Calibration()
    for _ in range(50):
        learned = learned.learned(1000, 800)
    assert learned.corrected(1000) == pytest.approx(800, abs=2)


@pytest.mark.parametrize(("estimated", "billed"), [(0, 100), (1000, 0), (1000, 10), (1000, 10**9), (-5, 5)])
def test_a_count_that_cannot_be_true_teaches_nothing(estimated, billed):
    assert Calibration().learned(estimated, billed) == Calibration()

"""Estimated tokens, and where a price comes from."""

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.app_openai import price_table
from bot.core.costs import Calibration, Price, Usage, estimate, with_price
from bot.settings import Settings

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
        learned = learned.update(1000, 800)
    assert learned.correct(1000) == pytest.approx(800, abs=2)


@pytest.mark.parametrize(("estimated", "billed"), [(0, 100), (1000, 0), (1000, 10), (1000, 10**9), (-5, 5)])
def test_a_count_that_cannot_be_true_teaches_nothing(estimated, billed):
    assert Calibration().update(estimated, billed) == Calibration()


def table(model, url="", prices=""):
    return price_table(
        Settings.read(_env_file=None, assistant_model=model, openai_base_url=url, assistant_prices=prices)
    )


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-6.2-sol", Price(2, 0.1, 2.5, 10, longest=128_000)),
        ("gpt-5.6-luna", Price(0.2, 0.02, 0.25, 1.2, longest=128_000, context=1_050_000)),
        ("gpt-5.6-luna-2026-08-01", Price(0.2, 0.02, 0.25, 1.2, longest=128_000, context=1_050_000)),
        ("gpt-4.1", Price(2, 0.5, 2, 8, math.inf, 32_768, 1_000_000)),
        ("our-deployment", None),
    ],
)
def test_a_model_that_our_table_lacks_is_priced_by_the_library(model, price):
    assert table(model).get(model) == price


def test_the_price_is_that_of_the_server_which_is_asked():
    usage = Usage(input=250_000)
    name = "anthropic/claude-sonnet-4.5"

    prices = table(name, "https://openrouter.ai/api/v1")

    assert prices[name] == Price(3, 0.3, 3.75, 15, 200_000, context=1_000_000)
    assert with_price(usage, name, prices).dollars == pytest.approx(1.5)  # 250,000 tokens at twice $3 a million
    assert name not in table(name)
    assert table("gpt-4.1", "http://127.0.0.1:1/v1")["gpt-4.1"].input == 2


@pytest.mark.parametrize("model", ["gpt-6.2-sol", "gpt-4.1", "our-deployment"])
def test_the_operators_price_wins(model):
    row = '{"input": 7, "cached": 1, "written": 8, "output": 9}'
    assert table(model, prices=f'{{"{model}": {row}}}')[model] == Price(7, 1, 8, 9)


def test_the_price_library_is_loaded_only_for_a_model_that_needs_it():
    code = (
        "import sys; from bot.app_openai import price_table; from bot.settings import Settings\n"
        "price_table(Settings(assistant_model='gpt-6.2-sol')); first = 'genai_prices' in sys.modules\n"
        "price_table(Settings(assistant_model='gpt-4.1')); print(first, 'genai_prices' in sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded == "False True\n"

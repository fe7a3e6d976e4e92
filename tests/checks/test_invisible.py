"""Invisible characters: named by their code points; ordinary text in any script is accepted."""

from __future__ import annotations

import asyncio

import pytest

from bot.checks.invisible import Invisible
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import Source


def find(text: str, path: str = "app.py") -> tuple[Problem, ...]:
    """What the check says about `text`."""
    return asyncio.run(Invisible().run([Source(path, text)])).problems


HIDDEN = {
    "U+202E RIGHT-TO-LEFT OVERRIDE": "access = 'user\u202e \u2066# admin\u2069 \u2066'",
    "U+2067 RIGHT-TO-LEFT ISOLATE": "x = '\u2067a\u2069'",
    "U+200B ZERO WIDTH SPACE": "pass\u200bword = 1",
    "U+200C ZERO WIDTH NON-JOINER": "ad\u200cmin = 1",
    "U+200D ZERO WIDTH JOINER": "ad\u200dmin = 1",
    "U+2060 WORD JOINER": "a\u2060b",
    "U+FEFF ZERO WIDTH NO-BREAK SPACE": "a = '\ufeff'",
    "U+E0049 TAG LATIN CAPITAL LETTER I": "x = 1  # fine\U000e0049\U000e0047\U000e004e",
    "U+E0100 VARIATION SELECTOR-17": "x = 1  # a\U000e0100\U000e0101\U000e0102",
    "U+FE00 VARIATION SELECTOR-1": "x = 1  # a\ufe00\ufe01",
    "U+3164 HANGUL FILLER": "\u3164 = 1",
    "U+FFA0 HALFWIDTH HANGUL FILLER": "x\uffa0 = 1",
    "U+2800 BRAILLE PATTERN BLANK": "x = '\u2800'",
    "U+200F RIGHT-TO-LEFT MARK": "x = 'a\u200f'",
    "U+180E MONGOLIAN VOWEL SEPARATOR": "a\u180eb",
    "U+001B unnamed": "x = '\x1b[8m'",
    "U+0008 unnamed": "x = 1\x08",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_character_is_named(name: str) -> None:
    (problem,) = find(f"first\n{HIDDEN[name]}\n")

    assert name in problem.why
    assert (problem.line, problem.rule) == (2, "invisible-characters")
    assert (problem.severity, problem.category) == (Severity.ERROR, Category.SECURITY)
    assert problem.why.isprintable()
    assert problem.title.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        "family = '👨\u200d👩\u200d👧\u200d👦' and '❤\ufe0f' and '🏳\ufe0f\u200d🌈' and '1\ufe0f\u20e3'",
        "flag = '🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f'",
        "# مرحبا بالعالم",
        "# שלום עולם",
        "# שלום\u200f (world)\u200f!",
        "# می\u200cخواهم",  # noqa: RUF001 - Persian is the point
        "# क\u094d\u200dष",
        "# ⠓⠊⠀⠁",
        "# naïve café — “quoted” … 中文 日本語 한국어",
        "x = 1\t# tab",
        "x = 1\r",
        "\f",
    ],
)
def test_what_people_write_is_left_alone(line: str) -> None:
    assert find(f"first\n{line}\n") == ()


def test_a_byte_order_mark_at_the_start_is_none() -> None:
    assert find("\ufeffx = 1\n") == ()


def test_a_line_full_of_them_is_one_short_problem() -> None:
    (problem,) = find("x = 1  #" + "".join(map(chr, range(0xE0020, 0xE007F))))

    assert problem.title == "95 invisible characters on this line"
    assert problem.why.endswith(" and 87 more.")
    assert len(problem.why) < 500


def test_colours_in_recorded_output_are_no_news_and_hiding_is() -> None:
    recorded = "v18.0 \x1b[0;37m(LTS)\x1b[0m \x1b[1;32mnew\x1b[m \x1b[38;5;12mx\x1b[0m"

    assert find(recorded, "tests/list.txt") == ()
    assert len(find(recorded, "app.py")) == 1
    for hidden in ("\x1b[8mrm -rf /", "\x1b[0;8mrm", "\x1b[2K\rsafe", "\x1b]0;title\x07", "a\x1b"):
        assert len(find(hidden, "tests/list.txt")) == 1, hidden

"""What the front door reads of a comment costs linear time, whatever Markdown it is made of."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.code.hidden import show_hidden
from bot.core.code.secrets import redact
from bot.core.command import first_line
from bot.core.comments.sanitize import clean, plain
from bot.job import decide
from bot.webhook import parse
from tests.support.deliveries import comment, signed
from tests.support.posted_text import MARKS

SMALL, LARGE = 6_000, 60_000  # characters; GitHub takes 65,536
NOISE = 0.004  # seconds
PIECES = st.sampled_from(["<?", "<![CDATA[", "<!--", "-->", "/assistant help ", "@review-assistant ", "\\ud800", "[a]: b\n", "> ", "\r\n", "```", "`"])  # fmt: skip
GRAMMAR = st.tuples(st.text(max_size=6), st.lists(MARKS | PIECES, min_size=1, max_size=5).map("".join))


def deliver(text):
    headers, body = signed(comment(text), "issue_comment")
    decide(parse(headers, body, "99"), "review-assistant")


def door(text):
    first_line(text, "review-assistant")
    deliver(text)
    json.dumps(text)


READERS = {"door": door, "shown": show_hidden, "redacted": redact, "title": plain, "clean": clean}


def seconds(reader, text):
    began = time.process_time()
    reader(text)
    return time.process_time() - began


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25)
@given(GRAMMAR)
def test_ten_times_the_comment_costs_at_most_twelve_times_the_time(name, words):
    start, unit = words
    small, large = (start + (unit * (size // len(unit) + 1))[:size] for size in (SMALL, LARGE))
    reader = READERS[name]
    bound = 12 * max(seconds(reader, small), NOISE)

    assert min(seconds(reader, large) for _ in range(2)) <= bound

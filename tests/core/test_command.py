"""The grammar, as a table a product person can read."""

import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.core.command import Command, ReviewScope, Verb, first_line, parse
from bot.errors import UserError

UNDERSTOOD = {
    "/assistant": Command(Verb.HELP),
    "/assistant help": Command(Verb.HELP),
    "/assistant review": Command(Verb.REVIEW),
    "/Assistant  Review  ": Command(Verb.REVIEW),
    "/assistant review full": Command(Verb.REVIEW, scope=ReviewScope.FULL),
    "/assistant review security": Command(Verb.REVIEW, scope=ReviewScope.SECURITY),
    "/assistant review src/a.py docs/*": Command(Verb.REVIEW, scope=ReviewScope.PATHS, paths=("src/a.py", "docs/*")),
    "/assistant ask what does `pay` do?\n\nThanks!": Command(Verb.ASK, text="what does `pay` do?"),
    "/assistant standards may I print?": Command(Verb.STANDARDS, text="may I print?"),
    "/assistant explain": Command(Verb.EXPLAIN),
    "/assistant dismiss": Command(Verb.DISMISS),
    "/assistant dismiss we log it upstream": Command(Verb.DISMISS, text="we log it upstream"),
    "/assistant summary": Command(Verb.SUMMARY),
    "/assistant resolve": Command(Verb.RESOLVE),
    "/assistant pause": Command(Verb.PAUSE),
    "/assistant resume": Command(Verb.RESUME),
    "/assistant stop": Command(Verb.STOP),
    "/assistant status": Command(Verb.STATUS),
    "/assistant config": Command(Verb.CONFIG),
    "<!-- from a template -->\n/assistant help": Command(Verb.HELP),
    "\n\n/assistant help": Command(Verb.HELP),
    "   /assistant help\r\nthanks": Command(Verb.HELP),
    "<!-- one -->\n<!-- two\nlines -->\n\n/assistant help": Command(Verb.HELP),
}
NOT_FOR_US = [
    "",
    "nice work",
    "Try /assistant review",
    "hello\n/assistant review",
    "> /assistant review",
    "`/assistant review`",
    "```\n/assistant review\n```",
    "    /assistant review",
    "<!-- /assistant review -->",
    "<b>/assistant review</b>",
    "[/assistant review](https://example.test)",
    "- /assistant review",
    "# /assistant review",
    "**/assistant review**",
    "\\/assistant review",
    "/assistants review",
    "/assistant-two review",
    "//assistant review",
    "/assistant review\n===",
    "/assistant review\n---",
    "<!-- open\n/assistant review",
    "<!-- a --> /assistant review",
    "<!-- a\n/assistant review -->",
]
HELPED = {
    "/assistant revue": "Did you mean `/assistant review`?",
    "/assistant frobnicate": "Try `/assistant help`.",
    "/assistant review fulll": "Did you mean `review full`?",
    "/assistant review full src": "takes no paths",
    "/assistant review --model=gpt-x": "no options",
    "/assistant review model=gpt-x": "no options",
    "/assistant ask": "needs a question",
    "/assistant config model=gpt-x": "takes no argument",
    "/assistant;rm -rf": "Try `/assistant help`.",
    "/ASSISTANT\u00a0rev\u0456ew": "I do not know",
    "/assistant ask " + "x" * 60_000: "too long",
    "/assistant review " + "a/b " * 21: "at most 20 paths",
}


UNITS = (
    "a ",
    "<?",
    "<? ",
    "<![CDATA[",
    "*a_ ",
    "![",
    "`",
    "<!--",
    "<!-- -->\n",
    "\n",
    "> ",
    "[x](",
    "\\",
    "/assistant ",
    "&amp;",
    "\t-",
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(UNITS), min_size=1, max_size=3).map("".join),
    st.sampled_from(("", "/assistant help ", "<!-- ")),
)
def test_the_cost_of_a_comment_is_linear_in_its_length(unit, start):
    """Ten times the comment costs at most twelve times the calls into the interpreter, which no other load changes."""
    small, large = (_steps(start + unit * (size // len(unit))) for size in (2_000, 20_000))

    assert large <= 12 * small + 200


def _steps(comment):
    """The lines of Python that parsing runs, and the characters that its patterns see, counted by time-free tracing."""
    count = 0

    def trace(_frame, _event, _argument):
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        _answer(comment)
    finally:
        sys.settrace(None)
    return count


def test_a_comment_of_64_kb_of_broken_markdown_is_parsed_in_milliseconds():
    for unit in UNITS:
        begun = time.process_time()
        _answer("/assistant help " + unit * (65_000 // len(unit)))
        assert time.process_time() - begun < 0.1, unit


@pytest.mark.parametrize("comment", UNDERSTOOD)
def test_understood(comment):
    assert parse(comment) == UNDERSTOOD[comment]


@pytest.mark.parametrize("comment", NOT_FOR_US)
def test_not_for_us(comment):
    assert parse(comment) is None


@pytest.mark.parametrize("comment", HELPED, ids=lambda comment: comment[:30])
def test_helped(comment):
    with pytest.raises(UserError) as caught:
        parse(comment)

    assert HELPED[comment] in str(caught.value)


@given(st.one_of(st.text(), st.text().map("/assistant {}".format), st.text().map("/assistant review {}".format)))
@example("/assistant \x00")
@example("/assistant\u2028review")
def test_whatever_is_written_is_a_command_silence_or_help(text):
    answer = _answer(text)

    assert answer is None or isinstance(answer, Command) or ("`" in answer and "@" not in answer)


def _answer(text):
    try:
        return parse(text)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize(
    ("comment", "line"),
    [
        ("@review-bot why is this wrong?", "/assistant ask why is this wrong?"),
        ("Hi @Review-Bot[bot], is `x` safe?\nThanks", "/assistant ask Hi is `x` safe?"),
        ("<!-- t -->\n\nWhy, @review-bot?", "/assistant ask Why, ?"),
        ("@review-bot", "/assistant help"),
        ("@review-bot!", "/assistant help"),
        ("/assistant review @review-bot", "/assistant review @review-bot"),
        ("Thanks\n@review-bot why?", None),
        ("> @review-bot why?", None),
        ("    @review-bot why?", None),
        ("see `@review-bot why?`", None),
        ("```\n@review-bot why?", None),
        ("mail me@review-bot.example", None),
        ("@review-bot-2 why?", None),
        ("@octo/review-bot why?", None),
        ("@someone why?", None),
    ],
)
def test_the_apps_name_in_the_first_line_asks(comment, line):
    assert first_line(comment, "review-bot") == line
    if line is None or "/assistant review" not in line:
        assert first_line(comment) is None

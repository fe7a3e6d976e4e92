"""What a model wrote, cleaned: judged by the HTML that Markdown makes of it, not by our own rules."""

import base64
import re
import time
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.core.code.secrets import WITHHELD
from bot.core.comments.sanitize import _cut, clean, plain, show_hidden, without_repetition
from tests.support.corpus import corpus
from tests.support.posted_text import HIDDEN, MARKS, faults

CORPUS = corpus("model_text")
HOSTS = {"docs.example"}
REPO = "https://github.com/octo/repo"
TOKEN = "ghs_1234_eyJhbGciOi.payload-AbCdEfGhIjKlMnOp"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAx0Qm3b9kq1Zt\nq7YwHc2kX9vR0pLmN4sT8uB5aE1d\n-----END RSA PRIVATE KEY-----\n"
PLAIN_SECRET = "correct-horse-battery-staple-42"
SECRETS = (TOKEN, PEM, PLAIN_SECRET)


def cleaned(text, **options):
    return clean(text, **{"hosts": HOSTS, "repo_url": REPO, "secrets": SECRETS} | options)


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile["id"])
def test_nothing_hostile_survives(hostile):
    once = cleaned(hostile["text"])

    assert faults(once) == []
    assert cleaned(once) == once


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile["id"])
def test_what_was_in_code_or_quoted_is_not_set_free(hostile):
    text = hostile["text"]
    for wrapped in (f"- {text}", "\n".join(f"> {line}" for line in text.split("\n")), f"a {text}\n\n{text} b"):
        once = cleaned(wrapped)

        assert faults(once) == []
        assert cleaned(once) == once


def test_the_oracle_sees_what_is_wrong():
    for hostile in CORPUS:
        if hostile["id"] in {
            "image",
            "link",
            "mentions",
            "references",
            "slash commands",
            "comment",
            "script",
            "zero width",
        }:
            assert faults(hostile["text"])


PIECES = st.sampled_from([one["text"] for one in CORPUS])
HOSTILE = st.lists(MARKS | PIECES | st.text(max_size=8), max_size=12).map("".join)


@settings(max_examples=200)
@given(HOSTILE)
@example("*a\n*b `@x``@y` ")
def test_cleaning_twice_is_cleaning_once_and_leaves_nothing_live(text):
    once = cleaned(text, limit=600)

    assert len(once) <= 600
    assert faults(once) == []
    assert cleaned(once, limit=600) == once


@pytest.mark.long
@settings(max_examples=20_000)
@given(HOSTILE)
def test_cleaning_twice_is_cleaning_once_for_a_long_time(text):
    once = cleaned(text)

    assert faults(once) == []
    assert cleaned(once) == once


@pytest.mark.parametrize(
    "good",
    [
        "`open` is called without a `with` block, so the file stays open if `parse` raises.",
        "**Why**: *every* resource has to be closed.\n\n- one\n- two\n  - three\n\n1. first\n1. second",
        "```python\nwith open(path) as file:\n    return file.read()\n```",
        "| name | value |\n| -- | -- |\n| `a` | 1 |",
        "See [the rule](https://docs.example/rules/E501#why) and [the code](https://github.com/octo/repo/blob/main/a_b.py#L1).",
        "See <https://docs.example/rules>.",
        "> quoted words\n\n## Heading\n\nsnake_case, 2 < 3, a & b, 50 %, naïve, 日本語, שלום, 👩🏽‍💻 ❤️",
    ],
)
def test_good_markdown_stays_as_it_is(good):
    assert cleaned(good) == good


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ask @octocat, please.", "Ask `@octocat`, please."),
        ('[a](https://docs.example/x "a title")', "[a](https://docs.example/x)"),
        (f"[a](https://docs.example/{'ab' * 100})", f"a (`https://docs.example/{'ab' * 89}a…`)"),
        ("This fixes #12.", "This `fixes #12`."),
        ("[a](https://evil.example/x)", "a (`https://evil.example/x`)"),
        ("Go to https://docs.example/x.", "Go to <https://docs.example/x>."),
        ("/merge now", "`/merge` now"),
        ("Say /merge or a/b now.", "Say /merge or a/b now."),
        ("One.\n/merge now", "One.\n`/merge` now"),
        (f"<https://docs.example/{'ab' * 89}c>", f"<https://docs.example/{'ab' * 89}c>"),
        (f"<https://docs.example/{'ab' * 89}cd>", f"`https://docs.example/{'ab' * 89}c…`"),
        (f"<https://evil.example/{'ab' * 89}c>", f"`https://evil.example/{'ab' * 89}c`"),
        (
            "[see https://docs.example/a](https://docs.example/b) and https://docs.example/c",
            "[see `https://docs.example/a`](https://docs.example/b) and <https://docs.example/c>",
        ),
        ("![a chart](https://evil.example/x)", "a chart"),
        ("<b>bold</b>", "\\<b>bold\\</b>"),
        ("```suggestion\nx\n```", "```\nx\n```"),
        ("```\nx</details>", "```\nx</details>\n```"),
        ("a\u202eb", "ab"),
        ("cafe\u0301", "café"),
    ],
)
def test_what_is_disarmed_can_still_be_read(text, shown):
    assert cleaned(text) == shown


def disguises(secret):
    raw = secret.encode()
    yield from (secret, secret[7:], secret[::-1], raw.hex(), raw.hex().upper(), quote(secret, safe=""))
    yield from (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode())
    yield base64.b64encode(b"x" + raw + b"y").decode()
    yield base64.b64encode(b"xy" + raw).decode()
    yield base64.b64encode(raw[7:]).decode()
    yield from ("\u200b".join(secret), " ".join(secret), "*".join(secret), "`" + "` `".join(secret) + "`")
    yield secret.replace("-", "&#45;")


@pytest.mark.parametrize("secret", [TOKEN, PLAIN_SECRET, PEM.split("\n")[1], PEM])
def test_no_secret_of_ours_gets_out_in_any_disguise(secret):
    for disguise in disguises(secret):
        once = cleaned(f"The value is {disguise} here.")

        assert disguise not in once
        bare = "".join(filter(str.isalnum, once))
        assert "".join(filter(str.isalnum, secret))[7:] not in bare
        assert "REDACTED" in once or once == WITHHELD


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_" + "a1B2" * 9,
        "github_pat_11AAAAAAA0" + "b2C3" * 12,
        "ghs_1234567_" + "eyJh.bGci-" * 40,
        "sk-proj-" + "aB3_" * 20,
        "AKIA" + "ABCD1234EFGH5678",
        "xoxb-123456789012-abcdefghij",
        "glpat-" + "a1b2c3d4e5f6g7h8i9j0",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "AIza" + "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r",
        PEM,
        PEM.partition("-----END")[0],
    ],
)
def test_what_looks_like_a_secret_is_redacted(secret):
    once = clean(f"The value is {secret} here.")

    assert secret[12:30] not in once
    assert "REDACTED" in once


def test_hashes_and_names_are_no_secrets():
    text = (
        "Commit 2b86a6b1f0e94d1c8a7b6c5d4e3f2a1b0c9d8e7f changes sk-learn-like names and a-very-long-kebab-case-name."
    )

    assert clean(text) == text


@pytest.mark.parametrize(
    "runaway",
    [" prevent" * 10_000, "a" * 100_000, "no no yes " * 5_000, "line\n" * 10_000, "- x\n" * 5_000, "=-" * 9_000],
)
def test_a_model_that_lost_the_thread_is_cut_short(runaway):
    assert len(clean(runaway, limit=60_000)) < 1_000 or runaway.startswith("=-")
    assert len(clean(f"Real words. {runaway}")) <= 1_500


@pytest.mark.parametrize(
    ("runaway", "shorter"),
    [
        ("no " * 11 + "end", "no " * 11 + "end"),
        ("no " * 12 + "end", "no no no …\nend"),
        ("begin " + "no way " * 12 + "end", "begin " + "no way " * 3 + "…\nend"),
        ("a b c d e f " * 12 + "end", "a b c d e f " * 3 + "…\nend"),
        ("a b c d e f g " * 12 + "end", "a b c d e f g " * 12 + "end"),
        ("a b " * 7 + "a c a d a e a f a g a h", "a b " * 7 + "a c a d a e a f a g a h"),
        ("one\n" * 12 + "two", "one\none\none\n…\ntwo"),
        ("end " + "no " * 12, "end no no no …\n"),
        ("z" * 99 + " end", "z" * 99 + " end"),
        ("z" * 100 + " end", "zzz… end"),
    ],
)
def test_a_phrase_of_up_to_six_words_is_said_at_most_eleven_times_in_a_row(runaway, shorter):
    assert without_repetition(runaway) == shorter


def paragraphs(count, each):
    return "\n\n".join(" ".join(each(f"{n}x{m}") for m in range(100)) for n in range(count))


def table(columns, rows):
    return "\n".join(["|a" * columns, "|-" * columns, *(f"|{n}" + "|b" * (columns - 1) for n in range(rows - 2))])


@pytest.mark.parametrize(
    ("fine", "intricate"),
    [
        (paragraphs(60, "w_{}".format), paragraphs(60, "w_{}".format) + " _"),
        ("".join(f"[a{n}]: b\n" for n in range(200)), "".join(f"[a{n}]: b\n" for n in range(201))),
        ("\n".join(f"- {n}" for n in range(499)), "\n".join(f"- {n}" for n in range(500))),
        (
            "short\n\n" + " ".join(f"{n} `c{n}`" for n in range(500)),
            "short\n\n" + " ".join(f"{n} `c{n}`" for n in range(501)),
        ),
    ],
    ids=["marks", "definitions", "items", "siblings"],
)
def test_a_text_is_shown_as_code_from_one_mark_too_many(fine, intricate):
    assert not clean(fine, limit=60_000).startswith("```text")
    assert clean(intricate, limit=60_000).startswith("```text")


@pytest.mark.parametrize(("rows", "is_table"), [(100, True), (101, False)])
def test_a_table_of_more_than_5000_cells_is_not_laid_out(rows, is_table):
    text = table(50, rows - 2)

    assert ("| a | a" in clean(f"Words.\n\n{text}", limit=60_000)) == is_table


def test_a_text_without_a_place_to_cut_loses_a_hundred_characters_or_a_quarter_for_what_the_end_leaves_open():
    word = "".join(f"{n}x" for n in range(1_000))

    assert [len(clean(word)), len(clean(word, limit=100))] == [1_400 + 2, 75 + 2]


@pytest.mark.parametrize(("newline", "kept"), [(150, 220), (151, 151)])
def test_a_text_is_cut_at_a_line_if_two_thirds_are_kept_and_else_at_a_word(newline, kept):
    text = "a" * newline + "\n" + "b" * (219 - newline) + " " + "c" * 200

    assert _cut(text, 300) == text[:kept] + " …"


@pytest.mark.parametrize("limit", [6_190, 6_200, 6_211, 6_212, 6_219, 6_220])
def test_a_text_that_becomes_code_stays_within_the_limit(limit):
    shown = clean("[_" * 3_100, limit=limit)

    assert shown.startswith("```text\n[_[_")
    assert len(shown) == 6_212 if limit == 6_220 else limit - 130 < len(shown) <= limit


def test_a_cut_text_ends_with_a_whole_word():
    words = [f"word{n}" for n in range(100)]

    kept, end = cleaned(" ".join(words), limit=300).rsplit(" ", 1)

    assert end == "…"
    assert kept.split() == words[: len(kept.split())]


@pytest.mark.parametrize("limit", [60, 300, 1_500])
def test_a_long_text_ends_at_a_word_within_the_limit(limit):
    text = "Some words in a `row`.\n\n" * 200 + "```python\nx = 1\n```\n" + " ".join(f"word{n}" for n in range(500))

    once = clean(text.replace("Some", "Any", 3), limit=limit)

    assert len(once) <= limit
    assert once.endswith(("…", "```"))
    assert len(once) > limit // 3


def test_a_cut_never_leaves_a_fence_open():
    once = clean("```python\n" + "".join(f"x{n} = {n}\n" for n in range(500)) + "```")

    assert once.endswith("\n```")


def test_a_text_with_too_many_marks_becomes_one_block_of_code_within_the_limit():
    shown = clean("[a" * 7_000, limit=7_000)

    assert shown.startswith("```text\n[a[a")
    assert shown.endswith("\n```")
    assert 5_000 < len(shown) <= 7_000


TITLES = st.text(max_size=60) | HOSTILE


@settings(max_examples=200)
@given(TITLES)
@example("__init__ *a* [b](c) `d` <e> @f #1 &#64; /g")
@example("1. 1. - # /merge")
def test_a_title_is_one_line_that_means_the_same_in_markdown(text):
    title = plain(text, 80)

    assert len(title) <= 80
    assert "\n" not in title
    assert plain(title, 80) == title
    for markdown in (title, f"**{title}**", f"[{title}](https://docs.example/x)"):
        assert faults(markdown) == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("`os` imported but unused", "'os' imported but unused"),
        ("snake_case and 2 < 3", "snake_case and 2 < 3"),
        ("Two\nlines", "Two lines"),
        ("### Heading", "Heading"),
        ("x" * 120, "x" * 120),
        ("x" * 200, "x" * 119 + "…"),
        ("ghp_" + "a1B2" * 9, "REDACTED"),
        ("", ""),
    ],
)
def test_titles_stay_readable(text, title):
    assert plain(text) == title


def test_a_secret_of_ours_is_no_title():
    assert plain(" ".join(PLAIN_SECRET), secrets=SECRETS) == WITHHELD


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a⟦U+202E⟧b"),
        ("\U000e0041", "⟦U+E0041⟧"),
        ("a\u200b\u2060b", "a⟦U+200B⟧⟦U+2060⟧b"),
        ("a\rb\r\nc", "a⟦U+000D⟧b\nc"),
        ("a\x00", "a⟦U+0000⟧"),
        ("x\ufe0f", "x⟦U+FE0F⟧"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("👩🏽‍💻 ❤️ ✅ 1️⃣", "👩🏽‍💻 ❤️ ✅ 1️⃣"),
        ("שלום مرحبا می‌خواهم नमस्ते", "שלום مرحبا می‌خواهم नमस्ते"),
    ],
)
def test_what_is_hidden_is_spelt_out(text, shown):
    assert show_hidden(text) == shown


@given(st.text())
def test_nothing_of_the_hidden_classes_stays_hidden(text):
    shown = show_hidden(text)

    assert show_hidden(shown) == shown
    assert not HIDDEN.search(re.sub("[\u200c\u200d]", "", shown))
    assert not any(unicodedata.category(char) == "Cc" for char in shown if char not in "\t\n")


def seconds(function, times):
    spent = []
    for _ in range(times):
        began = time.process_time()
        function()
        spent.append(time.process_time() - began)
    return sorted(spent)[times // 2]


BODY = (
    "`open` is called without a `with` block, so the file stays open if `parse` raises. The standard asks for context "
    "managers around every resource.\n\nFor example:\n\n```python\nwith open(path) as file:\n    return parse(file)\n```\n\n"
    "This matters because `load` is called for each request, and the process runs out of descriptors after a while. "
    "The caller on line 31 already handles `ValueError`, so nothing else has to change here."
)


def test_cleaning_is_fast():
    assert seconds(lambda: clean(BODY), 50) < 0.004
    assert seconds(lambda: clean(f"{BODY}\n\n" * 140, limit=100_000), 3) < 1.0


@pytest.mark.parametrize("size", [10_000, pytest.param(70_000, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "hostile",
    [
        "[",
        "![",
        "[a](",
        "*a_ ",
        "**",
        ">",
        "> ",
        "- a\n* b\n",
        "|a",
        "a `b` ",
        "@a,",
        "a#1/",
        "<",
        "<!-- ",
        "&#10;",
        "[a]: x\n",
        "[a]",
        "eyJ-",
        "sk-",
        ".,",
        "fixes ",
        "a\n=\n",
        "\\",
        "<https://a.b> ",
        "a\\\n",
        "_a",
        "`a",
        "![a](b)",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_hostile_texts_take_no_longer_than_others(hostile, size):
    text = "".join(f"{hostile}{n % 7}" for n in range(size // len(hostile)))

    assert seconds(lambda: clean(text, limit=60_000), 1) < 3


def test_most_of_a_very_long_text_is_never_parsed():
    assert seconds(lambda: clean("[a](b) *c* `d` " * 70_000), 1) < 3

"""What is quoted stands in the document, word for word; what does not is not quoted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.findings.standard import Document, Standard, verify_quote
from bot.standards.sections import decoded, sections

RULE = Standard(
    "docs/python.md", ("Python", "Errors"), "errors", 10, 13, "b" * 40,
    "## Errors\n\nNever write a bare `except:`; it hides\nevery mistake. “Name” what you catch.",
)  # fmt: skip
OTHER = Standard("docs/sql.md", ("SQL",), "sql", 1, 1, "c" * 40, "Name the columns.")


@pytest.mark.parametrize(
    ("quote", "posted", "lines"),
    [
        ("Never write a bare `except:`", "Never write a bare `except:`", (12, 12)),
        ("it hides every mistake.", "it hides\nevery mistake.", (12, 13)),
        ("  it   hides\r\n every\tmistake ", "it hides\nevery mistake", (12, 13)),
        ('"hides every mistake"', "hides\nevery mistake", (12, 13)),
        ("“Name” what you catch.", "“Name” what you catch.", (13, 13)),
    ],
)
def test_a_quote_is_posted_as_the_document_has_it(quote, posted, lines):
    found = verify_quote(quote, [OTHER, RULE])

    assert found is not None
    assert (found.standard, found.text, (found.start, found.end)) == (RULE, posted, lines)


@pytest.mark.parametrize(
    "quote",
    [
        "",
        "except",
        "Always write a bare `except:`",
        "never write a bare `except:`",
        "Never write a bare except; it hides",
        "hides every mistakes",
        "ever write a bare",
        "... — !!",
        "Never write a bare `except:` " * 200,
        ".* hides",
    ],
)
def test_what_the_document_does_not_say_is_not_quoted(quote):
    assert verify_quote(quote, [RULE, OTHER]) is None


def test_only_sections_that_were_retrieved_are_looked_at():
    assert verify_quote("Name the columns", [RULE]) is None
    assert verify_quote("Name the columns", []) is None


DOCUMENTS = st.lists(
    st.sampled_from(["# Rules", "## Names", "", "Use *good* names (always).", "- one\n- two", "```py", "x = 1  # [a]", "```", "Ünïcode “quotes” \\ $^"])
    | st.text(max_size=30),
    max_size=25,
).map("\n".join)  # fmt: skip


@settings(max_examples=300)
@given(DOCUMENTS, st.data())
def test_no_posted_quote_can_fail(text, data):
    content = text.encode(errors="replace")
    if b"\0" in content:
        return
    found = sections(Document("a.md", "b" * 40), content)
    pieces = [one.text[begin : begin + 40] for one in found for begin in range(0, len(one.text), 7)]
    quote = data.draw(st.sampled_from([*pieces, "nothing"]) | st.text(max_size=60))
    mangled = data.draw(st.sampled_from(["{}", " {} ", '"{}"', "{}."])).format("  ".join(quote.split(" ")))

    quotation = verify_quote(mangled, found)

    if quotation is not None:
        assert quotation.text in quotation.standard.text
        assert quotation.text in decoded(content)
        assert quotation.standard.start <= quotation.start <= quotation.end <= quotation.standard.end


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(["Never", "use", "`eval(x)`", "a+b", "[link](to)", "**bold**.", "naïve", "日本"]),
        min_size=2,
        max_size=30,
    ),
    st.data(),
)
def test_every_true_quote_of_whole_words_is_found(words, data):
    text = "".join(word + data.draw(st.sampled_from([" ", "\n", "\n  "])) for word in words)
    standard = Standard("a.md", (), "a", 1, text.count("\n") + 1, "b" * 40, text)
    first = data.draw(st.integers(0, len(words) - 2))
    last = data.draw(st.integers(first + 2, len(words)))

    assert verify_quote(" ".join(words[first:last]), [standard]) is not None

"""A quote that a model claims -> the document's own words, or nothing: what cannot be found word for word is not said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.findings.standard import LINE, Standard

LONGEST = 2_000
"""Characters of a quote."""
FEWEST = 2
"""Words of a quote: a single one stands in every document and proves nothing."""

_MARKS = "\"'“”‘’„«»"  # noqa: RUF001 - these are the marks themselves


@dataclass(frozen=True, slots=True)
class Quotation:
    """`text` is an exact substring of `standard.text`; it stands on lines `start`..`end` of the document."""

    standard: Standard
    text: str
    start: int
    end: int


def verified(quote: str, standards: Sequence[Standard]) -> Quotation | None:
    """The first of `standards` that holds `quote`, and the words as they stand there.

    White space may differ, since line breaks get lost on the way through a model; quotation marks around it are dropped
    if the quote is found only without them. Nothing else is forgiven.
    """
    candidates = dict.fromkeys((quote.strip(), quote.strip().strip(_MARKS).strip()))
    patterns = [pattern for candidate in candidates if (pattern := _pattern(candidate))]
    matches = ((standard, pattern.search(standard.text)) for pattern in patterns for standard in standards)
    return next((_quotation(standard, match) for standard, match in matches if match), None)


def _pattern(quote: str) -> re.Pattern[str] | None:
    words = quote.split()
    if len(quote) > LONGEST or sum(any(map(str.isalnum, word)) for word in words) < FEWEST:
        return None
    # whole words only: "never use" is not a quote from "whenever users"
    begin = r"(?<!\w)" if words[0][0].isalnum() else ""
    end = r"(?!\w)" if words[-1][-1].isalnum() else ""
    return re.compile(begin + r"\s+".join(map(re.escape, words)) + end)


def _quotation(standard: Standard, match: re.Match[str]) -> Quotation:
    start = standard.start + len(LINE.findall(standard.text[: match.start()]))
    return Quotation(standard, match[0], start, start + len(LINE.findall(match[0])))

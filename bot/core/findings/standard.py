"""Standard: one section of the team's rules, and the address at which a reader can check it.

A quote that a model claims -> the document's own words, or nothing: what cannot be found word for word is not said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ARCHIVES = frozenset({".docx", ".pdf"})


LINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Document:
    """A file of standards as it stands at a commit. `size` in bytes, `blob` is its git object id.

    `scope` are globs of the code it speaks of (empty: all code), `languages` likewise.
    """

    path: str
    blob: str
    size: int = 0
    scope: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    visibility: str = "private"  # "private" | "public": who may read it
    repo: str = ""  # empty: the repository under review
    commit: str = ""  # empty: the shelf's


@dataclass(frozen=True, slots=True)
class Shelf:
    """The documents that govern one review: all of them read at `commit`, the tip of the base branch."""

    repo: str
    commit: str
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Standard:
    """A section: `heading` is the path from the document's title down, `start`..`end` its lines (1-based, inclusive).

    `text` is an exact substring of the document at `blob`, so a quote from it can be verified.
    """

    document: str
    heading: tuple[str, ...]
    anchor: str
    start: int
    end: int
    blob: str
    text: str
    languages: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    repo: str = ""  # empty: the repository under review
    commit: str = ""  # empty: the shelf's

    @property
    def id(self) -> str:
        """What a model cites and what code looks up again: stable for the document's content."""
        place = f"{self.document}#{self.anchor or f'L{self.start}'}"
        return f"{self.repo}:{place}" if self.repo else place

    @property
    def title(self) -> str:
        """The words a reader sees in a citation."""
        return " > ".join(self.heading) or self.document


@dataclass(frozen=True, slots=True)
class Hit:
    """A section that a search returned. `score` is comparable only with the searcher's own threshold.

    `governs` says that the score cleared it: only such a section may be cited for a finding.
    """

    standard: Standard
    score: float
    governs: bool = False


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

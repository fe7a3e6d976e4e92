"""Standard: one section of the team's rules. `verify_quote` finds a claimed quote in it, word for word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from bot.core.code.globs import Globs
from bot.core.code.language import language, rules_apply_to

ARCHIVES = frozenset({".docx", ".pdf"})
LINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Document:
    """A file of standards as it stands at a commit. `size` in bytes, `blob` is its git object id.

    `scope` holds globs of the code that it applies to (empty: all code), `languages` likewise.
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
class UnreadDocument:
    """A document that could not be indexed, with the reason."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The documents that govern one review: all of them read at `commit`, the tip of the base branch."""

    repo: str
    commit: str
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Standard:
    """A section: `heading` is the path from the document's title down, `start`..`end` its lines (1-based, inclusive).

    `text` is an exact substring of the document at `blob`, so a quote from it can be verified. `languages` limit the code
    that it applies to, `examples` are the languages of its code blocks. A `retired` section is withdrawn, deprecated or
    replaced: nothing may be held against it. An item of a list or table has the id of its `section`. `front` are the keys
    of the document's front matter about rules that it carries as code: id, severity.
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
    examples: tuple[str, ...] = ()
    retired: bool = False
    section: str = ""
    front: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """The id that a model cites: stable while the document's content is the same."""
        place = f"{self.document}#{self.anchor or f'L{self.start}'}"
        return f"{self.repo}:{place}" if self.repo else place

    @property
    def title(self) -> str:
        """The text of a citation: the heading path, or the document."""
        return " > ".join(self.heading) or self.document


def applies_to(section: Standard, path: str) -> bool:
    """Whether a section holds for the file at `path`, by its scope and its languages, and is not retired."""
    if section.retired or (section.scope and not _is_in(section.scope, path)):
        return False
    return is_for_language(section, language(path))


def is_for_language(section: Standard, language: str) -> bool:
    """Whether a section holds for code of `language`. For code of an unknown language only general sections hold."""
    return not section.languages or any(rules_apply_to(language, name) for name in section.languages)


@lru_cache(maxsize=20_000)
def _is_in(scope: tuple[str, ...], path: str) -> bool:
    return _globs(scope).match(path)


@lru_cache(maxsize=256)
def _globs(scope: tuple[str, ...]) -> Globs:
    return Globs.of(scope)


@dataclass(frozen=True, slots=True)
class Hit:
    """A section, or an item of one, that a search returned. `score` is comparable only with hits of the same search.

    Only a hit that `governs` may be cited for a finding. `quote` is then the sentence that states the rule. `whole` is the
    section of an item.
    """

    standard: Standard
    score: float
    governs: bool = False
    quote: str = ""
    whole: Standard | None = None


class RuleLook(StrEnum):
    """What a review did with a section, from the most to the least."""

    CITED = "cited by a finding"
    WAIVED = "waived"
    CHECKED = "checked by code"
    JUDGED = "judged by the model"
    UNSEEN = "not looked at"


@dataclass(frozen=True, slots=True)
class RuleState:
    """What a review did with one section in scope; `why` says why it was not looked at, or where it was waived."""

    id: str
    look: RuleLook
    why: str = ""


LONGEST = 2_000
"""Most characters of a quote."""
FEWEST = 2
"""Fewest words of a quote: a single word is in every document and proves nothing."""

_EAST = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WORD = 2  # characters of Chinese, Japanese or Korean that count as a word
_MARKS = "\"'“”‘’„«»"  # noqa: RUF001 - these are the marks themselves


@dataclass(frozen=True, slots=True)
class Quotation:
    """A verified quote: `text` is an exact substring of `standard.text`, on lines `start`..`end` of the document."""

    standard: Standard
    text: str
    start: int
    end: int


def verify_quote(quote: str, standards: Sequence[Standard]) -> Quotation | None:
    """Returns `quote` as the first of `standards` that contains it has it; None if none does.

    White space may differ, because models lose line breaks; quotation marks around the quote are dropped if it is found
    only without them. Everything else must be equal.
    """
    candidates = dict.fromkeys((quote.strip(), quote.strip().strip(_MARKS).strip()))
    patterns = [pattern for candidate in candidates if (pattern := _pattern(candidate))]
    matches = ((standard, pattern.search(standard.text)) for pattern in patterns for standard in standards)
    return next((_quotation(standard, match) for standard, match in matches if match), None)


def word_count(text: str) -> int:
    """Returns the number of words between spaces; in Chinese, Japanese and Korean two characters are a word."""
    return sum(any(map(str.isalnum, word)) for word in _EAST.sub(" ", text).split()) + len(_EAST.findall(text)) // _WORD


def _pattern(quote: str) -> re.Pattern[str] | None:
    words = quote.split()
    if len(quote) > LONGEST or word_count(quote) < FEWEST:
        return None
    # whole words only: "never use" is not a quote from "whenever users"; Chinese and Japanese have no spaces
    begin = r"(?<!\w)" if words[0][0].isalnum() and not _EAST.match(words[0][0]) else ""
    end = r"(?!\w)" if words[-1][-1].isalnum() and not _EAST.match(words[-1][-1]) else ""
    return re.compile(begin + r"\s+".join(map(re.escape, words)) + end)


def _quotation(standard: Standard, match: re.Match[str]) -> Quotation:
    start = standard.start + len(LINE.findall(standard.text[: match.start()]))
    return Quotation(standard, match[0], start, start + len(LINE.findall(match[0])))

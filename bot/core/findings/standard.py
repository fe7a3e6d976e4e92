"""Standard: one section of the team's rules, and the address at which a reader can check it."""

from __future__ import annotations

import re
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

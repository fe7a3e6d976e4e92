"""A document as a vector store gets it, and the way back: a chunk of it -> the sections it was cut from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from bot.core.findings.standard import Standard
from bot.standards.vector_store_api import Attributes

HALF = 0.5
"""A chunk speaks of a section if it holds this share of it, or if the section makes up this share of the chunk."""
_LONGEST = 512  # characters of an attribute


@dataclass(frozen=True, slots=True)
class Text:
    """The sections of one document, as one Markdown file. `repo` and `path` say where they come from."""

    repo: str
    path: str
    blob: str
    sections: tuple[Standard, ...]

    @property
    def body(self) -> str:
        """What is uploaded: the sections' own words, whatever format the document had."""
        return "\n\n".join(one.text for one in self.sections)

    @property
    def digest(self) -> str:
        """Names this content in this place."""
        return hashlib.sha256(f"{self.repo}\0{self.path}\0{self.blob}\0{self.body}".encode()).hexdigest()[:32]

    @property
    def attributes(self) -> Attributes:
        """What the store knows about the file, within its limits."""
        language = self.sections[0].languages[0] if self.sections[0].languages else ""
        known = {"repository": self.repo, "path": self.path, "blob": self.blob, "language": language}
        return {key: value[:_LONGEST] for key, value in known.items()} | {"digest": self.digest}


def sections_of(text: Text, chunk: str) -> tuple[Standard, ...]:
    """The sections that `chunk` speaks of, in order; none if it is not word for word in the text."""
    words = [_normal(one.text) for one in text.sections]
    starts = list(accumulate((len(one) + 1 for one in words), initial=0))
    wanted = _normal(chunk)
    begin = " ".join(words).find(wanted) if wanted else -1
    if begin < 0:
        return ()
    end = begin + len(wanted)
    found: list[Standard] = []
    for standard, start, word in zip(text.sections, starts, words, strict=False):
        shared = min(end, start + len(word)) - max(begin, start)
        if shared > 0 and shared >= HALF * min(len(word), len(wanted)):
            found.append(standard)
    return tuple(found)


def texts(repo: str, sections: Sequence[Standard]) -> dict[str, Text]:
    """The documents that `sections` make up, by digest; those without a repository of their own belong to `repo`."""
    documents: dict[tuple[str, str, str], list[Standard]] = {}
    for one in sections:
        documents.setdefault((one.repo or repo, one.document, one.blob), []).append(one)
    found = (Text(*place, tuple(standards)) for place, standards in documents.items())
    return {text.digest: text for text in found}


def _normal(text: str) -> str:
    return " ".join(text.split())

"""What an answer rests on: each citation proven against the file or the section it names, or dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.core.claims.schemas import Citation
from bot.core.findings.standard import Standard, verified

MOST = 8
"""Citations of one answer."""


@dataclass(frozen=True, slots=True)
class CitedPlace:
    """A place that exists: line `line` of the file at `path`, or the section `standard` that has the words `quote`."""

    quote: str
    path: str = ""
    line: int = 0
    standard: Standard | None = None


def proven(
    citations: Iterable[Citation], files: Mapping[str, str], standards: Sequence[Standard]
) -> tuple[CitedPlace, ...]:
    """The citations that hold. `files` are texts at the head by path; `standards` are those a search really returned."""
    found = (_section(one, standards) if one.kind == "standard" else _line(one, files) for one in citations)
    return tuple(dict.fromkeys(cited for cited in found if cited))[:MOST]


def _section(citation: Citation, standards: Sequence[Standard]) -> CitedPlace | None:
    named = [standard for standard in standards if standard.id == citation.ref]
    found = verified(citation.quote, named)
    return CitedPlace(found.text, standard=found.standard) if found else None


def _line(citation: Citation, files: Mapping[str, str]) -> CitedPlace | None:
    """The line nearest to the number that was given on which the quote stands, white space aside."""
    wanted = [flat for line in citation.quote.splitlines() if (flat := " ".join(line.split()))]
    if not wanted:
        return None
    lines = [" ".join(line.split()) for line in files.get(citation.ref, "").split("\n")]
    near = citation.line or 1
    places = [
        n for n, line in enumerate(lines, 1) if wanted[0] == line or (len(wanted[0]) > _TELLING and wanted[0] in line)
    ]
    if not places:
        return None
    return CitedPlace(wanted[0], citation.ref, min(places, key=lambda n: abs(n - near)))


_TELLING = 8  # characters of a piece of a line; anything shorter stands everywhere

"""Checks the citations of an answer against the files and sections that they name; drops those that are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.core.claims.schemas import Citation
from bot.core.findings.standard import Standard, verify_quote

MOST = 8
"""Most citations of one answer."""


@dataclass(frozen=True, slots=True)
class CitedPlace:
    """A verified citation: line `line` of the file at `path`, or the section `standard` that contains `quote`."""

    quote: str
    path: str = ""
    line: int = 0
    standard: Standard | None = None


def prove_citations(
    citations: Iterable[Citation], files: Mapping[str, str], standards: Sequence[Standard]
) -> tuple[CitedPlace, ...]:
    """Returns the correct citations. `files` has the texts at the head by path; `standards` those that a search returned."""
    found = (
        _section(citation, standards) if citation.kind == "standard" else _line(citation, files)
        for citation in citations
    )
    return tuple(dict.fromkeys(cited for cited in found if cited))[:MOST]


def _section(citation: Citation, standards: Sequence[Standard]) -> CitedPlace | None:
    named = [standard for standard in standards if standard.id == citation.ref]
    found = verify_quote(citation.quote, named)
    return CitedPlace(found.text, standard=found.standard) if found else None


def _line(citation: Citation, files: Mapping[str, str]) -> CitedPlace | None:
    """Returns the line with the quote, without regard to white space, that is nearest to the given number."""
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


_TELLING = 8  # fewest characters of a quoted part of a line; shorter parts occur everywhere

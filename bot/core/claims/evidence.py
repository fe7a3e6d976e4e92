"""Proves what a model says with the files themselves: a claim's file, quote and evidence, and an answer's citations.

Nothing here trusts a verdict: a claim whose file or quote is not found is dropped with a DropReason, and evidence and
citations that are not found do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bot.core.claims.material import changed_lines
from bot.core.claims.refute import HeadFacts
from bot.core.claims.schemas import Citation
from bot.core.code.diff import Diff, FileDiff, Side
from bot.core.findings.anchor import Anchor, Place, anchor
from bot.core.findings.finding import Category, Draft, DropReason
from bot.core.findings.standard import Standard, verify_quote

FLOOR = 0.3
"""Least confidence of a finding, as the prompt says."""
NEAR = 3  # lines by which the number of a piece of evidence may be wrong
MOST_LINES = 80  # lines of a quote that are looked for
TELLING = 8  # fewest characters of code that is recognised at any line


@dataclass(frozen=True, slots=True)
class FoundLine:
    """A line of the head or the base that a piece of evidence names. `changed` is true if the pull request touches it."""

    path: str
    line: int
    changed: bool


def paths_named(texts: Iterable[str]) -> frozenset[str]:
    """Returns the paths with which pieces of evidence begin."""
    return frozenset(match[1].removeprefix("./") for text in texts if (match := _PATH.match(text)))


def prove(draft: Draft, facts: HeadFacts) -> DropReason | None:
    """Returns why a model's draft cannot be posted, by what it claims about files, lines and itself; None if it can.

    Code that did not change counts if the evidence names a line that did.
    """
    place = anchor(draft.path, draft.quoted, facts.diff, draft.side, draft.near)
    if reason := _missing(draft, place, facts):
        return reason
    if not _touches(place, facts.diff) and not any(found.changed for found in find_lines(draft.evidence, facts)):
        return DropReason.UNCHANGED
    if draft.confidence < FLOOR:
        return DropReason.DOUBTFUL
    style = draft.category is Category.MAINTAINABILITY and not draft.claim
    return DropReason.STYLE if style and not (draft.standard_refs or draft.standard_quote) else None


def with_found_evidence(draft: Draft, facts: HeadFacts) -> Draft:
    """Returns the draft with only the evidence that is found."""
    return replace(draft, evidence=tuple(text for text in draft.evidence if find_line(text, facts)))


def find_lines(texts: Iterable[str], facts: HeadFacts) -> Iterator[FoundLine]:
    """Yields the lines that pieces of evidence name."""
    return (found for text in texts if (found := find_line(text, facts)))


def find_line(text: str, facts: HeadFacts) -> FoundLine | None:
    """Returns the line that `path:line: text` names, if the text stands there; a number may be missing or a little off."""
    named = _read_evidence(text, facts)
    if named is None:
        return None
    path, number, said = named
    file = facts.diff.file(path)
    touched = changed_lines(file.hunks) if file else frozenset[int]()
    head = ((at, at in touched, flat) for at, flat in enumerate(_flat_lines(facts.texts.get(path, "")), 1))
    base = ((at, True, flat) for at, flat in _removed(file))
    places = [
        FoundLine(path, at, changed)
        for at, changed, flat in (*head, *base)
        if _stands(said, flat) and (len(said) >= TELLING or (number is not None and abs(at - number) <= NEAR))
    ]
    near = number or 0
    return min(places, key=lambda found: (abs(found.line - near), not found.changed), default=None)


_PATH = re.compile(r"[\s`'\"*(\[-]*([^\s:`'\"()\[\],#|]*[^\s:`'\"()\[\],#|.])")
_NUMBER = re.compile(
    r"[\s`'\"):,#@*|/\]-]*(?:lines?\s*|l)?(\d{1,7})(?:\s*[-\N{EN DASH}]\s*l?\d{1,7})?(?!\w)", re.IGNORECASE
)


def _read_evidence(text: str, facts: HeadFacts) -> tuple[str, int | None, str] | None:
    """Returns the path, the number and the flat code of a piece of evidence; None without a file that exists or code."""
    begun = text.lstrip(" \t`'\"*([-")
    known = max((path for path in _known_paths(facts) if begun.startswith(path)), key=len, default="")
    match = _PATH.match(text)
    path = known or (_resolve(match[1].removeprefix("./"), facts) if match else "")
    if not path:
        return None
    rest = begun[len(known) :] if known else text[match.end() :] if match else ""
    number = _NUMBER.match(rest)
    said = rest[number.end() :] if number else rest
    flat = next((words for line in said.splitlines() if (words := _flat(line))), "")
    return (path, int(number[1]) if number else None, flat) if flat else None


def _known_paths(facts: HeadFacts) -> Iterator[str]:
    yield from facts.texts
    yield from (file.path for file in facts.diff)


def _resolve(path: str, facts: HeadFacts) -> str:
    """Returns the file that a path means, which may lack its first folders; empty if there is none or several."""
    known = set(_known_paths(facts))
    if path in known:
        return path
    alike = [one for one in known if one.endswith(f"/{path}")]
    return alike[0] if path and len(alike) == 1 else ""


def _missing(draft: Draft, place: Anchor, facts: HeadFacts) -> DropReason | None:
    """Returns why the quote is not proven: no such file, nothing quoted, or code that stands nowhere."""
    text = facts.texts.get(place.path)
    if text is None and facts.diff.file(place.path) is None:
        return DropReason.NO_FILE
    lines = [line for line in re.split(r"\n|\\n", draft.quoted) if line.strip()][:MOST_LINES]
    if not lines:
        return DropReason.NO_QUOTE
    there = _Lines.of(text or "", facts.diff.file(place.path))
    if place.place is Place.INLINE:
        enough = sum(map(there.has_words, lines)) * 2 > len(lines)
    else:
        enough = all(map(there.has_text, lines))
    return None if enough else DropReason.NO_SUCH_CODE


def _touches(place: Anchor, diff: Diff) -> bool:
    """Whether a place has a line that the pull request adds or removes, or one beside a removed line."""
    file = diff.file(place.path)
    if file is None or place.line is None:
        return False
    return place.side is Side.LEFT or not changed_lines(file.hunks).isdisjoint(
        range(place.start or place.line, place.line + 1)
    )


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a file at head and base: their words, and their text without white space."""

    words: frozenset[str]
    texts: frozenset[str]

    @classmethod
    def of(cls, text: str, file: FileDiff | None) -> _Lines:
        changed = [line.text for hunk in (file.hunks if file else ()) for line in hunk.lines]
        return cls(
            frozenset((*_flat_lines(text), *map(_flat, changed))),
            frozenset(map(_squashed, (*text.split("\n"), *changed))),
        )

    def has_words(self, quoted: str) -> bool:
        """Whether a line has these words, or a telling part of them; numbers and marks of a view may stand around it."""
        flat = _flat(quoted)
        return flat in self.words or any(
            (len(flat) >= TELLING and _stands(flat, line)) or (len(line) >= TELLING and _stands(line, flat))
            for line in self.words
        )

    def has_text(self, quoted: str) -> bool:
        """Whether a line, or a telling part of one, is this text letter for letter, but for white space and a number."""
        readings = {_squashed(quoted), _squashed(_VIEWED.sub("", quoted))} - {""}
        return bool(readings & self.texts) or any(
            len(text) >= TELLING and text in line for text in readings for line in self.texts
        )


_VIEWED = re.compile(r"\s*\d{1,7}[+\- :|]")


def _squashed(line: str) -> str:
    return "".join(line.split())


def _removed(file: FileDiff | None) -> Iterator[tuple[int, str]]:
    for hunk in file.hunks if file else ():
        yield from ((line.old, _flat(line.text)) for line in hunk.lines if line.removed and line.old)


def _stands(part: str, line: str) -> bool:
    return bool(part) and f" {part} " in f" {line} "


@lru_cache(maxsize=128)
def _flat_lines(text: str) -> tuple[str, ...]:
    return tuple(map(_flat, text.split("\n")))


_TOKEN = re.compile(r"\w+")


def _flat(line: str) -> str:
    """Returns the words of a line of code, so that spaces, quotes and the escapes of a view make no difference."""
    return " ".join(_TOKEN.findall(line))


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
        n for n, line in enumerate(lines, 1) if wanted[0] == line or (len(wanted[0]) > TELLING and wanted[0] in line)
    ]
    if not places:
        return None
    return CitedPlace(wanted[0], citation.ref, min(places, key=lambda n: abs(n - near)))

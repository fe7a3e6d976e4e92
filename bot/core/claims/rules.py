"""Chooses the sections of the team's rules that a model reads before a change.

A small shelf is shown whole. Of a larger one every prompt has the convention files that apply and a table of contents,
and each batch has the sections that a search finds for it. The text is untrusted data from the base branch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from bot.core.claims.material import FencedText
from bot.core.code.diff import Line
from bot.core.code.plan import Batch, BatchPart, CoverageRow, FileState
from bot.core.code.syntax import outline
from bot.core.costs import estimate
from bot.core.findings.standard import Standard, applies_to

WHOLE = 8_000  # tokens of a shelf that is shown whole, or of the convention files of a larger one
CONTENTS = 2_000  # tokens of a table of contents
BATCH = 4_000  # tokens of the sections that are shown with one batch
FENCE = 40  # tokens of the fence around one section
LETTERS = 8  # characters of a token, at most: a shelf with more cannot fit, and is not counted
SEARCHES = 12  # most searches for one batch
QUERY = 400  # characters of a search
NAMES = 24  # names of a file that are searched for

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TeamRules:
    """The sections of a shelf, in order. Every prompt has `shown`, and `contents` if the shelf is not shown whole."""

    sections: tuple[Standard, ...] = ()
    shown: tuple[Standard, ...] = ()
    contents: str = ""

    @property
    def whole(self) -> bool:
        """Whether every prompt has the whole shelf."""
        return len(self.shown) == len(self.sections)

    def apply_to(self, paths: Iterable[str]) -> bool:
        """Whether any section applies to any of the files."""
        wanted = tuple(paths)
        return any(applies_to(section, path) for section in self.sections for path in wanted)


@dataclass(frozen=True, slots=True)
class FoundSections:
    """The keys of the sections that searches returned for a batch, best first; `reason` says why a search failed."""

    keys: tuple[str, ...] = ()
    reason: str = ""


def team_rules(
    sections: Sequence[Standard], conventions: Collection[str], paths: Collection[str], room: int = WHOLE
) -> TeamRules:
    """Returns the rules for a change of `paths`, of which `room` tokens are shown with every prompt.

    `conventions` are the documents that are shown whole if they apply.
    """
    if sum(len(section.text) for section in sections) <= room * LETTERS:
        whole = tuple(_fitting(sections, room))
        if len(whole) == len(sections):
            return TeamRules(tuple(sections), whole)
    governing = (
        section
        for section in sections
        if section.document in conventions and any(applies_to(section, path) for path in paths)
    )
    return TeamRules(tuple(sections), tuple(_fitting(governing, room)), _contents(sections))


def batch_rules(found: Iterable[Standard], rules: TeamRules, batch: Batch) -> tuple[Standard, ...]:
    """Returns the sections for a batch, in the order of the shelf: those of `found`, best first, that apply and fit.

    If none is left, the first sections of the shelf that apply are shown.
    """
    shown = set(rules.shown)
    fitting = set(_fitting(_governing(dict.fromkeys(found), shown, batch), BATCH))
    if not fitting and not any(_governing(rules.shown, set(), batch)):
        fitting = set(_fitting(_governing(rules.sections, shown, batch), BATCH))
    return tuple(section for section in rules.sections if section in fitting)


def searches(batch: Batch, heads: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Returns (path, query) pairs for a batch: the names that the changed lines of each file use, and its added code.

    Every file is searched for by its names before any by its code.
    """
    names = ((part.path, query) for part in batch.parts if (query := _names(part, heads.get(part.path, ""))))
    by_names = tuple(islice(names, SEARCHES))
    if len(by_names) == SEARCHES:
        return by_names
    pieces = [[(part.path, piece) for piece in _pieces(part)] for part in batch.parts]
    return tuple(dict.fromkeys((*by_names, *in_turn(pieces))))[:SEARCHES]


def in_turn(lists: Sequence[Sequence[T]]) -> tuple[T, ...]:
    """Returns the first element of each list, then the second of each, and so on, each element once."""
    longest = max(map(len, lists), default=0)
    return tuple(dict.fromkeys(many[at] for at in range(longest) for many in lists if at < len(many)))


def rules_rows(rules: TeamRules, shown: Sequence[tuple[Standard, ...]], failed: Sequence[str]) -> Iterator[CoverageRow]:
    """Yields rows that say which sections each batch was shown, and rows for searches that failed.

    `shown` has the sections of each batch beside those of every prompt.
    """
    if rules.sections and rules.whole:
        yield CoverageRow("rules", FileState.REVIEWED, _shown_phrase(rules.shown, len(rules.sections)))
    for number, sections in enumerate(() if rules.whole else shown, 1):
        phrase = _shown_phrase((*rules.shown, *sections), len(rules.sections))
        yield CoverageRow(f"rules, part {number}", FileState.REVIEWED, phrase)
    for reason in dict.fromkeys(filter(None, failed)):
        yield CoverageRow("rules", FileState.FAILED, f"the standards could not be searched: {reason}")


def _shown_phrase(shown: Sequence[Standard], total: int) -> str:
    ids = ", ".join(dict.fromkeys(section.id for section in shown)) if len(shown) < total else ""
    return f"{len(shown)} of {total} sections were shown to the model" + (f": {ids}" if ids else "")


def fenced_rules(sections: Iterable[Standard]) -> tuple[FencedText, ...]:
    """Returns sections as texts to fence; the source of each is the id to cite."""
    return tuple(FencedText("standard", section.id, section.text) for section in sections)


def sections_by_key(sections: Iterable[Standard]) -> Mapping[str, Standard]:
    """Returns sections by id; a further piece of a section that is cut has its first line in its key."""
    found: dict[str, Standard] = {}
    for section in sections:
        if found.get(section.id, section) == section:
            found[section.id] = section
        else:
            found[f"{section.id}@{section.start}"] = section
    return found


def _governing(sections: Iterable[Standard], shown: Collection[Standard], batch: Batch) -> Iterator[Standard]:
    return (
        section
        for section in sections
        if section not in shown and any(applies_to(section, path) for path in batch.paths)
    )


def _fitting(sections: Iterable[Standard], room: int) -> Iterator[Standard]:
    """Yields the sections that fit into `room` tokens together."""
    for section in sections:
        cost = estimate(section.text) + FENCE
        if cost <= room:
            room -= cost
            yield section


def _contents(sections: Sequence[Standard]) -> str:
    """Returns the documents with their headings; if that is too long, the documents with their top headings, or alone."""
    documents: dict[str, list[tuple[str, ...]]] = {}
    for section in sections:
        documents.setdefault(section.id.partition("#")[0], []).append(section.heading)
    deep = _listed({name: [" > ".join(heading[1:] or heading) for heading in many] for name, many in documents.items()})
    top = _listed({name: [" > ".join(heading[1:2] or heading) for heading in many] for name, many in documents.items()})
    alone = _listed({name: [f"{len(many)} sections"] for name, many in documents.items()})
    fitting = next((text for text in (deep, top) if estimate(text) <= CONTENTS), alone)
    rows = fitting.split("\n")
    while len(rows) > 1 and estimate("\n".join(rows)) > CONTENTS:
        rows = rows[: len(rows) * 3 // 4]
    left = len(documents) - len(rows)
    return "\n".join([*rows, f"and {left} more documents"] if left else rows)


def _listed(headings: Mapping[str, Iterable[str]]) -> str:
    return "\n".join(f"{name}: {'; '.join(dict.fromkeys(many))}" for name, many in headings.items())


_WORD = re.compile(r"[A-Za-z_]\w{2,}")
_HUMP = re.compile(r"[A-Z]?[a-z]+|[A-Z]{2,}(?![a-z])|[^\W\d_]+")


def _added(part: BatchPart) -> Iterator[Line]:
    return (line for hunk in part.hunks for line in hunk.lines if line.added and line.text.strip())


def _names(part: BatchPart, text: str) -> str:
    """Returns the names that the added lines import, call and use, the most frequent first, as words."""
    lines = {line.new for line in _added(part)}
    code = outline(part.path, text) if text else None
    if code is not None:
        used = [name.key.removeprefix(".") for name in code.names if name.line in lines]
    else:
        used = [word for line in _added(part) for word in _WORD.findall(line.text)]
    names = [name for name, _ in Counter(used).most_common(NAMES)]
    words = dict.fromkeys(word.lower() for name in names for word in (name, *_HUMP.findall(name)))
    return " ".join(words)[:QUERY]


def _pieces(part: BatchPart) -> Iterator[str]:
    """Yields the added lines in pieces of at most QUERY characters."""
    rows: list[str] = []
    for line in _added(part):
        row = line.text.strip()[:QUERY]
        if sum(map(len, rows)) + len(rows) + len(row) > QUERY:
            yield "\n".join(rows)
            rows = []
        rows.append(row)
    if rows:
        yield "\n".join(rows)

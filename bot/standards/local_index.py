"""Searches a shelf's sections in memory: SQLite FTS5, porter stems, a language boost, a concept lexicon.

Each shelf has its own index: which words are rare depends on this team's documents only, and the same shelf and query
always give the same hits.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.core.code.globs import Globs
from bot.core.code.language import rules_apply_to
from bot.core.findings.standard import Hit, Standard
from bot.standards.formats import tagless
from bot.standards.query import Query, spread

SAME_LANGUAGE, ANY_LANGUAGE = 2.0, 1.3
"""Boosts of rules for the language at hand, and of rules for no language in particular."""
HEADING = 3.0
"""What a word in a heading counts, beside 1 for one in the text."""
CANDIDATES, JUDGED = 400, 20
"""Matches that are boosted, and those of them that are judged."""
MEANT = 0.5
"""How much of a concept a section holds if it governs it; words weigh by how rare they are on this shelf."""
WHOLLY = 0.99
"""How much is enough where no heading speaks of it: all of it."""
SAID, PARTLY, FEWEST = 0.6, 0.4, 2
"""How much of what is said it holds, how much is enough if its heading makes up for the rest, and in how many words."""

_Rows = frozenset[int]


@dataclass(frozen=True, slots=True)
class Index:
    """The sections of one shelf, ready to be searched. Built once, then only read."""

    sections: tuple[Standard, ...]
    scopes: Mapping[tuple[str, ...], Globs]
    rows: sqlite3.Connection

    @classmethod
    def of(cls, sections: Sequence[Standard]) -> Index:
        """Index `sections`: about 0.1 ms each."""
        rows = sqlite3.connect(":memory:", check_same_thread=False)
        rows.execute("CREATE VIRTUAL TABLE search USING fts5 (heading, body, content='', tokenize='porter')")
        rows.executemany(
            "INSERT INTO search (rowid, heading, body) VALUES (?, ?, ?)",
            ((number, spread(" ".join(one.heading)), spread(tagless(one.text))) for number, one in enumerate(sections)),
        )
        return cls(tuple(sections), {one.scope: Globs.of(one.scope) for one in sections if one.scope}, rows)

    def search(self, text: str, path: str = "", language: str = "", limit: int = 5) -> tuple[Hit, ...]:
        """The sections nearest to `text` whose scope has `path`, those that govern it first."""
        query = Query.of(text)
        if not query.every or limit < 1:
            return ()
        out = {scope for scope, globs in self.scopes.items() if path and not globs.match(path)}
        boosted = [
            (score * _boost(self.sections[row], language), row)
            for row, score in self._matches(query)
            if self.sections[row].scope not in out
        ]
        nearest = sorted(boosted, key=lambda pair: (-pair[0], pair[1]))[: max(JUDGED, limit)]
        judge = _Judge.of(query, self._holding, len(self.sections))
        hits = [Hit(self.sections[row], score, judge.governs(row)) for score, row in nearest]
        return tuple(_distinct(sorted(hits, key=lambda hit: not hit.governs)))[:limit]

    def close(self) -> None:
        """Free the memory."""
        self.rows.close()

    def _matches(self, query: Query) -> list[tuple[int, float]]:
        return self.rows.execute(
            "SELECT rowid, -bm25(search, ?, 1.0) AS score FROM search WHERE search MATCH ? ORDER BY score DESC LIMIT ?",
            (HEADING, " OR ".join(f'"{word}"' for word in query.every), CANDIDATES),
        ).fetchall()

    def _holding(self, expression: str) -> _Rows:
        found = self.rows.execute("SELECT rowid FROM search WHERE search MATCH ?", (expression,))
        return frozenset(row for (row,) in found)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Decides whether a section is clearly about a query: it holds a concept, or most of what is said."""

    query: Query
    anywhere: Mapping[str, _Rows]
    headings: Mapping[str, _Rows]
    weights: Mapping[str, float]

    @classmethod
    def of(cls, query: Query, holding: Callable[[str], _Rows], count: int) -> _Judge:
        anywhere = {word: holding(f'"{word}"') for word in query.judged}
        headings = {word: holding(f'heading : "{word}"') for word in query.judged}
        weights = {word: math.log(1 + (count - len(rows) + 0.5) / (len(rows) + 0.5)) for word, rows in anywhere.items()}
        return cls(query, anywhere, headings, weights)

    def governs(self, row: int) -> bool:
        """Whether the section in `row` may be cited for the query."""
        return any(self._holds(concept, row) for concept in self.query.meant) or self._answers(row)

    def _holds(self, concept: tuple[str, ...], row: int) -> bool:
        held = self._share(concept, row, self.anywhere)
        return held >= WHOLLY or (held >= MEANT and any(row in self.headings[word] for word in concept))

    def _answers(self, row: int) -> bool:
        said = self.query.said
        if sum(row in self.anywhere[word] for word in said) < FEWEST:
            return False
        held = self._share(said, row, self.anywhere)
        return held >= SAID or (held >= PARTLY and held + self._share(said, row, self.headings) >= SAID)

    def _share(self, words: tuple[str, ...], row: int, places: Mapping[str, _Rows]) -> float:
        held = sum(self.weights[word] for word in words if row in places[word])
        return held / sum(self.weights[word] for word in words)


def _boost(section: Standard, language: str) -> float:
    if not section.languages:
        return ANY_LANGUAGE
    return SAME_LANGUAGE if any(rules_apply_to(language, one) for one in section.languages) else 1.0


def _distinct(hits: Sequence[Hit]) -> Iterator[Hit]:
    """Without further pieces of a section that is there already, and without what adds nothing to a better relative.

    A parent or child of a section that governs, if it does not govern itself, is such a one.
    """
    seen: list[Hit] = []
    for hit in hits:
        if not any(_same(hit, other) or (other.governs and not hit.governs and _related(hit, other)) for other in seen):
            seen.append(hit)
            yield hit


def _same(one: Hit, other: Hit) -> bool:
    return _place(one) == _place(other) and one.standard.heading == other.standard.heading


def _related(one: Hit, other: Hit) -> bool:
    mine, theirs = one.standard.heading, other.standard.heading
    return _place(one) == _place(other) and (mine == theirs[: len(mine)] or theirs == mine[: len(theirs)])


def _place(hit: Hit) -> tuple[str, str]:
    return hit.standard.repo, hit.standard.document

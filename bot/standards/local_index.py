"""Searches a shelf in memory: SQLite FTS5 ranks sections and their items, and a judge decides which of them govern.

Each shelf has its own index: which words are rare depends on this team's documents only, and the same shelf and query
always give the same hits. A section governs if it names the rule's code, if one of its sentences states the subject of
the rule (topics.toml), or if it has most of the words of a question.
"""

from __future__ import annotations

import math
import re
import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import islice

from bot.core.code.globs import Globs
from bot.core.findings.standard import Hit, Standard, is_for_language, verify_quote
from bot.standards.formats import tagless
from bot.standards.passages import (
    Passage,
    Sentence,
    excepts,
    explains,
    instructs,
    is_retired,
    passages_of,
    permits_heading,
    sentences,
)
from bot.standards.query import (
    LANGUAGES,
    Group,
    Query,
    Statement,
    Term,
    Topic,
    distance,
    is_close,
    pieces,
    stem,
    tokens_of,
    words,
)

SAME_LANGUAGE, ANY_LANGUAGE = 2.0, 1.3
"""Boosts of rules for the language at hand, and of rules for no language in particular."""
HEADING = 3.0
"""What a word in a heading counts, beside 1 for one in the text."""
CANDIDATES, JUDGED = 400, 20
"""Matches that are boosted, and those of them whose words are judged."""
SAID, PARTLY, FEWEST = 0.6, 0.4, 2
"""Share of a question's words that a section has, the share that is enough if its heading has more, and fewest words."""
FAR = 99
"""The distance of words of which some are in a heading."""
OVERLAP = 0.34
"""Share of the words of a question that a section in the same language has, if the subject was told from its words."""
RARE = 0.1
"""Share of the passages in which a word may be that a question consists of."""
QUERIES = 64
"""Queries whose judges stay in memory."""
MOST_STEMS = 10_000
"""Words of a shelf that are stemmed; further ones are compared as they are."""

_Rows = frozenset[int]
_CODE = re.compile(r"(?<![\w-])[A-Z]{1,8}\d{2,5}(?![\w-])")
_HEAD = re.compile(r"\W*(?:[A-Z]{1,8}\d{2,5}|`[^`]{2,60}`)")


class Strength(IntEnum):
    """How surely a passage governs a query."""

    NONE = 0
    WORDS = 1
    HEADING = 2
    SENTENCE = 3
    CODE = 4


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether and how surely a passage governs a query, the sentence that does, and how far apart its words are.

    `subject` is the place of the stated subject among those of the query: the first is what a rule is mainly about.
    """

    strength: Strength = Strength.NONE
    quote: str = ""
    distance: int = 0
    strict: bool = False
    subject: int = 0


NOTHING = Judgement()


@dataclass(frozen=True, slots=True)
class Index:
    """The passages of one shelf, ready to be searched. Built once, then only read."""

    passages: tuple[Passage, ...]
    sections: Mapping[str, Standard]
    scopes: Mapping[tuple[str, ...], Globs]
    rows: sqlite3.Connection
    places: Mapping[str, Sequence[int]]
    vocabulary: Sequence[str]
    languages: tuple[str, ...]
    lows: tuple[str, ...]
    cache: dict[int, tuple[Sentence, ...]] = field(default_factory=dict)
    judges: dict[str, Judge] = field(default_factory=dict)

    @classmethod
    def of(cls, sections: Sequence[Standard]) -> Index:
        """Indexes `sections`: about 0.3 ms each."""
        found = tuple(passages_of(sections))
        rows = sqlite3.connect(":memory:", check_same_thread=False)
        rows.execute("CREATE VIRTUAL TABLE search USING fts5 (heading, body, content='', tokenize='porter')")
        rows.executemany("INSERT INTO search (rowid, heading, body) VALUES (?, ?, ?)", _texts(found))
        places: defaultdict[str, list[int]] = defaultdict(list)
        for number, passage in enumerate(found):
            for token in {*tokens_of(tagless(passage.standard.text)), *passage.heading}:
                places[token].append(number)
        scopes = {section.scope: Globs.of(section.scope) for section in sections if section.scope}
        told = dict.fromkeys(passage.language for passage in found)
        languages = tuple(name for name in (LANGUAGES if "" in told else told) if name and name != "en")
        by_id = {section.id: section for section in sections}
        return cls(found, by_id, scopes, rows, places, sorted(places), languages, tuple(map(_low, found)))

    def search(self, text: str, path: str = "", language: str = "", limit: int = 5) -> tuple[Hit, ...]:
        """Returns the passages nearest to `text` that apply to `path` and `language`, those that govern it first."""
        judge = self._judge(text)
        query = judge.query
        if not query.every or limit < 1:
            return ()
        applies = self._applies(path, language)
        ranked = {
            row: score * self._boost(row, language) * self._spoken(row, query)
            for row, score in judge.matches
            if applies(row)
        }
        nearest = sorted(ranked, key=lambda row: (-ranked[row], row))
        surest = [row for row in judge.surest if applies(row)]
        judged = {row: judge.judgement(row, path) for row in dict.fromkeys((*surest, *nearest[: max(JUDGED, limit)]))}
        order = sorted(judged, key=lambda row: self._order(row, judged[row], ranked.get(row, 0.0), language, query))
        hits = (self._hit(row, judged[row], ranked.get(row, 0.0)) for row in order)
        return tuple(islice(_distinct(hits), limit))

    def _judge(self, text: str) -> Judge:
        """Returns the judge of a query, one for all files: a review asks the same about each file that breaks a rule."""
        judge = self.judges.pop(text, None)
        if judge is None:
            judge = Judge.of(self, Query.of(text, self.languages))
            while len(self.judges) >= QUERIES:
                del self.judges[next(iter(self.judges))]
        self.judges[text] = judge
        return judge

    def close(self) -> None:
        """Frees the memory."""
        self.rows.close()

    def rules(self, row: int) -> tuple[Sentence, ...]:
        """Returns the sentences of a passage that may govern something; they are divided at first use."""
        if row not in self.cache:
            self.cache[row] = tuple(_rules(self.passages[row]))
        return self.cache[row]

    def holding(self, group: Group, column: str = "") -> _Rows:
        """Returns the passages that have a word, in any column or in the named one."""
        either = " OR ".join(f'"{word}"' for word in sorted(group))
        expression = f"{column} : ({either})" if column else either
        return frozenset(
            row for (row,) in self.rows.execute("SELECT rowid FROM search WHERE search MATCH ?", (expression,))
        )

    def stating(self, statement: Statement, language: str) -> set[int]:
        """Returns the passages that have all terms of a statement somewhere."""
        found: set[int] | None = None
        for alternatives in statement:
            here = {row for term in alternatives for row in self._with(term)}
            found = here if found is None else found & here
            if not found:
                return set()
        return {
            row for row in found or () if language in {"any", "en"} or self.passages[row].language in {language, ""}
        }

    def _with(self, term: Term) -> Iterator[int]:
        if (term.inside and not term.tokens[0].isascii()) or not term.tokens[0].isalnum():
            yield from (row for row, low in enumerate(self.lows) if term.tokens[0] in low)
            return
        word = term.tokens[-1]
        if term.inside:
            names = (name for name in self.vocabulary if word in name)
            yield from (row for name in names for row in self.places[name])
            return
        first = bisect_left(self.vocabulary, word)
        for name in self.vocabulary[first:]:
            if not name.startswith(word):
                return
            if name == word or not term.whole:
                yield from self.places[name]

    def surest(self, query: Query) -> list[int]:
        """Returns the passages that name a code of the query or have the terms of one of its subjects."""
        names = ("any", "en", *self.languages)
        stated = {
            row
            for topic in query.topics
            for name in names
            for statement in topic.statements.get(name, ())
            for row in self.stating(statement, name)
        }
        coded = {row for code in query.codes for row in self.naming(code)}
        return sorted(stated | coded)

    def naming(self, code: str) -> set[int]:
        """Returns the passages that have the word or words of a rule's code."""
        parts = tokens_of(code)
        return set.intersection(*({*self.places.get(part, ())} for part in parts)) if parts else set()

    def _applies(self, path: str, language: str) -> Callable[[int], bool]:
        out = {scope for scope, globs in self.scopes.items() if path and not globs.match(path)}

        def applies(row: int) -> bool:
            section = self.passages[row].standard
            return section.scope not in out and (not (language or path) or is_for_language(section, language))

        return applies

    def _boost(self, row: int, language: str) -> float:
        section = self.passages[row].standard
        if language in section.languages or language in section.examples:
            return SAME_LANGUAGE
        return 1.0 if section.examples else ANY_LANGUAGE

    def _spoken(self, row: int, query: Query) -> float:
        return SAME_LANGUAGE if query.language and self.passages[row].language == query.language else 1.0

    def _order(self, row: int, judged: Judgement, score: float, language: str, query: Query) -> tuple[float, ...]:
        section = self.passages[row].standard
        own = language in section.languages
        if judged.strength <= Strength.WORDS:
            return (-judged.strength, -score, row)
        whole = self.passages[row].whole
        foreign = not query.sure and self._spoken(row, query) == 1.0
        return (
            -judged.strength,
            foreign,
            judged.subject,
            not judged.strict,
            not own,
            whole,
            judged.distance,
            -score,
            row,
        )

    def _hit(self, row: int, judged: Judgement, score: float) -> Hit:
        standard = self.passages[row].standard
        if not judged.strength:
            return Hit(self.sections.get(standard.section, standard), score)
        quote = judged.quote if judged.quote and verify_quote(judged.quote, [standard]) else ""
        return Hit(standard, score, governs=True, quote=quote, whole=self.sections.get(standard.section))

    def matches(self, query: Query) -> list[tuple[int, float]]:
        """Returns the passages with words of a query or of its subjects, each with its rank."""
        stems = sorted({word for group in query.every for word in group})
        wanted = [f'"{word}"' for word in stems] + [
            f'"{word}"*' for word in _expansions(query.topics if query.sure else (), self.languages)
        ]
        return self.rows.execute(
            "SELECT rowid, -bm25(search, ?, 1.0) AS score FROM search WHERE search MATCH ? ORDER BY score DESC LIMIT ?",
            (HEADING, " OR ".join(dict.fromkeys(wanted)), CANDIDATES),
        ).fetchall()


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides which passages govern one query. `found` are its judgements, by the passage and its rules for a file."""

    index: Index
    query: Query
    matches: Sequence[tuple[int, float]]
    surest: Sequence[int]
    anywhere: Mapping[Group, _Rows]
    headings: Mapping[Group, _Rows]
    weights: Mapping[Group, float]
    found: dict[tuple[int, tuple[str, ...]], Judgement] = field(default_factory=dict)

    @classmethod
    def of(cls, index: Index, query: Query) -> Judge:
        """Looks up in which passages the words of the query are."""
        anywhere = {group: index.holding(group) for group in query.said}
        headings = {group: index.holding(group, "heading") for group in query.said}
        count = len(index.passages)
        weights = {
            group: math.log(1 + (count - len(rows) + 0.5) / (len(rows) + 0.5)) for group, rows in anywhere.items()
        }
        matches, surest = (index.matches(query), index.surest(query)) if query.every else ([], [])
        return cls(index, query, matches, surest, anywhere, headings, weights)

    def judgement(self, row: int, path: str) -> Judgement:
        """Returns the surest way in which the passage in `row` governs the query, for a file at `path`."""
        passage = self.index.passages[row]
        rules = [sentence for sentence in self.index.rules(row) if not excepts(sentence.text, path)]
        if not rules:
            return NOTHING
        key = row, tuple(rule.text for rule in rules)
        if key not in self.found:
            self.found[key] = (
                self._by_code(passage, rules)
                or self._by_topic(row, passage, rules)
                or self._by_words(row, passage, rules)
                or NOTHING
            )
        return self.found[key]

    def _by_code(self, passage: Passage, rules: Sequence[Sentence]) -> Judgement | None:
        for code in self.query.codes:
            named = re.compile(rf"(?<![\w-]){re.escape(code)}(?![\w-])")
            for sentence in rules:
                if named.search(sentence.text) and (_CODE.fullmatch(code) or _marked(code, sentence.text)):
                    return Judgement(Strength.CODE, sentence.text, strict=True)
            last = passage.standard.heading[-1] if passage.standard.heading else ""
            if named.search(last) and passage.whole:
                return Judgement(Strength.CODE, rules[0].text, strict=True)
        return None

    def _by_topic(self, row: int, passage: Passage, rules: Sequence[Sentence]) -> Judgement | None:
        if self._names_others(passage) or not self._is_near(row, passage):
            return None
        best: Judgement | None = None
        for subject, topic in enumerate(self.query.topics):
            for statement in topic.of_language(passage.language):
                found = _stated(statement, passage, rules)
                if found and (best is None or (_rank(found), subject) < (_rank(best), best.subject)):
                    best = replace(found, subject=subject)
        return best

    def _is_near(self, row: int, passage: Passage) -> bool:
        """Whether a passage has words of the query, where they tell its subject and not the code of a known rule."""
        return self.query.sure or passage.language not in {"en", ""} or self._share(row, self.anywhere) >= OVERLAP

    def _names_others(self, passage: Passage) -> bool:
        """Whether a passage begins with codes of analysers that have another subject."""
        first = _HEAD.match(passage.standard.text)
        others = _CODE.findall(first[0]) if first else []
        known = {rule for topic in self.query.topics for rule in topic.rules}
        return bool(others) and bool(self.query.codes) and not {*others} & ({*self.query.codes} | known)

    def _by_words(self, row: int, passage: Passage, rules: Sequence[Sentence]) -> Judgement | None:
        if self.query.codes and (self.query.topics or not passage.whole) and not self._about_code(passage):
            return None
        if not self._answers(row):
            return None
        said = {word for group in self.query.said for word in group}
        best = max(rules, key=lambda rule: len(said & _stems(rule.text, passage.language)))
        if not said & _stems(f"{best.text} {' '.join(passage.standard.heading)}", passage.language):
            return None
        return Judgement(Strength.WORDS, best.text, strict=best.strict)

    def _about_code(self, passage: Passage) -> bool:
        """Whether a passage has a code word of the query that is rare on the shelf."""
        spans = re.findall(r"`([^`\n]{2,80})`|(\w{2,60})\(", passage.prose)
        own = {word for span in spans for word in tokens_of(" ".join(span))}
        few = max(2, RARE * len(self.index.passages))
        return any(len(self.index.places.get(word, ())) <= few for word in self.query.code_words & own)

    def _answers(self, row: int) -> bool:
        said = self.query.said
        held = [group for group in said if row in self.anywhere[group]]
        few = max(3, RARE * len(self.index.passages))
        if len(said) < FEWEST and len(held) == len(said):
            return all(0 < len(self.anywhere[group]) <= few for group in held)
        if len(held) < FEWEST:
            return False
        share = self._share(row, self.anywhere)
        return share >= SAID or (share >= PARTLY and share + self._share(row, self.headings) >= SAID)

    def _share(self, row: int, places: Mapping[Group, _Rows]) -> float:
        held = sum(self.weights[group] for group in self.query.said if row in places[group])
        return held / sum(self.weights[group] for group in self.query.said)


def _rules(passage: Passage) -> Iterator[Sentence]:
    """Yields the rules among the sentences of a passage, unless it is withdrawn, explains or permits."""
    standard = passage.standard
    silent = explains(standard.heading) or permits_heading(standard.heading)
    if standard.retired or silent or (standard.section and is_retired((), standard.text)):
        return
    only_strict = instructs(standard.document, standard.heading)
    for sentence in sentences(passage.prose, passage.context, listed=not passage.whole):
        if sentence.rule and (sentence.strict or not only_strict):
            yield sentence


def _rank(judged: Judgement) -> tuple[int, bool, int]:
    return -judged.strength, not judged.strict, judged.distance


def _stated(statement: Statement, passage: Passage, rules: Sequence[Sentence]) -> Judgement | None:
    """Returns how a passage states it: in one sentence, in a sentence with its heading, or in the heading alone."""
    heading, headline = passage.heading, f"{passage.standard.heading[-1:]} {passage.context}".lower()
    best: Judgement | None = None
    for sentence in rules:
        tokens, low = sentence.tokens, sentence.low
        apart = distance(statement, tokens, low)
        if apart is not None and is_close(statement, apart):
            found = Judgement(Strength.SENTENCE, sentence.text, apart, sentence.strict)
        elif sentence.firm and len(statement) > 1 and _shared(statement, tokens, low, heading, headline):
            found = Judgement(Strength.HEADING, sentence.text, FAR, sentence.strict)
        else:
            continue
        if best is None or _rank(found) < _rank(best):
            best = found
    if best is None and passage.whole and is_close(statement, distance(statement, heading, headline)):
        first = min(rules, key=lambda rule: (not rule.strict, not rule.firm))
        return Judgement(Strength.HEADING, first.text, FAR, first.strict)
    return best


def _shared(statement: Statement, tokens: Sequence[str], low: str, heading: Sequence[str], headline: str) -> bool:
    """Whether a sentence has one term of a statement or more, and its heading the others."""
    here = [distance((part,), tokens, low) is not None for part in statement]
    above = [distance((part,), heading, headline) is not None for part in statement]
    return any(here) and any(above) and all(one or other for one, other in zip(here, above, strict=True))


def _marked(code: str, text: str) -> bool:
    """Whether a name like no-console is marked as code: in backticks or brackets, or at the beginning."""
    return bool(re.search(rf"[`(\[|]\s*{re.escape(code)}\s*[`)\]|]|^\W*{re.escape(code)}\b", text))


def _low(passage: Passage) -> str:
    return f"{passage.standard.heading[-1:]} {passage.context} {passage.standard.text}".lower()


def _stems(text: str, language: str) -> set[str]:
    return {word for group in words(text, (language,)) for word in group}


def _expansions(topics: Sequence[Topic], languages: Sequence[str]) -> list[str]:
    """Returns the first words of each statement of the topics, to find passages that are near."""
    names = ("any", "en", *languages)
    statements = [statement for topic in topics for name in names for statement in topic.statements.get(name, ())[:2]]
    found = (alternatives[0].tokens[0] for statement in statements for alternatives in statement)
    return [word for word in dict.fromkeys(found) if word.isalnum() and len(word) > 3][:40]  # noqa: PLR2004


def _texts(found: Sequence[Passage]) -> Iterator[tuple[int, str, str]]:
    stemmed: set[str] = set()
    for number, passage in enumerate(found):
        heading = _stemmed(" ".join(passage.standard.heading), passage.language, stemmed)
        yield number, heading, _stemmed(passage.standard.text, passage.language, stemmed)


def _stemmed(text: str, language: str, stemmed: set[str]) -> str:
    found = []
    for word in pieces(tagless(text)):
        if len(stemmed) < MOST_STEMS:
            stemmed.add(word)
        found.append(stem(word, language if word in stemmed else ""))
    return " ".join(found)


def _distinct(hits: Iterator[Hit]) -> Iterator[Hit]:
    """Yields hits without further pieces of a section, and without what adds nothing to a better relative.

    Several items of a section may govern. A section, parent or child that does not govern adds nothing to one that does.
    """
    seen: list[Hit] = []
    for hit in hits:
        if not any(_adds_nothing(hit, other) for other in seen):
            seen.append(hit)
            yield hit


def _adds_nothing(hit: Hit, other: Hit) -> bool:
    if (hit.standard.repo, hit.standard.document) != (other.standard.repo, other.standard.document):
        return False
    mine, theirs = hit.standard.heading, other.standard.heading
    if mine == theirs and not (hit.standard.section and other.standard.section):
        return True
    if mine == theirs and hit.standard.id == other.standard.id:
        return True
    related = mine == theirs[: len(mine)] or theirs == mine[: len(theirs)]
    return other.governs and not hit.governs and related

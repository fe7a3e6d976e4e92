"""Turns a question, a finding or a few lines of code into the words and the subjects to search for.

Words are compared by their stems, Chinese, Japanese and Korean by pairs of characters. What rules are about stands in
topics.toml, in the words of linters and of documents; it contains nothing from a team's documents.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import snowballstemmer

STOP_WORDS = frozenset(
    """
    a about after all also an and any are as at be because been before but by can cannot could do does each for from had
    has have here how i if in into is it its just may me more most must my no nor not of on one only or other our out
    over own same she should so some such than that the their them then there these they this those to too under until
    up use used uses using was we were what when where which while who whoever why will with would you your
    def self return new function
    aber alle als am an auch auf aus bei bin bis das dass dem den der des die durch ein eine einem einen einer es fur
    hat ich im in ist kein keine man mich mit nach nicht nur ob oder sein sich sie sind soll und uber um unter vom von
    vor war was wenn werden wie wir wird zu zum zur
    au aux avec ce ces cette comme dans de des du elle en est et il ils la le les leur mais ne nous on ou par pas pour
    que qui sans se ses son sont sur un une vous
    al como con cual cuando del el ella en es esta este la las lo los mas no nos para pero por que se sin sobre son su
    sus un una uno y
    ao aos com como da das do dos e em essa esse na nas nao no nos o os ou para pela pelo por que se sem seu sua um uma
    а без бы был быть в во вы да для до его ее если же за и из или их к как ко ли мы на не нет но о об он она они от по
    при с со так то у что это я
    """.split()  # noqa: SIM905 - a list of words reads better than 300 strings
)
LANGUAGES: Mapping[str, str] = MappingProxyType(
    {"de": "german", "fr": "french", "es": "spanish", "pt": "portuguese", "ru": "russian"}
)
"""Languages of documents whose words are stemmed here. SQLite stems English."""
LONGEST, MOST = 4_000, 40
"""Most characters of a query that are read; most words of it, and as many of its subjects."""
CLOSE, WIDER = 7, 2
"""Most words between the two terms of a statement, and how many more for each further term."""
_STEMMED = 30  # letters of a word that is worth stemming
FEWEST_TELLING = 2
"""Fewest small words of a language from which it is told."""
_SAMPLE = 20_000  # characters from which the language of a document is told

_TELLING: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        name: frozenset(words.split())
        for name, words in {
            "en": "the and of to is are for not be with that this it on by must should never always when do has have or from",
            "de": "der die das und ist nicht ein eine einen werden wird mit für nie muss kein keine im sind den dem des von zu auf jede jeder jedes hat wir",
            "fr": "le les des et est une un pas dans pour doit ne du sont jamais avec toute tout chaque par au aux ou sur ce cette se à",
            "es": "el los las y es una un para con del debe nunca se por en que todas toda todo tiene no al su cada",
            "pt": "o os as e é uma um para com da do das dos não deve nunca em são que toda todo tem se no na ao",
        }.items()
    }
)
_WORD = re.compile(r"[^\W_]+")
_RUN = re.compile(r"[\u3400-\u9fff]+|[\u30a1-\u30ff]+|[\u3041-\u309f]+|[\uac00-\ud7af]+")
_EAST = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_PARTICLES = re.compile("[的了是在和与及或之其把被将对于]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\W\d_])|(?<=[。！？])")
_UPPER_CODE = re.compile(r"(?<![\w-])[A-Z]{1,8}\d{2,5}(?![\w-])")  # E722
_NAME_CODE = re.compile(r"^(?:@[\w-]+/)?[a-z0-9]+(?:[-/]+[a-z0-9]+)+(?=\s|:)")  # no-console, react/prop-types
_NOISE = re.compile(r"^(?:important\w*|importan\w*|wichtig\w*)$")

Group = frozenset[str]
"""The stems of one word of a query: a section has the word if it has one of them."""


def pieces(text: str) -> Iterator[str]:
    """Yields the words of `text` in lower case; after a camelCase name its parts; of CJK text pairs of characters."""
    for word in _WORD.findall(text):
        if _EAST.search(word):
            yield from _pairs(word)
            continue
        yield word.lower()
        if _CAMEL.search(word):
            yield from _CAMEL.sub(" ", word).lower().split()


def _pairs(word: str) -> Iterator[str]:
    """Yields pairs of characters of one script. Hiragana is grammar and left out."""
    rest = _EAST.sub(" ", word)
    yield from (part.lower() for part in rest.split())
    for run in _RUN.findall(word):
        if "\u3041" <= run[0] <= "\u309f":
            continue
        for part in _PARTICLES.sub(" ", run).split():
            yield from (part[n : n + 2] for n in range(max(len(part) - 1, 1)))


def fold(word: str) -> str:
    """Returns a word without accents: é is e, ß is ss; Cyrillic keeps its letters."""
    if word.isascii() or "\u0400" <= word[0] <= "\u04ff":
        return word.replace("ё", "е")
    plain = unicodedata.normalize("NFKD", word.casefold())
    return unicodedata.normalize("NFC", "".join(char for char in plain if not unicodedata.combining(char)))


def language_of_text(text: str) -> str:
    """Returns the language of a document: en, de, fr, es, pt, ru, zh, ja or ko; empty if it has too few words to tell."""
    sample = text[:_SAMPLE]
    letters = sum(map(str.isalpha, sample)) or 1
    if len(_EAST.findall(sample)) > 0.1 * letters:
        kana = len(_KANA.findall(sample))
        hangul = len(re.findall(r"[\uac00-\ud7af]", sample))
        return "ko" if hangul > kana else "ja" if kana > 0.03 * letters else "zh"
    if len(re.findall(r"[\u0400-\u04ff]", sample)) > 0.3 * letters:
        return "ru"
    words = [word.lower() for word in _WORD.findall(sample)]
    counts = {name: sum(word in telling for word in words) for name, telling in _TELLING.items()}
    best = max(counts, key=lambda name: counts[name])
    if counts[best] < FEWEST_TELLING:
        return ""
    return best if counts[best] > 1.2 * counts["en"] else "en"


@lru_cache(maxsize=50_000)
def stem(word: str, language: str) -> str:
    """Returns the stem of a lower-case word of `language`, without accents. English words are returned as they are."""
    name = LANGUAGES.get(language)
    if name is None or len(word) > _STEMMED or _EAST.match(word):
        return fold(word)
    return fold(str(_stemmer(name).stemWord(word)))


@cache
def _stemmer(name: str) -> Any:  # noqa: ANN401 - the library has no types
    return snowballstemmer.stemmer(name)


def words(text: str, languages: Iterable[str] = ()) -> tuple[Group, ...]:
    """Returns the words that carry meaning, each once, with their stems in English and in `languages`."""
    others = tuple(languages)
    found = dict.fromkeys(word for word in pieces(text) if _means(word))
    groups = (frozenset({fold(word), *(stem(word, name) for name in others)}) for word in found)
    return tuple(dict.fromkeys(groups))


def _means(word: str) -> bool:
    return fold(word) not in STOP_WORDS and (len(word) > 1 or bool(_EAST.match(word)))


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase to find: consecutive tokens of a sentence, or for CJK any part of it."""

    tokens: tuple[str, ...]
    whole: bool = False
    inside: bool = False

    @classmethod
    def of(cls, written: str) -> Term:
        """Reads `word`, `a-phrase`, `=whole`, `*inside` or `~raw~text`."""
        if written.startswith("~"):
            return cls((written[1:].replace("~", " ").lower(),), inside=True)
        if _EAST.search(written) or not _WORD.search(written):
            return cls((written.lower(),), inside=True)
        tokens = tuple(fold(word.lower()) for word in _WORD.findall(written))
        return cls(tokens, whole=written.startswith("=") or len(tokens[-1]) <= 3, inside=written.startswith("*"))  # noqa: PLR2004

    def at(self, tokens: Sequence[str]) -> list[int]:
        """The positions in `tokens` where it stands."""
        first, *rest = self.tokens
        if not rest:
            return [n for n, token in enumerate(tokens) if self._is(token, first)]
        size = len(rest)
        return [
            n
            for n, token in enumerate(tokens)
            if token == first and list(tokens[n + 1 : n + size]) == rest[:-1] and self._is_last(tokens, n + size)
        ]

    def _is_last(self, tokens: Sequence[str], place: int) -> bool:
        return place < len(tokens) and self._is(tokens[place], self.tokens[-1])

    def _is(self, token: str, word: str) -> bool:
        if self.inside:
            return word in token
        return token == word if self.whole else token.startswith(word)


Statement = tuple[tuple[Term, ...], ...]
"""Terms that a rule has close together; of each a few alternatives."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A subject of rules: the codes of analysers, how it looks in code, and statements by language."""

    name: str
    rules: tuple[str, ...]
    code: re.Pattern[str] | None = field(compare=False)
    statements: Mapping[str, tuple[Statement, ...]] = field(compare=False)

    def of_language(self, language: str) -> tuple[Statement, ...]:
        """The statements for a document of `language`, all if it is unknown. English stands in documents of every language."""
        names = dict.fromkeys(("any", "en", language)) if language else self.statements
        return tuple(statement for name in names for statement in self.statements.get(name, ()))


@cache
def topics() -> tuple[Topic, ...]:
    """Every subject of topics.toml."""
    table = tomllib.loads(Path(__file__).with_name("topics.toml").read_text(encoding="utf-8"))
    return tuple(_topic(name, entry) for name, entry in table.items())


def _topic(name: str, entry: Mapping[str, str | list[str]]) -> Topic:
    code = str(entry.get("code", ""))
    return Topic(
        name,
        tuple(str(entry.get("rules", "")).split()),
        re.compile(code, re.IGNORECASE | re.MULTILINE) if code else None,
        {key: tuple(map(_statement, value)) for key, value in entry.items() if isinstance(value, list)},
    )


def _statement(written: str) -> Statement:
    return tuple(tuple(Term.of(term) for term in part.split("|")) for part in written.split())


def topics_of_rule(code: str) -> tuple[Topic, ...]:
    """Returns the subjects of an analyser's rule: those that name it, else those with a pattern for it."""
    exact = tuple(topic for topic in topics() if code in topic.rules)
    return exact or tuple(topic for topic in topics() if any(fnmatchcase(code, rule) for rule in topic.rules))


def tokens_of(sentence: str) -> tuple[str, ...]:
    """Returns the words of a sentence as terms are compared with them; camelCase names also in parts."""
    found = []
    for word in _WORD.findall(sentence):
        lower = fold(word.lower())
        if not _NOISE.match(lower):
            found.append(lower)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for.

    `codes` are the rule codes that the text names and `topics` their subjects, or else the subjects of the first sentence,
    which says what a text is about. They are `sure` if a code or the shape
    of code tells them, not only words. `every` are groups of all words, `said` those of the first sentence, `code_words` the
    words in backticks. `language` is that of the text if it
    is not English or code.
    """

    text: str
    codes: tuple[str, ...]
    topics: tuple[Topic, ...]
    sure: bool
    language: str
    every: tuple[Group, ...]
    said: tuple[Group, ...]
    code_words: frozenset[str]

    @classmethod
    def of(cls, text: str, languages: Iterable[str] = ()) -> Query:
        """Reads `text`. `languages` are those of the documents, besides English."""
        text, others = text[:LONGEST].strip(), tuple(languages)
        first = _SENTENCE.split(text, maxsplit=1)[0]
        codes = _codes(first)
        bare = first
        for code in codes:
            bare = bare.replace(code, " ", 1)
        known = tuple(dict.fromkeys(topic for code in codes for topic in topics_of_rule(code)))
        shown = () if known else _topics_in_code(first) or _topics_in_code(text)
        told = known or shown or _topics_in_words(bare, others)
        groups = words(text, others)[:MOST]
        said = words(bare, others)[:MOST] or groups
        spoken = _language(bare, told)
        return cls(text, codes, told, bool(known or shown), spoken, groups, said, _code_words(bare))


def _codes(first: str) -> tuple[str, ...]:
    """Returns the rule codes in the first sentence: E722 anywhere, no-console at the beginning, names that topics know."""
    named = [match[0]] if (match := _NAME_CODE.match(first)) else []
    beginning = [word.strip("`:,[]()") for word in first.split(maxsplit=3)[:3]]
    known = [word for word in beginning if any(word in topic.rules for topic in topics())]
    return tuple(dict.fromkeys((*known, *named, *_UPPER_CODE.findall(first))))


def _topics_in_code(text: str) -> tuple[Topic, ...]:
    return tuple(topic for topic in topics() if topic.code and topic.code.search(text))


def _topics_in_words(text: str, languages: Iterable[str]) -> tuple[Topic, ...]:
    """Returns the subjects of which a statement is in `text`."""
    tokens, low = tokens_of(text[:400]), text[:400].lower()
    names = tuple(dict.fromkeys(("any", "en", *languages, *_east(text))))
    return tuple(
        topic
        for topic in topics()
        if any(
            is_close(statement, distance(statement, tokens, low))
            for name in names
            for statement in topic.statements.get(name, ())
        )
    )


def _language(text: str, told: Sequence[Topic]) -> str:
    """Returns the language of a query: that of its script or its small words, or else of the statements that it holds."""
    spoken = language_of_text(text)
    if spoken not in {"en", ""}:
        return spoken
    tokens, low = tokens_of(text[:400]), text[:400].lower()
    for topic in told:
        for name, statements in topic.statements.items():
            close = any(is_close(statement, distance(statement, tokens, low)) for statement in statements)
            if close and name in {"any", "en"}:
                return ""
            if close:
                return name
    return ""


def is_close(statement: Statement, apart: int | None) -> bool:
    """Whether the terms of a statement are close enough together to be about each other."""
    return apart is not None and apart <= CLOSE + WIDER * (len(statement) - 2)


def _east(text: str) -> tuple[str, ...]:
    return ("zh", "ja") if _EAST.search(text) else ()


def distance(statement: Statement, tokens: Sequence[str], low: str) -> int | None:
    """Returns the distance in words between the terms of a statement in a sentence; None if one is not there.

    `low` is the sentence in lower case, in which terms of Chinese and Japanese are looked up; they have no distance.
    """
    places: list[list[int]] = []
    for alternatives in statement:
        if any(_is_east(term) and term.tokens[0] in low for term in alternatives):
            continue
        here = [n for term in alternatives if not _is_east(term) for n in term.at(tokens)]
        if not here:
            return None
        places.append(here)
    return _spread(places)


def _is_east(term: Term) -> bool:
    return term.inside and (bool(_EAST.search(term.tokens[0])) or not term.tokens[0].isalnum())


def _spread(places: Sequence[Sequence[int]]) -> int | None:
    """Returns the least distance between places of different terms, taken nearest first; None if two share a word."""
    if len(places) < 2:  # noqa: PLR2004 - one place has no distance
        return 0
    best: int | None = None
    for start in places[0][:20]:
        chosen = [start]
        for others in places[1:]:
            free = [place for place in others if place not in chosen]
            if not free:
                break
            chosen.append(min(free, key=lambda place: abs(place - start)))
        else:
            width = max(chosen) - min(chosen)
            best = width if best is None else min(best, width)
    return best


def _code_words(text: str) -> frozenset[str]:
    """The words in backticks, and the names of calls."""
    spans = re.findall(r"`([^`\n]{2,80})`", text) + re.findall(r"\b([A-Za-z_][\w.]{2,60})\(", text)
    return frozenset(word for span in spans for word in tokens_of(span) if len(word) > 2)  # noqa: PLR2004

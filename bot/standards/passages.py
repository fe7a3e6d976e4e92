"""Divides a section into the passages that a finding may cite, and tells which of its sentences state a rule.

Each item of a list and each row of a table is a passage of its own. A sentence that permits something, or that belongs to
a withdrawn rule, a list of advantages or an explanation, is not a rule against a finding.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from bot.core.findings.standard import FEWEST, LINE, Standard, word_count
from bot.standards.query import language_of_text, tokens_of

FEWEST_ITEMS = 2
"""A list of fewer items is not divided."""
SHORT, LONG = 16, 32
"""Most words of a sentence that states a rule without any word of rules, and without a demand."""
MOST_ITEMS = 300
"""Most items of a section."""
WIDEST = 1_000
"""Most characters of a line or sentence in which its meaning is looked for."""

_BULLET = re.compile(
    r"[ \t]*(?:[-*+•]|\(?\d{1,3}(?:\.\d{1,3})*[.)]|\d{1,3}(?:\.\d{1,3})+|\(?[a-z]\)|<li\b[^>]{0,200}>)(?:[ \t]+|(?<=>))(?=\S)"
)
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$|[ \t]*<tr\b")
_RULER = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t:|-]*)?$")
_FENCE = re.compile(r"[ \t]*(?:[-*+]\s+)?(`{3,}|~{3,})")
_HEADING = re.compile(r"[ \t]*#{1,6}\s|[ \t]*(?:=+|-{3,}|~+|\^+)[ \t]*$")
_ANCHOR = re.compile(r"<a\s[^>]{0,200}></a>|</?[a-z][^<>]{0,200}>", re.IGNORECASE)
_SENTENCE_END = re.compile(
    r"(?<=[.!?])[\"')*_`\]]*\s+(?=[^\s\da-zà-ÿа-я])|(?<=[。！？；])|(?<=;)\s+|\n[ \t]*\n|\n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)]|\d{1,3}(?:\.\d{1,3})+)[ \t])|[ \t]\|[ \t]"
)
_CLAUSE = re.compile(
    r"[;；—–]|, (?:but|though|although|aber|jedoch|doch|mais|pero|mas|но|а)\b|(?:，|、)?(?:但|不过|ただし|但し|ただ)"
)

_EAST = {"zh", "ja", "east"}
_WORDS = tomllib.loads(Path(__file__).with_name("moods.toml").read_text(encoding="utf-8"))


def _any(mood: str) -> str:
    """Returns a pattern for any word of a mood in moods.toml."""
    languages: Mapping[str, list[str]] = _WORDS[mood]
    west = "|".join(word for name, words in languages.items() if name not in _EAST for word in words)
    east = "|".join(word for name, words in languages.items() if name in _EAST for word in words)
    return rf"(?:\b(?:{west})\b" + (f"|{east})" if east else ")")


def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_STATUS, _SINCE = _any("retired"), r"(?:\s+(?:in|since|seit|depuis|desde|с|on|as of)?\s*[\d./-]+)?"
_IN_BRACKETS = _pattern(rf"[(\[（【〔]\s*{_STATUS}[^)\]）】〕]{{0,60}}[)\]）】〕]")
_RETIRED_HEADING = (
    _IN_BRACKETS,
    _pattern(rf"^\W*{_STATUS}{_SINCE}\W*$"),
    _pattern(rf"^\W*{_STATUS}\s*[:：—–-]"),
    _pattern(rf"[:：—–-]\s*{_STATUS}\W*$"),
)
_RETIRED, _RULES = _pattern(_STATUS), _pattern(_any("rules"))
_RETIRED_LINE = (
    _IN_BRACKETS,
    _pattern(rf"^\W*(?:status|state|stand|[ée]tat|statut|estado|статус|状态|状態|ステータス)\W*[:：=|]\W*{_STATUS}"),
    _pattern(rf"^\W*{_STATUS}\s*(?:[.:：。!*_)\]（(—–-]|(?:in|since|seit|depuis|desde|with|by|am|ab|с)\b|于|$)"),
    _pattern(rf"\|\s*{_STATUS}{_SINCE}\s*(?:\||$)"),
    _pattern(r"^\W*~~.{3,}~~\W*$"),
)
_THIS_IS_RETIRED = _pattern(
    r"\b(?:this|these|diese[rs]?|cette|ces|est[ae]s?|эт[оаи])\b(?:\s+\w+){0,3}?\s+(?:\w+\s+){0,4}?" + _STATUS
)
_THIS_IS_RETIRED_EAST = _pattern(
    rf"(?:本|该|此|这[条项]|この|当該)(?:规则|规范|条款?|节|章|文档|规定|ルール|規則|規約|節|項|文書)[^。]{{0,20}}?{_STATUS}"
)
_PERMITS, _DEMANDS, _STATES = _pattern(_any("permits")), _pattern(_any("demands")), _pattern(_any("states"))
_ORDERS = _pattern(rf"^\W*{_any('orders')}")
_EXCEPT = _pattern(
    r"\b(?:except(?:ion)?s?(?: (?:in|for|inside|within|are|is))|unless|other than|outside(?: of)?|apart from|but not in|not in|exempt"
    r"|ausser|außer|ausgenommen|sauf|hormis|excepto|salvo|exceto|кроме|за исключением)\b(?P<west>[^.;]{1,120})"
    r"|(?P<east>[^。；，、]{1,40})(?:除外|以外|を除く|を除き|は除く|は例外)|(?:除了?|除非)(?P<east2>[^。；]{1,40})"
)
_EXPLAINS = _pattern(rf"^\W*(?:[\d.]+\W*)?{_any('explains')}\W*$")
_OPERATES, _REVIEWS = _pattern(_any("operates")), _pattern(_any("reviews"))
_METADATA = re.compile(r"Rule: *`[^`\n]{1,100}`")  # names a rule that is run as code
_LABEL = re.compile(r"^\W{0,6}([^\W\d][\w '’-]{0,30}?)\s*[*_]{0,2}\s*[:：]\s*[*_]{0,2}")


_AGENTS = frozenset(
    {"AGENTS.md", "CLAUDE.md", "GEMINI.md", "copilot-instructions.md", ".cursorrules", ".windsurfrules"}
)
"""Files for coding agents, in which rules stand among instructions."""


def passages(section: Standard) -> tuple[Standard, ...]:
    """Returns the items of the lists and tables of a section; the section itself if it has fewer than FEWEST_ITEMS.

    An item has the section's heading, its own lines and text, and the section's id in `section`.
    """
    found = tuple(_items(section))
    return found if len(found) >= FEWEST_ITEMS else (section,)


def _items(section: Standard) -> Iterator[Standard]:
    starts = [0, *(match.end() for match in LINE.finditer(section.text))]
    for first, last in _spans(LINE.split(section.text))[:MOST_ITEMS]:
        begin = starts[first]
        end = starts[last + 1] if last + 1 < len(starts) else len(section.text)
        text = section.text[begin:end]
        if word_count(text) < FEWEST:
            continue
        yield replace(
            section,
            anchor="",
            start=section.start + first,
            end=section.start + last,
            text=text.strip(),
            section=section.id,
        )


def _spans(rows: Sequence[str]) -> list[tuple[int, int]]:
    """Returns the first and last line of each item or table row. Lines of code blocks begin nothing."""
    found: list[tuple[int, int]] = []
    fence, open_, indent, blank = "", -1, 0, False
    for number, row in enumerate(one[:WIDEST] for one in rows):
        mark = _FENCE.match(row)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif mark:
            fence = mark[1]
        width = len(row) - len(row.lstrip())
        bullet = None if fence or (mark and not _BULLET.match(row)) else _BULLET.match(row)
        table = not fence and _ROW.match(row) and not _RULER.match(row) and not _is_table_head(rows, number)
        ends = open_ >= 0 and not fence and not mark and row.strip() and blank and width <= indent and not bullet
        if bullet or table or ends or (open_ >= 0 and _RULER.match(row)):
            if open_ >= 0:
                found.append((open_, _last(rows, open_, number - 1)))
            open_, indent = (number, width) if bullet or table else (-1, 0)
        blank = not row.strip()
    if open_ >= 0:
        found.append((open_, _last(rows, open_, len(rows) - 1)))
    return found


def _is_table_head(rows: Sequence[str], number: int) -> bool:
    return number + 1 < len(rows) and bool(_RULER.match(rows[number + 1][:WIDEST])) and "|" in rows[number + 1]


def _last(rows: Sequence[str], first: int, last: int) -> int:
    while last > first and not rows[last].strip():
        last -= 1
    return last


@dataclass(frozen=True, slots=True)
class Passage:
    """A row of the index: a section or one of its items.

    `prose` is its own text, for a section with items what is left of it. `context` is the line that introduces a list.
    """

    standard: Standard
    language: str
    prose: str
    context: str = ""
    whole: bool = True

    @property
    def heading(self) -> tuple[str, ...]:
        """The words of the nearest heading and of the context, as terms are compared with them."""
        last = self.standard.heading[-1] if self.standard.heading else ""
        return tokens_of(f"{last} {self.context}")


def passages_of(sections: Sequence[Standard]) -> Iterator[Passage]:
    """Yields each section, followed by its items; the language of a document is told from its first sections."""
    by_document: defaultdict[tuple[str, str], list[Standard]] = defaultdict(list)
    for section in sections:
        by_document[section.repo, section.document].append(section)
    for own in by_document.values():
        language = language_of_text(" ".join(section.text for section in own[:40]))
        for section in own:
            items = passages(section)
            if items == (section,):
                yield Passage(section, language, section.text)
                continue
            yield Passage(section, language, _without(section, items))
            for item in items:
                yield Passage(item, language, item.text, _context(section, item), whole=False)


def _without(section: Standard, items: Sequence[Standard]) -> str:
    """Returns the text of a section without the lines of its items."""
    rows = LINE.split(section.text)
    for item in items:
        first = item.start - section.start
        rows[first : item.end - section.start + 1] = [""] * (item.end - item.start + 1)
    return "\n".join(rows)


def _context(section: Standard, item: Standard) -> str:
    """Returns the line above a list that introduces it, if it ends with a colon."""
    above = section.text.split("\n")[: item.start - section.start]
    for row in reversed(above):
        if row.strip() and not re.match(r"\s*(?:[-*+•|]|\d+[.)])", row):
            return row.strip()[:300] if row.rstrip().endswith((":", "：", ":**")) else ""
    return ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage, word for word.

    `rule` is whether it may govern: it explains and permits nothing, and a long one demands, forbids or orders something. It is
    `firm` if it has a word of rules or is an item of a list, and `strict` if it demands or forbids. `tokens` are its words
    and `low` is its text in lower case, as terms are compared with them.
    """

    text: str
    rule: bool
    firm: bool
    strict: bool
    tokens: tuple[str, ...] = ()
    low: str = ""


def sentences(prose: str, context: str = "", *, listed: bool = False) -> tuple[Sentence, ...]:
    """Returns the sentences of a passage in order, without headings and code blocks.

    `context` is the line above a list, such as "These are allowed:"; `listed` is whether it is an item of one.
    """
    found: list[Sentence] = []
    explained = False
    for paragraph in re.split(r"\n[ \t]*\n", _prose(prose)):
        if _METADATA.match(paragraph.lstrip()):
            continue
        label = _LABEL.match(paragraph.lstrip()[:WIDEST])
        explained = bool(_EXPLAINS.match(label[1])) if label else explained and not listed
        for text in _split(paragraph):
            strict, marked = demands(text), _is_firm(text)
            permitted = permits(text) or (permits(context) and not strict)
            length = word_count(text)
            told = strict or (marked and length <= LONG) or length <= SHORT
            rule, firm = told and not explained and not permitted, listed or strict or marked
            found.append(Sentence(text, rule, firm, strict, tokens_of(text), text.lower()))
    return tuple(found)


def _is_firm(text: str) -> bool:
    return bool(_STATES.search(text[:WIDEST]) or _ORDERS.match(text[:WIDEST]))


def _prose(text: str) -> str:
    """Returns the text with headings and code blocks blanked out; offsets do not matter, words do."""
    kept: list[str] = []
    fence = ""
    for row in LINE.split(text):
        mark = _FENCE.match(row[:WIDEST])
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
            continue
        if mark:
            fence = mark[1]
            continue
        kept.append("" if _HEADING.match(row[:WIDEST]) or _RULER.match(row[:WIDEST]) else row)
    return "\n".join(kept)


def _split(paragraph: str) -> Iterator[str]:
    for part in _SENTENCE_END.split(paragraph):
        bare = _ANCHOR.sub("", part or "").strip()
        bullet = _BULLET.match(bare)
        bare = (bare[bullet.end() :] if bullet else bare).strip(" \t\n|>")
        if re.search(r"\w", bare):
            yield bare


def permits(text: str) -> bool:
    """Whether every clause of a sentence that speaks of permission permits and none demands or forbids."""
    clauses = [clause for clause in _CLAUSE.split(text[:WIDEST]) if clause]
    return any(_PERMITS.search(clause) and not _DEMANDS.search(clause) for clause in clauses[:1]) or (
        bool(_PERMITS.search(text[:WIDEST])) and not _DEMANDS.search(text[:WIDEST])
    )


def demands(text: str) -> bool:
    """Whether a sentence demands or forbids something."""
    return bool(_DEMANDS.search(text[:WIDEST]))


def excepts(text: str, path: str) -> bool:
    """Whether a sentence makes an exception for a file like `path`: "except in tests", "unless in `scripts/`"."""
    exceptions = _exceptions(text)
    if not exceptions:
        return False
    parts = {part.lower() for part in PurePosixPath(path).parts} | {PurePosixPath(path).name.lower()}
    stems = {re.sub(r"^_+|_+$", "", PurePosixPath(part).stem) for part in parts} | parts
    kinds = {name for name, shape in _KINDS.items() if shape.search(path.lower())}
    for named in exceptions:
        found = {word.strip("_/.`") for word in re.findall(r"[\w./-]+", named)}
        if any(word and (word in stems or word.rstrip("s") in stems) for word in found):
            return True
        if any(word in named for kind in kinds for word in _WORDS_OF_KIND[kind]):
            return True
    return False


@lru_cache(maxsize=10_000)
def _exceptions(text: str) -> tuple[str, ...]:
    """What a sentence names in its exceptions."""
    found = _EXCEPT.finditer(text[:WIDEST])
    return tuple((match["west"] or match["east"] or match["east2"] or "").lower() for match in found)


_KINDS = {
    "test": re.compile(r"(?:^|/)(?:tests?|specs?|__tests__)/|(?:^|/)test_|_test\.|\.(?:test|spec)\.|conftest\.py"),
    "script": re.compile(r"(?:^|/)(?:scripts?|bin|tools)/|(?:^|/)manage\.py|__main__\.py|(?:^|/)cli"),
    "package": re.compile(r"(?:^|/)__init__\.pyi?$"),
    "migration": re.compile(r"(?:^|/)migrations?/"),
}
_WORDS_OF_KIND = {
    "test": ("test", "spec", "prueba", "teste", "тест", "测试", "テスト"),
    "script": ("script", "skript", "command line", "cli", "tool", "скрипт", "脚本", "スクリプト"),
    "package": ("__init__", "package", "re-export", "reexport"),
    "migration": ("migration", "миграц", "迁移", "マイグレーション"),
}


def is_retired(heading: Sequence[str], text: str) -> bool:
    """Whether headings or the first lines of a section or item say that it is withdrawn, deprecated or replaced."""
    if any(_retired_heading(title[:200]) for title in heading):
        return True
    rows = [row.strip()[:WIDEST] for row in LINE.split(text) if row.strip() and not _HEADING.match(row[:WIDEST])]
    if any(pattern.search(row) for row in rows[:2] for pattern in _RETIRED_LINE):
        return True
    return any(_retired_sentence(row) for row in rows[:40])


def _retired_heading(title: str) -> bool:
    if any(pattern.search(title) for pattern in _RETIRED_HEADING):
        return True
    return bool(_RETIRED.search(title) and _RULES.search(title))


def _retired_sentence(row: str) -> bool:
    west = _THIS_IS_RETIRED.search(row)
    return bool(_THIS_IS_RETIRED_EAST.search(row) or (west and _RULES.search(west[0])))


def explains(heading: Sequence[str]) -> bool:
    """Whether the last heading is that of an explanation: pros, background, contents, a glossary."""
    return bool(heading) and bool(_EXPLAINS.match(heading[-1][:80]))


def instructs(document: str, heading: Sequence[str]) -> bool:
    """Whether a section of a file for coding agents says how to work on the repository: set-up, commands, architecture.

    A section "Code Review Rules", and what stands below one, holds rules wherever it stands.
    """
    if PurePosixPath(document).name not in _AGENTS or any(_REVIEWS.search(title) for title in heading[1:]):
        return False
    return any(_OPERATES.search(title[:80]) for title in heading[1:])


def permits_heading(heading: Sequence[str]) -> bool:
    """Whether the last heading permits something: "Allowed in scripts", "Exceptions to this rule"."""
    last = heading[-1][:120] if heading else ""
    return bool(_PERMITS.search(last) and not _DEMANDS.search(last)) or bool(
        re.search(
            r"\b(?:exceptions? (?:to|from)|ausnahmen? von|exceptions? (?:à|aux?)|excepciones? a|exceções? [àa]|исключения из)\b|例外情况|ルールの例外",
            last,
            re.IGNORECASE,
        )
    )

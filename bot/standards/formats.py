"""Finds where the sections of a document begin, one function for each text format.

In Markdown a section begins at a heading, and at an `<a name="…">` at the start of a line: style guides like Airbnb's
give every rule an anchor of its own inside long sections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import accumulate

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.core.findings.standard import LINE


@dataclass(frozen=True, slots=True)
class SectionHead:
    """A section's beginning: `offset` of its first character, `body` of the first one after the heading.

    A section ends where the next begins; its parent is the nearest one before it with a smaller `level`.
    `anchor` is empty if the document does not name one.
    """

    offset: int
    body: int
    level: int
    title: str
    anchor: str = ""
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code at the offsets `start`..`end`, which is never cut. `language` is the author's name for it."""

    start: int
    end: int
    language: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """A document's text and its division. Every section is an exact substring of `text`."""

    text: str
    heads: tuple[SectionHead, ...] = ()
    fences: tuple[Fence, ...] = ()


def lines(text: str) -> list[int]:
    """Returns the offset at which each line begins, and last the end of the text."""
    return [0, *(match.end() for match in LINE.finditer(text)), len(text)]


def plain(text: str) -> Layout:
    """Lays out reStructuredText and plain text: a title has a line of punctuation below it, and may have one above.

    https://docutils.sourceforge.io/docs/ref/rst/restructuredtext.html#sections
    """
    rows = LINE.split(text)
    starts = lines(text)
    heads: list[SectionHead] = []
    styles: list[tuple[str, bool]] = []
    for number in range(1, len(rows)):
        title, rule = rows[number - 1].rstrip(), rows[number].rstrip()
        if not _underlines(rule, title):
            continue
        over = number > 1 and rows[number - 2].rstrip() == rule
        if (rule[0], over) not in styles:
            styles.append((rule[0], over))
        first = number - 2 if over else number - 1
        anchor, first = _target(rows, first)
        level = styles.index((rule[0], over)) + 1
        heads.append(SectionHead(starts[first], starts[number + 1], level, title.strip(), anchor))
    return Layout(text, tuple(heads))


def _underlines(rule: str, title: str) -> bool:
    punctuation = len(set(rule)) == 1 and rule[0] in "=-~^\"'`#*+.:_<>"
    return punctuation and len(rule) >= max(len(title), 3) and any(c.isalnum() for c in title) and title[0] != "\t"


def _target(rows: list[str], first: int) -> tuple[str, int]:
    """Returns the name of a `.. _name:` above a title, and the line at which the section begins."""
    above = first - 1
    while above >= 0 and not rows[above].strip():
        above -= 1
    match = re.match(r"\.\. _`?([^`:]+)`?:\s*$", rows[above]) if above >= 0 else None
    return (re.sub(r"[^a-z0-9]+", "-", match[1].lower()).strip("-"), above) if match else ("", first)


def editorconfig(text: str) -> Layout:
    """Lays out .editorconfig: each `[glob]` is a section whose scope is that glob. https://spec.editorconfig.org/"""
    starts = lines(text)
    heads = [
        SectionHead(starts[number], starts[number + 1], 1, row.strip(), scope=(row.strip()[1:-1],))
        for number, row in enumerate(LINE.split(text))
        if row.strip().startswith("[") and row.strip().endswith("]")
    ]
    return Layout(text, tuple(heads))


def html(text: str) -> Layout:
    """Lays out HTML: sections begin at h1 to h6, with the id of the heading or of the nearest element before it."""
    parser = _Headings(text)
    parser.feed(text[: _closed(text)])
    parser.close()
    return Layout(text, tuple(parser.heads), tuple(parser.fences))


def _closed(text: str) -> int:
    """Returns where the last complete tag or comment ends: the parser takes quadratic time for tags without an end."""
    comment = text.find("<!--", text.rfind("-->") + 1)
    return text.rfind(">", 0, comment if comment >= 0 else len(text)) + 1


@dataclass
class _Headings(HTMLParser):
    """Collects headings and `pre` blocks from the tags that the standard library reads."""

    text: str
    heads: list[SectionHead] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        # HTMLParser counts lines by "\n" alone
        self._starts = [0, *accumulate(len(row) + 1 for row in self.text.split("\n"))]
        self._open: tuple[str, int] | None = None
        self._title: list[str] = []
        self._pre = 0
        self._anchor = ""

    def _here(self) -> int:
        line, column = self.getpos()
        return self._starts[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("id") or (given.get("name") if tag == "a" else "")
        if name and (self._open or tag in {"a", "section", "div"} or re.fullmatch("h[1-6]", tag)):
            self._anchor = name
        if tag == "pre":
            self._pre = self._here()
        if re.fullmatch("h[1-6]", tag):
            self._open, self._title = (tag, self._here()), []

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self.fences.append(Fence(self._pre, self._here()))
        if self._open and tag == self._open[0]:
            end = self._here() + len(f"</{tag}>")
            title = " ".join("".join(self._title).split())
            self.heads.append(SectionHead(self._open[1], end, int(tag[1]), title, self._anchor))
            self._open, self._anchor = None, ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self._title.append(data)


def tagless(text: str) -> str:
    """Returns `text` with a space in place of each tag."""
    return re.sub(r"<[^<>]*>", " ", text)


_BLOCKS = MarkdownIt("commonmark").disable(["inline", "reference"])  # only headings need inline parsing
_INLINE = MarkdownIt("commonmark")
_TITLE = 400  # most characters of a heading, or of a rule's first line, that are read
_RULE = 7  # below all headings
_NAMED = re.compile(r"<a\s+(?:id|name)\s*=\s*[\"']?([^\"'>\s]{1,200})[\"']?[^>]{0,200}>", re.IGNORECASE)
_BRACED = re.compile(r"\s*\{#([\w.:-]+)[^}]*\}\s*$")


def markdown(text: str) -> Layout:
    """Lays out CommonMark: headings, rules with an anchor, and code fences."""
    tokens = _BLOCKS.parse(text)
    starts = lines(text)
    fences = tuple(
        Fence(starts[token.map[0]], starts[min(token.map[1], len(starts) - 1)], (token.info.split() or [""])[0])
        for token in tokens
        if token.type in {"fence", "code_block"} and token.map
    )
    headings = {
        token.map[0]: _head(token, tokens[index + 1], starts)
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.map
    }
    return Layout(text, tuple(_anchored(LINE.split(text), starts, headings, fences)), fences)


def _head(opening: Token, inline: Token, starts: list[int]) -> SectionHead:
    first, behind = opening.map or (0, 0)
    content = inline.content[:_TITLE]
    explicit = _BRACED.search(content) or _NAMED.search(content)
    spoken = _INLINE.parseInline(content) if content else ()
    words = "".join(_words(child) for token in spoken for child in token.children or [])
    title = " ".join(_BRACED.sub("", words).split())
    return SectionHead(starts[first], starts[behind], int(opening.tag[1]), title, explicit[1] if explicit else "")


def _words(token: Token) -> str:
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    return token.content if token.type in {"text", "code_inline", "text_special"} else ""


def _anchored(
    rows: list[str], starts: list[int], headings: dict[int, SectionHead], fences: tuple[Fence, ...]
) -> list[SectionHead]:
    """Returns the headings with the anchors above them, and the rules that have an anchor of their own."""
    found = dict(headings)
    for number, row in enumerate(rows):
        named = _NAMED.match(row.lstrip())
        if not named or any(fence.start <= starts[number] < fence.end for fence in fences):
            continue
        below = next((n for n in range(number + 1, len(rows)) if rows[n].strip()), None)
        if number in headings or below is None:
            continue
        if below in headings:
            head = headings[below]
            found[below] = SectionHead(starts[number], head.body, head.level, head.title, head.anchor or named[1])
        else:
            bare = tagless(row).strip() or rows[below]
            found[number] = SectionHead(starts[number], starts[number], _RULE, _first_words(bare), named[1])
    return list(found.values())


def _first_words(row: str) -> str:
    """Returns a rule's title: the bold words of its first line, else the beginning of that line."""
    row = row[:_TITLE]
    bold = re.search(r"\*\*(.+?)\*\*", row)
    bare = bold[1] if bold else re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+", "", row)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", bare).strip().rstrip(":")[:80]

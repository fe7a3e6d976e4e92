"""Where the sections of a Markdown document begin: at its headings, and at anchors that stand at the start of a line.

Guides in the manner of Airbnb's put one `<a name="…">` per rule inside long sections: each of those is a section too.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.core.findings.standard import LINE
from bot.standards.formats import Fence, Head, Layout, lines, tagless

_BLOCKS = MarkdownIt("commonmark").disable(["inline", "reference"])  # of the words only headings' are looked at
_INLINE = MarkdownIt("commonmark")
_TITLE = 400  # characters of a heading, or of a rule's first line, that are read: what is longer is no title
_RULE = 7  # below all headings
_NAMED = re.compile(r"<a\s+(?:id|name)\s*=\s*[\"']?([^\"'>\s]{1,200})[\"']?[^>]{0,200}>", re.IGNORECASE)
_BRACED = re.compile(r"\s*\{#([\w.:-]+)[^}]*\}\s*$")


def markdown(text: str) -> Layout:
    """Headings, anchored rules and code fences of CommonMark, as offsets into `text`."""
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


def _head(opening: Token, inline: Token, starts: list[int]) -> Head:
    first, behind = opening.map or (0, 0)
    content = inline.content[:_TITLE]
    explicit = _BRACED.search(content) or _NAMED.search(content)
    spoken = _INLINE.parseInline(content) if content else ()
    words = "".join(_words(child) for token in spoken for child in token.children or [])
    title = " ".join(_BRACED.sub("", words).split())
    return Head(starts[first], starts[behind], int(opening.tag[1]), title, explicit[1] if explicit else "")


def _words(token: Token) -> str:
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    return token.content if token.type in {"text", "code_inline", "text_special"} else ""


def _anchored(rows: list[str], starts: list[int], headings: dict[int, Head], fences: tuple[Fence, ...]) -> list[Head]:
    """The headings, with the anchors that stand above them, and the rules that have an anchor of their own."""
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
            found[below] = Head(starts[number], head.body, head.level, head.title, head.anchor or named[1])
        else:
            bare = tagless(row).strip() or rows[below]
            found[number] = Head(starts[number], starts[number], _RULE, _first_words(bare), named[1])
    return list(found.values())


def _first_words(row: str) -> str:
    """What a rule is called: the bold words of its first line, else the line's beginning."""
    row = row[:_TITLE]
    bold = re.search(r"\*\*(.+?)\*\*", row)
    bare = bold[1] if bold else re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+", "", row)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", bare).strip().rstrip(":")[:80]

"""Word documents -> text: the standard library's zip and XML readers, with bounds on everything a file may claim.

Paragraphs become paragraphs of text; those in a heading style begin a section. A document type declaration is refused,
and with it every entity.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from xml.parsers import expat

from bot.errors import Refused, TooLarge
from bot.standards.formats import Layout, SectionHead

PART = 20_000_000
"""Bytes of one unpacked part."""
MEMBERS = 5_000
TEXT = 1_000_000
"""Characters of text in all."""

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_HEADING = re.compile(r"heading ([1-6])", re.IGNORECASE)


def layout(content: bytes) -> Layout:
    """The text of a .docx and its headings. Raises TooLarge over a bound, Refused for what is not a Word document."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if len(archive.infolist()) > MEMBERS:
                raise TooLarge(f"the archive has more than {MEMBERS} members")
            styles = _levels(_part(archive, "word/styles.xml")) if "word/styles.xml" in archive.namelist() else {}
            return _text(_part(archive, "word/document.xml"), styles)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError, OSError) as error:
        raise Refused(f"it is not a readable Word document: {error}") from error


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    """An unpacked member. What its header claims is not believed: reading stops at the bound."""
    with archive.open(name) as member:
        unpacked = member.read(PART + 1)
    if len(unpacked) > PART:
        raise TooLarge(f"{name} unpacks to more than {PART:,} bytes")
    return unpacked


def _levels(styles: bytes) -> dict[str, int]:
    """Style id -> heading level. Word names its heading styles in English whatever language the ids are in."""
    reader = _Styles()
    _parse(styles, reader)
    return reader.levels


def _text(document: bytes, levels: dict[str, int]) -> Layout:
    reader = _Paragraphs(levels)
    _parse(document, reader)
    return Layout("".join(reader.parts), tuple(reader.heads))


def _parse(xml: bytes, reader: _Styles | _Paragraphs) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    try:
        parser.Parse(xml, True)  # noqa: FBT003 - expat's signature: this is all of it
    except expat.ExpatError as error:
        raise Refused(f"its XML is broken: {error}") from error


def _refuse(*_: object) -> None:
    raise Refused("it declares a document type, which Word documents never do")


@dataclass(slots=True)
class _Styles:
    """Reads styles.xml for the ids of the heading styles."""

    levels: dict[str, int] = field(default_factory=dict)
    current: str = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == f"{_W} style":
            self.current = attributes.get(f"{_W} styleId", "")
        elif name == f"{_W} name":
            value = attributes.get(f"{_W} val", "")
            if match := _HEADING.fullmatch(value):
                self.levels[self.current] = int(match[1])
            elif value.lower() == "title":
                self.levels[self.current] = 1

    def end(self, name: str) -> None:
        """Nothing to do: a style's name stands inside it."""

    def data(self, text: str) -> None:
        """Nothing to do: what matters is in attributes."""


@dataclass(slots=True)
class _Paragraphs:
    """Reads document.xml: text runs, tabs and breaks, a blank line behind each paragraph."""

    levels: dict[str, int]
    parts: list[str] = field(default_factory=list)
    heads: list[SectionHead] = field(default_factory=list)
    length: int = 0
    begun: int = 0
    level: int = 0
    inside: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        match name.removeprefix(f"{_W} "):
            case "p":
                self.begun, self.level = self.length, 0
            case "pStyle":
                style = attributes.get(f"{_W} val", "")
                implied = re.fullmatch(r"heading([1-6])", style, re.IGNORECASE)
                self.level = self.levels.get(style, int(implied[1]) if implied else 0)
            case "t":
                self.inside = True
            case "tab":
                self._add("\t")
            case "br" | "cr":
                self._add("\n")

    def end(self, name: str) -> None:
        match name.removeprefix(f"{_W} "):
            case "t":
                self.inside = False
            case "p" if self.length > self.begun:
                title = " ".join("".join(self.parts[self._first() :]).split())
                self._add("\n\n")
                if self.level and title:
                    self.heads.append(SectionHead(self.begun, self.length, self.level, title))

    def data(self, text: str) -> None:
        if self.inside:
            self._add(text)

    def _first(self) -> int:
        """The index of the paragraph's first part."""
        index, length = len(self.parts), self.length
        while length > self.begun:
            index -= 1
            length -= len(self.parts[index])
        return index

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)
        if self.length > TEXT:
            raise TooLarge(f"it holds more than {TEXT:,} characters of text")

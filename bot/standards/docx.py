"""Word documents -> text: an optional reader, installed with `review-assistant[docx]`, within bounds on the archive."""

from __future__ import annotations

import io
import re
import zipfile
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bot.errors import Refused, TooLarge
from bot.standards.formats import Layout, SectionHead

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph

INSTALLED = find_spec("docx") is not None
UNPACKED = 20_000_000
"""Bytes of all members of the archive together."""
MEMBERS = 5_000
TEXT = 1_000_000
"""Characters of text in all."""

_HEADING = re.compile(r"heading ?([1-6])", re.IGNORECASE)
_RUNS = ".//w:r[not(ancestor::w:del)]"  # inserted and linked text too, deleted text not
_BROKEN = (
    zipfile.BadZipFile,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    AttributeError,
)


def layout(content: bytes) -> Layout:
    """Returns the text of a .docx and its headings.

    Raises TooLarge over a bound, Refused for a file that is not a Word document, or if the extra is not installed.
    """
    if not INSTALLED:
        raise Refused("Word documents need an extra: pip install 'review-assistant[docx]'")
    import docx  # loaded for the first Word document: it costs 0.2 s
    from lxml.etree import LxmlError

    try:
        _check_archive(content)
        return _layout(docx.Document(io.BytesIO(content)))
    except (*_BROKEN, LxmlError) as error:
        raise Refused(f"it is not a readable Word document: {error}") from error


def _check_archive(content: bytes) -> None:
    """Raises TooLarge for an archive over the bounds; zipfile never unpacks more of a member than its header claims."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    if len(members) > MEMBERS:
        raise TooLarge(f"the archive has more than {MEMBERS} members")
    if sum(member.file_size for member in members) > UNPACKED:
        raise TooLarge(f"it unpacks to more than {UNPACKED:,} bytes")


def _layout(document: Document) -> Layout:
    if document.element.getroottree().docinfo.doctype:
        raise Refused("it declares a document type, which Word documents never do")
    from docx.text.paragraph import Paragraph
    from docx.text.run import Run

    text, length, heads = [], 0, []
    for element in document.element.body.xpath(".//w:p"):
        paragraph = Paragraph(element, document)
        words = "".join(Run(run, paragraph).text for run in element.xpath(_RUNS))
        if not words:
            continue
        start, length = length, length + len(words) + 2
        if length > TEXT:
            raise TooLarge(f"it holds more than {TEXT:,} characters of text")
        text.append(words)
        if (level := _level(paragraph)) and words.strip():
            heads.append(SectionHead(start, length, level, " ".join(words.split())))
    return Layout("".join(f"{words}\n\n" for words in text), tuple(heads))


def _level(paragraph: Paragraph) -> int:
    """The level of a heading, 0 for other text. Word stores the English name of a built-in style, python-docx returns it."""
    name = paragraph.style.name or "" if paragraph.style else ""
    if name.lower() == "title":
        return 1
    heading = _HEADING.fullmatch(name)
    return int(heading[1]) if heading else 0

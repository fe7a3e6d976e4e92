"""Reads Word and PDF documents, within bounds on their size: `pip install 'review-assistant[docx,pdf]'`."""

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
    from pypdf import PdfReader

WORD, PDF = find_spec("docx") is not None, find_spec("pypdf") is not None
"""Whether each reader is installed."""
UNPACKED = 20_000_000
"""Bytes of all members of the archive together."""
PAGES = 500
"""Most pages of a PDF."""
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


def word(content: bytes) -> Layout:
    """Returns the text of a .docx and its headings.

    Raises TooLarge over a bound, Refused for a file that is not a Word document, or if the extra is not installed.
    """
    if not WORD:
        raise Refused("Word documents need an extra: pip install 'review-assistant[docx]'")
    import docx  # loaded for the first Word document: it costs 0.2 s
    from lxml.etree import LxmlError

    try:
        _check_archive(content)
        return _paragraphs(docx.Document(io.BytesIO(content)))
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


def _paragraphs(document: Document) -> Layout:
    if document.element.getroottree().docinfo.doctype:
        raise Refused("it declares a document type, which Word documents never do")
    levels = {style.style_id: _level(style.name or "") for style in document.styles}
    text, length, heads = [], 0, []
    for paragraph in document.element.body.xpath(".//w:p"):
        words = "".join(run.text for run in paragraph.xpath(_RUNS))
        if not words:
            continue
        start, length = length, length + len(words) + 2
        if length > TEXT:
            raise TooLarge(f"it holds more than {TEXT:,} characters of text")
        text.append(words)
        if (level := levels.get(paragraph.style, 0)) and words.strip():
            heads.append(SectionHead(start, length, level, " ".join(words.split())))
    return Layout("".join(f"{words}\n\n" for words in text), tuple(heads))


def _level(style: str) -> int:
    """The level of a heading, 0 for other text. Word stores the English name of a built-in style, python-docx returns it."""
    if style.lower() == "title":
        return 1
    heading = _HEADING.fullmatch(style)
    return int(heading[1]) if heading else 0


def pdf(content: bytes) -> Layout:
    """Returns the text of a PDF. Headings are lost; a page is cited as `#page=3`, which browsers understand.

    Raises TooLarge over a bound, Refused for what cannot be read, or if the extra is not installed.
    """
    if not PDF:
        raise Refused("PDF documents need an extra: pip install 'review-assistant[pdf]'")
    from pypdf import PdfReader  # loaded for the first PDF document
    from pypdf.errors import PyPdfError

    try:
        return _pages(PdfReader(io.BytesIO(content)))
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"it is not a readable PDF: {error}") from error


def _pages(reader: PdfReader) -> Layout:
    if len(reader.pages) > PAGES:
        raise TooLarge(f"it has more than {PAGES} pages")
    text, heads = "", []
    for number, page in enumerate(reader.pages, 1):
        heads.append(SectionHead(len(text), len(text), 1, f"Page {number}", f"page={number}"))
        text += page.extract_text() + "\n\n"
        if len(text) > TEXT:
            raise TooLarge(f"it holds more than {TEXT:,} characters of text")
    return Layout(text, tuple(heads))

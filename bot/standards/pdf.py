"""PDF documents -> text, one section a page: an optional reader, there if `review-assistant[pdf]` is installed."""

from __future__ import annotations

import io

from bot.errors import Refused, TooLarge
from bot.standards.formats import Layout, SectionHead

try:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True

PAGES = 500
TEXT = 1_000_000
"""Characters of text in all."""


def layout(content: bytes) -> Layout:
    """The text of a PDF. Headings are lost; a page is cited as `#page=3`, which browsers understand.

    Raises TooLarge over a bound, Refused for what cannot be read, or if the extra is not installed.
    """
    if not INSTALLED:
        raise Refused("PDF documents need an extra: pip install 'review-assistant[pdf]'")
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

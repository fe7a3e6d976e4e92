"""The team's coding standards: found, parsed, and searched in a local index or a hosted vector store."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.standards import docx, pdf
from bot.standards.sections import Reader

READERS: Mapping[str, Reader] = MappingProxyType({".docx": docx.layout, ".pdf": pdf.layout})
"""Readers of formats that need an optional library, by suffix."""

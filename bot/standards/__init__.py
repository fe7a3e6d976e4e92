"""The team's shelf of coding standards: a local index, or a hosted vector store; and readers for archives."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.standards import docx, pdf
from bot.standards.sections import Reader

READERS: Mapping[str, Reader] = MappingProxyType({".docx": docx.layout, ".pdf": pdf.layout})
"""What the core cannot read itself, by suffix."""

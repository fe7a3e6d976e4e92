"""The team's coding standards: found, parsed, and searched in a local index or a hosted vector store."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.standards import archives
from bot.standards.sections import Reader

READERS: Mapping[str, Reader] = MappingProxyType({".docx": archives.word, ".pdf": archives.pdf})
"""Readers of formats that need an optional library, by suffix."""

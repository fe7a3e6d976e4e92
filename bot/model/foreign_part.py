"""JSON that a stranger's program wrote: whatever has another shape than it should is as if it were not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def mapping(value: object) -> Mapping[str, Any]:
    """An object's fields."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Sequence[Mapping[str, Any]]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """A string."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int:
    """How many: a whole number that is not negative, for a bill below nothing would be money."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def number(value: object) -> float:
    """Any number."""
    return float(value) if isinstance(value, int | float) else 0.0

"""A step's result as small JSON, and back again: what an engine may store and what it may replay."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", kind))


def to_json(value: T, kind: type[T]) -> Any:  # noqa: ANN401 - JSON has no better name
    """`value` as JSON-compatible Python: dicts, lists, strings, numbers, booleans and None."""
    return _adapter(cast("Hashable", kind)).dump_python(value, mode="json")


def from_json(stored: Any, kind: type[T]) -> T:  # noqa: ANN401 - JSON has no better name
    """The value of type `kind` that `to_json` stored."""
    restored: T = _adapter(cast("Hashable", kind)).validate_python(stored)
    return restored

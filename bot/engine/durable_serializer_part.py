"""Rows as JSON, errors by name: nothing read from the database can become code."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from dbos import Serializer
from dbos._serialization import DefaultSerializer

from bot import errors
from bot.errors import AssistantError, Retryable

_OURS: dict[str, type[AssistantError]] = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, AssistantError)
}


def pack(error: BaseException) -> dict[str, Any]:
    """An error as JSON: its class by name, its text, and when to come back."""
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _OURS), type(error).__name__)
    return {"type": name, "message": str(error), "after": getattr(error, "after", None)}


def unpack(packed: dict[str, Any]) -> Exception:
    """The error that `pack` stored; one that is not ours comes back as a RuntimeError that names it."""
    kind, message = _OURS.get(packed["type"]), packed["message"]
    if kind is None:
        return RuntimeError(f"{packed['type']}: {message}")
    return kind(message, packed["after"]) if issubclass(kind, Retryable) else kind(message)


class JsonSerializer(Serializer):
    """What DBOS stores. Only a whole value can be an error: an object inside one is data, whatever its keys are."""

    def name(self) -> str:
        return "assistant_json"

    def serialize(self, data: Any) -> str:  # noqa: ANN401 - JSON has no better name
        value = {"$error": pack(data)} if isinstance(data, BaseException) else data
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def deserialize(self, serialized_data: str) -> Any:  # noqa: ANN401 - JSON has no better name
        value = json.loads(serialized_data)
        return unpack(value["$error"]) if isinstance(value, dict) and value.keys() == {"$error"} else value


def forbid_pickle() -> None:
    """Refuse rows marked as pickle. DBOS would load them whatever serializer it is given, and loading runs code."""
    DefaultSerializer.deserialize = _refuse  # type: ignore[assignment, method-assign]


def _refuse(_: DefaultSerializer, serialized_data: str) -> NoReturn:
    raise TypeError(f"a pickled row of {len(serialized_data)} characters is refused")

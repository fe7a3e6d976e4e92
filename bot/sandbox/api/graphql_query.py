"""The little GraphQL that a client of GitHub needs: one operation, arguments, variables, inline fragments. Pure."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(r'[\s,]+|#[^\n]*|(\.\.\.|[{}()\[\]:!=$]|"(?:[^"\\]|\\.)*"|-?\d+|\w+)|(.)', re.DOTALL)


class GraphQLError(Exception):
    """What stands in the `errors` of the answer. `kind` is GitHub's `type`."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Field:
    """A selected field; `on` names the type of the fragment it stands in."""

    name: str
    alias: str
    arguments: Mapping[str, Any]
    selection: tuple[Field, ...] = ()
    on: str = ""


@dataclass(slots=True)
class Parser:
    """A document -> its selected fields, with the variables filled in."""

    tokens: list[str]
    variables: Mapping[str, Any] = field(default_factory=dict)
    at: int = 0

    def document(self) -> tuple[str, tuple[Field, ...]]:
        """The operation: "query" or "mutation", and its fields."""
        kind = "query"
        if self._peek() != "{":
            kind = self._next()
            if kind not in ("query", "mutation"):
                raise GraphQLError(f'Parse error on "{kind}"')
            while self._peek() != "{":
                if self._next() == "(":
                    self._skip_definitions()
        return kind, tuple(self._selection())

    def _selection(self, on: str = "") -> Iterator[Field]:
        self._expect("{")
        while self._peek() != "}":
            if self._peek() == "...":
                self._next()
                self._expect("on")
                yield from self._selection(self._next())
            else:
                yield self._field(on)
        self._expect("}")

    def _field(self, on: str) -> Field:
        alias = name = self._next()
        if self._peek() == ":":
            self._next()
            name = self._next()
        arguments = self._pairs("(", ")") if self._peek() == "(" else {}
        selection = tuple(self._selection()) if self._peek() == "{" else ()
        return Field(name, alias, arguments, selection, on)

    def _pairs(self, opening: str, closing: str) -> dict[str, Any]:
        self._expect(opening)
        pairs = {}
        while self._peek() != closing:
            name = self._next()
            self._expect(":")
            pairs[name] = self._value()
        self._expect(closing)
        return pairs

    def _value(self) -> Any:  # noqa: ANN401 - whatever JSON can say
        if self._peek() == "{":
            return self._pairs("{", "}")
        token = self._next()
        if token == "$":  # noqa: S105 - a token of a grammar
            return self.variables.get(self._next())
        if token.startswith('"') or token.lstrip("-").isdecimal() or token in ("true", "false", "null"):
            return json.loads(token)
        return token

    def _skip_definitions(self) -> None:
        while self._next() != ")":
            pass

    def _peek(self) -> str:
        if self.at >= len(self.tokens):
            raise GraphQLError("Parse error on end of document")
        return self.tokens[self.at]

    def _next(self) -> str:
        token = self._peek()
        self.at += 1
        return token

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise GraphQLError(f'Parse error on "{found}", expected "{token}"')


def parse(text: str, variables: Mapping[str, Any]) -> tuple[str, tuple[Field, ...]]:
    """A document and its variables -> the kind of operation and its fields."""
    tokens = []
    for match in TOKEN.finditer(text):
        if match[2]:
            raise GraphQLError(f'Parse error on "{match[2]}"')
        if match[1]:
            tokens.append(match[1])
    return Parser(tokens, variables).document()


def select(selection: tuple[Field, ...], value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    """What of `value` was asked for. A value may be a function of its field's arguments."""
    if isinstance(value, list):
        return [select(selection, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind = value.get("__typename", "")
    if not selection:
        raise GraphQLError(f"Field must have selections ('{kind}' has none)")
    chosen = {}
    for one in selection:
        if one.on and one.on != kind:
            continue
        if one.name not in value:
            raise GraphQLError(f"Field '{one.name}' doesn't exist on type '{kind}'")
        item = value[one.name]
        chosen[one.alias] = select(one.selection, _resolve(one, item) if callable(item) else item)
    return chosen


def _resolve(one: Field, resolver: Callable[..., Any]) -> Any:  # noqa: ANN401 - whatever JSON can say
    try:
        bound = inspect.signature(resolver).bind(**one.arguments)
    except TypeError as error:
        raise GraphQLError(f"Field '{one.name}' doesn't accept these arguments: {error}") from error
    return resolver(*bound.args, **bound.kwargs)

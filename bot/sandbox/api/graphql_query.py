"""GraphQL as far as a client of GitHub needs it: one operation, arguments, variables, inline fragments. Pure.

graphql-core parses the document; the selection from plain values is our own, since the sandbox has no schema.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLSyntaxError, language, value_from_ast_untyped


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


def parse(text: str, variables: Mapping[str, Any]) -> tuple[str, tuple[Field, ...]]:
    """Returns the kind of the operation ("query" or "mutation") and its fields. Raises GraphQLError."""
    try:
        document = language.parse(text, no_location=True)
    except GraphQLSyntaxError as error:
        raise GraphQLError(f"Parse error: {error.message}") from error
    (operation, *others) = document.definitions
    if others or not isinstance(operation, language.OperationDefinitionNode):
        raise GraphQLError("Parse error: a document holds one operation here")
    if operation.operation is language.OperationType.SUBSCRIPTION:
        raise GraphQLError("Parse error: no subscriptions here")
    return operation.operation.value, tuple(_fields(operation.selection_set, variables))


def _fields(selection: language.SelectionSetNode | None, variables: Mapping[str, Any], on: str = "") -> Iterator[Field]:
    for node in selection.selections if selection else ():
        if isinstance(node, language.InlineFragmentNode) and node.type_condition:
            yield from _fields(node.selection_set, variables, node.type_condition.name.value)
        elif isinstance(node, language.FieldNode):
            arguments = {
                argument.name.value: value_from_ast_untyped(argument.value, dict(variables))
                for argument in node.arguments or ()
            }
            name = node.name.value
            alias = node.alias.value if node.alias else name
            yield Field(name, alias, arguments, tuple(_fields(node.selection_set, variables)), on)
        else:
            raise GraphQLError("Parse error: named fragments are not supported")


async def select(selection: tuple[Field, ...], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Returns the selected part of `value`. A value may be a function of its field's arguments, also an async one."""
    if isinstance(value, list):
        return [await select(selection, item) for item in value]
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
        chosen[one.alias] = await select(one.selection, await _resolve(one, item) if callable(item) else item)
    return chosen


async def _resolve(one: Field, resolver: Callable[..., Any]) -> Any:  # noqa: ANN401 - any JSON value
    try:
        bound = inspect.signature(resolver).bind(**one.arguments)
    except TypeError as error:
        raise GraphQLError(f"Field '{one.name}' doesn't accept these arguments: {error}") from error
    resolved = resolver(*bound.args, **bound.kwargs)
    return await resolved if inspect.isawaitable(resolved) else resolved

"""Whether the arguments of a Python call fit the function's definition, to check claims of "wrong arguments"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bot.core.code.syntax import Node, node_text, nodes, tree

_MARKS = {"positional_separator", "keyword_separator", "comment"}
_NAMED = {"default_parameter", "typed_default_parameter", "typed_parameter"}


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a function. `free` says whether it takes further positional and further named arguments."""

    line: int
    positional: tuple[str, ...]
    keywords: tuple[str, ...]
    required: frozenset[str]
    free: tuple[bool, bool]
    only_positional: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of a call: the number of positional ones, and the names of the others."""

    positional: int
    names: tuple[str, ...]


def signatures(path: str, text: str, name: str) -> tuple[Signature, ...] | None:
    """Every function of that name in a Python file, without `self`; None if a decorator may change one of them."""
    found: list[Signature] = []
    for node in _of_type(tree(path, text), "function_definition"):
        if node_text(node.child_by_field_name("name")) != name:
            continue
        if node.parent and node.parent.type == "decorated_definition":
            return None
        found.append(_signature(node))
    return tuple(found)


def calls(path: str, text: str, name: str, line: int) -> tuple[Call, ...] | None:
    """The calls of that name that begin on `line` (1-based); None if one of them unpacks its arguments."""
    found: list[Call] = []
    for node in _of_type(tree(path, text), "call"):
        callee = node_text(node.child_by_field_name("function")).rpartition(".")[2]
        arguments = node.child_by_field_name("arguments")
        if callee != name or node.start_point.row + 1 != line or arguments is None:
            continue
        given = [child for child in arguments.named_children if child.type != "comment"]
        if any(child.type in ("list_splat", "dictionary_splat") for child in given):
            return None
        names = [node_text(child.child_by_field_name("name")) for child in given if child.type == "keyword_argument"]
        found.append(Call(len(given) - len(names), tuple(names)))
    return tuple(found)


def fits(call: Call, signature: Signature) -> bool:
    """Whether Python would accept the call."""
    more_positional, more_named = signature.free
    if call.positional > len(signature.positional) and not more_positional:
        return False
    taken = signature.positional[: call.positional]
    nameable = {*signature.positional[signature.only_positional :], *signature.keywords}
    if not more_named and not nameable.issuperset(call.names):
        return False
    return not set(taken) & nameable & set(call.names) and signature.required <= {*taken, *call.names}


def _of_type(root: Node | None, kind: str) -> Iterator[Node]:
    return (node for _, _, node in nodes(root) if node.type == kind) if root else iter(())


def _signature(node: Node) -> Signature:
    parameters = node.child_by_field_name("parameters")
    positional: list[str] = []
    keywords: list[str] = []
    required: set[str] = set()
    more_positional = more_named = starred = False
    only_positional = 0
    for child in parameters.named_children if parameters else ():
        kind = _kind(child)
        if kind == "dictionary_splat_pattern":
            more_named = True
        elif kind in ("list_splat_pattern", "keyword_separator"):
            starred = True
            more_positional |= kind == "list_splat_pattern"
        elif kind == "positional_separator":
            only_positional = len(positional)
        elif kind not in _MARKS:
            (keywords if starred else positional).append(_name(child))
            required |= set() if "default" in kind else {_name(child)}
    bound = 1 if _is_method(node) and positional else 0
    return Signature(
        node.start_point.row + 1,
        tuple(positional[bound:]),
        tuple(keywords),
        frozenset(required - set(positional[:bound])),
        (more_positional, more_named),
        max(0, only_positional - bound),
    )


def _kind(parameter: Node) -> str:
    """A parameter's kind; `*args: int` is a typed parameter around the star."""
    inner = parameter.named_children[0] if parameter.type == "typed_parameter" else parameter
    return inner.type if inner.type.endswith("splat_pattern") else parameter.type


def _name(parameter: Node) -> str:
    return node_text(parameter.child_by_field_name("name") or parameter).partition(":")[0].strip()


def _is_method(node: Node) -> bool:
    block = node.parent
    return bool(block and block.parent and block.parent.type == "class_definition")


def bare_calls(path: str, text: str, name: str) -> Iterator[tuple[int, Call | None]]:
    """The calls of the plain name in a Python file, each with its line; None in place of one that unpacks its arguments."""
    for node in _of_type(tree(path, text), "call"):
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is None or function.type != "identifier" or node_text(function) != name or arguments is None:
            continue
        given = [child for child in arguments.named_children if child.type != "comment"]
        line = node.start_point.row + 1
        if arguments.type != "argument_list" or any(child.type.endswith("_splat") for child in given):
            yield line, None
            continue
        names = [node_text(child.child_by_field_name("name")) for child in given if child.type == "keyword_argument"]
        yield line, Call(len(given) - len(names), tuple(names))


Arity = tuple[int, int | None]
"""The fewest and the most arguments that a function takes; None for any number."""


def arity(path: str, text: str, name: str) -> Arity | None:
    """How many arguments the only function of that name takes in a Go, Rust or TypeScript file; None if that is not certain."""
    found = [
        node
        for kind in ("function_declaration", "function_item", "function_signature")
        for node in _of_type(tree(path, text), kind)
        if node_text(node.child_by_field_name("name")) == name
    ]
    parameters = found[0].child_by_field_name("parameters") if len(found) == 1 else None
    if parameters is None:
        return None
    fewest = most = 0
    free = False
    for child in parameters.named_children:
        count = max(1, len(child.children_by_field_name("name"))) if child.type == "parameter_declaration" else 1
        free |= child.type == "variadic_parameter_declaration" or node_text(child).lstrip().startswith("...")
        optional = child.type == "optional_parameter" or child.child_by_field_name("value") is not None
        if child.type not in ("comment", "line_comment", "block_comment", "attribute_item", "self_parameter"):
            most += count
            fewest += 0 if optional or free else count
    return fewest, None if free else most


def argument_counts(path: str, text: str, name: str) -> Iterator[tuple[int, int | None]]:
    """The lines of the calls of the plain name, each with the number of arguments; None for one that spreads a list."""
    for node in _of_type(tree(path, text), "call_expression"):
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is None or function.type != "identifier" or node_text(function) != name or arguments is None:
            continue
        given = [child for child in arguments.named_children if "comment" not in child.type]
        nested = len(given) == 1 and given[0].type == "call_expression"  # in Go it may return several values
        spread = nested or any(child.type in ("spread_element", "variadic_argument") for child in given)
        yield node.start_point.row + 1, None if spread or "..." in node_text(arguments) else len(given)

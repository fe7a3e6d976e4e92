"""Whether the arguments of a call fit the function's definition: what a change leaves broken, and what a model claims wrongly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.core.code.language import language
from bot.core.code.syntax import Node, node_text, nodes, outline, tree

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


# The following functions are for languages whose names belong to a type or a package.

TYPED = frozenset({"java", "kotlin", "csharp", "php", "swift", "ruby", "c", "cpp"})
UNKNOWN = -1
"""The number of arguments of a call that unpacks a list or takes a block."""

_FUNCTIONS = {
    "method_declaration", "constructor_declaration", "function_declaration", "function_definition", "method",
    "singleton_method", "local_function_statement", "init_declaration",
}  # fmt: skip
_TYPES = re.compile(
    r"(?:class|struct|interface|enum|record|object|protocol|trait|module|extension)"
    r"(?:_(?:declaration|definition|specifier))?|companion_object|namespace_definition"
)
_BASES = re.compile(
    r"superclass|super_interfaces|base_list|base_clause|delegation_specifiers?|inheritance_specifier|base_class_clause"
)
_PARAMETER_LISTS = {
    "formal_parameters", "function_value_parameters", "parameter_list", "class_parameters", "method_parameters",
}  # fmt: skip
_PARAMETERS = {
    "formal_parameter", "parameter", "class_parameter", "simple_parameter", "property_promotion_parameter",
    "parameter_declaration", "optional_parameter_declaration", "optional_parameter", "keyword_parameter", "identifier",
}  # fmt: skip
_FREE = {
    "spread_parameter", "variadic_parameter", "variadic_parameter_declaration", "splat_parameter", "hash_splat_parameter",
    "forward_parameter", "destructured_parameter",
}  # fmt: skip
_CALLS = {
    "call_expression", "method_invocation", "invocation_expression", "function_call_expression", "scoped_call_expression",
    "object_creation_expression", "call",
}  # fmt: skip
_ARGUMENTS = {"argument_list", "arguments", "value_arguments"}
_SPREADS = re.compile(r"spread|unpacking|splat|block_argument|forward")
_SELF = {"this", "self", "$this"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function, method or constructor; a constructor has the name of its type.

    `owner` is the type around it, or empty. It takes at least `fewest` and at most `most` arguments, any number if that is
    None. `names` are the names by which a call may give them. `inherits` says that the owner has other types above it,
    `static` that a call names the owner.
    """

    name: str
    owner: str
    line: int
    fewest: int
    most: int | None
    names: tuple[str, ...]
    static: bool = False
    inherits: bool = False

    @property
    def shape(self) -> tuple[object, ...]:
        """What decides whether a call fits."""
        return self.fewest, self.most, self.names

    def takes(self, call: Invocation) -> bool:
        """Whether the call has a fitting number of arguments, and gives only names that there are."""
        enough = self.fewest <= call.count and (self.most is None or call.count <= self.most)
        return enough and set(call.names) <= set(self.names)


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call by a plain name. `owner` is the type that it names; empty for none, and for this and self.

    `within` are the types around the call, `names` those of its named arguments.
    """

    line: int
    owner: str
    count: int
    names: tuple[str, ...] = ()
    within: tuple[str, ...] = ()


def functions(path: str, text: str, name: str) -> tuple[Function, ...] | None:
    """The functions of that name, and declarations of them in C and C++; None if the file has syntax errors."""
    seen = outline(path, text)
    if seen is None or seen.errors:
        return None
    root = tree(path, text)
    return tuple(found for found in (_functions(root, name, language(path)) if root else ()))


def _functions(root: Node, name: str, written_in: str) -> Iterator[Function]:
    for _, _, node in nodes(root):
        if node.type in _FUNCTIONS and _declared_name(node) == name:
            yield _function(node, name, node, written_in)
        elif node.type == "class_declaration" and written_in == "kotlin" and _declared_name(node) == name:
            inner = _child(node, "primary_constructor")
            parameters = _child(inner, "class_parameters") if inner else None
            yield _function(node, name, parameters, written_in)
            if any(other.type == "secondary_constructor" for _, _, other in nodes(node)):
                yield _function(node, name, None, written_in)
        elif node.type == "declaration" and written_in in {"c", "cpp"}:
            declared = next((n for _, _, n in nodes(node) if n.type == "function_declarator"), None)
            if declared and node_text(declared.child_by_field_name("declarator")) == name:
                yield _function(node, name, declared, written_in)


def _function(node: Node, name: str, holder: Node | None, written_in: str) -> Function:
    parameters = next((n for _, _, n in nodes(holder) if n.type in _PARAMETER_LISTS), None) if holder else None
    if written_in == "swift":
        parameters = node
    elif written_in == "kotlin" and holder is not None and holder.type in _PARAMETER_LISTS:
        parameters = holder
    fewest, most, names = _parameters(parameters, written_in)
    around = list(_types_around(node))
    made = node.type in {"constructor_declaration", "init_declaration"} or name == "__construct"
    head = node_text(node)[:200].partition("{")[0].partition("(")[0]
    static = node.type == "singleton_method" or bool(re.search(r"\bstatic\b", head))
    above = next(_nodes_around(node), None)
    owner = around[0] if around else ""
    companion = above is not None and above.type in {"companion_object", "object_declaration"}
    inherits = above is not None and any(_BASES.fullmatch(child.type) for child in above.named_children)
    return Function(
        owner if made else name, owner, node.start_point.row + 1, fewest, most, names, static or companion, inherits
    )


def _parameters(holder: Node | None, written_in: str) -> tuple[int, int | None, tuple[str, ...]]:
    names: list[str] = []
    fewest, free = 0, False
    children = list(holder.named_children) if holder else []
    for child in children:
        if child.type in _FREE or "vararg" in node_text(child)[:20] or re.match(r"params\b|\.\.\.", _before(child)):
            free = True
        if (
            child.type not in _PARAMETERS
            or (child.type == "identifier" and written_in != "ruby")
            or node_text(child) == "void"
        ):
            continue
        optional = (
            child.child_by_field_name("default_value") is not None
            or child.child_by_field_name("value") is not None
            or "optional" in child.type
            or "=" in node_text(child)
            or _after(child).startswith("=")
        )
        names.append(_parameter_name(child, written_in))
        fewest += not optional
        free |= written_in == "swift" and (node_text(child).endswith("...") or _after(child).startswith("..."))
    if written_in == "swift":
        return fewest, None if free else len(names), tuple(names)
    return (0 if free else fewest), None if free else len(names), tuple(names)


def _parameter_name(node: Node, written_in: str) -> str:
    label = node.child_by_field_name("external_name") or node.child_by_field_name("name")
    if label is None and written_in == "kotlin":
        label = _child(node, "identifier")
    return node_text(label or node).lstrip("$").rstrip(":") if written_in not in {"c", "cpp", "java"} else ""


def _before(node: Node) -> str:
    """The text between the previous sibling and the node, where C# writes `params`."""
    previous = node.prev_sibling
    return node_text(previous).strip() if previous else ""


def _after(node: Node) -> str:
    following = node.next_sibling
    return node_text(following).strip() if following else ""


def invocations(path: str, text: str, name: str) -> tuple[Invocation, ...] | None:
    """The calls of that name that name no object, or only a type; None if the file has syntax errors."""
    seen = outline(path, text)
    root = tree(path, text)
    if seen is None or seen.errors or root is None:
        return None
    return tuple(call for _, _, node in nodes(root) if node.type in _CALLS and (call := _invocation(node, name)))


def _invocation(node: Node, name: str) -> Invocation | None:
    callee = _callee(node)
    arguments = next((child for child in node.named_children if child.type in _ARGUMENTS), None)
    if arguments is None and (suffix := _child(node, "call_suffix")):
        arguments = _child(suffix, "value_arguments")
        callee = callee if arguments else None
    if callee is None or callee[1] != name:
        return None
    given = [child for child in arguments.named_children if "comment" not in child.type] if arguments else []
    blocks = any("lambda" in child.type or "block" in child.type for child in (*node.named_children, *_siblings(node)))
    spread = blocks or any(_SPREADS.search(inner.type) for child in given for inner in (child, *child.named_children))
    names = tuple(filter(None, map(_argument_name, given)))
    within = tuple(_types_around(node))
    return Invocation(node.start_point.row + 1, callee[0], UNKNOWN if spread else len(given), names, within)


def _siblings(node: Node) -> Sequence[Node]:
    """In Kotlin a call with a block holds the call without it; in Swift the suffix holds the block."""
    suffix = _child(node, "call_suffix")
    parent = node.parent if node.parent and node.parent.type == "call_expression" else None
    return (*(suffix.named_children if suffix else ()), *(parent.named_children if parent else ()))


def _callee(node: Node) -> tuple[str, str] | None:
    """The type and the name that a call names; None if it names an object, or more than a type."""
    if node.type == "object_creation_expression":
        made = node.child_by_field_name("type") or next(iter(node.named_children), None)
        return ("new", node_text(made)) if made and re.fullmatch(r"\w+", node_text(made)) else None
    whole = node_text(node)[: _length_before_arguments(node)].strip()
    found = re.fullmatch(r"(?:(?P<owner>[$\w]+)\s*(?:\.|::|->)\s*)?(?P<name>\w+)", whole)
    if found is None:
        return None
    owner = found["owner"] or ""
    return ("" if owner in _SELF | {"static"} else owner), found["name"]


def _length_before_arguments(node: Node) -> int:
    kinds = (*_ARGUMENTS, "call_suffix")
    arguments = next((child for child in node.named_children if child.type in kinds), None)
    return len(node_text(node).encode()) if arguments is None else arguments.start_byte - node.start_byte


def _argument_name(node: Node) -> str:
    """The name of a named argument."""
    label = node.child_by_field_name("name") or node.child_by_field_name("key")
    if label is None and node.type == "value_argument" and any(child.type == "=" for child in node.children):
        label = _child(node, "identifier")
    return node_text(label).strip(": ")


def _nodes_around(node: Node) -> Iterator[Node]:
    parent = node.parent
    while parent:
        if _TYPES.fullmatch(parent.type) or parent.type == "class":
            yield parent
        parent = parent.parent


def _types_around(node: Node) -> Iterator[str]:
    """The names of the types around a node, the innermost first. A companion object counts as its class."""
    for around in _nodes_around(node):
        if around.type != "companion_object":
            yield _declared_name(around)


def _declared_name(node: Node) -> str:
    named = node.child_by_field_name("name")
    holder: Node | None = node
    while named is None and holder is not None and (holder := holder.child_by_field_name("declarator")):
        named = None if holder.child_by_field_name("declarator") else holder
    return node_text(named)


def _child(node: Node, kind: str) -> Node | None:
    return next((child for child in node.named_children if child.type == kind), None)

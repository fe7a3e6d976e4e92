"""Source text -> Outline, with tree-sitter.

One table of roles serves fourteen languages, because their grammars share the names of fields: a `name`, a `left` or a
`pattern` binds; a `value`, a `right` or a `type` uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

import tree_sitter_bash
import tree_sitter_c
import tree_sitter_c_sharp
import tree_sitter_cpp
import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_kotlin
import tree_sitter_php
import tree_sitter_python
import tree_sitter_ruby
import tree_sitter_rust
import tree_sitter_swift
import tree_sitter_typescript
from tree_sitter import Language, Parser
from tree_sitter import Node as Node  # noqa: PLC0414 - for callers that need more than an outline

from bot.core.code.outline import Definition, Name, Outline, Scope

LARGEST = 512 * 1024  # characters; a larger file has no outline
_CHUNK = 64 * 1024

GRAMMARS = {
    ("bash", "sh", "zsh"): tree_sitter_bash.language,
    ("c",): tree_sitter_c.language,
    ("cc", "cpp", "cxx", "h", "hh", "hpp", "hxx"): tree_sitter_cpp.language,
    ("cs",): tree_sitter_c_sharp.language,
    ("go",): tree_sitter_go.language,
    ("java",): tree_sitter_java.language,
    ("cjs", "js", "jsx", "mjs"): tree_sitter_javascript.language,
    ("kt", "kts"): tree_sitter_kotlin.language,
    ("php",): tree_sitter_php.language_php,
    ("py", "pyi"): tree_sitter_python.language,
    ("rake", "rb"): tree_sitter_ruby.language,
    ("rs",): tree_sitter_rust.language,
    ("swift",): tree_sitter_swift.language,
    ("tsx",): tree_sitter_typescript.language_tsx,
    ("cts", "mts", "ts"): tree_sitter_typescript.language_typescript,
}
READERS = {suffix: grammar for suffixes, grammar in GRAMMARS.items() for suffix in suffixes}

_function = re.compile(
    r"(?:(?:generator_|arrow_|anonymous_|local_)?function|(?:singleton_)?method|(?:compact_)?constructor|lambda"
    r"|func_literal)(?:_(?:declaration|definition|expression|item|statement))?"
)
_type = re.compile(
    r"(?:(?:abstract_)?class|enum|impl|interface|mod|namespace|object|protocol|record|struct|trait|union)"
    r"(?:_(?:declaration|definition|item|specifier))?|module|internal_module|type_spec"
)
_access = re.compile(
    r"attribute|(?:field|member|selector)_(?:access|expression)|member_access_expression"  # object.member
)
_member = frozenset(("attribute", "property", "field", "name"))
_used = frozenset(("type", "value", "right", "body", "source", "module_name", "default_value", "key"))
_target = frozenset(("left", "declarator", "pattern", "alias", "variable", "property"))
_import = re.compile(r"^import|import$|use_declaration|using_directive")
_names_a_use = re.compile(
    r"call|invocation|access|argument|scoped|qualified|command|generic|annotation|attribute|jsx|macro|type$"
    r"|(?<!named)_expression$"
)
_compares = re.compile(r"binary|boolean|comparison|member_expression")
_carries = re.compile(r"pattern|_list$|declarator|parameter|dotted_name|variable_name|tuple|array|target")
_identifier = re.compile(r".*identifier.*|name|constant|instance_variable|variable_name")


def has_grammar(path: str) -> bool:
    """Whether there is a grammar for the file, judged by its name."""
    return _suffix(path) in READERS


def symbol_at(path: str, text: str, line: int) -> str:
    """The qualified name of the function or type around `line` ("Cart.total"); empty at the top level."""
    root = tree(path, text)
    scope = _OutlineReader(root).outline(line).named(line) if root else None
    return scope.name if scope else ""


def errors(path: str, text: str) -> int:
    """The number of syntax errors; 0 for a language without a grammar or a file that is too large."""
    root = tree(path, text)
    return _OutlineReader(root).outline().errors if root and root.has_error else 0


def is_well_formed(path: str, text: str) -> bool:
    """Whether `text` has no syntax error that the parser can find."""
    return errors(path, text) == 0


def definitions(path: str, text: str) -> tuple[Definition, ...]:
    """Functions, types and the names bound outside functions, by line; imports are not definitions."""
    parsed = outline(path, text)
    return parsed.definitions() if parsed else ()


@lru_cache(maxsize=64)
def outline(path: str, text: str, *, bodies: bool = True) -> Outline | None:
    """The outline of a file; None for a language without a grammar, for a file over LARGEST characters, and for long nonsense.

    Without `bodies`, nothing inside named functions is read: that is enough for the definitions that other code can use.
    """
    root = tree(path, text)
    return _OutlineReader(root).outline(bodies=bodies) if root else None


@lru_cache(maxsize=2)
def tree(path: str, text: str) -> Node | None:
    """The root of the syntax tree; None under the same conditions. The last two are kept: findings come file by file."""
    if not has_grammar(path) or len(text) > LARGEST:
        return None
    source, parser = text.encode(errors="replace"), Parser(_grammar(_suffix(path)))
    try:
        parsed = parser.parse(lambda at, _: source[at : at + _CHUNK], progress_callback=_Patience(len(source)))
    except ValueError:  # the patience ended: the parser has no error of its own
        return None
    return parser.parse(source, parsed).root_node  # the same tree; made of bytes, it gives its nodes' texts quickly


class _Patience:
    """Ends a parse that takes many more steps than code does: repairing nonsense can take quadratic time.

    Counts steps, not seconds, so that the same text always has the same tree. The parser asks every hundred operations
    (`ts_parser_parse_with_options`); honest code needs at most ten for 1,000 bytes, and hardly any while it repairs an error.
    """

    def __init__(self, size: int) -> None:
        self._left, self._left_in_error = 600 + size // 85, 400 + size // 1_000

    def __call__(self, offset: int, has_error: bool) -> bool:  # noqa: FBT001 - tree-sitter's signature
        """Whether to end."""
        self._left -= 1
        self._left_in_error -= has_error
        return self._left < 0 or self._left_in_error < 0


def _everywhere(_depth: int, _field: str | None, _node: Node) -> bool:
    return True


def nodes(
    root: Node, enters: Callable[[int, str | None, Node], bool] = _everywhere
) -> Iterator[tuple[int, str | None, Node]]:
    """Every node from `root` on, in order: its depth, its field in the parent, and the node. Without recursion.

    Only the nodes that `enters` accepts, after they were given, are followed by their children.
    """
    cursor, depth = root.walk(), 0
    while node := cursor.node:
        field = cursor.field_name
        yield depth, field, node
        if enters(depth, field, node) and cursor.goto_first_child():
            depth += 1
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            depth -= 1


def node_text(node: Node | None) -> str:
    """The source text of a node."""
    return (node.text or b"").decode(errors="replace") if node else ""


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower().removeprefix(".")


@cache
def _grammar(suffix: str) -> Language:
    return Language(READERS[suffix]())


class _Frame(NamedTuple):
    """What a node hands down to its children."""

    node: Node
    kind: str
    scope: int = 0
    binds: bool = False
    importing: bool = False


class _OutlineReader:
    """One walk over one tree, without recursion, because hostile code can nest as deep as it likes."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.scopes = [Scope("", 1, root.end_point.row + 1, 1, 0)]
        self.own_names: dict[int, int] = {}  # where a scope's own name starts -> the scope it belongs to
        self.names: list[Name] = []
        self.errors = 0

    def outline(self, line: int = 0, *, bodies: bool = True) -> Outline:
        """The outline; with `line`, only what `named` needs for that line; without `bodies` not those of named functions."""
        path = [_Frame(self.root, "")]
        wrong = self.root.has_error

        def enters(depth: int, field: str | None, node: Node) -> bool:
            if line:
                return bool(node.start_point.row < line <= node.end_point.row + 1)
            scope = self.scopes[path[depth].scope]
            return bodies or field != "body" or not scope.name or scope.is_type

        for depth, field, node in nodes(self.root, _everywhere if bodies and not line else enters):
            del path[depth + 1 :]
            kind = node.type
            if wrong:
                self.errors += node.is_error or node.is_missing
            if node.child_count or _is_scope(kind):
                path.append(self._enter(node, kind, field, path))
            elif node.is_named and _is_name(kind, path[-1].kind):
                self._name(node, kind, field, path[-1])
        return Outline(tuple(self.scopes), tuple(self.names), self.errors)

    def _enter(self, node: Node, kind: str, field: str | None, path: list[_Frame]) -> _Frame:
        parent = path[-1]
        importing = parent.importing or _imports(kind)
        scope = parent.scope
        if _is_scope(kind) and node.is_named and len(path) > 1 and _opens_scope(node):
            scope = self._open(node, field, path)
        binds = _binds(field, kind, parent.kind, importing=importing, inherited=parent.binds)
        return _Frame(node, kind, scope, binds, importing)

    def _open(self, node: Node, field: str | None, path: list[_Frame]) -> int:
        parent = path[-1]
        own = _own_name(node) or _assigned_name(parent.node, field)
        if own:
            self.own_names[own.start_byte] = parent.scope
        outer = next((s for s in _outwards(self.scopes, parent.scope) if s.name), self.scopes[0])
        first = parent.node if parent.kind == "decorated_definition" else node
        body = node.child_by_field_name("body")
        self.scopes.append(
            Scope(
                _qualified(outer.name, _receiver(node) + _plain(own)) if own else "",
                first.start_point.row + 1,
                node.end_point.row + 1,
                (body or node).start_point.row + 1,
                parent.scope,
                bool(_type.fullmatch(node.type)),
            )
        )
        return len(self.scopes) - 1

    def _name(self, node: Node, kind: str, field: str | None, parent: _Frame) -> None:
        text = node_text(node)
        importing = parent.importing or _imports(kind)
        member = field in _member and _accesses(parent.kind)
        binds = (
            parent.binds if member else _binds(field, kind, parent.kind, importing=importing, inherited=parent.binds)
        )
        scope = self.own_names.get(node.start_byte, parent.scope)
        self.names.append(Name(f".{text}" if member else text, node.start_point.row + 1, scope, binds, importing))


# The functions below classify kinds of nodes. A grammar has some hundreds of kinds, so the answers are cached.


@cache
def _imports(kind: str) -> bool:
    return bool(_import.search(kind))


@cache
def _accesses(kind: str) -> bool:
    return bool(_access.fullmatch(kind))


@cache
def _binds(field: str | None, kind: str, parent: str, *, importing: bool, inherited: bool) -> bool:
    """Whether a name in this position is bound by it."""
    if field in _used:
        return False
    if kind == "identifier" and parent == "variable_declaration":  # Kotlin
        return True
    if importing or "parameter" in kind:
        return True
    if field in _target:
        return not _compares.search(parent)
    if field == "name":
        return not _names_a_use.search(parent)
    return inherited and bool(_carries.search(parent))


@cache
def _is_name(kind: str, parent: str) -> bool:
    is_word = kind == "word" and parent in ("command_name", "function_definition")  # a shell's names
    return is_word or bool(_identifier.fullmatch(kind))


@cache
def _is_scope(kind: str) -> bool:
    return bool(_function.fullmatch(kind) or _type.fullmatch(kind))


def _opens_scope(node: Node) -> bool:
    """Whether a node of a scope's kind opens one: in C, `struct point p` only mentions the type."""
    return not node.type.endswith("_specifier") or node.child_by_field_name("body") is not None


def _own_name(node: Node) -> Node | None:
    """The node that names a scope: its name, the type of an `impl`, or the innermost of C's nested declarators."""
    if node.type == "impl_item":
        return node.child_by_field_name("type")
    name = node.child_by_field_name("name")
    while name is None and (inner := node.child_by_field_name("declarator")):
        node = inner
        name = inner if inner.child_by_field_name("declarator") is None else None
    return name


def _assigned_name(parent: Node, field: str | None) -> Node | None:
    """The name that an assignment gives to an anonymous function: `const total = () => …`."""
    if field not in ("value", "right"):
        return None
    fields = ("name", "left", "property", "key")
    return next((found for name in fields if (found := parent.child_by_field_name(name))), None)


def _receiver(node: Node) -> str:
    """In Go a method belongs to its receiver's type: "Cart."."""
    receiver = node.child_by_field_name("receiver")
    if receiver is None:
        return ""
    kind = next((n for _, _, n in nodes(receiver) if n.type == "type_identifier"), None)
    return f"{_plain(kind)}." if kind else ""


def _plain(node: Node | None) -> str:
    return ".".join(re.findall(r"\w+", node_text(node)))[:200]


def _qualified(outer: str, name: str) -> str:
    return f"{outer}.{name}" if outer else name


def _outwards(scopes: list[Scope], at: int) -> Iterator[Scope]:
    while at:
        yield scopes[at]
        at = scopes[at].within

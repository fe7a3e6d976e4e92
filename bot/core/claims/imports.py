"""Reads the import statements of a file, and finds the files of the repository that they mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import normpath

from bot.core.code.language import language
from bot.core.code.syntax import Node, node_text, nodes, tree


@dataclass(frozen=True, slots=True)
class Import:
    """An import statement at `line`: the module as it is written, and the names that it takes from it.

    `names` is empty if the statement takes the module as a whole; `guarded` if the code handles its failure.
    """

    line: int
    module: str
    names: tuple[str, ...] = ()
    guarded: bool = False


def imports(path: str, text: str) -> tuple[Import, ...]:
    """The imports of a file in Python, JavaScript, TypeScript, Java, Rust, PHP, Ruby, C or C++; else none."""
    read = _READERS.get(language(path))
    root = tree(path, text) if read else None
    return tuple(read(root)) if read and root else ()


def meant(path: str, module: str, paths: Collection[str]) -> frozenset[str]:
    """The files among `paths` that a module may mean, when `path` imports it; empty if they are not in the repository."""
    candidates = _RESOLVERS.get(language(path))
    return frozenset(candidates(path, module, paths)) if candidates else frozenset()


def _python(root: Node) -> Iterator[Import]:
    for _, _, node in nodes(root):
        line = node.start_point.row + 1
        if node.type == "import_from_statement":
            module = node_text(node.child_by_field_name("module_name"))
            names = [node_text(_plain_name(name)) for name in node.children_by_field_name("name")]
            star = any(child.type == "wildcard_import" for child in node.named_children)
            yield Import(line, module, ("*",) if star else tuple(names), _is_guarded(node))
        elif node.type == "import_statement":
            for name in node.children_by_field_name("name"):
                yield Import(line, node_text(_plain_name(name)), (), _is_guarded(node))


def _plain_name(node: Node) -> Node:
    return node.child_by_field_name("name") or node


_PROBES = re.compile(r"except\s*(?::|.*\b(?:ImportError|ModuleNotFoundError|Exception|BaseException|AttributeError)\b)")


def _is_guarded(node: Node) -> bool:
    """Whether the import is tried, or only for a type checker."""
    parent = node.parent
    while parent:
        if parent.type == "try_statement":
            clauses = [child for child in parent.named_children if child.type in ("except_clause", "catch_clause")]
            if any(clause.type == "catch_clause" or _PROBES.match(node_text(clause)) for clause in clauses):
                return True
        if parent.type == "with_statement" and "suppress(" in node_text(parent)[:80]:
            return True
        if parent.type == "if_statement":
            return True  # a condition decides whether it runs
        parent = parent.parent
    return False


def _script(root: Node) -> Iterator[Import]:
    for _, _, node in nodes(root):
        source = node.child_by_field_name("source") if node.type in ("import_statement", "export_statement") else None
        line = node.start_point.row + 1
        if source is not None:
            kinds = ("import_specifier", "export_specifier")
            names = [node_text(n.child_by_field_name("name")) for _, _, n in nodes(node) if n.type in kinds]
            yield Import(line, _string(source), tuple(names), _is_guarded(node))
        elif node.type == "call_expression" and node_text(node.child_by_field_name("function")) in (
            "require",
            "import",
        ):
            arguments = node.child_by_field_name("arguments")
            first = arguments.named_children[:1] if arguments else []
            if first and first[0].type == "string":
                yield Import(line, _string(first[0]), _unpacked(node), _is_guarded(node))


def _unpacked(call: Node) -> tuple[str, ...]:
    """The names that `const { a, b } = require(…)` takes."""
    parent = call.parent
    pattern = parent.child_by_field_name("name") if parent and parent.type == "variable_declarator" else None
    if pattern is None or pattern.type != "object_pattern":
        return ()
    kinds = ("shorthand_property_identifier_pattern", "property_identifier")
    return tuple(node_text(node) for _, _, node in nodes(pattern) if node.type in kinds)


def _string(node: Node) -> str:
    return node_text(node).strip("\"'`<>")


def _statements(kind: str, pattern: str) -> Callable[[Node], Iterator[Import]]:
    """A reader of statements of one kind of node: `pattern` finds the module in each of them."""
    compiled = re.compile(pattern)

    def read(root: Node) -> Iterator[Import]:
        for _, _, node in nodes(root):
            if node.type == kind:
                for match in compiled.finditer(node_text(node)):
                    yield Import(
                        node.start_point.row + 1, match["module"], (), kind == "preproc_include" and _in_branch(node)
                    )

    return read


def _in_branch(node: Node) -> bool:
    """Whether the preprocessor decides about an include. The guard around a whole header does not count."""
    parent = node.parent
    depth = 0
    while parent:
        depth += parent.type in (
            "preproc_if",
            "preproc_ifdef",
            "preproc_elif",
            "preproc_else",
        ) and not _is_header_guard(parent)
        parent = parent.parent
    return depth > 0


def _is_header_guard(node: Node) -> bool:
    return (
        node.type == "preproc_ifdef"
        and node_text(node).startswith("#ifndef")
        and node.parent is not None
        and node.parent.parent is None
    )


def _rust(root: Node) -> Iterator[Import]:
    for _, _, node in nodes(root):
        if node.type == "use_declaration":
            written = re.sub(r"\s+", "", node_text(node.child_by_field_name("argument")))
            for prefix, names in re.findall(r"^(.*?)::(?:\{([^{}]*)\}|\w+$)", written):
                taken = names.split(",") if names else [written.rpartition("::")[2]]
                plain = tuple(
                    name.partition("as")[0] if " as " in name else name for name in taken if re.fullmatch(r"\w+", name)
                )
                yield Import(node.start_point.row + 1, prefix, plain)
        elif node.type == "mod_item" and node.child_by_field_name("body") is None:
            yield Import(node.start_point.row + 1, f"mod {node_text(node.child_by_field_name('name'))}")


_READERS: Mapping[str, Callable[[Node], Iterator[Import]]] = {
    "python": _python,
    "javascript": _script,
    "typescript": _script,
    "rust": _rust,
    "java": _statements("import_declaration", r"^import\s+(?!static)(?P<module>[\w.]+)\s*;"),
    "php": _statements("namespace_use_declaration", r"(?:use\s+|,\s*)\\?(?P<module>[A-Z]\w*(?:\\\w+)+)"),
    "ruby": _statements("call", r"^require_relative[ (]\s*[\"'](?P<module>[^\"'#]+)[\"']\)?$"),
    "c": _statements("preproc_include", r"\"(?P<module>[^\"]+)\""),
    "cpp": _statements("preproc_include", r"\"(?P<module>[^\"]+)\""),
}


def _python_files(path: str, module: str, paths: Collection[str]) -> Iterator[str]:
    dots = len(module) - len(module.lstrip("."))
    parts = [part for part in module[dots:].split(".") if part]
    if dots:
        folder = PurePosixPath(path).parents[dots - 1] if dots <= len(PurePosixPath(path).parents) else None
        roots = [] if folder is None else [str(folder)]
    else:
        above = [str(folder) for folder in PurePosixPath(path).parents]
        roots = [*above, *(normpath(f"{folder}/{name}") for folder in above for name in ("src", "lib", "python"))]
    for root in roots:
        place = normpath("/".join((root, *parts)))
        yield from (name for name in (f"{place}.py", f"{place}.pyi", normpath(f"{place}/__init__.py")) if name in paths)


_SCRIPTS = (".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".json", ".vue", ".svelte")


def _script_files(path: str, module: str, paths: Collection[str]) -> Iterator[str]:
    if not module.startswith(("./", "../")) and module not in (".", ".."):
        return
    place = normpath(f"{PurePosixPath(path).parent}/{module.partition('?')[0]}")
    bare = re.sub(r"\.([cm]?)js(x?)$", "", place)  # in TypeScript `./a.js` means a.ts
    names = (place, *(f"{start}{suffix}" for start in (place, bare) for suffix in _SCRIPTS))
    yield from (
        name for name in dict.fromkeys((*names, *(f"{place}/index{suffix}" for suffix in _SCRIPTS))) if name in paths
    )


def _beside(suffix: str) -> Callable[[str, str, Collection[str]], Iterator[str]]:
    def files(path: str, module: str, paths: Collection[str]) -> Iterator[str]:
        place = normpath(f"{PurePosixPath(path).parent}/{module}")
        yield from (name for name in (place, f"{place}{suffix}") if name in paths)

    return files


def _ending_in(separator: str, suffixes: tuple[str, ...]) -> Callable[[str, str, Collection[str]], Iterator[str]]:
    """Files whose path ends like the module: `a.b.C` is …/a/b/C.java. PHP's first part is a prefix of its own."""

    def files(_: str, module: str, paths: Collection[str]) -> Iterator[str]:
        parts = module.split(separator)
        own = parts[1:] if separator == "\\" else parts
        if separator != "\\" or own[1:]:  # one word alone says too little about a path
            names = [f"/{'/'.join(own)}{suffix}" for suffix in suffixes]
            yield from (name for name in paths if any(f"/{name}".endswith(end) for end in names))

    return files


def _rust_files(path: str, module: str, paths: Collection[str]) -> Iterator[str]:
    folder = PurePosixPath(path)
    if module.startswith("mod "):
        own = folder.parent if folder.stem in ("mod", "lib", "main") else folder.with_suffix("")
        place = f"{own}/{module[4:]}"
    elif module.startswith("crate::"):
        source = next((str(above) for above in folder.parents if above.name == "src"), None)
        if source is None:
            return
        place = f"{source}/{module[7:].replace('::', '/')}"
    else:
        return
    yield from (name for name in (normpath(f"{place}.rs"), normpath(f"{place}/mod.rs")) if name in paths)


_RESOLVERS: Mapping[str, Callable[[str, str, Collection[str]], Iterator[str]]] = {
    "python": _python_files,
    "javascript": _script_files,
    "typescript": _script_files,
    "rust": _rust_files,
    "java": _ending_in(".", (".java", ".kt", ".scala", ".groovy")),
    "php": _ending_in("\\", (".php",)),
    "ruby": _beside(".rb"),
    "c": _ending_in("\0", ("",)),
    "cpp": _ending_in("\0", ("",)),
}

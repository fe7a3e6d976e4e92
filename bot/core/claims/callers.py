"""Proves that callers are broken in languages whose names belong to a type or a package: Java, Kotlin, C#, PHP, Swift, Ruby, C, C++.

A call proves something only if it can mean nothing else: no other function of that name in the repository, no syntax error,
no type above the owner that could have another one, and a file that sees the owner by its package, import or folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from bot.core.claims.uses import ChangedDefinition
from bot.core.code.calls import TYPED, UNKNOWN, Function, Invocation, functions, invocations
from bot.core.code.language import language
from bot.core.code.syntax import outline

_FAMILIES = ({"java", "kotlin", "scala", "groovy"}, {"c", "cpp"})
_CONSTRUCTED = {"java", "csharp", "php"}
"""Languages that write `new` before the type."""


def misfits(one: ChangedDefinition, before: str, texts: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The calls (path, line) that fitted the definition before the change and do not fit the one after it.

    `texts` are the files of the head that mention its name, by path.
    """
    after, name = texts.get(one.path, ""), one.name.rpartition(".")[2]
    was, now = _only(one, name, before), _only(one, name, after)
    if was is None or now is None or was.shape == now.shape or not _is_unique(now, one, texts):
        return
    for path, call in _calls(one, now, texts):
        if call.count != UNKNOWN and was.takes(call) and not now.takes(call):
            yield path, call.line


def orphans(one: ChangedDefinition, before: str, texts: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The calls (path, line) of a function that the change removes, if nothing of its name is left.

    A call proves something only if it names the type, which is still there without the function, or if the file imports the
    function by its full name: otherwise a library, a standard module or an import may have another one.
    """
    name, written_in = one.name.rpartition(".")[2], language(one.path)
    was = _only(one, name, before)
    if was is None or written_in not in TYPED - {"c", "cpp", "ruby"} or any(map(_is_foreign, texts)):
        return
    alike = {path: text for path, text in texts.items() if _is_relative(path, one.path)}
    if any(_defines(path, text, one.word) for path, text in alike.items()):
        return
    if was.owner and was.owner != was.name and not _stands_alone(texts.get(one.path, ""), was.owner):
        return
    for path, call in _calls(one, was, alike):
        if _is_home(was, call) or _imports_by_name(alike[path], one, alike.get(one.path, "")):
            yield path, call.line


def _is_home(function: Function, call: Invocation) -> bool:
    """Whether the call names the type that had the function."""
    return bool(call.owner) and call.owner == function.owner


def _imports_by_name(text: str, one: ChangedDefinition, home: str) -> bool:
    """Whether the file imports the function itself from its package. In Swift, whether it imports nothing that may have it."""
    if language(one.path) == "swift":
        return not re.search(r"^\s*(?:@testable\s+)?import\s+(?!Foundation\b)", text, re.MULTILINE)
    name = re.escape(_package(home)) + r"[.\\]" + re.escape(one.word)
    return re.search(rf"^\s*(?:import|use\s+function)\s+\\?{name}\s*;?\s*$", text, re.MULTILINE) is not None


def _only(one: ChangedDefinition, name: str, text: str) -> Function | None:
    """The function of a definition, if the file has exactly one of that name."""
    written = language(one.path)
    found = functions(one.path, text, name) if written in TYPED else None
    defined = (
        [function for function in found or () if not (written in {"c", "cpp"} and not function.owner)] or found or ()
    )
    shapes = {function.shape for function in defined}
    return defined[0] if defined and len(shapes) == 1 and (written in {"c", "cpp"} or len(defined) == 1) else None


def _is_unique(now: Function, one: ChangedDefinition, texts: Mapping[str, str]) -> bool:
    """Whether every function of that name at the head is this one, or in C and C++ a declaration of it."""
    name = one.name.rpartition(".")[2]
    for path, text in texts.items():
        if _is_foreign(path) or (
            _is_relative(path, one.path) and re.search(rf"#\s*define\s+{re.escape(one.word)}\b", text)
        ):
            return False
        if path == one.path or not _is_relative(path, one.path):
            continue
        found = functions(path, text, name)
        if found is None and _mentions_definition(text, name):
            return False
        if any(language(one.path) not in {"c", "cpp"} or other.shape != now.shape for other in found or ()):
            return False
    return True


def _mentions_definition(text: str, name: str) -> bool:
    """Whether a file that cannot be read may define the name."""
    return (
        re.search(rf"\b(?:fun|func|function|def|class|object|struct|[\w>\]]+)\s+{re.escape(name)}\s*[(<{{:]", text)
        is not None
    )


def _is_relative(path: str, other: str) -> bool:
    """Whether code of one file can call that of the other by its plain name."""
    first, second = language(path), language(other)
    return first == second or any({first, second} <= family for family in _FAMILIES)


def _is_foreign(path: str) -> bool:
    """Whether the file is in a language of the same machine that is not parsed, so that it may define anything."""
    return language(path) in {"scala", "groovy"} and not path.endswith((".gradle", ".sbt"))


def _defines(path: str, text: str, word: str) -> bool:
    """Whether a file binds the name in any way, imports apart."""
    seen = outline(path, text)
    if seen is None or seen.errors:
        return True
    return any(name.binds and not name.imported and name.key.lstrip(".") == word for name in seen.names)


def _stands_alone(text: str, owner: str) -> bool:
    """Whether the type is still in the file and has no types above it, from which it may have the function."""
    kinds = r"class|object|struct|enum|record|interface|trait|module"
    return (
        re.search(rf"\b(?:{kinds})\s+{re.escape(owner)}\b\s*(?:\([^()]*\))?\s*(?:\{{|$)", text, re.MULTILINE)
        is not None
    )


def _calls(one: ChangedDefinition, function: Function, texts: Mapping[str, str]) -> Iterator[tuple[str, Invocation]]:
    """The calls that mean the function and nothing else."""
    here = texts.get(one.path, "")
    constructor = function.name == function.owner or (language(one.path) == "kotlin" and function.name[:1].isupper())
    for path, text in sorted(texts.items()):
        if not _is_relative(path, one.path):
            continue
        seen = path == one.path or _sees(path, text, one, here, function)
        for call in (invocations(path, text, one.word) or ()) if seen else ():
            if constructor:
                fits = call.owner == ("new" if language(path) in _CONSTRUCTED else "")
            elif not function.owner:
                fits = not call.owner and (not call.within or language(path) in {"php", "c", "cpp"})
            elif call.owner:
                fits = function.static and call.owner == function.owner
            else:
                fits = path == one.path and call.within[:1] == (function.owner,) and not function.inherits
            if fits and not _is_bound(path, text, one.word, call, path == one.path):
                yield path, call


def _is_bound(path: str, text: str, word: str, call: Invocation, at_home: bool) -> bool:  # noqa: FBT001 - one question
    """Whether the plain name is also a variable or a parameter in the file."""
    seen = outline(path, text)
    bound = [name for name in seen.names if name.key == word and name.binds and not name.imported] if seen else []
    return not call.owner and len(bound) > (1 if at_home else 0) and language(path) not in {"c", "cpp"}


_PACKAGE = re.compile(r"^\s*(?:package|namespace)\s+([\w.\\]+)", re.MULTILINE)


def _sees(path: str, text: str, one: ChangedDefinition, home: str, function: Function) -> bool:
    """Whether the file sees the function: by its package and imports, its folder, or its includes."""
    written_in = language(one.path)
    if written_in == "ruby":
        return True
    if written_in == "swift":
        return _module(path) == _module(one.path)
    if written_in in {"c", "cpp"}:
        name = PurePosixPath(one.path).with_suffix("").name
        return re.search(rf"#\s*include\s+\"(?:[^\"\n]*/)?{re.escape(name)}\.h\w*\"", text) is not None
    mine, theirs = _package(home), _package(text)
    separator = "\\" if written_in == "php" else "."
    if written_in == "csharp":
        uses = re.search(rf"^\s*using\s+{re.escape(mine)}\s*;", text, re.MULTILINE) if mine else None
        return bool(mine) and (theirs == mine or theirs.startswith(f"{mine}.") or uses is not None)
    taken = re.escape(f"{mine}{separator}{function.owner or function.name}")
    imported = mine and re.search(
        rf"^\s*(?:import|use)\s+(?:function\s+)?\\?(?:{taken}|{re.escape(mine)}\.\*)\s*;?\s*$", text, re.MULTILINE
    )
    return theirs == mine or bool(imported)


def _package(text: str) -> str:
    found = _PACKAGE.search(text)
    return found[1] if found else ""


def _module(path: str) -> tuple[str, ...]:
    """The folder that makes a module in Swift: below Sources, or the first one."""
    parts = PurePosixPath(path).parts
    return parts[:2] if parts[0] in {"Sources", "Tests"} else parts[: len(parts) > 1]

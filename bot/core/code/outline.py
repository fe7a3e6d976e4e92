"""Outline: the scopes of a file, and the names that each line binds and uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Definition(NamedTuple):
    """A function, a type or a variable at lines `line`..`end`. `name` is qualified: "Cart.total"."""

    name: str
    line: int
    end: int


@dataclass(frozen=True, slots=True)
class Scope:
    """A function or a type; the first scope of an outline is the file itself.

    Lines `start`..`end` are 1-based and inclusive, with decorators; the body begins on line `body`. `within` is the
    index of the enclosing scope. `name` is qualified, and empty for an anonymous function.
    """

    name: str
    start: int
    end: int
    body: int
    within: int
    is_type: bool = False

    def has(self, line: int) -> bool:
        """Whether `line` belongs to the scope."""
        return self.start <= line <= self.end


class Name(NamedTuple):
    """A name on a line. `scope` is the index of its scope. A member (`self.total`) is written with its dot: ".total"."""

    key: str
    line: int
    scope: int
    binds: bool
    imported: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """The scopes and names of one file, in order, and the number of syntax errors that the parser skipped."""

    scopes: tuple[Scope, ...]
    names: tuple[Name, ...]
    errors: int = 0

    def chain(self, line: int) -> tuple[int, ...]:
        """Indices of the scopes around `line`, innermost first; the last is the file."""
        at = max((i for i, scope in enumerate(self.scopes) if i == 0 or scope.has(line)), default=0)
        found = [at]
        while at:
            at = self.scopes[at].within
            found.append(at)
        return tuple(found)

    def named(self, line: int) -> Scope | None:
        """The innermost scope around `line` that has a name."""
        return next((self.scopes[i] for i in self.chain(line) if self.scopes[i].name), None)

    def binding(self, key: str, line: int) -> Name | None:
        """Where the name that `line` uses is bound: the nearest scope's last binding above the line, else its first.

        A member is searched first among the fields and methods of the type around the line.
        """
        chain = self.chain(line)
        for names in self._member(key[1:], chain) if key.startswith(".") else self._bound(key, chain):
            if names:
                return next((name for name in reversed(names) if name.line <= line), names[0])
        return None

    def definitions(self) -> tuple[Definition, ...]:
        """Functions, types and the names bound outside functions, by line; imports are not definitions."""
        scopes = [Definition(scope.name, scope.start, scope.end) for scope in self.scopes[1:] if scope.name]
        heads = {(scope.name.rpartition(".")[2], line) for scope in scopes for line in range(scope.line, scope.end + 1)}
        outside = [
            Definition(self.qualified(name), name.line, name.line)
            for name in self.names
            if name.binds and not name.imported and self.is_outside(name) and (name.key, name.line) not in heads
        ]
        return tuple(
            sorted({*scopes, *outside}, key=lambda definition: (definition.line, -definition.end, definition.name))
        )

    def qualified(self, name: Name) -> str:
        """The name with the scope it belongs to."""
        outer = self.scopes[name.scope].name
        return f"{outer}.{name.key}" if outer else name.key

    def is_outside(self, name: Name) -> bool:
        """Whether the name is visible outside functions: it belongs to the file or to a type."""
        return not name.key.startswith(".") and (name.scope == 0 or self.scopes[name.scope].is_type)

    def _bound(self, key: str, chain: tuple[int, ...]) -> Iterator[list[Name]]:
        for scope in chain:
            yield [name for name in self.names if name.binds and name.key == key and name.scope == scope]

    def _member(self, key: str, chain: tuple[int, ...]) -> Iterator[list[Name]]:
        around = next((self.scopes[i] for i in chain if self.scopes[i].is_type), self.scopes[0])
        bound = [name for name in self.names if name.binds and name.key in (key, f".{key}")]
        yield [name for name in bound if around.has(name.line) and (name.key != key or self.is_outside(name))]
        yield [name for name in bound if self.scopes[name.scope].is_type or name.key != key]

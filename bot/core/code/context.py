"""Changed lines -> the other lines a reader needs: the enclosing code, and the lines that bind the names in use."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from bot.core.code.outline import Outline, Scope
from bot.core.code.syntax import LARGEST, outline

WHOLE = 80  # lines of the longest function that is shown whole
AROUND = 12  # lines around the change that are shown of a longer function
UNKNOWN = 20  # lines around the change in a language without a grammar
TOP_LEVEL = 3  # lines around a change outside any function or type

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class EnclosingCode:
    """`blocks` are the enclosing ranges of lines (1-based, inclusive, separate, in order); `bindings` are lines outside."""

    blocks: tuple[Range, ...] = ()
    bindings: tuple[int, ...] = ()

    @property
    def enclosing(self) -> frozenset[int]:
        """The lines of the blocks."""
        return frozenset(line for first, last in self.blocks for line in range(first, last + 1))


def context(path: str, text: str, lines: Collection[int]) -> EnclosingCode:
    """The code of the file `text` to show beside its changed `lines` (1-based). Empty for files over LARGEST."""
    if len(text) > LARGEST:
        return EnclosingCode()
    last = text.count("\n") + (not text.endswith("\n"))
    wanted = sorted(line for line in lines if 1 <= line <= last)
    code = outline(path, text)
    if code is None:
        return EnclosingCode(_joined(((line - UNKNOWN, line + UNKNOWN) for line in wanted), last))
    blocks = EnclosingCode(_joined((block for line in wanted for block in _blocks(code, line)), last))
    return replace(blocks, bindings=tuple(sorted(_bindings(code, frozenset(wanted)) - blocks.enclosing)))


def _blocks(code: Outline, line: int) -> Iterator[Range]:
    scope = code.named(line)
    if scope is None:
        yield line - TOP_LEVEL, line + TOP_LEVEL
        return
    if not scope.is_type and scope.end - scope.start < WHOLE:
        yield scope.start, scope.end
    else:
        yield max(scope.start, line - AROUND), min(scope.end, line + AROUND)
    yield from (_header(code.scopes[i]) for i in code.chain(line) if code.scopes[i].name)


def _header(scope: Scope) -> Range:
    """The signature of a function, the first lines of a type."""
    return scope.start, max(scope.start, min(scope.body - 1, scope.start + AROUND))


def _bindings(code: Outline, lines: frozenset[int]) -> frozenset[int]:
    used = {(name.key, name.line) for name in code.names if name.line in lines and not name.binds}
    bare = {key.removeprefix(".") for key, _ in used}
    known = replace(code, names=tuple(name for name in code.names if name.binds and name.key.removeprefix(".") in bare))
    return frozenset(found.line for key, line in used if (found := known.binding(key, line)))


def _joined(ranges: Iterable[Range], last: int) -> tuple[Range, ...]:
    """The same lines, within 1..`last`, as ranges that neither overlap nor touch."""
    joined: list[Range] = []
    for first, end in sorted((max(1, first), min(last, end)) for first, end in ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((first, end))
    return tuple(joined)

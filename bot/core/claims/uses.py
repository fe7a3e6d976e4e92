"""Finds what else a change may break: the callers, overrides and tests of each definition that it alters or removes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bot.core.claims.material import UsedDefinition, changed_lines
from bot.core.code.diff import FileDiff, base_text
from bot.core.code.language import is_test, language, rules_apply_to
from bot.core.code.outline import Definition, Outline
from bot.core.code.syntax import outline

DEFINITIONS = 12  # definitions of a change that are looked up
FILES = 15  # files in which a definition is looked for
LARGEST = 200_000  # characters of such a file
CALLERS, OVERRIDES, TESTS = 8, 4, 4  # lines that are shown of each kind
LENGTH = 160  # characters of a line
SHORTEST = 3  # characters of a name that can be told apart

_CONSTRUCTORS = frozenset({"__init__", "__new__", "__construct", "constructor", "initialize"})


@dataclass(frozen=True, slots=True)
class ChangedDefinition:
    """A definition that a change alters or removes. `name` is qualified; `line`..`end` are at the head, 0 if removed.

    `signature` says whether more than the body changed.
    """

    path: str
    name: str
    line: int = 0
    end: int = 0
    signature: bool = True

    @property
    def word(self) -> str:
        """The name by which other code uses it: for a constructor that of its type."""
        outer, _, last = self.name.rpartition(".")
        return outer.rpartition(".")[2] if last in _CONSTRUCTORS and outer else last


class Use(NamedTuple):
    """A line that uses, overrides or tests a definition."""

    path: str
    line: int
    text: str


def changed_definitions(files: Iterable[FileDiff], heads: Mapping[str, str]) -> tuple[ChangedDefinition, ...]:
    """Returns the definitions that a change removes, those whose signature it changes, and those whose body it changes.

    At most DEFINITIONS, without those of tests. Names that are too short or private to a file's scope are left out.
    """
    found = [
        definition
        for file in files
        if not is_test(file.path)
        for definition in _changed(file, heads.get(file.path, ""))
        if len(definition.word) >= SHORTEST
    ]
    ranked = sorted(found, key=lambda one: (one.line > 0, not one.signature))
    return tuple({(one.path, one.word): one for one in reversed(ranked)}.values())[::-1][:DEFINITIONS]


def used_definition(definition: ChangedDefinition, texts: Mapping[str, str]) -> UsedDefinition:
    """Returns a definition with its callers, overrides and tests in `texts`, files at the head by path."""
    callers: list[Use] = []
    overrides: list[Use] = []
    tests: list[Use] = []
    files = [(path, text) for path, text in texts.items() if _may_use(definition, path, text)]
    for path, text in sorted(files, key=lambda file: (file[0] != definition.path, file[0]))[:FILES]:
        seen = outline(path, text)
        if seen is not None:
            lines = text.split("\n")
            (tests if is_test(path) else callers).extend(_uses(definition, path, lines, seen))
            overrides += _overrides(definition, path, lines, seen)
    kinds = (("used", callers, CALLERS), ("also defined", overrides, OVERRIDES), ("tested", tests, TESTS))
    rows = [row for kind, uses, most in kinds for row in _rows(kind, uses, most)]
    state = "removed" if not definition.line else "signature changed" if definition.signature else "body changed"
    place = f"{definition.path}:{definition.line}" if definition.line else definition.path
    return UsedDefinition(
        definition.path, "\n".join((f"{definition.name} ({place}, {state})", *(rows or ["  no use was found"])))
    )


def _changed(file: FileDiff, head: str) -> Iterator[ChangedDefinition]:
    before = base_text(head, file) if head else "\n".join(line.text for hunk in file.hunks for line in hunk.lines)
    old = outline(file.base_path, before, bodies=False) if before else None
    new = outline(file.path, head, bodies=False) if old and head else None
    if old is None or (head and new is None):
        return
    now = {one.name: one for one in _definitions(new)} if new else {}
    was = {one.name: one for one in _definitions(old)}
    yield from (ChangedDefinition(file.base_path, name) for name in was if name not in now)
    lines = changed_lines(file.hunks)
    inner = {scope.name for line in lines if new and (scope := new.named(line))}
    for name, one in now.items():
        if name in was and (name in inner or (one.line == one.end and one.line in lines)):
            signature = _signature(old, was[name], before or "") != _signature(new, one, head)
            yield ChangedDefinition(file.path, name, one.line, one.end, signature)


def _definitions(seen: Outline | None) -> Iterator[Definition]:
    """Yields the definitions that other code can use: not those inside functions."""
    functions = {scope.name for scope in seen.scopes[1:] if not scope.is_type} if seen else set()
    for one in seen.definitions() if seen else ():
        outer = one.name.rpartition(".")[0]
        if outer not in functions:
            yield one


def _signature(seen: Outline | None, definition: Definition, text: str) -> str:
    """Returns the words of a definition before its body; of a variable, of its line."""
    scope = (
        next((s for s in seen.scopes[1:] if (s.name, s.start) == (definition.name, definition.line)), None)
        if seen
        else None
    )
    last = max(scope.body - 1, scope.start) if scope else definition.end
    return " ".join(" ".join(text.split("\n")[definition.line - 1 : last]).split())


def _may_use(definition: ChangedDefinition, path: str, text: str) -> bool:
    ours, theirs = language(definition.path), language(path)
    alike = rules_apply_to(ours, theirs) or rules_apply_to(theirs, ours)
    return alike and len(text) <= LARGEST and definition.word in text


def _uses(definition: ChangedDefinition, path: str, lines: list[str], seen: Outline) -> list[Use]:
    """Returns the lines that use the name outside the definition itself; imports only if nothing else does."""
    keys = {definition.word, f".{definition.word}"}
    named = [
        name
        for name in seen.names
        if name.key in keys
        and (name.imported or not name.binds)
        and not (path == definition.path and definition.line <= name.line <= definition.end)
    ]
    chosen = [name for name in named if not name.imported] or named
    return [_use(path, number, lines) for number in dict.fromkeys(name.line for name in chosen)]


def _overrides(definition: ChangedDefinition, path: str, lines: list[str], seen: Outline) -> list[Use]:
    """Returns the other definitions of the name of a method."""
    if "." not in definition.name or is_test(path):
        return []
    return [
        _use(path, one.line, lines)
        for one in seen.definitions()
        if "." in one.name
        and one.name.rpartition(".")[2] == definition.name.rpartition(".")[2]
        and (path, one.name) != (definition.path, definition.name)
    ]


def _use(path: str, number: int, lines: list[str]) -> Use:
    return Use(path, number, lines[number - 1].strip()[:LENGTH] if number <= len(lines) else "")


def _rows(kind: str, uses: Collection[Use], most: int) -> Iterator[str]:
    yield from (f"  {kind} at {path}:{line}: {text}" for path, line, text in list(uses)[:most])
    if len(uses) > most:
        yield f"  {kind} at {len(uses) - most} more places"

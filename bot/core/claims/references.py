"""Proves that a change leaves something broken elsewhere: imports of what it removes, calls that no longer fit, settings.

A finding needs a proof from the code: the import resolves to exactly the changed file, and the file no longer has the
name in any form. Dynamic dispatch, overloads, re-exports, guarded imports and names with two homes prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bot.core.claims.callers import misfits, orphans
from bot.core.claims.imports import Import, imports, meant
from bot.core.claims.uses import ChangedDefinition, changed_definitions
from bot.core.code.calls import TYPED, Arity, argument_counts, arity, bare_calls, fits, signatures
from bot.core.code.diff import Diff, FileDiff, Line, Side, Status, base_text
from bot.core.code.language import language
from bot.core.code.outline import Outline
from bot.core.code.syntax import outline
from bot.core.findings.finding import Category, Draft, Severity

SOURCE = "references"
"""The name of the check in coverage, policy and findings."""
FILES = 20  # removed files that are looked up
PLACES = 3  # places that a finding names


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something that a change removes or alters, and the word by which other files name it.

    `definition` is None for a whole file, which is gone from `path`.
    """

    path: str
    word: str
    definition: ChangedDefinition | None = None


@dataclass(frozen=True, slots=True)
class HeadFiles:
    """What is known of the head: the paths of all files, the changed files' texts, and the texts that mention a word.

    `standard` are the names of the modules of Python's own library.
    """

    paths: frozenset[str]
    heads: Mapping[str, str]
    texts: Mapping[str, str]
    standard: frozenset[str] = frozenset()

    def imports(self, path: str) -> Iterator[Import]:
        """The imports of a file that can fail: not guarded, and not of a module that Python itself brings along."""
        for one in imports(path, self.texts[path]):
            python = language(path) == "python" and one.module.partition(".")[0] in self.standard
            if not one.guarded and not python:
                yield one


@dataclass(frozen=True, slots=True)
class _Broken:
    """A place at the head that no longer works, and the words about it."""

    path: str
    line: int
    text: str


_INDEX = re.compile(r"(?:__init__|index|mod)\.\w+$")


def suspects(diff: Diff, heads: Mapping[str, str]) -> tuple[Suspect, ...]:
    """What to look up: removed files, removed definitions, and functions with another signature. Bounded."""
    gone = [file for file in diff if file.status in {Status.REMOVED, Status.RENAMED}][:FILES]
    files = [Suspect(file.base_path, _word_of_file(file.base_path)) for file in gone]
    known = [file for file in diff if file.path in heads and file.hunks]
    names = [
        Suspect(one.path, one.word, one)
        for one in changed_definitions(known, heads)
        if one.signature
        and (one.name.count(".") <= (language(one.path) in TYPED) or one.name == f"{one.word}.__init__")
    ]
    return (*files, *names)


def _word_of_file(path: str) -> str:
    place = PurePosixPath(path)
    return place.parent.name if _INDEX.search(place.name) and place.parent.name else place.name.partition(".")[0]


def broken(suspect: Suspect, diff: Diff, head: HeadFiles) -> Draft | None:
    """The finding about a suspect that is still used at the head; None without a proof."""
    file = next((file for file in diff if suspect.path in (file.path, file.base_path)), None)
    if file is None:
        return None
    one = suspect.definition
    if one is None:
        made = suspect.path in head.paths or _is_made_now(suspect.path, diff, head)
        places = [] if made else list(_imports_of_file(suspect.path, head))
        title = f"`{PurePosixPath(suspect.path).name}` is {'moved' if file.status is Status.RENAMED else 'removed'} but still used"
        return _draft("removed-file-used", title, "These places still name the file", places, file, side=Side.LEFT)
    if not one.line:
        left = _text_before(one, diff, head)
        texts = {**head.texts, one.path: head.heads.get(one.path, "")}
        calls = list(orphans(one, left, texts)) if left else []
        places = [*_uses_of_name(suspect.path, suspect.word, head), *(_at(p, n, texts[p]) for p, n in calls)]
        return _draft(
            "removed-name-used",
            f"`{suspect.word}` is removed but still used",
            "These places still use it",
            places,
            file,
            side=Side.LEFT,
            word=suspect.word,
        )
    before = base_text(head.heads.get(file.path, ""), file)
    places = list(_misfits(one, before, head)) if before else []
    why = "These calls fitted the old parameters and do not fit the new ones"
    title = f"Calls of `{one.word}` no longer fit"
    return _draft("call-does-not-fit", title, why, places, file, side=Side.RIGHT, word=one.word)


def _text_before(one: ChangedDefinition, diff: Diff, head: HeadFiles) -> str:
    """The text at the base of a file that still exists."""
    file = next((file for file in diff if file.base_path == one.path), None)
    return (base_text(head.heads.get(file.path, ""), file) or "") if file and file.path in head.heads else ""


def _draft(  # noqa: PLR0913 - the parts of a draft
    rule: str, title: str, why: str, places: Sequence[_Broken], file: FileDiff, *, side: Side, word: str = ""
) -> Draft | None:
    if not places:
        return None
    shown = [f"`{place.path}:{place.line}` (`{place.text}`)" for place in places[:PLACES]]
    more = f", and {len(places) - PLACES} more" if len(places) > PLACES else ""
    line = _changed_line(file, side, word)
    return Draft(
        path=file.path,
        quoted=line.text if line else "",
        title=title,
        why=f"{why}: {', '.join(shown)}{more}.",
        severity=Severity.ERROR,
        category=Category.CORRECTNESS,
        source=SOURCE,
        rule=rule,
        side=side,
        near=line.number(side) if line else None,
        symbol=word,
        evidence=tuple(f"{place.path}:{place.line}" for place in places[:PLACES]),
    )


def _changed_line(file: FileDiff, side: Side, word: str) -> Line | None:
    """The changed line that names the word, or else the first changed line of that side."""
    changed = [
        line
        for hunk in file.hunks
        for line in hunk.lines
        if (line.removed if side is Side.LEFT else line.added) and line.text.strip()
    ]
    named = (line for line in changed if word and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line.text))
    return next(named, changed[0] if changed else None)


def _at(path: str, line: int, text: str) -> _Broken:
    lines = text.split("\n")
    return _Broken(path, line, " ".join(lines[line - 1].replace("`", "'").split())[:120] if line <= len(lines) else "")


_SETTINGS = re.compile(
    r"(?:^|/)(?:Dockerfile[\w.-]*|[\w.-]+\.dockerfile|Makefile|GNUmakefile|package\.json|\.gitlab-ci\.yml)$|^\.github/workflows/[^/]+\.ya?ml$"
)


def _is_made_now(path: str, diff: Diff, head: HeadFiles) -> bool:
    """Whether a tool may make the removed file from now on: from a template, or because git ignores it with this change."""
    name = PurePosixPath(path).name
    ignored = (
        line.text
        for file in diff
        if PurePosixPath(file.path).name == ".gitignore"
        for hunk in file.hunks
        for line in hunk.lines
        if line.added
    )
    return any(_mentions(text, name.partition(".")[0]) or "*" in text for text in ignored) or any(
        other.startswith((f"{path}.", f"{path}_")) for other in head.paths
    )


def _imports_of_file(path: str, head: HeadFiles) -> Iterator[_Broken]:
    """The imports at the head that meant the removed file and mean nothing now, and paths in build files."""
    if any(other.startswith(f"{path.rpartition('.')[0]}/") for other in head.paths):
        return  # a folder has taken its place
    for name, text in sorted(head.texts.items()):
        for one in head.imports(name):
            if _meant_the_file(name, one, path, head) and not _is_defined_elsewhere(name, one, head):
                yield _at(name, one.line, text)
        if _SETTINGS.search(name) and "/" in path:
            whole = re.compile(rf"(?<![\w./*-])(?:\./)?{re.escape(path)}(?![\w./*-])")
            lines = enumerate(text.split("\n"), 1)
            yield from (_at(name, n, text) for n, line in lines if whole.search(line) and not _COMMENT.match(line))


def _meant_the_file(name: str, one: Import, path: str, head: HeadFiles) -> bool:
    """Whether an import meant the removed file and means none at the head; in Python also as a name of its package."""
    if path in meant(name, one.module, {path}):
        return not meant(name, one.module, head.paths)
    packages = meant(name, one.module, head.paths)
    if language(name) != "python" or any(taken in head.texts and _is_open(head.texts[taken]) for taken in packages):
        return False
    modules = [f"{one.module}{'' if one.module.endswith('.') else '.'}{taken}" for taken in one.names]
    return any(
        path in meant(name, module, {path})
        and not meant(name, module, head.paths)
        and not any(_mentions(head.texts.get(package, ""), module.rpartition(".")[2]) for package in packages)
        for module in modules
    )


_COMMENT = re.compile(r"\s*(?:#|//|rm\b|-\s*rm\b)")


def _is_defined_elsewhere(name: str, one: Import, head: HeadFiles) -> bool:
    """Whether another file defines the class of an import whose language does not tie classes to files."""
    if language(name) not in {"java", "php"}:
        return False
    last = re.split(r"[.\\]", one.module)[-1]
    defines = re.compile(rf"\b(?:class|interface|enum|object|record|trait|typealias)\s+{re.escape(last)}\b")
    return any(defines.search(text) for text in head.texts.values())


def _uses_of_name(path: str, word: str, head: HeadFiles) -> Iterator[_Broken]:
    """The places that take a removed name from a file that still exists, and that has the name in no form."""
    text = head.heads.get(path, head.texts.get(path, ""))
    if not text or _mentions(text, word) or _is_open(text):
        return
    for name, other in sorted(head.texts.items()):
        if name == path:
            continue
        if path.endswith(".go"):
            yield from _go_uses(path, word, name, other, head)
            continue
        for one in head.imports(name):
            takes = word in one.names and meant(name, one.module, head.paths) == {path}
            if takes and not _is_submodule(path, word, head):
                yield _at(name, one.line, other)


def _mentions(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


_OPEN = re.compile(
    r"\bimport \*|\bexport \*|__getattr__|\bglobals\(\)|\bmodule\.exports\s*=\s*\w|Object\.assign\(|\bpub use\b.*\*|macro_rules!|!\s*[({]"
)


def _is_open(text: str) -> bool:
    """Whether a file may have names that do not stand in it."""
    return _OPEN.search(text) is not None


def _is_submodule(path: str, word: str, head: HeadFiles) -> bool:
    """Whether the name may be a module beside the package's file: `from package import module`."""
    folder = PurePosixPath(path).parent
    return any(other.startswith((f"{folder}/{word}.", f"{folder}/{word}/")) for other in head.paths)


_BUILD_TAG = re.compile(r"^(?://go:build|// \+build)", re.MULTILINE)
_PACKAGE = re.compile(r"^package (\w+)", re.MULTILINE)


def _go_uses(path: str, word: str, name: str, text: str, head: HeadFiles) -> Iterator[_Broken]:
    """Uses of a package's name in another file of the same folder and package. Build tags may leave files out."""
    folder, seen = PurePosixPath(path).parent, outline(name, text)
    mine, theirs = _PACKAGE.search(head.heads.get(path, "")), _PACKAGE.search(text)
    if seen is None or PurePosixPath(name).parent != folder or not name.endswith(".go"):
        return
    if not mine or not theirs or mine[1] != theirs[1] or _BUILD_TAG.search(text) or seen.errors:
        return
    beside = [other for other in head.texts if other.endswith(".go") and PurePosixPath(other).parent == folder]
    if any(_binds(outline(other, head.texts[other]), word) for other in beside):
        return
    lines = dict.fromkeys(use.line for use in seen.names if use.key == word and not use.binds)
    yield from (_at(name, line, text) for line in lines)


def _binds(seen: Outline | None, word: str) -> bool:
    return seen is None or any(name.key == word and name.binds for name in seen.names)


def _misfits(one: ChangedDefinition, before: str, head: HeadFiles) -> Iterator[_Broken]:
    """The calls that fitted the signature before the change and do not fit the one after it."""
    path, word, after = one.path, one.word, head.heads.get(one.path, "")
    if language(path) in TYPED:
        texts = {**head.texts, path: after}
        yield from (_at(name, line, texts[name]) for name, line in misfits(one, before, texts))
        return
    wrong = _python_calls(one, before, after) if path.endswith(".py") else _counted_calls(path, word, before, after)
    if wrong is None:
        return
    for name, text in sorted({**head.texts, path: after}.items()):
        if _is_meant(name, text, path, word, head):
            yield from (_at(name, line, text) for line in wrong(name, text))


def _is_meant(name: str, text: str, path: str, word: str, head: HeadFiles) -> bool:
    """Whether the plain word in a file is the changed function: its own file, an import of it, or the same Go package."""
    seen = outline(name, text)
    bound = [found for found in seen.names if found.key == word and found.binds] if seen else []
    if name == path:
        return len(bound) == 1
    if path.endswith(".go"):
        same = PurePosixPath(name).parent == PurePosixPath(path).parent and name.endswith(".go")
        mine, theirs = _PACKAGE.search(head.heads.get(path, "")), _PACKAGE.search(text)
        return same and not bound and bool(mine and theirs and mine[1] == theirs[1]) and not _BUILD_TAG.search(text)
    taken = [found for found in imports(name, text) if word in found.names]
    known = len(taken) == 1 and meant(name, taken[0].module, head.paths) == {path}
    return known and all(found.imported for found in bound)


Calls = Callable[[str, str], Iterable[int]]
"""The lines of the calls in a file (path, text) that do not fit any more."""


def _python_calls(one: ChangedDefinition, before: str, after: str) -> Calls | None:
    function = one.name.rpartition(".")[2]
    was, now = signatures(one.path, before, function), signatures(one.path, after, function)
    if (
        not was
        or not now
        or len(was) != 1
        or len(now) != 1
        or not (one.name == one.word or _is_plain_class(one.word, after))
    ):
        return None

    def wrong(name: str, text: str) -> Iterator[int]:
        for line, call in bare_calls(name, text, one.word):
            if call is not None and fits(call, was[0]) and not fits(call, now[0]):
                yield line

    return wrong


def _is_plain_class(word: str, text: str) -> bool:
    """Whether calling the class calls its own `__init__`: no decorator, no base with a metaclass, no `__new__`."""
    found = re.search(rf"(?m)^(?P<above>.*\n)?class {re.escape(word)}\s*(?:\(\s*\))?:", text)
    return bool(found and not (found["above"] or "").startswith("@")) and "__new__" not in text


def _counted_calls(path: str, word: str, before: str, after: str) -> Calls | None:
    was, now = arity(path, before, word), arity(path, after, word)
    if was is None or now is None or was == now or language(path) not in {"go", "rust", "typescript"}:
        return None

    def wrong(name: str, text: str) -> Iterator[int]:
        if language(name) == language(path):
            counts = argument_counts(name, text, word)
            yield from (
                line for line, count in counts if count is not None and _takes(was, count) and not _takes(now, count)
            )

    return wrong


def _takes(known: Arity, count: int) -> bool:
    return known[0] <= count and (known[1] is None or count <= known[1])


_EXAMPLE = re.compile(
    r"(?:^|/)(?:\.env\.(?:example|sample|template|dist|defaults)|(?:example|sample|env)\.env|env\.(?:example|sample|template))$"
)
_REQUIRED: Mapping[str, re.Pattern[str]] = {
    "python": re.compile(r"\bos\.environ\[\s*[\"']([A-Z][A-Z0-9_]{2,})[\"']\s*\](?!\s*=(?!=))"),
    "typescript": re.compile(r"\bprocess\.env\.([A-Z][A-Z0-9_]{2,})!"),
    "ruby": re.compile(r"\bENV\.fetch\(\s*[\"']([A-Z][A-Z0-9_]{2,})[\"']\s*\)(?!\s*(?:\{|do\b))"),
    "rust": re.compile(r"\benv::var\(\s*\"([A-Z][A-Z0-9_]{2,})\"\s*\)(?:\.(?:unwrap|expect)\(|\?)"),
}
_PLATFORM = re.compile(
    r"(?:HOME|PATH|USER|SHELL|TMPDIR|PWD|LANG|TERM|CI|HOSTNAME|XDG_\w+|GITHUB_\w+|RUNNER_\w+|AWS_LAMBDA_\w+|PYTEST_\w+)"
)


def example_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """The files that list the settings of a deployment for people: `.env.example` and its kin."""
    return tuple(path for path in paths if _EXAMPLE.search(path))


def missing_settings(diff: Diff, heads: Mapping[str, str], examples: Mapping[str, str]) -> Iterator[Draft]:
    """A finding for each required setting that a change reads for the first time and that the example file lacks.

    The example is known to be about this code: it lists another setting that the same file requires.
    """
    for file in diff:
        pattern = _REQUIRED.get(language(file.path))
        names = set(pattern.findall(heads.get(file.path, ""))) if pattern else set()
        known = [path for path, text in examples.items() if any(_mentions(text, name) for name in names)]
        for line in (line for hunk in file.hunks for line in hunk.lines if line.added and pattern and known):
            for name in pattern.findall(line.text) if pattern else ():
                if any(_mentions(examples[path], name) for path in examples) or _PLATFORM.fullmatch(name):
                    continue
                if name in _names_at_base(file, heads.get(file.path, ""), pattern):
                    continue
                yield _setting(file.path, line, name, known[0])


def _names_at_base(file: FileDiff, head: str, pattern: re.Pattern[str] | None) -> Collection[str]:
    return set(pattern.findall(base_text(head, file) or "")) if pattern else ()


def _setting(path: str, line: Line, name: str, example: str) -> Draft:
    return Draft(
        path=path,
        quoted=line.text,
        title=f"The new setting `{name}` is not in `{example}`",
        why="The code fails without this setting, and the example lists the other settings of this file but not this one.",
        severity=Severity.WARNING,
        category=Category.MAINTAINABILITY,
        source=SOURCE,
        rule="setting-not-in-example",
        near=line.new,
        evidence=(f"{example}:1",),
    )

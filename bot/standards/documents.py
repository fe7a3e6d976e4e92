"""Chooses the documents that govern a review out of a commit's files, and gives a reason for each one left out.

Documents come from the base commit only. In addition to the policy's globs they are the files in which teams keep
conventions: AGENTS.md, CLAUDE.md, REVIEW.md, .editorconfig, the rules of Copilot and Cursor.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from posixpath import normpath

from bot.core.code.diff import Diff, FileDiff, Status
from bot.core.code.globs import Globs
from bot.core.findings.standard import ARCHIVES, Document
from bot.core.policy import PATH, Policy
from bot.standards.sections import ARCHIVE, LARGEST, TEXTS

MOST = 200
"""Documents on a shelf."""
DEPTH = 3
"""Imports of imports that are followed."""

_NESTED = ("AGENTS.md", "CLAUDE.md", "GEMINI.md", ".editorconfig")
_FOLDERS_OF_TOOLS = {
    ".claude",
    ".codex",
    ".cursor",
    ".gemini",
    ".github",
    ".windsurf",
}  # they speak of the whole repository
_CONVENTIONS = Globs.of(
    (
        "/REVIEW.md",
        "/.github/copilot-instructions.md",
        "/.github/instructions/**/*.instructions.md",
        "/.cursor/rules/**/*.mdc",
        "/.cursor/BUGBOT.md",
        "/.cursorrules",
        "/.claude/rules/**/*.md",
        "/.gemini/styleguide.md",
        "/.windsurf/rules/**/*.md",
        "/.windsurfrules",
        *_NESTED,
    )
)
_UNREAD = (".adoc", ".doc", ".odt", ".org", ".rtf", ".tex", ".textile")  # hold rules, but we cannot read them
_PROSE = frozenset({*TEXTS, *ARCHIVES, *_UNREAD})
_IMPORT = re.compile(r"(?<![\w`@/.])@((?:\./|\.\./)*[\w.-]+(?:/[\w.-]+)*)")
_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selection:
    """The documents, those nearest to the changed code last, and (path, reason) for each file that is left out."""

    documents: tuple[Document, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


def select(files: Sequence[tuple[str, str, int]], policy: Policy, *, changed: Sequence[str]) -> Selection:
    """Returns the documents for a change of the paths `changed`. `files` holds (path, git object id, size in bytes).

    The policy's globs start at the repository's root: `STYLE*.md` does not match `vendor/STYLE.md`.
    """
    globs = Globs.of(_rooted(policy.standards.paths))
    public = Globs.of(_rooted(policy.standards.public))
    kept: list[Document] = []
    skipped = [(glob, "this glob cannot be used") for glob in (*globs.invalid, *public.invalid)]
    seen: dict[tuple[str, tuple[str, ...]], str] = {}
    for path, blob, size in sorted(files, key=lambda file: (file[0].count("/"), file[0])):
        if not _prose(path) or not (globs.match(path) or (policy.standards.conventions and _convention(path, changed))):
            continue
        scope = _below(path)
        twin = seen.get((blob, scope))
        if reason := f"the same text as {twin}" if twin else _unreadable(path, size, len(kept)):
            skipped.append((path, reason))
            continue
        seen[blob, scope] = path
        kept.append(Document(path, blob, size, scope, visibility="public" if public.match(path) else "private"))
    return Selection(tuple(kept), tuple(skipped))


def audience(documents: Iterable[Document], repo_is_private: bool) -> tuple[Document, ...]:  # noqa: FBT001 - as GitHub has it
    """Returns the documents that everyone who can read the pull request may read.

    A public repository's own documents are public; those of another repository need the label `public`.
    """
    return tuple(
        document for document in documents if repo_is_private or not document.repo or document.visibility == "public"
    )


def imports(content: str, path: str) -> tuple[str, ...]:
    """Returns the paths inside the repository that the document at `path` imports with `@path`, outside of code.

    https://code.claude.com/docs/en/memory#import-additional-files
    """
    folder = PurePosixPath(path).parent
    names = dict.fromkeys(match[1] for match in _IMPORT.finditer(_CODE.sub(" ", content)))
    found = (normpath(folder / name.rstrip(".")) for name in names)
    return tuple(
        dict.fromkeys(
            target for target in found if not target.startswith(("../", "/")) and target not in {path, ".", ".."}
        )
    )


def imported(
    documents: Iterable[Document], contents: Mapping[str, bytes], files: Sequence[tuple[str, str, int]]
) -> tuple[Document, ...]:
    """Returns the documents that `documents` import and do not contain, with the importer's scope; none is public.

    `contents` has the bytes of AGENTS.md and CLAUDE.md files and of their imports, by path. Call it again with the
    contents of the result, at most DEPTH times.
    """
    known = {document.path: document for document in documents}
    held = {path: (blob, size) for path, blob, size in files}
    found: dict[str, Document] = {}
    for path, content in contents.items():
        for name in imports(content.decode(errors="replace"), path) if path in known else ():
            if (
                name in known
                or name not in held
                or not _prose(name)
                or _unreadable(name, held[name][1], len(known) + len(found))
            ):
                continue
            blob, size = held[name]
            found[name] = replace(known[path], path=name, blob=blob, size=size, languages=(), visibility="private")
    return tuple(found.values())


def is_convention(path: str) -> bool:
    """Whether it is a convention file by its name, such as AGENTS.md or a Cursor rule."""
    return _CONVENTIONS.match(path)


def importing(path: str) -> bool:
    """Whether a document of this name may import others."""
    return PurePosixPath(path).name in {"AGENTS.md", "CLAUDE.md"}


def tampered(diff: Diff, policy: Policy, shelved: Collection[str] = ()) -> tuple[str, ...]:
    """Returns a line for each file of the change that alters the rules of reviews. It takes effect with the merge.

    `shelved` are the paths of the documents that govern this review.
    """
    globs = Globs.of(_rooted(policy.standards.paths))
    conventions = _CONVENTIONS if policy.standards.conventions else Globs.of(())

    def rules(path: str) -> bool:
        return path == PATH or path in shelved or (_prose(path) and (globs.match(path) or conventions.match(path)))

    return tuple(_statement(file) for file in diff if rules(file.path) or rules(file.base_path))


def _statement(file: FileDiff) -> str:
    name = "".join(char if char.isprintable() and char != "`" else "?" for char in file.path)
    return f"`{name}` {_consequence(file)}"


def _consequence(file: FileDiff) -> str:
    match file.status:
        case Status.ADDED:
            return "is new: it was not applied here and governs once it is merged."
        case Status.REMOVED:
            return "is removed: it was still applied here and ends once this is merged."
        case Status.RENAMED if not file.hunks:
            return "is moved: the base branch's file was applied here."
    touched = ", ".join(_headings(file))
    return (
        f"changes (+{file.additions}, -{file.deletions}{': ' + touched if touched else ''}): "
        "the base branch's text was applied here, the new one governs once it is merged."
    )


def _headings(file: FileDiff) -> Iterator[str]:
    """Yields the first three headings that the change adds or removes."""
    changed = [line for hunk in file.hunks for line in hunk.lines if line.added or line.removed]
    titles = [
        (line.added, match[1]) for line in changed if (match := re.match(r"#{1,6}\s+([\w ,.'-]{1,60})", line.text))
    ]
    yield from (f"{'adds' if added else 'removes'} “{title.strip()}”" for added, title in titles[:3])


def _prose(path: str) -> bool:
    name = PurePosixPath(path)
    return name.suffix.lower() in _PROSE or name.name in _NESTED


def _rooted(patterns: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"/{pattern.removeprefix('./').removeprefix('/')}" for pattern in patterns)


def _convention(path: str, changed: Sequence[str]) -> bool:
    """Whether it is a convention file for a changed file: one in the root, or in a folder above that file."""
    if not _CONVENTIONS.match(path):
        return False
    folder = _home(path)
    nested = PurePosixPath(path).name in _NESTED and folder.parts
    return not nested or any(PurePosixPath(file).is_relative_to(folder) for file in changed)


def _below(path: str) -> tuple[str, ...]:
    """Returns the scope of a nested convention file: its own folder."""
    folder = _home(path)
    return (f"{_escaped(str(folder))}/**",) if PurePosixPath(path).name in _NESTED and folder.parts else ()


def _home(path: str) -> PurePosixPath:
    """Returns the folder that a convention file is about: of `web/.claude/CLAUDE.md` it is `web`."""
    folder = PurePosixPath(path).parent
    return folder.parent if folder.name in _FOLDERS_OF_TOOLS else folder


def _escaped(path: str) -> str:
    return re.sub(r"([*?\[\]{}!()|\\])", r"\\\1", path)


def _unreadable(path: str, size: int, count: int) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _UNREAD:
        return f"documents ending in {suffix} are not read"
    bound = ARCHIVE if suffix in ARCHIVES else LARGEST
    if size > bound:
        return f"it has {size:,} bytes; at most {bound:,} are read"
    return f"there are more than {MOST} documents" if count >= MOST else ""

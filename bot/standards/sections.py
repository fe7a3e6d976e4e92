"""Cuts a document of the team's rules into sections, each one a place that a reader would cite.

A section's text is an exact substring of the decoded document (of the extracted text for docx and PDF), so that a quote
from it can be checked. Front matter is read line by line: editors' rule files say `globs: *.py`, which is not YAML.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePosixPath
from types import MappingProxyType

from bot.core.code.globs import Globs
from bot.core.code.language import language, language_named, language_of_document, language_of_heading
from bot.core.findings.standard import ARCHIVES, FEWEST, Document, Standard, word_count
from bot.errors import Refused, TooLarge
from bot.standards.formats import Fence, Layout, SectionHead, editorconfig, html, lines, markdown, plain, tagless
from bot.standards.passages import is_retired

FRONT_MATTER_LONGEST = 200
"""Lines in which the closing `---` of front matter is searched."""
WIDEST = 2_000
"""Characters of a line that are read."""

_KEY = re.compile(r"([A-Za-z][\w-]*)[ \t]*:(?:[ \t]+(.*))?$")


def front_matter(text: str) -> tuple[Mapping[str, tuple[str, ...]], int]:
    """Returns the keys with their values, and the offset at which the document's own text begins (0: no front matter).

    It reads `key: value`, `key: [a, b]`, `key: a, b` and `- item` lines below a key, and skips other lines.
    """
    lines = text.split("\n", FRONT_MATTER_LONGEST)
    if lines[0].rstrip() != "---":
        return {}, 0
    found: dict[str, tuple[str, ...]] = {}
    key, offset = "", len(lines[0]) + 1
    for line in lines[1:FRONT_MATTER_LONGEST]:
        offset += len(line) + 1
        bare = line[:WIDEST].strip()
        if bare == "---":
            return found, min(offset, len(text))
        if match := _KEY.match(line[:WIDEST].rstrip()):
            key = match[1]
            found[key] = _values(match[2] or "")
        elif bare.startswith("- ") and key:
            found[key] = (*found[key], *_values(bare[2:]))
    return {}, 0


def _values(written: str) -> tuple[str, ...]:
    bare = re.sub(r"(^|\s)#.*$", "", written).strip()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    return tuple(value for part in _apart(_unquoted(bare)) if (value := _unquoted(part)))


def _apart(written: str) -> list[str]:
    """Splits at commas outside braces: `**/*.{ts,tsx}` is one glob."""
    return re.split(r",(?![^{]*\})", written)


def _unquoted(written: str) -> str:
    bare = written.strip()
    quoted = len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'" and bare[0] not in bare[1:-1]
    return bare[1:-1].strip() if quoted else bare


LARGEST = 1_000_000
"""Bytes of a text document."""
ARCHIVE = 10_000_000
"""Bytes of a docx or a PDF."""
LONGEST = 2_400
"""Most characters of a section that is not cut at a blank line."""
MOST = 2_000
"""Most sections of a document."""

Reader = Callable[[bytes], Layout]
NO_READERS: Mapping[str, Reader] = MappingProxyType({})
TEXTS: Mapping[str, Callable[[str], Layout]] = MappingProxyType(
    {
        "": markdown,
        ".md": markdown,
        ".markdown": markdown,
        ".mdc": markdown,
        ".html": html,
        ".htm": html,
        ".rst": plain,
        ".txt": plain,
    }
)

_GAP = re.compile(r"(?:\r\n|\r|\n)[ \t]*(?:\r\n|\r|\n)(?=\S)")
_EXAMPLES = frozenset(
    {"bash", "html", "json", "markdown", "sql", "text", "toml", "yaml"}
)  # stand in documents on any code
FEWEST_FENCES = 3
"""Fewest code blocks of one language from which a document without another sign is about that language."""
_EVERYWHERE = frozenset({"*", "**", "**/*"})


_RULE_KEYS = frozenset({"id", "severity"})


def sections(document: Document, content: bytes, readers: Mapping[str, Reader] = NO_READERS) -> tuple[Standard, ...]:
    """Returns the sections of `document`, in order. Scope and languages come from its front matter, path and fences.

    `readers` lay out archives, by suffix. Raises TooLarge over a bound and Refused for content that cannot be read.
    """
    suffix = PurePosixPath(document.path).suffix.lower()
    bound = ARCHIVE if suffix in ARCHIVES else LARGEST
    if len(content) > bound:
        raise TooLarge(f"it has {len(content):,} bytes; at most {bound:,} are read")
    if suffix in ARCHIVES:
        if suffix not in readers:
            raise Refused(f"there is no reader for {suffix} here")
        return _standards(document, readers[suffix](content), {}, 0)
    text = decoded(content)
    keys, start = front_matter(text)
    name = PurePosixPath(document.path).name
    layout = editorconfig if name == ".editorconfig" else TEXTS.get(suffix, plain)
    return _standards(document, layout(text[start:]), keys, len(lines(text[:start])) - 2)


def decoded(content: bytes) -> str:
    """Returns the text of `content` without its byte order mark. Raises Refused if it is not Unicode text."""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise Refused("it is not UTF-8 text") from None
    if "\0" in text:
        raise Refused("it is binary")
    return text


def _standards(
    document: Document, layout: Layout, keys: Mapping[str, tuple[str, ...]], above: int
) -> tuple[Standard, ...]:
    """`above` is the number of lines before the layout's text."""
    scope = _within(document.scope, _scope(keys))
    languages = document.languages or _languages(document.path, keys, scope, layout.fences)
    retired = _is_retired(keys)
    starts = lines(layout.text)[:-1]
    found: list[Standard] = []
    for head, path, anchor, start, end in _pieces(layout, _root(layout, keys)):
        found.append(
            Standard(
                document=document.path,
                heading=path,
                anchor=anchor,
                start=above + bisect_right(starts, start),
                end=above + bisect_right(starts, end - 1),
                blob=document.blob,
                text=layout.text[start:end],
                languages=languages or _scoped(head.scope) or _headed(path),
                scope=_within(scope, _usable(head.scope)),
                examples=_examples(layout.fences, start, end),
                retired=retired or is_retired(path, layout.text[start:end]),
                front=tuple((key, values[0]) for key, values in keys.items() if key in _RULE_KEYS and values),
            )
        )
        if len(found) > MOST:
            raise TooLarge(f"it has more than {MOST} sections")
    if not found or len(found[0].heading) > 1 or not found[0].retired:
        return tuple(found)
    title = found[0].heading  # what the text below a title says holds for everything below it
    return tuple(
        replace(section, retired=section.retired or section.heading[:1] == title[:1] or not title) for section in found
    )


def _is_retired(keys: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether front matter says that the document is withdrawn: `status: retired`, `deprecated: true`."""
    said = keys.get("status", ()) + keys.get("state", ())
    return is_retired(said, "") or any(keys.get(name) == ("true",) for name in ("deprecated", "retired", "obsolete"))


def _headed(path: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the language that the nearest heading names which names one."""
    return next(((name,) for title in reversed(path) if (name := language_of_heading(title))), ())


def _pieces(layout: Layout, root: tuple[str, ...]) -> Iterator[tuple[SectionHead, tuple[str, ...], str, int, int]]:
    """Yields head, heading path, anchor, start and end of each section that has words below its heading."""
    heads = sorted(layout.heads, key=lambda head: head.offset)
    if not heads or heads[0].offset > 0:
        heads.insert(0, SectionHead(0, 0, 0, ""))
    slugs = _Slugs()
    stack: list[SectionHead] = []
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        while stack and stack[-1].level >= head.level:
            stack.pop()
        stack.append(head)
        path = root + tuple(above.title for above in stack if above.title)
        anchor = slugs.take(head)
        stop = following.offset if following else len(layout.text)
        for number, (start, end) in enumerate(_cuts(layout, head, stop)):
            yield head, path, "" if number else anchor, start, end


def _cuts(layout: Layout, head: SectionHead, stop: int) -> Iterator[tuple[int, int]]:
    """Yields the pieces of `head.offset`..`stop`, stripped; a section that is too long is cut at blank lines."""
    if word_count(tagless(layout.text[head.body : stop]).replace("_", " ")) < FEWEST:
        return
    start = head.offset
    gaps = [match.end() for match in _GAP.finditer(layout.text, head.body, stop)] if stop - start > LONGEST else []
    gaps = [gap for gap in gaps if not any(fence.start < gap < fence.end for fence in layout.fences)]
    for gap, following in pairwise([*gaps, stop]):
        if following - start > LONGEST:
            yield _stripped(layout.text, start, gap)
            start = gap
    yield _stripped(layout.text, start, stop)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


@dataclass(slots=True)
class _Slugs:
    """Makes anchors as GitHub does: lower case, without punctuation, `-1` after the second of a name."""

    taken: dict[str, int] = field(default_factory=dict)

    def take(self, head: SectionHead) -> str:
        """Returns the head's own anchor if it is still free, else a slug of its title."""
        plain = head.anchor or re.sub(r"[^\w\- ]", "", head.title.lower()).strip().replace(" ", "-")
        if not plain:
            return ""
        slug = plain
        while slug in self.taken:
            self.taken[plain] += 1
            slug = f"{plain}-{self.taken[plain]}"
        self.taken[slug] = 0
        return slug


def _root(layout: Layout, keys: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Returns the heading of a document without headings, from its front matter."""
    title = keys.get("title") or keys.get("description") or ()
    return (", ".join(title),) if title and not layout.heads else ()


def _scope(keys: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Returns the globs of the code that a document applies to, under the keys of Copilot, Cursor and Claude."""
    if keys.get("alwaysApply") == ("true",):
        return ()
    return _usable(keys.get("applyTo") or keys.get("globs") or keys.get("paths") or ())


def _usable(globs: tuple[str, ...]) -> tuple[str, ...]:
    if _EVERYWHERE & set(globs):
        return ()
    if invalid := Globs.of(globs).invalid:
        raise Refused(f"its scope has a glob that cannot be used: {invalid[0][:80]}")
    return globs


def _within(outer: tuple[str, ...], inner: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the `inner` globs relative to the folder of `outer`: `web/**` and `*.js` make `web/**/*.js`."""
    if not outer or not inner:
        return inner or outer
    folders = [glob.removesuffix("**") for glob in outer if glob.endswith("/**")]
    bare = [glob.removeprefix("/") if "/" in glob else f"**/{glob}" for glob in inner]
    return tuple(folder + glob for folder in folders for glob in bare) or outer


def _languages(
    path: str, keys: Mapping[str, tuple[str, ...]], scope: tuple[str, ...], fences: tuple[Fence, ...]
) -> tuple[str, ...]:
    """Returns the languages that the front matter names, else the scope, else the path, else all fences alike."""
    said = (*keys.get("language", ()), *keys.get("languages", ()))
    named = tuple(dict.fromkeys(name for word in said if (name := language_named(word))))
    own = language_of_document(path)
    return named or _scoped(scope) or ((own,) if own else ()) or _agreed(fences)


def _scoped(globs: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the languages of the endings in `globs`, as in `**/*.{ts,tsx}`."""
    endings = [ending for glob in globs for ending in glob.rpartition(".")[2].strip("{}").split(",")]
    return tuple(dict.fromkeys(name for ending in endings if (name := language(f"x.{ending}"))))


def _agreed(fences: tuple[Fence, ...]) -> tuple[str, ...]:
    """Returns the language of a document's fences if there are several and all have the same one."""
    names = _examples(fences)
    return names if len(names) == 1 and len(fences) >= FEWEST_FENCES else ()


def _examples(fences: tuple[Fence, ...], start: int = 0, end: int | None = None) -> tuple[str, ...]:
    """Returns the languages of the fences in `start`..`end`."""
    inside = [fence for fence in fences if fence.start >= start and (end is None or fence.end <= end)]
    names = (language_named(fence.language) for fence in inside)
    return tuple(dict.fromkeys(name for name in names if name and name not in _EXAMPLES))

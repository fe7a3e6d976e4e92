"""The few lines between two `---` at the top of a document, read line by line: real ones are often not YAML.

Editors' rule files say `globs: *.py`, which a YAML parser rejects as an alias; a reader of lines does not mind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LONGEST = 200
"""Lines looked at for the closing `---`."""
WIDEST = 2_000
"""Characters of a line that are read."""

_KEY = re.compile(r"([A-Za-z][\w-]*)[ \t]*:(?:[ \t]+(.*))?$")


def read(text: str) -> tuple[Mapping[str, tuple[str, ...]], int]:
    """The keys with their values, and the offset at which the document's own text begins (0: no front matter).

    `key: value`, `key: [a, b]`, `key: a, b` and `- item` lines below a key are understood; all else is passed over.
    """
    lines = text.split("\n", LONGEST)
    if lines[0].rstrip() != "---":
        return {}, 0
    found: dict[str, tuple[str, ...]] = {}
    key, offset = "", len(lines[0]) + 1
    for line in lines[1:LONGEST]:
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
    """Split at commas that are not inside braces: `**/*.{ts,tsx}` is one glob."""
    return re.split(r",(?![^{]*\})", written)


def _unquoted(written: str) -> str:
    bare = written.strip()
    quoted = len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'" and bare[0] not in bare[1:-1]
    return bare[1:-1].strip() if quoted else bare

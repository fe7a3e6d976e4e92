"""The prompts: Markdown files, rendered strictly, each with a version."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import DictLoader, Environment, StrictUndefined


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts by the name of their file without suffix. A missing variable is an error, not an empty string."""

    texts: Mapping[str, str]

    def say(self, name: str, **values: object) -> str:
        """Returns the text of a prompt. Values come from us or from maintainers, never from untrusted text."""
        rendered = _environment(tuple(self.texts.items())).get_template(f"{name}.md").render(values)
        return re.sub(r"\n{3,}", "\n\n", rendered).strip()

    @property
    def passes(self) -> tuple[str, ...]:
        """The names of the review passes: each has a prompt find_<name>. A new pass is a new file."""
        names = (name.removeprefix("find_") for name in sorted(self.texts) if name.startswith("find_"))
        return tuple(name for name in names if name != "together")

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """Name and content hash of each prompt: recorded in every review."""
        return tuple(
            (name, hashlib.sha256(text.encode()).hexdigest()[:12]) for name, text in sorted(self.texts.items())
        )


@lru_cache(maxsize=4)
def _environment(texts: tuple[tuple[str, str], ...]) -> Environment:
    """Caches the compiled templates: compiling takes longer than rendering."""
    return Environment(
        loader=DictLoader({f"{name}.md": text for name, text in texts}),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown for a model, no HTML; values are filtered through tojson
        trim_blocks=True,
        lstrip_blocks=True,
    )

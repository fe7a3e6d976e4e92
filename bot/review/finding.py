"""Draft -> Finding: a claim, and the claim once its place and its citations were proven."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from bot.review.anchor import Anchor
from bot.review.diff import Side
from bot.review.standard import Standard


class Severity(IntEnum):
    """Ordered, so that findings sort and filter by comparison. The words are SARIF's and reviewdog's."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


class Category(StrEnum):
    """What kind of trouble a finding is about."""

    CORRECTNESS = "correctness"
    SECURITY = "security"
    STANDARDS = "standards"
    TESTS = "tests"
    PERFORMANCE = "performance"
    MAINTAINABILITY = "maintainability"
    HYGIENE = "hygiene"
    REQUIREMENT = "requirement"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a model or a check claims. Untrusted: the place may not exist, the standard may be invented.

    `quoted` is the code it speaks of, copied from the diff, one or more whole lines. `near` is a line number that
    only helps to choose between equal matches. `symbol` is the enclosing function or class, when known.
    `claim` is a typed claim ("unused: name") that code can refute. `replacement` replaces exactly the quoted lines.
    """

    path: str
    quoted: str
    title: str
    why: str
    severity: Severity
    category: Category
    source: str
    rule: str = ""
    rule_url: str = ""
    side: Side = Side.RIGHT
    near: int | None = None
    symbol: str = ""
    claim: str = ""
    confidence: float = 1.0
    evidence: tuple[str, ...] = ()
    standard_refs: tuple[str, ...] = ()
    standard_quote: str = ""
    replacement: str | None = None
    replacement_is_safe: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A draft whose place exists in the diff and whose citations exist on the shelf."""

    draft: Draft
    anchor: Anchor
    standards: tuple[Standard, ...] = ()
    suggestion: str | None = None

    @property
    def identity(self) -> str:
        """Names the same finding across pushes, 16 hexadecimal digits.

        Built from the anchored code, the rule or claim and the enclosing symbol, never from anybody's words: it
        survives rewording, moved lines and re-indentation. Renames are followed by the caller, see `lineage`.
        """
        return identity(self.draft.path, self.topic, self.anchor.text or self.draft.quoted, self.draft.symbol)

    @property
    def topic(self) -> str:
        """What the finding is about, in a word that does not depend on its wording."""
        return self.draft.rule or self.draft.claim or self.draft.category.value


def identity(path: str, topic: str, code: str, symbol: str = "") -> str:
    """The identity of a finding at `path` about `topic`, on `code` inside `symbol`."""
    normal = "\n".join(" ".join(line.split()) for line in code.splitlines())
    return hashlib.sha256(f"{path}\0{topic}\0{symbol}\0{normal}".encode()).hexdigest()[:16]

"""Draft -> Finding: a claim, and the claim once its place and its citations were proven."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from bot.core.code.diff import Side
from bot.core.findings.anchor import Anchor
from bot.core.findings.standard import Standard


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


@dataclass(frozen=True, slots=True)
class Finding:
    """A draft whose place exists in the diff and whose citations exist on the shelf.

    `occurrence` tells equal findings at several places apart: 0 for the first. `again` says why a dismissed finding is
    raised once more, `elsewhere` where somebody else said the same, `verified` the checks that read the result
    of its suggestion and found nothing new.
    """

    draft: Draft
    anchor: Anchor
    standards: tuple[Standard, ...] = ()
    suggestion: str | None = None
    occurrence: int = 0
    again: str = ""
    elsewhere: str = ""
    verified: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Names the same finding across pushes, 16 hexadecimal digits.

        Built from the anchored code, the rule or claim and the enclosing symbol; never from the path, the line or
        anybody's words. What may still change is followed by `lifecycle.carry`.
        """
        return identity(self.topic, self.draft.symbol, self.code, self.occurrence)

    @property
    def topic(self) -> str:
        """What the finding is about, in a word that does not depend on its wording."""
        draft = self.draft
        if draft.rule:
            return draft.rule
        if draft.category is Category.STANDARDS and self.standards:
            return f"{self.standards[0].document}#{self.standards[0].anchor}"
        return draft.claim or draft.category.value

    @property
    def code(self) -> str:
        """The lines it is about: the anchored ones, or those it quotes where none could be found."""
        return self.anchor.text or self.draft.quoted


def with_proof(finding: Finding, proof: tuple[str, ...] | None) -> Finding:
    """The finding with the checks that read its suggestion's result; without its suggestion if there is no proof."""
    return replace(finding, suggestion=None) if proof is None else replace(finding, verified=proof)


def identity(topic: str, symbol: str, code: str, occurrence: int = 0) -> str:
    """The identity of a finding about `topic` on `code` inside `symbol`."""
    parts = [topic, symbol, normal(code), *([str(occurrence)] if occurrence else [])]
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:16]


def normal(code: str) -> str:
    """`code` without what re-indentation and formatting change: white space and empty lines."""
    return "\n".join(words for line in code.splitlines() if (words := " ".join(line.split())))


_WORD = re.compile(r"\w+")
_MOST_WORDS = 80


def sketch(code: str) -> tuple[str, ...]:
    """The words of `code` as four hexadecimal digits each: enough to see that two pieces are alike, not to read them."""
    return tuple(
        hashlib.sha256(word.encode(errors="replace")).hexdigest()[:4] for word in _WORD.findall(code)[:_MOST_WORDS]
    )


def fingerprint(code: str) -> str:
    """Names a piece of code, 16 hexadecimal digits, whatever its white space."""
    return hashlib.sha256(normal(code).encode(errors="replace")).hexdigest()[:16]

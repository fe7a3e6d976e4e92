"""Draft: a claim of a model or a check. Finding: a draft whose place and citations were verified."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from bot.core.code.diff import Side
from bot.core.findings.anchor import Anchor
from bot.core.findings.standard import Standard
from bot.core.findings.topic import kind_of, untyped_topic


class Severity(IntEnum):
    """How serious a finding is, in order. SARIF and reviewdog use the same words."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


class Category(StrEnum):
    """What kind of problem a finding is about."""

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
    """A claim of a model or a check. Untrusted: the place may not exist, the standard may be invented.

    `quoted` is the code that it is about, copied from the diff, one or more whole lines. `near` is a line number that
    only helps to choose between equal matches. `symbol` is the enclosing function or class, when known.
    `claim` is a typed claim ("unused: name") that code can refute. `replacement` replaces exactly the quoted lines.
    `seconds` names the other sources that say the same about the same lines.
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
    seconds: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether a check found it. A rule of the team that a model saw broken is a model's claim."""
        return bool(self.rule) and self.category is not Category.STANDARDS


class DropReason(StrEnum):
    """Why a draft is dropped before anyone looks at it a second time."""

    NO_FILE = "there is no such file"
    NO_QUOTE = "it quotes no code"
    NO_SUCH_CODE = "the quoted code is neither at the head nor at the base of the file"
    UNCHANGED = "the quoted code did not change, and no evidence names a line that did"
    DOUBTFUL = "its confidence is below the bar"
    STYLE = "it is about style and cites no standard that was retrieved"


@dataclass(frozen=True, slots=True)
class Finding:
    """A draft whose place exists in the diff and whose citations exist on the shelf.

    `occurrence` distinguishes equal findings at several places: 0 for the first. `again` says why a dismissed finding is
    posted once more; `elsewhere` is the address of another author's comment that says the same; `verified` names the
    checks that read the result of its suggestion and found nothing new. One mistake at several places has one comment: its
    finding has the other `places`, and the findings there have its identity in `repeats`.
    """

    draft: Draft
    anchor: Anchor
    standards: tuple[Standard, ...] = ()
    suggestion: str | None = None
    occurrence: int = 0
    again: str = ""
    elsewhere: str = ""
    verified: tuple[str, ...] = ()
    places: tuple[Anchor, ...] = ()
    repeats: str = ""

    @property
    def identity(self) -> str:
        """The same name for the same finding at every push, 16 hexadecimal digits.

        It depends on the anchored code, the rule or claim and the enclosing symbol, not on the path, the line or the
        wording. `lifecycle.carry` follows a finding when one of these changes.
        """
        return identity(kind_of(self.topic), self.draft.symbol, self.code, self.occurrence)

    @property
    def topic(self) -> str:
        """What the finding says: its rule, standard or typed claim, else its category with a sketch of its words."""
        draft = self.draft
        if draft.rule:
            return draft.rule
        if draft.category is Category.STANDARDS and self.standards:
            return f"{self.standards[0].document}#{self.standards[0].anchor}"
        return draft.claim or untyped_topic(draft.category.value, draft.title)

    @property
    def code(self) -> str:
        """The lines it is about: the anchored lines, or the quoted ones if no place was found."""
        return self.anchor.text or self.draft.quoted


def with_proof(finding: Finding, proof: tuple[str, ...] | None) -> Finding:
    """Returns the finding with the checks that verified its suggestion; without the suggestion if `proof` is None."""
    return replace(finding, suggestion=None) if proof is None else replace(finding, verified=proof)


def identity(topic: str, symbol: str, code: str, occurrence: int = 0) -> str:
    """Returns the identity of a finding about `topic` on `code` inside `symbol`."""
    parts = [topic, symbol, normalize(code), *([str(occurrence)] if occurrence else [])]
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:16]


def normalize(code: str) -> str:
    """Returns `code` without empty lines and with single spaces, so that formatting makes no difference."""
    return "\n".join(words for line in code.splitlines() if (words := " ".join(line.split())))


_WORD = re.compile(r"\w+")
_MOST_WORDS = 80


def sketch(code: str) -> tuple[str, ...]:
    """Returns a hash of four hexadecimal digits for each word of `code`: enough to compare it, too little to read it."""
    return tuple(
        hashlib.sha256(word.encode(errors="replace")).hexdigest()[:4] for word in _WORD.findall(code)[:_MOST_WORDS]
    )


def fingerprint(code: str) -> str:
    """Returns a hash of `code`, 16 hexadecimal digits; white space makes no difference."""
    return hashlib.sha256(normalize(code).encode(errors="replace")).hexdigest()[:16]

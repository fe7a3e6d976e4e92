"""The story of one review, for the page about it: what was said, dropped and why, cited, asked, looked up and paid.

Every list and text is bounded, and holds no code: a story of any review is at most about 200 kB of JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.core.code.plan import CoverageRow
from bot.core.code.secrets import redact
from bot.core.comments.comment import LinkBase
from bot.core.costs import ConversationRecord
from bot.core.findings.finding import Draft, Finding
from bot.core.findings.standard import Standard
from bot.core.findings.triage import Review

MOST_FINDINGS, MOST_DROPPED, MOST_ROWS, MOST_CONVERSATIONS, MOST_CALLS = 100, 150, 200, 60, 40
LONGEST = 400
"""Characters of one text."""


@dataclass(frozen=True, slots=True)
class CitedSection:
    """A section of the team's standards that a finding cites, and the words that it quotes."""

    document: str
    heading: str
    url: str = ""
    quote: str = ""


@dataclass(frozen=True, slots=True)
class ToldFinding:
    """A finding that was posted, or only listed in the check run. `source` is the check or pass that found it."""

    title: str
    why: str
    severity: str
    category: str
    path: str
    line: int | None
    source: str
    rule: str = ""
    posted: bool = True
    suggestion: bool = False
    elsewhere: str = ""
    citations: tuple[CitedSection, ...] = ()


@dataclass(frozen=True, slots=True)
class DroppedClaim:
    """A claim that was not said, and why."""

    title: str
    path: str
    source: str
    severity: str
    reason: str


@dataclass(frozen=True, slots=True)
class CoverageNote:
    """A file or a pass: reviewed, skipped or failed, by what, and why."""

    path: str
    state: str
    reason: str = ""
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """The story of a review. `more` counts what the bounds left out, by the name of the list."""

    findings: tuple[ToldFinding, ...] = ()
    dropped: tuple[DroppedClaim, ...] = ()
    files: tuple[CoverageNote, ...] = ()
    passes: tuple[CoverageNote, ...] = ()
    conversations: tuple[ConversationRecord, ...] = ()
    notices: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    model: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    more: tuple[tuple[str, int], ...] = ()


def story_of(review: Review, address: LinkBase) -> Story:
    """Returns the story of a finished review; `address` links its citations."""
    said = [(finding, True) for finding in review.findings] + [(finding, False) for finding in review.listed]
    lists = {
        "findings": (len(said), MOST_FINDINGS),
        "dropped": (len(review.dropped), MOST_DROPPED),
        "files": (len(review.coverage.files), MOST_ROWS),
        "conversations": (len(review.conversations), MOST_CONVERSATIONS),
    }
    return Story(
        findings=tuple(_told(finding, address, posted=posted) for finding, posted in said[:MOST_FINDINGS]),
        dropped=tuple(_dropped(draft, reason) for draft, reason in review.dropped[:MOST_DROPPED]),
        files=tuple(map(_note, sorted(review.coverage.files, key=_unread_first)[:MOST_ROWS])),
        passes=tuple(map(_note, review.coverage.passes[:MOST_ROWS])),
        conversations=tuple(one.bounded(MOST_CALLS, LONGEST) for one in review.conversations[:MOST_CONVERSATIONS]),
        notices=_texts(review.notices),
        remarks=_texts(review.remarks),
        model=review.model,
        versions=review.versions[:MOST_ROWS],
        more=tuple((name, count - most) for name, (count, most) in lists.items() if count > most),
    )


def _unread_first(row: CoverageRow) -> bool:
    return not row.reason


def _told(finding: Finding, address: LinkBase, *, posted: bool) -> ToldFinding:
    draft, place = finding.draft, finding.anchor
    return ToldFinding(
        title=_text(draft.title),
        why=_text(draft.why),
        severity=draft.severity.name.lower(),
        category=draft.category.value,
        path=_text(place.path),
        line=place.line,
        source=_text(draft.source),
        rule=_text(draft.rule),
        posted=posted,
        suggestion=finding.suggestion is not None,
        elsewhere=finding.elsewhere[:LONGEST],
        citations=tuple(_cited(one, draft, address) for one in finding.standards[:5]),
    )


def _cited(section: Standard, draft: Draft, address: LinkBase) -> CitedSection:
    quote = draft.standard_quote
    url = address.standard(section, quote)
    return CitedSection(_text(section.document), _text(" > ".join(section.heading)), url[:LONGEST], _text(quote))


def _dropped(draft: Draft, reason: str) -> DroppedClaim:
    severity = draft.severity.name.lower()
    return DroppedClaim(_text(draft.title), _text(draft.path), _text(draft.source), severity, _text(reason))


def _note(row: CoverageRow) -> CoverageNote:
    return CoverageNote(_text(row.path), row.state.value, _text(row.reason), row.by[:10])


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(_text, tuple(texts)[:MOST_ROWS]))


def _text(text: str) -> str:
    return redact(text)[:LONGEST]

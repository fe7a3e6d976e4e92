"""Drafts in, a Review out. Every rule about what is worth saying lives here, and every draft is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from bot.review.anchor import Place, anchor
from bot.review.coverage import Coverage
from bot.review.diff import Diff
from bot.review.finding import Category, Draft, Finding, Severity
from bot.review.policy import Policy
from bot.review.quote import verified
from bot.review.standard import Standard
from bot.review.suggestion import prove
from bot.review.usage import Usage

HARD_CAP = 30
"""Inline comments of one review, whatever policy says: more make GitHub fail, and people stop reading."""


@dataclass(frozen=True, slots=True)
class Review:
    """What will be said, what stands only in the check run, and what was not said and why.

    `findings` are posted (inline, on a file, or in the body), `listed` stand in the check run, ranked. `said` are the
    identities that an earlier round posted and this one found again. `remarks` are about the change as a whole.
    """

    findings: tuple[Finding, ...] = ()
    listed: tuple[Finding, ...] = ()
    dropped: tuple[tuple[Draft, str], ...] = ()
    said: tuple[str, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    usage: Usage = field(default_factory=Usage)
    remarks: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    model: str = ""
    versions: tuple[tuple[str, str], ...] = ()

    @property
    def by_severity(self) -> Counter[Severity]:
        """How many findings of each severity stand in this review, posted or listed."""
        return Counter(finding.draft.severity for finding in (*self.findings, *self.listed))


@dataclass(frozen=True, slots=True)
class Context:
    """What drafts are judged against.

    `shelf` are the standards a search really returned, by id; `heads` the head's text of changed files, by path;
    `said` the identities already on the pull request; `parses` tells whether a text is valid for a path.
    """

    diff: Diff
    policy: Policy
    shelf: Mapping[str, Standard] = field(default_factory=dict)
    heads: Mapping[str, str] = field(default_factory=dict)
    said: Collection[str] = ()
    parses: Callable[[str, str], bool] | None = None


def triage(drafts: Iterable[Draft], context: Context) -> Review:
    """Anchor, check citations, deduplicate, rank and cap. Posted + listed + dropped = drafts."""
    kept: dict[str, Finding] = {}
    dropped: list[tuple[Draft, str]] = []
    again: list[str] = []
    for draft in sorted(drafts, key=_rank):
        finding = _finding(draft, context)
        reason = finding if isinstance(finding, str) else _reason_to_drop(finding, kept, context)
        if isinstance(finding, str) or reason:
            dropped.append((draft, str(reason)))
            if isinstance(finding, Finding) and finding.identity in context.said:
                again.append(finding.identity)
        else:
            kept[finding.identity] = finding
    posted, listed = _within_budget(tuple(kept.values()), context.policy)
    return Review(
        findings=_with_suggestions(posted, context),
        listed=listed,
        dropped=tuple(dropped),
        said=tuple(dict.fromkeys(again)),
    )


def _rank(draft: Draft) -> tuple[int, int, float, str, int]:
    """Worst first; at equal severity security and correctness, then the surer claim, then place."""
    weighty = draft.category in {Category.SECURITY, Category.CORRECTNESS}
    return -draft.severity, -weighty, -draft.confidence, draft.path, draft.near or 0


def _finding(draft: Draft, context: Context) -> Finding | str:
    """The draft as a Finding, or why it cannot become one."""
    cited = tuple(context.shelf[ref] for ref in dict.fromkeys(draft.standard_refs) if ref in context.shelf)
    if draft.standard_quote:
        exact = verified(draft.standard_quote, cited)
        cited = (exact.standard,) if exact else ()
        draft = replace(draft, standard_quote=exact.text if exact else "")
    if draft.category is Category.STANDARDS and not cited:
        return "no standard that was retrieved contains the rule it quotes"
    place = anchor(draft.path, draft.quoted, context.diff, draft.side, draft.near)
    return Finding(draft, place, cited)


def _reason_to_drop(finding: Finding, kept: Mapping[str, Finding], context: Context) -> str:
    if finding.draft.severity < Severity[context.policy.severity.upper()]:
        return f"below the severity threshold ({context.policy.severity})"
    if finding.identity in context.said:
        return "already said on this pull request"
    if finding.identity in kept:
        return "the same finding twice in this round"
    if any(_same_place(finding, other) for other in kept.values()):
        return "another finding says the same about the same lines"
    return ""


def _same_place(one: Finding, other: Finding) -> bool:
    """Whether two findings say the same thing of the same lines, found by two ways of looking."""
    return (
        one.anchor.place is Place.INLINE
        and one.anchor == other.anchor
        and one.draft.source != other.draft.source
        and one.draft.category is other.draft.category
    )


def _within_budget(findings: tuple[Finding, ...], policy: Policy) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """The attention budget counts comments; what is over it stands in the check run, ranked, at once and in full."""
    cap = min(policy.comments, HARD_CAP)
    return findings[:cap], findings[cap:]


def _with_suggestions(findings: tuple[Finding, ...], context: Context) -> tuple[Finding, ...]:
    if not context.policy.suggestions:
        return findings
    taken: set[tuple[str, int]] = set()
    proven: list[Finding] = []
    for finding in findings:
        lines = {(finding.anchor.path, number) for number in _range(finding)}
        suggestion = None if lines & taken else _suggestion(finding, context)
        if suggestion is not None:
            taken |= lines
        proven.append(replace(finding, suggestion=suggestion))
    return tuple(proven)


def _range(finding: Finding) -> range:
    if finding.anchor.line is None:
        return range(0)
    return range(finding.anchor.start or finding.anchor.line, finding.anchor.line + 1)


def _suggestion(finding: Finding, context: Context) -> str | None:
    draft, place = finding.draft, finding.anchor
    head = context.heads.get(place.path)
    if draft.replacement is None or head is None or place.place is not Place.INLINE:
        return None
    offered = prove(draft.replacement, place, place.path, head, context.parses)
    return None if isinstance(offered, str) else offered.code

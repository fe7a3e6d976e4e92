"""Drafts in, a Review out. Every rule about what is worth saying lives here, and every draft is accounted for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.code.diff import Side
from bot.core.code.plan import Coverage
from bot.core.code.syntax import symbol_at
from bot.core.costs import Usage
from bot.core.findings.anchor import Anchor, Place, anchor
from bot.core.findings.finding import Category, Draft, Finding, Severity
from bot.core.findings.known import KnownFinding
from bot.core.findings.lifecycle import View, carry
from bot.core.findings.others import ForeignComment, said_by
from bot.core.findings.standard import Standard, verified
from bot.core.findings.suggestion import prove
from bot.core.policy import Policy

HARD_CAP = 30
"""Inline comments of one review, whatever policy says: more make GitHub fail, and people stop reading."""


@dataclass(frozen=True, slots=True)
class Review:
    """What will be said, what stands only in the check run, and what was not said and why.

    `findings` are posted (inline, on a file, or in the body), `listed` stand in the check run, ranked. `known` are the
    findings of earlier rounds as this head leaves them. `remarks` are about the change as a whole;
    `blocks` is what a model has read by now, see interdiff.py; `rules` what happened to each rule, see rule_ledger.py.
    """

    findings: tuple[Finding, ...] = ()
    listed: tuple[Finding, ...] = ()
    dropped: tuple[tuple[Draft, str], ...] = ()
    known: tuple[KnownFinding, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    usage: Usage = field(default_factory=Usage)
    remarks: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    model: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def by_severity(self) -> Counter[Severity]:
        """How many findings of each severity stand in this review, posted or listed."""
        return Counter(finding.draft.severity for finding in (*self.findings, *self.listed))

    @property
    def said(self) -> tuple[str, ...]:
        """The identities of what an earlier round said and is still open."""
        return tuple(one.identity for one in self.known if one.standing)


@dataclass(frozen=True, slots=True)
class TriageContext:
    """What drafts are judged against.

    `shelf` are the standards a search really returned, by id; `view` is the head, `known` what earlier rounds said,
    `others` what somebody else said on its lines; `muted` gives topics the reason why they are not said any more;
    `parses` tells whether a text is valid for a path.
    """

    view: View
    policy: Policy
    shelf: Mapping[str, Standard] = field(default_factory=dict)
    known: Sequence[KnownFinding] = ()
    others: Sequence[ForeignComment] = ()
    muted: Mapping[str, str] = field(default_factory=dict)
    parses: Callable[[str, str], bool] | None = None


def triage(drafts: Iterable[Draft], context: TriageContext) -> Review:
    """Anchor, check citations, match with what is known, deduplicate, rank and cap. Posted + listed + dropped = drafts."""
    judged = [(draft, _finding(draft, context)) for draft in sorted(drafts, key=_rank)]
    found = [finding for _, finding in judged if isinstance(finding, Finding)]
    carried = carry(context.known, found, context.view)
    dropped = [(draft, reason) for draft, reason in judged if isinstance(reason, str)]
    names = _Names({one.identity for one in context.known})
    kept: list[Finding] = []
    there: dict[Anchor, list[Finding]] = defaultdict(list)
    for n in sorted(carried.again):
        there[found[n].anchor].append(found[n])
    for n, finding in enumerate(found):
        beside = there[finding.anchor]
        reason = "already said on this pull request" if n in carried.again else _unwanted(finding, beside, context)
        if reason:
            dropped.append((finding.draft, reason))
        else:
            kept.append(_addressed(names.give(replace(finding, again=carried.worse.get(n, ""))), context))
            beside.append(kept[-1])
    silenced = dict.fromkeys(reason for _, reason in dropped if reason in context.muted.values())
    posted, listed = _within_budget(kept, context.policy)
    return Review(_with_suggestions(posted, context), listed, tuple(dropped), carried.known, notices=tuple(silenced))


def _rank(draft: Draft) -> tuple[int, int, float, str, int]:
    """Worst first; at equal severity security and correctness, then the surer claim, then place."""
    weighty = draft.category in {Category.SECURITY, Category.CORRECTNESS}
    return -draft.severity, -weighty, -draft.confidence, draft.path, draft.near or 0


def _finding(draft: Draft, context: TriageContext) -> Finding | str:
    """The draft as a Finding, or why it cannot become one."""
    cited = tuple(context.shelf[ref] for ref in dict.fromkeys(draft.standard_refs) if ref in context.shelf)
    if draft.standard_quote:
        exact = verified(draft.standard_quote, cited) or verified(draft.standard_quote, tuple(context.shelf.values()))
        cited = (exact.standard,) if exact else ()
        draft = replace(draft, standard_quote=exact.text if exact else "")
    if draft.category is Category.STANDARDS and not (cited and draft.standard_quote):
        return "no standard that was retrieved contains the rule it quotes"
    if draft.category is Category.STANDARDS:
        draft = replace(draft, rule=cited[0].id)
    place = anchor(draft.path, draft.quoted, context.view.diff, draft.side, draft.near)
    text = context.view.heads.get(place.path)
    if text and place.line and place.side is Side.RIGHT and not draft.symbol:
        draft = replace(draft, symbol=symbol_at(place.path, text, place.line))
    return Finding(draft, place, cited)


@dataclass(slots=True)
class _Names:
    """The identities that are taken, and how often each was asked for: a review may have thousands of equal findings."""

    taken: set[str]
    turns: Counter[str] = field(default_factory=Counter)

    def give(self, finding: Finding) -> Finding:
        """The finding under a name that no other one has."""
        first = finding.identity
        while (named := replace(finding, occurrence=self.turns[first])).identity in self.taken:
            self.turns[first] += 1
        self.taken.add(named.identity)
        return named


def _addressed(finding: Finding, context: TriageContext) -> Finding:
    """The finding with the address of who said it before us."""
    other = said_by(finding, context.others)
    return replace(finding, elsewhere=other.url) if other else finding


def _unwanted(finding: Finding, beside: Iterable[Finding], context: TriageContext) -> str:
    """Why a new finding is not worth saying; empty if it is. `beside` is what this round says in its place."""
    if finding.draft.severity < Severity[context.policy.severity.upper()]:
        return f"below the severity threshold ({context.policy.severity})"
    for other in beside:
        if finding.topic == other.topic and finding.code == other.code:
            return "the same finding twice in this round"
        if _same_place(finding, other):
            return "another finding says the same about the same lines"
    return context.muted.get(finding.topic, "")


def _same_place(one: Finding, other: Finding) -> bool:
    """Whether two findings in one place say the same thing of its lines, found by two ways of looking."""
    return (
        one.anchor.place is Place.INLINE
        and one.draft.source != other.draft.source
        and one.draft.category is other.draft.category
    )


def _within_budget(findings: Sequence[Finding], policy: Policy) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """The attention budget counts comments; what is over it stands in the check run, ranked, at once and in full.

    What somebody else said already needs no comment: the check run has the link.
    """
    cap = min(policy.comments, HARD_CAP)
    posted = [finding for finding in findings if not finding.elsewhere][:cap]
    return tuple(posted), tuple(finding for finding in findings if finding not in posted)


def _with_suggestions(findings: tuple[Finding, ...], context: TriageContext) -> tuple[Finding, ...]:
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


def _suggestion(finding: Finding, context: TriageContext) -> str | None:
    draft, place = finding.draft, finding.anchor
    head = context.view.heads.get(place.path)
    if draft.replacement is None or head is None or place.place is not Place.INLINE:
        return None
    offered = prove(draft.replacement, place, place.path, head, context.parses)
    return None if isinstance(offered, str) else offered.code

"""Turns drafts into a Review: decides which are posted, listed or dropped. Each draft is in exactly one of these."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core.code.diff import Side
from bot.core.code.plan import Coverage
from bot.core.code.syntax import symbol_at
from bot.core.costs import ConversationRecord, Usage
from bot.core.findings.anchor import Place, anchor
from bot.core.findings.finding import Category, Draft, DropReason, Finding, Severity, normalize
from bot.core.findings.known import KnownFinding
from bot.core.findings.lifecycle import View, carry
from bot.core.findings.muting import COUNTED, counted_notice
from bot.core.findings.others import ForeignComment, find_same_comment
from bot.core.findings.standard import RuleState, Standard, applies_to, verify_quote
from bot.core.findings.suggestion import prove
from bot.core.findings.topic import ALIKE, FEWEST, same_claim, telling_words
from bot.core.policy import Policy

HARD_CAP = 30
"""Most inline comments of one review; the policy can only lower it. GitHub fails on many more."""
GATES = {"never": None, "warning": Severity.WARNING, "error": Severity.ERROR}
"""The severity from which open findings fail the check run, by the policy's `fail_on`."""


@dataclass(frozen=True, slots=True)
class Review:
    """What is posted, what is only in the check run, and what was dropped and why.

    `findings` are posted (inline, on a file, or in the body), `listed` are in the check run, ranked. `known` are the
    findings of earlier reviews at this head. `remarks` are about the whole change. `blocks` is what a model has read so
    far, see core/code/compare.py; `rules` is what happened to each rule, see standards/rule_usage.py,
    and `rule_states` the same for people. `uncertain` are dropped drafts that are worth a look, each with the reason of the
    second look.
    `unreachable` says that the model's server failed, `awaits` that reports of other analysers have not arrived yet.
    `lines` counts the changed lines, and those of reviewed files; `conversations` are the ones with the model.
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
    gate: Severity | None = None  # open findings of this severity or above fail the check run
    requests_changes: bool = False  # such findings also request changes
    rules: Mapping[str, Any] = field(default_factory=dict)
    rule_states: tuple[RuleState, ...] = ()
    uncertain: tuple[tuple[Draft, str], ...] = ()
    unreachable: bool = False
    lines: tuple[int, int] = (0, 0)
    conversations: tuple[ConversationRecord, ...] = ()
    awaits: bool = False

    @property
    def by_severity(self) -> Counter[Severity]:
        """The number of findings of each severity, posted or listed."""
        return Counter(finding.draft.severity for finding in (*self.findings, *self.listed))

    @property
    def failing(self) -> int:
        """The number of open findings, new and known, that fail the check run."""
        if self.gate is None:
            return 0
        new = sum(count for severity, count in self.by_severity.items() if severity >= self.gate)
        return new + sum(finding.standing and finding.severity >= self.gate for finding in self.known)

    @property
    def said(self) -> tuple[str, ...]:
        """The identities of findings that an earlier review posted and that are still open."""
        return tuple(finding.identity for finding in self.known if finding.standing)


@dataclass(frozen=True, slots=True)
class TriageContext:
    """What drafts are compared with.

    `view` is the head. `shelf` has the standards that a search returned, by id; `known` the findings of earlier reviews;
    `others` the comments of other authors; `muted` the muted topics, each with the sentence that says so. `parses` tells
    whether a text is valid for a path.
    """

    view: View
    policy: Policy
    shelf: Mapping[str, Standard] = field(default_factory=dict)
    known: Sequence[KnownFinding] = ()
    others: Sequence[ForeignComment] = ()
    muted: Mapping[str, str] = field(default_factory=dict)
    parses: Callable[[str, str], bool] | None = None


def triage(drafts: Iterable[Draft], context: TriageContext) -> Review:
    """Anchors, checks citations, matches known findings, merges, ranks and caps. Keeps posted + listed + dropped = drafts.

    Two findings are one only if they say the same about the same lines. What a check proved is never dropped for a
    model's claim: the claim is merged into it, and the finding names both.
    """
    judged = [(draft, _to_finding(draft, context)) for draft in sorted(drafts, key=_rank)]
    dropped = [(draft, reason) for draft, reason in judged if isinstance(reason, str)]
    found, merged = _merged([finding for _, finding in judged if isinstance(finding, Finding)], context.policy)
    dropped += merged
    carried = carry(context.known, found, context.view)
    names = _Identities({finding.identity for finding in context.known})
    kept: list[Finding] = []
    notices: dict[str, None] = {}
    counted: list[str] = []
    for n, finding in enumerate(found):
        reason = "already posted on this pull request" if n in carried.again else _drop_reason(finding, context.policy)
        muted = "" if reason else context.muted.get(finding.topic, "")
        if muted:
            notices[muted] = None
        if not (reason or muted) and finding.topic in COUNTED - set(context.policy.unmute):
            counted.append(f"{finding.anchor.path}:{finding.anchor.line or 1}")
            dropped.append((finding.draft, "counted in the check run"))
        elif reason or muted:
            dropped.append((finding.draft, reason or muted))
        else:
            kept.append(_with_foreign_comment(names.give(replace(finding, again=carried.worse.get(n, ""))), context))
    if counted:
        notices[counted_notice(counted)] = None
    posted, listed = _within_budget(kept, context.policy)
    return Review(_with_suggestions(posted, context), listed, tuple(dropped), carried.known, notices=tuple(notices))


def _merged(found: Sequence[Finding], policy: Policy) -> tuple[list[Finding], list[tuple[Draft, str]]]:
    """Returns the findings in their order, each said once, and what was merged into another one."""
    into: dict[int, int] = {}
    there: dict[tuple[str, Side], list[int]] = defaultdict(list)
    for n in sorted(
        range(len(found)), key=lambda n: (bool(_drop_reason(found[n], policy)), not found[n].draft.proven, n)
    ):
        beside = there[found[n].anchor.path, found[n].anchor.side]
        same = next((other for other in beside if _is_same(found[n], found[other])), None)
        if same is None or _drop_reason(found[same], policy):
            beside.append(n)
        else:
            into[n] = same
    seconds: dict[int, list[str]] = defaultdict(list)
    for n, other in sorted(into.items()):
        seconds[other].append(found[n].draft.source)
    kept = [_with_seconds(finding, seconds[n]) for n, finding in enumerate(found) if n not in into]
    return kept, [(found[n].draft, f"merged with: {found[other].draft.title}") for n, other in sorted(into.items())]


def _with_seconds(finding: Finding, sources: Iterable[str]) -> Finding:
    draft = finding.draft
    others = [source for source in dict.fromkeys((*draft.seconds, *sources)) if source != draft.source]
    return replace(finding, draft=replace(draft, seconds=tuple(others)))


def _is_same(finding: Finding, other: Finding) -> bool:
    """Whether two findings say the same about the same lines. Two claims of one source are two, unless word for word."""
    mine, theirs = finding.draft, other.draft
    if not _overlap(finding, other):
        return False
    if mine.source == theirs.source:
        return (mine.rule, mine.claim, mine.title, mine.why) == (theirs.rule, theirs.claim, theirs.title, theirs.why)
    if mine.rule and theirs.rule and mine.proven == theirs.proven:
        return mine.rule == theirs.rule
    if mine.proven != theirs.proven:
        claimed, proof = (theirs, mine) if mine.proven else (mine, theirs)
        return _says_the_same(claimed, proof)
    if mine.claim and theirs.claim:
        return mine.claim == theirs.claim
    return same_claim(mine.title, theirs.title)


def _says_the_same(claimed: Draft, proof: Draft) -> bool:
    """Whether a model's claim is what a check proved: it names the rule, is of its kind and name, or shares its words."""
    if re.search(rf"(?<![\w-]){re.escape(proof.rule)}(?![\w-])", f"{claimed.title}\n{claimed.why}"):
        return True
    kind, _, name = claimed.claim.partition(": ")
    if proof.rule in _RULES_OF.get(kind, ()) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", proof.title):
        return True
    mine, theirs = telling_words(claimed.title), telling_words(proof.title)
    return len(mine & theirs) >= max(FEWEST, ALIKE * min(len(mine), len(theirs)))


_RULES_OF: Mapping[str, frozenset[str]] = {
    "unused": frozenset({"F401", "F841", "ARG001", "no-unused-vars"}),
    "undefined": frozenset({"F821", "F822", "no-undef"}),
    "unreachable": frozenset({"no-unreachable"}),
    "never_closed": frozenset({"SIM115"}),
}
"""The rules of checks that prove what a typed claim says."""


def _overlap(finding: Finding, other: Finding) -> bool:
    """Whether two findings of one file and side have a line in common; without lines, whether they quote the same code."""
    mine, theirs = finding.anchor, other.anchor
    if mine.line is None or theirs.line is None:
        return mine.line is theirs.line and normalize(finding.code) == normalize(other.code)
    return (mine.start or mine.line) <= theirs.line and (theirs.start or theirs.line) <= mine.line


def _rank(draft: Draft) -> tuple[int, int, float, str, int]:
    """Sorts by severity, then security and correctness first, then by confidence and place."""
    weighty = draft.category in {Category.SECURITY, Category.CORRECTNESS}
    return -draft.severity, -weighty, -draft.confidence, draft.path, draft.near or 0


def _to_finding(draft: Draft, context: TriageContext) -> Finding | str:
    """Returns the draft as a Finding, or the reason why it cannot become one."""
    shelf = {key: section for key, section in context.shelf.items() if applies_to(section, draft.path)}
    cited = tuple(shelf[ref] for ref in dict.fromkeys(draft.standard_refs) if ref in shelf)
    if draft.standard_quote:
        exact = verify_quote(draft.standard_quote, cited) or verify_quote(draft.standard_quote, tuple(shelf.values()))
        cited = (exact.standard,) if exact else ()
        draft = replace(draft, standard_quote=exact.text if exact else "")
    if draft.category is Category.STANDARDS and not (cited and draft.standard_quote):
        return "no standard that was retrieved contains the rule it quotes"
    if draft.category is Category.STANDARDS:
        draft = replace(draft, rule=cited[0].id)
    if draft.category is Category.MAINTAINABILITY and not (draft.proven or draft.claim or cited):
        return DropReason.STYLE.value
    place = anchor(draft.path, draft.quoted, context.view.diff, draft.side, draft.near)
    text = context.view.heads.get(place.path)
    if text and place.line and place.side is Side.RIGHT and not draft.symbol:
        draft = replace(draft, symbol=symbol_at(place.path, text, place.line))
    return Finding(draft, place, cited)


@dataclass(slots=True)
class _Identities:
    """The identities in use, and how often each was requested: a review may have thousands of equal findings."""

    taken: set[str]
    turns: Counter[str] = field(default_factory=Counter)

    def give(self, finding: Finding) -> Finding:
        """Returns the finding with an occurrence number that makes its identity unique."""
        first = finding.identity
        while (named := replace(finding, occurrence=self.turns[first])).identity in self.taken:
            self.turns[first] += 1
        self.taken.add(named.identity)
        return named


def _with_foreign_comment(finding: Finding, context: TriageContext) -> Finding:
    """Returns the finding with the address of another author's comment that says the same."""
    other = find_same_comment(finding, context.others)
    return replace(finding, elsewhere=other.url) if other else finding


def _drop_reason(finding: Finding, policy: Policy) -> str:
    """Returns why a new finding is dropped; empty if it is kept."""
    below = finding.draft.severity < Severity[policy.severity.upper()]
    return f"below the severity threshold ({policy.severity})" if below else ""


def _within_budget(findings: Sequence[Finding], policy: Policy) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Splits the findings into those that are posted and those that are only listed in the check run.

    The policy's limit counts comments. A finding that another author already posted needs no comment of ours, and the
    places of one mistake need one: it is posted where it stands first, and listed everywhere else.
    """
    cap = min(policy.comments, HARD_CAP)
    posted: dict[int, Finding] = {}
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for n, finding in enumerate(findings):
        if not finding.elsewhere:
            groups[_mistake(finding) or (str(n),)].append(n)
    listed = dict(enumerate(findings))
    for first, *others in list(groups.values())[:cap]:
        finding = posted[first] = replace(findings[first], places=tuple(findings[n].anchor for n in others))
        del listed[first]
        listed |= {n: replace(findings[n], repeats=finding.identity) for n in others}
    return tuple(posted.values()), tuple(listed.values())


def _mistake(finding: Finding) -> tuple[str, ...]:
    """Returns what two findings have in common that are one mistake at two places; empty where each is its own.

    Two secrets are two mistakes, and a finding that is posted again has its own story.
    """
    draft = finding.draft
    if draft.source == "secrets" or finding.again:
        return ()
    return draft.source, finding.topic, draft.title.casefold()


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

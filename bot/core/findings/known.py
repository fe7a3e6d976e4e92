"""KnownFinding: a posted finding as it is stored from its first comment to the merge."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.core.code.diff import Side
from bot.core.code.secrets import redact
from bot.core.findings.finding import Category, Finding, Severity, fingerprint, normalize, sketch


class FindingState(StrEnum):
    """The state of a finding.

    MOVED is open, but at another place than its thread. OUTDATED is no longer part of the change. SUPERSEDED was replaced
    by another finding, which says what changed.
    """

    OPEN = "open"
    MOVED = "moved"
    FIXED = "fixed"
    DISMISSED = "dismissed"
    SUPERSEDED = "superseded"
    OUTDATED = "outdated"


class Outcome(StrEnum):
    """The result of a finding when its pull request is merged; PENDING before that.

    ADDRESSED is strict: its suggestion was committed, or a person resolved its thread and its code changed. FIXED means
    that a later review found it fixed, without such an act of a person.
    """

    PENDING = "pending"
    ADDRESSED = "addressed"
    FIXED = "fixed"
    DISMISSED = "dismissed"
    IGNORED = "ignored"


class DismissedBy(StrEnum):
    """How a dismissal came."""

    COMMAND = "command"
    REACTION = "reaction"
    THREAD = "thread"


@dataclass(frozen=True, slots=True)
class KnownFinding:
    """A posted finding. `identity` never changes; the place is the current one.

    The code itself is not stored: `size` is the number of its lines, `print` their fingerprint, `words` their sketch and
    `weight` the number of their characters without white space.
    `comment` is the id of the comment that opened its thread, 0 if it stands only in a review's body or a check run.
    `by`, `reason` and `dismissed_by` say who dismissed it, why and how; `head` is the commit of the last change of state,
    `resolved` is who resolved its thread, `shown` the state that its comment shows. `raised` is true if it was dismissed
    before and came back with a higher severity. `check` is the check that found it, empty for a finding of a model; for
    these, `why` is the model's text and `named` are the paths in its evidence. `guarded` is true if it is fixed although
    its lines still exist, because a model read what changed around them; `weighed` is the last head at which the model
    was asked. `group` is the identity of the finding whose comment lists this place too; both share their dismissal.
    """

    identity: str
    topic: str
    symbol: str
    print: str
    size: int
    path: str
    category: Category
    severity: Severity
    check: str = ""
    title: str = ""
    why: str = ""
    named: tuple[str, ...] = ()
    side: Side = Side.RIGHT
    line: int | None = None
    words: tuple[str, ...] = ()
    weight: int = 0
    suggestion: str = ""
    comment: int = 0
    first_head: str = ""
    head: str = ""
    state: FindingState = FindingState.OPEN
    shown: FindingState = FindingState.OPEN
    by: str = ""
    reason: str = ""
    dismissed_by: DismissedBy | None = None
    resolved: str = ""
    raised: bool = False
    guarded: bool = False
    weighed: str = ""
    outcome: Outcome = Outcome.PENDING
    group: str = ""

    @property
    def standing(self) -> bool:
        """Whether it still needs an answer: open, here or at another place."""
        return self.state in {FindingState.OPEN, FindingState.MOVED}


_PATH = re.compile(r"[^\s`'\"(:]+\.\w+(?=:\d)")
_LONGEST_WHY, _MOST_NAMED = 600, 12


def new_known_finding(finding: Finding, head: str) -> KnownFinding:
    """Returns what is stored of a finding that is posted for the first time. Of a secret, no sketch is stored."""
    draft, place, code = finding.draft, finding.anchor, normalize(finding.code)
    secret = draft.source == "secrets"
    model = not draft.proven
    return KnownFinding(
        identity=finding.identity,
        topic=finding.topic,
        symbol=draft.symbol,
        print=fingerprint(code),
        size=len(code.splitlines()),
        path=place.path,
        category=draft.category,
        severity=draft.severity,
        check="" if model else draft.source,
        title=draft.title,
        why=redact(draft.why)[:_LONGEST_WHY] if model else "",
        named=tuple(dict.fromkeys(_PATH.findall("\n".join(draft.evidence))))[:_MOST_NAMED] if model else (),
        side=place.side,
        line=place.line,
        words=() if secret else sketch(code),
        weight=len("".join(code.split())),
        suggestion="" if secret else finding.suggestion or "",
        first_head=head,
        head=head,
        raised=bool(finding.again),
        group=finding.repeats,
    )


_LONGEST_REASON = 200


def pack(finding: KnownFinding) -> str:
    """Returns the text of a marker, from which the finding can be read again if the database is lost. It holds no code."""
    place = [
        finding.topic,
        finding.symbol,
        finding.print,
        finding.size,
        "".join(finding.words),
        finding.weight,
        finding.path,
        finding.side.value,
        finding.line,
    ]
    what = [finding.category.value, int(finding.severity), finding.check]
    fate = [
        finding.state.value,
        finding.by,
        finding.reason[:_LONGEST_REASON],
        finding.resolved,
        finding.raised,
        finding.guarded,
        finding.first_head,
        finding.head,
        finding.dismissed_by and finding.dismissed_by.value,
        finding.group,
    ]
    return json.dumps([*place, *what, *fate], separators=(",", ":"))


def unpack(identity: str, detail: str) -> KnownFinding | None:
    """Returns the finding of a text that `pack` made; None for an empty text."""
    if not detail:
        return None
    topic, symbol, name, size, words, weight, path, side, line, category, severity, check, *fate = json.loads(detail)
    state, by, reason, resolved, raised, guarded, first_head, head, *later = fate
    dismissed_by = DismissedBy(later[0]) if later and later[0] else None
    known = KnownFinding(
        identity=identity,
        topic=topic,
        symbol=symbol,
        print=name,
        size=size,
        words=tuple(words[at : at + 4] for at in range(0, len(words), 4)),
        weight=weight,
        path=path,
        side=Side(side),
        line=line,
        category=Category(category),
        severity=Severity(severity),
        check=check,
        state=FindingState(state),
        shown=FindingState(state),
        by=by,
        reason=reason,
        dismissed_by=dismissed_by,
        resolved=resolved,
        raised=raised,
        guarded=guarded,
        first_head=first_head,
        head=head,
        group=later[1] if len(later) > 1 else "",
    )
    return restore(known)


def restore(stored: KnownFinding) -> KnownFinding:
    """Returns a stored finding; fills in `dismissed_by` if an earlier version, which had no such field, wrote it.

    That version did not keep whether a person wrote a command or gave a thumbs down: both count as a command, which
    lasts until a person reopens the finding.
    """
    if stored.state is not FindingState.DISMISSED or stored.dismissed_by is not None:
        return stored
    return replace(stored, dismissed_by=DismissedBy.THREAD if stored.resolved else DismissedBy.COMMAND)

"""Known: a finding that was said, as it is kept from the first remark to the merge."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from bot.core.code.diff import Side
from bot.core.code.secrets import redact
from bot.core.findings.finding import Category, Finding, Severity, fingerprint, normal, sketch


class FindingState(StrEnum):
    """Where a finding stands.

    MOVED is open, but not where its thread hangs. OUTDATED is no longer part of the change. SUPERSEDED gave way to
    another finding, which says what changed.
    """

    OPEN = "open"
    MOVED = "moved"
    FIXED = "fixed"
    DISMISSED = "dismissed"
    SUPERSEDED = "superseded"
    OUTDATED = "outdated"


class Outcome(StrEnum):
    """What had become of a finding when its pull request was merged; PENDING before that.

    ADDRESSED is strict: its suggestion was committed, or a person resolved its thread and its code changed. FIXED is
    what our own second look says, without such a witness.
    """

    PENDING = "pending"
    ADDRESSED = "addressed"
    FIXED = "fixed"
    DISMISSED = "dismissed"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class KnownFinding:
    """`identity` is the name it was given first and never changes; the place is today's.

    Its code is not kept: `size` counts the lines and `print` names them, `words` is a sketch of them and `weight` counts
    their characters beside white space.
    `comment` is the id of the comment that opened its thread, 0 if it stands in a review's body or a check run only.
    `by` and `reason` tell who dismissed it and why, `head` the commit of the last change of state, `resolved` who
    resolved its thread; `shown` is the state that its comment tells of. `raised` says that it had been dismissed before
    and came back worse. `check` is the check that found it, empty for a model's finding; of that, `why` is what it said and
    `named` are the paths in its evidence. `guarded` says that it is fixed though its lines stand, because a model saw
    what changed around them; `weighed` is the last head at which it was asked.
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
    resolved: str = ""
    raised: bool = False
    guarded: bool = False
    weighed: str = ""
    outcome: Outcome = Outcome.PENDING

    @property
    def standing(self) -> bool:
        """Whether somebody should still do something about it."""
        return self.state in {FindingState.OPEN, FindingState.MOVED}


_PATH = re.compile(r"[^\s`'\"(:]+\.\w+(?=:\d)")
_LONGEST_WHY, _MOST_NAMED = 600, 12


def first(finding: Finding, head: str) -> KnownFinding:
    """What is kept of a finding that is said for the first time. Of a secret not even a sketch is."""
    draft, place, code = finding.draft, finding.anchor, normal(finding.code)
    secret = draft.source == "secrets"
    model = not draft.rule or draft.category is Category.STANDARDS
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
    )


_LONGEST_REASON = 200


def packed(one: KnownFinding) -> str:
    """What a marker carries, so that a finding can be followed even if the database is lost. No code is in it."""
    place = [
        one.topic,
        one.symbol,
        one.print,
        one.size,
        "".join(one.words),
        one.weight,
        one.path,
        one.side.value,
        one.line,
    ]
    what = [one.category.value, int(one.severity), one.check]
    fate = [
        one.state.value,
        one.by,
        one.reason[:_LONGEST_REASON],
        one.resolved,
        one.raised,
        one.guarded,
        one.first_head,
        one.head,
    ]
    return json.dumps([*place, *what, *fate], separators=(",", ":"))


def unpacked(identity: str, detail: str) -> KnownFinding | None:
    """What `packed` made; None for a marker without it."""
    if not detail:
        return None
    topic, symbol, name, size, words, weight, path, side, line, category, severity, check, *fate = json.loads(detail)
    state, by, reason, resolved, raised, guarded, first_head, head = fate
    return KnownFinding(
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
        resolved=resolved,
        raised=raised,
        guarded=guarded,
        first_head=first_head,
        head=head,
    )

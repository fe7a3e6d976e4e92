"""What others said about the same lines: people, other bots, code scanning (which comments as a bot of GitHub's).

Saying it again opens a second thread about one thing; a link to theirs in the check run is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot.core.code.pull_request import PostedComment
from bot.core.findings.anchor import Place
from bot.core.findings.finding import Finding

_WORD = re.compile(r"[^\W\d_]{4,}")
_KEPT = 600


@dataclass(frozen=True, slots=True)
class ForeignComment:
    """The first comment of somebody else's thread on a line of the diff. `text` is as much as is needed to compare."""

    path: str
    line: int
    side: str
    by: str
    by_bot: bool
    text: str
    url: str


def remarks(said: Iterable[PostedComment]) -> tuple[ForeignComment, ...]:
    """The threads on lines that somebody else began."""
    return tuple(
        ForeignComment(one.path, one.line, one.side or "RIGHT", one.author, one.by_bot, one.body[:_KEPT], one.url)
        for one in said
        if one.kind == "inline" and one.path and one.line and not one.in_reply_to and not one.by_us
    )


def said_by(finding: Finding, others: Iterable[ForeignComment]) -> ForeignComment | None:
    """The remark that says the same: on one of its lines, by another bot, or by a person in some of the same words."""
    place = finding.anchor
    if place.place is not Place.INLINE or place.line is None:
        return None
    lines = range(place.start or place.line, place.line + 1)
    there = (one for one in others if one.path == place.path and one.side == place.side and one.line in lines)
    return next((one for one in there if one.by_bot or _alike(finding, one.text)), None)


def _alike(finding: Finding, text: str) -> bool:
    rule = finding.draft.rule
    return bool(rule and rule in text) or bool(_words(finding.draft.title) & _words(text))


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}

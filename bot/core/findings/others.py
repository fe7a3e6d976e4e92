"""Comments of others on the same lines: people, other bots, code scanning (which comments as a bot of GitHub).

A second comment about the same problem would open a second thread; the check run links to the existing one instead.
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
    """The first comment of another author's thread on a line of the diff. `text` is its beginning, enough to compare."""

    path: str
    line: int
    side: str
    by: str
    by_bot: bool
    text: str
    url: str


def foreign_comments(said: Iterable[PostedComment]) -> tuple[ForeignComment, ...]:
    """Returns the first comments of the line threads that others opened."""
    return tuple(
        ForeignComment(
            comment.path,
            comment.line,
            comment.side or "RIGHT",
            comment.author,
            comment.by_bot,
            comment.body[:_KEPT],
            comment.url,
        )
        for comment in said
        if comment.kind == "inline" and comment.path and comment.line and not comment.in_reply_to and not comment.by_us
    )


def find_same_comment(finding: Finding, others: Iterable[ForeignComment]) -> ForeignComment | None:
    """Returns the comment on one of the finding's lines that says the same: a bot's, or a person's with shared words."""
    place = finding.anchor
    if place.place is not Place.INLINE or place.line is None:
        return None
    lines = range(place.start or place.line, place.line + 1)
    there = (
        comment
        for comment in others
        if comment.path == place.path and comment.side == place.side and comment.line in lines
    )
    return next((comment for comment in there if comment.by_bot or _alike(finding, comment.text)), None)


def _alike(finding: Finding, text: str) -> bool:
    rule = finding.draft.rule
    return bool(rule and rule in text) or bool(_words(finding.draft.title) & _words(text))


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}

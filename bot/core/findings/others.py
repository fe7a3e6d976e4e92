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
from bot.core.findings.topic import ALIKE, telling_words

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
    """Returns the comment on one of the finding's lines that says the same: it names the rule, or makes the same claim."""
    place = finding.anchor
    if place.place is not Place.INLINE or place.line is None:
        return None
    lines = range(place.start or place.line, place.line + 1)
    there = (
        comment
        for comment in others
        if comment.path == place.path and comment.side == place.side and comment.line in lines
    )
    return next((comment for comment in there if _alike(finding, comment.text)), None)


def _alike(finding: Finding, text: str) -> bool:
    draft = finding.draft
    if draft.rule and re.search(rf"(?<![\w-]){re.escape(draft.rule)}(?![\w-])", text):
        return True
    mine = telling_words(draft.title)
    return bool(mine) and len(mine & telling_words(text)) >= ALIKE * len(mine)

"""Problem: what an analyser says about one version of a file. Draft: only what this change brought in."""

from __future__ import annotations

from dataclasses import dataclass

from bot.review.finding import Category, Severity


@dataclass(frozen=True, slots=True)
class Problem:
    """A diagnostic in reviewdog's sense: lines `line`..`end` (1-based, inclusive) of one version of `path`.

    `replacement` are the whole new lines for exactly that range, offered when the tool calls its fix safe.
    """

    path: str
    line: int
    end: int
    rule: str
    title: str
    why: str
    severity: Severity
    category: Category
    source: str
    url: str = ""
    replacement: str | None = None

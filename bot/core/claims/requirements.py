"""Acceptance points of linked issues: finds the issues and their points, and judges whether the change meets them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.core.claims.schemas import Requirement, Requirements
from bot.core.code.pull_request import Issue

POINTS = 20
LENGTH = 300
LINKS = 5

_heading = re.compile(
    r"^(?:#{1,6}\s*|\*\*)?(?:acceptance|requirements?|expected|done when|definition of done|tasks?|to ?do|must)\b.{0,60}$",
    re.IGNORECASE,
)
_any_heading = re.compile(r"^(?:#{1,6}\s|\*\*[^*]+\*\*:?\s*$)")
_task = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+\[[ xX]\]\s+(\S.*)$")
_item = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+(\S.*)$")
_hidden = re.compile(r"<!--.*?(?:-->|\Z)|^(`{3,}|~{3,}).*?(?:^\1|\Z)|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_link = re.compile(
    r"(?:\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+)?"
    r"(?<![\w/#])(?:https?://[\w.:-]{1,255}/)?([\w.-]{1,39}/[\w.-]{1,100})?(?:#|/issues/)(\d{1,9})\b",
    re.IGNORECASE,
)


def points(body: str) -> tuple[str, ...]:
    """Returns the acceptance points of an issue: its task list items, and list items below a heading such as "Tasks".

    At most POINTS of at most LENGTH characters each.
    """
    found: list[str] = []
    listening = False
    for line in _hidden.sub("", body).splitlines():
        if _heading.match(line.strip()):
            listening = True
        elif _any_heading.match(line):
            listening = False
        elif item := _task.match(line) or (_item.match(line) if listening else None):
            found.append(item[1].strip()[:LENGTH])
    return tuple(dict.fromkeys(found))[:POINTS]


def linked_issues(body: str, repo: str) -> tuple[int, ...]:
    """Returns the numbers of the issues of `repo` that a pull request's text names, closed ones first; at most LINKS.

    Comments, code and references to other repositories do not count.
    https://docs.github.com/en/issues/tracking-your-work-with-issues/linking-a-pull-request-to-an-issue
    """
    named = [
        (not closes, int(number))
        for closes, place, number in _link.findall(_hidden.sub("", body))
        if place.lower() in ("", repo.lower()) and int(number)
    ]
    return tuple(dict.fromkeys(number for _, number in sorted(named, key=lambda found: found[0])))[:LINKS]


@dataclass(frozen=True, slots=True)
class AcceptancePoint:
    """One thing that an issue asks for; its title if it has no acceptance points."""

    issue: int
    text: str


@dataclass(frozen=True, slots=True)
class JudgedPoint:
    """The result for a point: "met" with the `path` and `line` of the head that show it, "unmet" or "unclear"."""

    point: AcceptancePoint
    status: str
    reason: str = ""
    path: str = ""
    line: int | None = None


def acceptance_points(issues: Iterable[Issue]) -> tuple[AcceptancePoint, ...]:
    """Returns the points of all issues."""
    return tuple(
        AcceptancePoint(issue.number, text) for issue in issues for text in points(issue.body) or (issue.title,)
    )


def judge(
    wanted: Sequence[AcceptancePoint], answer: Requirements | None, heads: Mapping[str, str]
) -> tuple[JudgedPoint, ...]:
    """Returns each point with its status; "met" only if the quoted line is in a changed file of the head."""
    entries = {entry.point: entry for entry in answer.points} if answer else {}
    return tuple(_judge_point(point, entries.get(number), heads) for number, point in enumerate(wanted, 1))


def _judge_point(point: AcceptancePoint, entry: Requirement | None, heads: Mapping[str, str]) -> JudgedPoint:
    if entry is None:
        return JudgedPoint(point, "unclear", "it was not judged")
    if entry.status != "met":
        return JudgedPoint(point, entry.status, entry.reason)
    line = _find_line(heads.get(entry.path or "", ""), entry.quoted_line or "")
    if line is None:
        return JudgedPoint(point, "unclear", f"said to be met, but the line it rests on does not exist: {entry.reason}")
    return JudgedPoint(point, "met", entry.reason, entry.path or "", line)


def _find_line(text: str, quoted: str) -> int | None:
    wanted = quoted.strip()
    lines = (number for number, line in enumerate(text.split("\n"), 1) if line.strip() == wanted)
    return next(lines, None) if wanted else None

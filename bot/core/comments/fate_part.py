"""Known -> what our own comment says of it now: its title struck through, one line of what became of it, a new marker."""

from __future__ import annotations

from bot.core.comments.comment import code
from bot.core.comments.sanitize import plain
from bot.core.findings.known import Known, State

_LINE = "<!-- assistant:state -->"
_MARKERS = "<!-- assistant:v1"
_OVER = frozenset({State.FIXED, State.DISMISSED, State.OUTDATED, State.SUPERSEDED})


def told(one: Known) -> str:
    """The line on what became of a finding; nothing while it is open where its thread hangs."""
    sha = code(one.head[:7])
    match one.state:
        case State.FIXED:
            return f"**Fixed** in {sha}" + (f": {plain(one.reason, 200)}" if one.reason else ".")
        case State.OUTDATED:
            return f"**Outdated** since {sha}: the code it speaks of is no longer part of this change."
        case State.SUPERSEDED:
            return f"**Said again** in a newer comment: the code changed for the worse in {sha}."
        case State.MOVED:
            return f"**Moved** to {code(f'{one.path}:{one.line}')} in {sha}; still open."
        case State.DISMISSED:
            by = f" by {code(one.by)}" if one.by else ""
            return f"**Dismissed**{by}" + (f": {plain(one.reason, 200)}" if one.reason else ".")
    return ""


def restated(body: str, one: Known, mark: str) -> str:
    """Our comment with the line that holds now. Whatever it said before about its fate is replaced."""
    paragraphs = body.partition(_MARKERS)[0].replace("\r\n", "\n").rstrip().split("\n\n")
    title, *rest = [paragraph for paragraph in paragraphs if not paragraph.endswith(_LINE)]
    title = title.removeprefix("~~").removesuffix("~~")
    line = told(one)
    head = [f"~~{title}~~" if one.state in _OVER else title, *([f"{line} {_LINE}"] if line else [])]
    return "\n\n".join([*head, *rest, mark])


def back(one: Known) -> str:
    """For the thread of a finding that was over and is not."""
    return f"This is back in {code(one.head[:7])}, at {code(f'{one.path}:{one.line}' if one.line else one.path)}."

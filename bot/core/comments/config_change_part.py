"""What a change to `.github/assistant.yml` would do once it is merged: which settings become what, and what is wrong in it."""

from __future__ import annotations

from bot.core.comments.comment import code
from bot.core.layers_part import Layered, described
from bot.core.policy import PATH, Policy

SHOWN = 12
"""Settings that are named; and mistakes, half as many."""
_LONGEST = 80


def consequences(before: Policy, after: Layered) -> tuple[str, ...]:
    """A sentence on the settings that change their value, and one for each mistake in the proposed file."""
    old = {value.name: value.value for value in described(before, {})}
    new = {value.name: value.value for value in described(after.policy, {})}
    steps = [f"{code(name)}: {_short(old[name])} → {_short(new[name])}" for name in new if new[name] != old[name]]
    more = f" and {len(steps) - SHOWN} more" if len(steps) > SHOWN else ""
    effect = "; ".join(steps[:SHOWN]) + more if steps else "no setting gets another value"
    wrong = [problem for problem in after.problems if problem.file == PATH][: SHOWN // 2]
    return (
        f"Settings once this is merged: {effect}.",
        *(f"The proposed file has a mistake: {code(str(problem))}." for problem in wrong),
    )


def _short(value: str) -> str:
    return code(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…")

"""What a team does with findings -> acceptance with an interval, and which rules are muted, in the open.

Definitions, printed beside every number: a finding is decided when it was fixed or dismissed. Acceptance is fixed /
decided, with Wilson's 95 % interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import sqrt

Z = 1.959964
FEWEST = 5
MUTED_BELOW = 0.3
"""A rule is muted when at least FEWEST findings were decided and even the upper end of its interval is below this."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the findings about one topic of a category; `mutable` for rules and sections of standards."""

    topic: str
    category: str
    fixed: int = 0
    dismissed: int = 0
    mutable: bool = True

    @property
    def decided(self) -> int:
        """How many findings somebody did something about."""
        return self.fixed + self.dismissed

    @property
    def interval(self) -> tuple[float, float]:
        """Between which shares acceptance lies."""
        return wilson(self.fixed, self.decided)


def wilson(good: int, all_of_them: int) -> tuple[float, float]:
    """Wilson's score interval of a share, 0..1; everything is possible where nothing was counted."""
    if not all_of_them:
        return 0.0, 1.0
    share, z2 = good / all_of_them, Z * Z / all_of_them
    middle = (share + z2 / 2) / (1 + z2)
    half = Z * sqrt(share * (1 - share) / all_of_them + z2 / (4 * all_of_them)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def muted(tallies: Iterable[Tally], unmute: Collection[str]) -> dict[str, str]:
    """The topics that are not said any more, with the sentence that says so and how to undo it. Security never is."""
    return {
        one.topic: f"`{one.topic}` is muted: dismissed {one.dismissed} of {one.decided} times in this repository. "
        f"Add it to `unmute` in `.github/assistant.yml` to hear it again."
        for one in tallies
        if one.mutable
        and one.category != "security"
        and one.topic not in unmute
        and one.decided >= FEWEST
        and one.interval[1] < MUTED_BELOW
    }

"""Computes acceptance rates of findings, and which rules a repository mutes because it dismisses them.

A finding is decided when it was fixed or dismissed. Acceptance is fixed / decided, with Wilson's 95 % interval
(Wilson 1927, doi:10.1080/01621459.1927.10502953). DEFINITIONS is printed beside every number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

Z = 1.959964
FEWEST = 5
MUTED_BELOW = 0.3
"""A rule is muted when at least FEWEST findings were decided and even the upper end of its interval is below this."""


@dataclass(frozen=True, slots=True)
class TopicTally:
    """Counts of the findings about one topic of a category, `found` of all. `mutable` is true for rules and sections of standards."""

    topic: str
    category: str
    fixed: int = 0
    dismissed: int = 0
    mutable: bool = True
    repo: str = ""
    found: int = 0

    @property
    def decided(self) -> int:
        """The number of findings that were fixed or dismissed."""
        return self.fixed + self.dismissed

    @property
    def interval(self) -> tuple[float, float]:
        """The interval in which acceptance lies."""
        return wilson(self.fixed, self.decided)

    @property
    def accepted(self) -> tuple[float, float, float]:
        """The fixed share of the decided findings, and its interval; 0 within 0..1 if none was decided."""
        return self.fixed / (self.decided or 1), *self.interval

    @property
    def unwanted(self) -> bool:
        """Whether people dismiss it so often that it is muted. Security is never muted."""
        return (
            self.mutable and self.category != "security" and self.decided >= FEWEST and self.interval[1] < MUTED_BELOW
        )


def wilson(good: int, all_of_them: int) -> tuple[float, float]:
    """Returns Wilson's score interval of a share; 0..1 if nothing was counted."""
    if not all_of_them:
        return 0.0, 1.0
    share, z2 = good / all_of_them, Z * Z / all_of_them
    middle = (share + z2 / 2) / (1 + z2)
    half = Z * sqrt(share * (1 - share) / all_of_them + z2 / (4 * all_of_them)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def muted_topics(tallies: Iterable[TopicTally], unmute: Collection[str]) -> dict[str, str]:
    """Returns the muted topics, each with the sentence that says so and how to undo it."""
    return {
        tally.topic: f"`{tally.topic}` is muted: dismissed {tally.dismissed} of {tally.decided} times in this repository. "
        f"Add it to `unmute` in `.github/assistant.yml` to see it again."
        for tally in tallies
        if tally.unwanted and tally.topic not in unmute
    }


COUNTED = frozenset({"new-suppression"})
"""Topics that are counted in the check run, and posted only if the policy names them under `unmute`."""
_MOST_PLACES = 5


def counted_notice(places: Sequence[str]) -> str:
    """Returns the sentence of the check run about new suppressions; `places` are "path:line"."""
    shown = ", ".join(f"`{place}`" for place in places[:_MOST_PLACES])
    more = f" and {len(places) - _MOST_PLACES} more" if len(places) > _MOST_PLACES else ""
    what = "1 warning is" if len(places) == 1 else f"{len(places)} warnings are"
    return (
        f"{what} newly suppressed with neither a rule nor a reason: {shown}{more}. "
        "To get a comment for each, add `new-suppression` to `unmute` in `.github/assistant.yml`."
    )


DEFINITIONS = {
    "addressed": "its suggestion was committed, or a person resolved its thread and its code changed after the remark",
    "fixed": "not addressed, but a later review found it gone",
    "dismissed": "dismissed with a command or a thumbs down, or its thread resolved without a change",
    "ignored": "none of these when the pull request was merged",
    "strict": "addressed / all findings of merged pull requests, with Wilson's 95 % interval",
    "judged": "(addressed + fixed) / all findings of merged pull requests, likewise",
    "accepted": "of a rule: fixed / (fixed + dismissed) on all pull requests, merged or not, likewise",
    "muted": "not posted any more in that repository, unless its policy has the rule under `unmute`",
}
"""Printed beside every number. Rates of other tools have other definitions and cannot be compared with these."""


@dataclass(frozen=True, slots=True)
class OutcomeRate:
    """The outcomes of a repository's findings of one category when their pull requests were merged."""

    repo: str
    category: str
    addressed: int = 0
    fixed: int = 0
    dismissed: int = 0
    ignored: int = 0

    @property
    def total(self) -> int:
        """The number of all findings."""
        return self.addressed + self.fixed + self.dismissed + self.ignored

    @property
    def strict(self) -> tuple[float, float, float]:
        """The addressed share, and its interval."""
        return self.addressed / self.total, *wilson(self.addressed, self.total)

    @property
    def judged(self) -> tuple[float, float, float]:
        """The share that was addressed or fixed, and its interval."""
        good = self.addressed + self.fixed
        return good / self.total, *wilson(good, self.total)


def add_rates(found: Sequence[OutcomeRate]) -> OutcomeRate | None:
    """Returns the outcomes of all repositories and categories together; None of nothing."""
    if not found:
        return None
    sums = (sum(getattr(one, name) for one in found) for name in ("addressed", "fixed", "dismissed", "ignored"))
    return OutcomeRate("", "", *sums)


def rates(counted: Iterable[tuple[str, str, str, int]]) -> tuple[OutcomeRate, ...]:
    """Returns the rates of (repository, category, outcome, count) rows, in their order."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for repo, category, outcome, count in counted:
        found.setdefault((repo, category), {})[outcome] = count
    return tuple(OutcomeRate(repo, category, **outcomes) for (repo, category), outcomes in found.items())

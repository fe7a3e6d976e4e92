"""Coverage: for every file of the pull request, whether it was reviewed, and if not, why not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """What became of one file, or of one pass over the change."""

    REVIEWED = "reviewed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Covered:
    """One row of the ledger. `by` names who looked: checks, passes. A skipped or failed row has a `reason`."""

    path: str
    state: State
    reason: str = ""
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """The ledger of a review. `passes` are whole-change rows: one per check or model pass that ran, or did not."""

    files: tuple[Covered, ...] = ()
    passes: tuple[Covered, ...] = ()

    @property
    def complete(self) -> bool:
        """Every file was reviewed or skipped for a reason that policy allows, and no pass failed."""
        return all(row.state is not State.FAILED for row in (*self.files, *self.passes))

    def without(self, path: str, reason: str) -> Coverage:
        """The same ledger, with one file marked as failed for `reason`."""
        rows = tuple(replace(row, state=State.FAILED, reason=reason) if row.path == path else row for row in self.files)
        return replace(self, files=rows)

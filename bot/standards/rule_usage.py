"""Counts for each rule how often it was in scope, checked, violated and dismissed.

In scope: its document applies to a file that was reviewed. Checked: a search returned it. Violated: a posted finding
cites it. Dismissed: a person who may command rejected such a finding.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bot.core.findings.finding import Finding
from bot.core.findings.standard import Standard, applies_to
from bot.standards.conflicts import Conflict

MOST = 1_000
"""Most sections that a review records as in scope."""
SILENT = 5
"""Reviews in which a rule is in scope before it counts as silent."""
REJECTED, FEWEST = 0.5, 3
"""A rule is mostly dismissed if more than this share of its findings is, of at least FEWEST."""

Named = tuple[int, int, str]
"""A finding: repository id, number of the pull request, identity."""


@dataclass(frozen=True, slots=True)
class RuleUsage:
    """The counts of one section, by its id."""

    id: str
    in_scope: int = 0
    checked: int = 0
    violated: int = 0
    dismissed: int = 0

    @property
    def silent(self) -> bool:
        """Whether it was in scope often enough and never violated."""
        return self.in_scope >= SILENT and not self.violated

    @property
    def rejected(self) -> bool:
        """Whether most of its findings are dismissed."""
        return self.violated >= FEWEST and self.dismissed > REJECTED * self.violated


@dataclass(frozen=True, slots=True)
class RuleUsageReport:
    """The rules of one repository over its last `reviews`, or the possible conflicts between its documents."""

    repo: str
    reviews: int
    rules: tuple[RuleUsage, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


@dataclass(slots=True)
class _Counts:
    reviews: int = 0
    in_scope: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    violated: defaultdict[str, set[Named]] = field(default_factory=lambda: defaultdict(set))


def entry(
    sections: Sequence[Standard], paths: Collection[str], checked: Iterable[str], findings: Iterable[Finding]
) -> Mapping[str, Any]:
    """Returns what the ledger keeps of a review of `paths`, as small JSON: section names by document, and ids."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for section in in_scope(sections, paths):
        document, _, name = section.id.rpartition("#")
        names[document].append(name)
    violated: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        for standard in finding.standards:
            violated[standard.section or standard.id].append(finding.identity)
    return {
        "in_scope": dict(names),
        "checked": sorted({*checked} | violated.keys()),
        "violated": dict(violated),
    }


def in_scope(sections: Iterable[Standard], paths: Collection[str]) -> tuple[Standard, ...]:
    """Returns the sections that apply to any of the files, at most MOST."""
    return tuple(islice((one for one in sections if any(applies_to(one, path) for path in paths)), MOST))


def tallied(reviews: Iterable[Mapping[str, Any]], dismissed: Collection[Named]) -> tuple[RuleUsageReport, ...]:
    """Returns the report of each repository, by name. `reviews` are rows of the ledger, the newest first."""
    repositories: dict[str, _Counts] = {}
    for row in reviews:
        if kept := row["detail"].get("rules"):
            _count(repositories.setdefault(row["repo"], _Counts()), row, kept)
    return tuple(_rules(repo, counts, dismissed) for repo, counts in sorted(repositories.items()))


def _count(counts: _Counts, row: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    counts.reviews += 1
    counts.in_scope.update(f"{document}#{name}" for document, names in kept["in_scope"].items() for name in names)
    counts.checked.update(kept["checked"])
    for id_, identities in kept["violated"].items():
        counts.violated[id_] |= {(row["repo_id"], row["number"], identity) for identity in identities}


def _rules(repo: str, counts: _Counts, dismissed: Collection[Named]) -> RuleUsageReport:
    ids = sorted({*counts.in_scope, *counts.checked, *counts.violated})
    rules = (
        RuleUsage(
            id=id_,
            in_scope=counts.in_scope[id_],
            checked=counts.checked[id_],
            violated=len(counts.violated[id_]),
            dismissed=len(counts.violated[id_] & {*dismissed}),
        )
        for id_ in ids
    )
    return RuleUsageReport(repo, counts.reviews, tuple(rules))

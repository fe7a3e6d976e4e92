"""A ledger for each rule: how often a section was in scope, looked at, broken, and dismissed by the people it was said to.

In scope: its document speaks of a file that was reviewed. Checked: a search put it before whoever looked. Violated: a
finding that was said rests on it. Dismissed: somebody who may command rejected such a finding.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.core.code.globs import Globs
from bot.core.code.language import language, rules_apply_to
from bot.core.findings.finding import Finding
from bot.core.findings.standard import Standard
from bot.standards.conflicts import Conflict

MOST = 1_000
"""Sections of which a review keeps that they were in scope."""
SILENT = 5
"""Reviews in which a rule was in scope before its silence means something."""
REJECTED, FEWEST = 0.5, 3
"""A rule is mostly dismissed when more than this share of its findings was, of so many at least."""

Named = tuple[int, int, str]
"""A finding: repository id, number of the pull request, identity."""


@dataclass(frozen=True, slots=True)
class RuleUsage:
    """What happened to one section, by its id."""

    id: str
    in_scope: int = 0
    checked: int = 0
    violated: int = 0
    dismissed: int = 0

    @property
    def silent(self) -> bool:
        """Whether it never fires, in spite of having been in scope often enough."""
        return self.in_scope >= SILENT and not self.violated

    @property
    def rejected(self) -> bool:
        """Whether people mostly dismiss it."""
        return self.violated >= FEWEST and self.dismissed > REJECTED * self.violated


@dataclass(frozen=True, slots=True)
class RuleUsageReport:
    """The rules of one repository over its last `reviews`, or the possible conflicts among its documents."""

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
    """What a review of the files at `paths` keeps, as small JSON: section names by document, and ids."""
    in_scope: defaultdict[str, list[str]] = defaultdict(list)
    scopes = {one.scope: one.scope and Globs.of(one.scope) for one in sections}
    for one in [one for one in sections if _speaks(one, scopes[one.scope] or None, paths)][:MOST]:
        document, _, name = one.id.rpartition("#")
        in_scope[document].append(name)
    violated: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        for standard in finding.standards:
            violated[standard.id].append(finding.identity)
    return {
        "in_scope": dict(in_scope),
        "checked": sorted({*checked} | violated.keys()),
        "violated": dict(violated),
    }


def _speaks(section: Standard, scope: Globs | None, paths: Collection[str]) -> bool:
    """Whether a section speaks of any of the files, by scope and by language."""
    return any(
        (scope is None or scope.match(path))
        and (not section.languages or any(rules_apply_to(language(path), one) for one in section.languages))
        for path in paths
    )


def tallied(reviews: Iterable[Mapping[str, Any]], dismissed: Collection[Named]) -> tuple[RuleUsageReport, ...]:
    """The rules of each repository, by name. `reviews` are rows of the ledger, the newest first."""
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

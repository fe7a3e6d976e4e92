"""How many planted holes the checks find, and what they report on the same code without the hole.

    python benchmarks/checks.py [--list]

The holes are in benchmarks/holes: the rules were improved with those of tuned.yml; those of fresh.yml were written after
the rules, and the first result with them is in its head. Both versions are checked as new files. A hole is found if a
rule of correctness or security reports the file with the hole and not its clean twin; what is reported on a clean twin
is a false alarm.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import yaml

from bot.checks import every
from bot.core.code.diff import FileDiff, Status, parse_patch
from bot.core.code.language import language, written_name
from bot.core.findings.finding import Category, Draft
from bot.handlers.run_checks import ReadFiles, run_checks

HOLES = Path(__file__).with_name("holes")
HALVES = ("tuned", "fresh")
AIM = 0.70
_TIDINESS = {Category.HYGIENE, Category.MAINTAINABILITY}


@dataclass(frozen=True)
class Hole:
    """A file with a hole of this `kind`, and its clean twin."""

    path: str
    kind: str
    bad: str
    good: str

    @property
    def group(self) -> str:
        """What the file is written in."""
        if self.path.startswith(".github/"):
            return "GitHub Actions"
        name = written_name(language(self.path))
        return "Kubernetes, Compose" if name == "YAML" else name


def holes(half: str) -> list[Hole]:
    """The holes of one file."""
    return [Hole(**entry) for entry in yaml.safe_load((HOLES / f"{half}.yml").read_text())]


def added(path: str, text: str) -> FileDiff:
    """The change that adds a file."""
    lines = text.splitlines(keepends=True)
    return parse_patch(path, Status.ADDED, f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}" for line in lines))


def claims(texts: dict[str, str]) -> dict[str, list[Draft]]:
    """What the checks claim about each file, if all of them are new."""
    read = ReadFiles([added(path, text) for path, text in texts.items()], texts)
    found = defaultdict(list)
    for draft in asyncio.run(run_checks(every(), read)).drafts:
        found[draft.path].append(draft)
    return found


def grave(drafts: list[Draft]) -> set[str]:
    """The rules of correctness and security among the claims."""
    return {draft.rule for draft in drafts if draft.category not in _TIDINESS}


def show(half: str, *, every_one: bool) -> tuple[float, int]:
    """Print the result for one file of holes; its recall, and the false alarms."""
    planted = holes(half)
    found, alarms = (
        claims({hole.path: hole.bad for hole in planted}),
        claims({hole.path: hole.good for hole in planted}),
    )
    hits = {hole.path for hole in planted if grave(found[hole.path]) - grave(alarms[hole.path])}
    total, caught = (
        Counter(hole.group for hole in planted),
        Counter(hole.group for hole in planted if hole.path in hits),
    )
    print(f"{half}: {len(hits)} of {len(planted)} holes found ({len(hits) / len(planted):.0%})")
    for group in sorted(total):
        print(f"  {group:20}{caught[group]:3} of {total[group]}")
    for hole in planted:
        if every_one:
            rules = ", ".join(sorted({draft.rule for draft in found[hole.path]})) or "-"
            print(f"  {'found ' if hole.path in hits else 'MISSED'} {hole.kind:26}{hole.path:40}{rules}")
    false = [draft for drafts in alarms.values() for draft in drafts]
    lines = sum(len(hole.good.splitlines()) for hole in planted)
    print(f"  false alarms on the {len(planted)} clean twins ({lines} lines): {len(false)}")
    for draft in false:
        print(f"    {draft.path}:{draft.near} {draft.rule}")
    return len(hits) / len(planted), len(false)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--list", action="store_true", help="print each hole")
    chosen = options.parse_args()
    for half in HALVES:
        show(half, every_one=chosen.list)
    print(f"aim: at least {AIM:.0%} of the holes in each half")


if __name__ == "__main__":
    main()

"""How many planted holes the checks find, and what they report on the same code without the hole.

    python benchmarks/checks.py [--list] [--history REPOSITORY …] [--lines 3000]

The holes are in benchmarks/holes: the rules were improved with those of tuned.yml; those of fresh.yml were written after
the rules, and the first result with them is in its head. Both versions are checked as new files. A hole is found if a
rule of correctness or security reports the file with the hole and not its clean twin; what is reported on a clean twin
is a false alarm.

Ordinary code is the project's own history, or the repositories that are given: the newest commits one by one, until they
have added that many lines. Every finding that would be posted or listed is printed for reading. Secrets are searched in
every file of each repository too.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

from bot.app import UseCases, build_model, build_reviewer
from bot.checks import every
from bot.checks.secrets import Secrets
from bot.cli.progress import configure, watched
from bot.cli.review import local_search
from bot.core.code.diff import FileDiff, Status, parse_patch
from bot.core.code.language import language, written_name
from bot.core.comments.marker import Signer
from bot.core.findings.finding import Category, Draft, Finding
from bot.handlers.run_checks import ReadFiles, run_checks
from bot.hosts.local import LocalHost
from bot.interfaces import Source
from bot.job import Job, Trigger
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger

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


MOST_ADDED = 800
"""Lines that a commit may add to be looked at: a larger one is an import or a move more often than a change."""


async def reviewed(repo: Path, commit: str) -> tuple[int, list[Finding]]:
    """The lines that a commit adds, and what a review without a model says about it; nothing about a commit that is too large."""
    host = await LocalHost.from_range(repo, f"{commit}~1..{commit}")
    added_lines = sum(line.added for file in host.changes for hunk in file.hunks for line in hunk.lines)
    if not 0 < added_lines <= MOST_ADDED:
        return 0, []
    settings, signer = Settings(_env_file=None, assistant_model_api="offline"), Signer(b"local")
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/ledger.db") as database:
        standards = FolderStandards(Path(folder) / "standards.db")
        with watched(Console(stderr=True), wanted=False) as (step, _):
            model = build_model(settings, signer.secret)
            parts = UseCases(settings, host, host, standards, Ledger(database), signer, model, local_search(host))
            review = await build_reviewer(parts).review(Job("local", host.pull.ref, Trigger.COMMAND), host.pull, step)
    return added_lines, [*review.findings, *review.listed]


def show_history(repo: Path, wanted: int) -> tuple[int, int]:
    """Print the findings on the newest commits of a repository; the lines that these add, and the findings."""
    listed = subprocess.run(
        ["git", "-C", str(repo), "rev-list", "--no-merges", "--max-parents=1", "-n", "1500", "HEAD"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = commits = 0
    found: list[tuple[str, Finding]] = []
    for commit in listed.stdout.split():
        if lines >= wanted:
            break
        count, findings = asyncio.run(reviewed(repo, commit))
        lines, commits = lines + count, commits + bool(count)
        found += [(commit[:10], finding) for finding in findings]
    rate = 1000 * len(found) / max(1, lines)
    print(f"{repo.name}: {commits} commits, {lines} added lines, {len(found)} findings, {rate:.2f} per 1,000 lines")
    for commit, finding in found:
        draft = finding.draft
        print(f"  {commit} {finding.anchor.path}:{finding.anchor.line} {draft.source} {draft.rule}: {draft.title}")
    return lines, len(found)


def show_secrets(repo: Path) -> None:
    """Print what looks like a secret in the files that a repository has now."""
    names = subprocess.run(["git", "-C", str(repo), "ls-files", "-z"], capture_output=True, text=True, check=True)
    texts = {}
    for name in filter(None, names.stdout.split("\0")):
        content = (repo / name).read_bytes() if (repo / name).is_file() else b""
        if b"\0" not in content[:8000]:
            texts[name] = content.decode(errors="replace")
    alarms = asyncio.run(Secrets().run([Source(name, text) for name, text in texts.items()])).problems
    lines = sum(text.count("\n") for text in texts.values())
    print(f"{repo.name}: {len(alarms)} values look like secrets in {lines} lines; aim: false alarms under 1 in 5,000")
    for alarm in alarms:
        print(f"  {alarm.path}:{alarm.line} {alarm.rule}")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--list", action="store_true", help="print each hole")
    options.add_argument("--history", nargs="+", type=Path, default=[Path(__file__).parents[1]], metavar="REPOSITORY")
    options.add_argument("--lines", type=int, default=3000, help="added lines of each repository")
    chosen = options.parse_args()
    configure("ERROR")
    for half in HALVES:
        show(half, every_one=chosen.list)
    print(f"aim: at least {AIM:.0%} of the holes in each half")
    measured = [show_history(repo.resolve(), chosen.lines) for repo in chosen.history]
    lines, findings = (sum(column) for column in zip(*measured, strict=True))
    print(f"ordinary code: {1000 * findings / max(1, lines):.2f} findings per 1,000 added lines; aim: at most 2.0")
    for repo in chosen.history:
        show_secrets(repo.resolve())


if __name__ == "__main__":
    main()

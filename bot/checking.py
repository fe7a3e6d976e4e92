"""Sources -> Drafts: every check over both versions of what changed; what was there before is not news."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.interfaces import Check, Checked, Source
from bot.review.coverage import Covered, State
from bot.review.diff import Diff, before
from bot.review.finding import Draft
from bot.review.problem import drafts


@dataclass(frozen=True, slots=True)
class CheckedChange:
    """What the checks claim about a change, one row a check, and per file the checks that read it."""

    drafts: tuple[Draft, ...] = ()
    rows: tuple[Covered, ...] = ()
    readers: tuple[tuple[str, tuple[str, ...]], ...] = ()


async def run_checks(checks: Sequence[Check], diff: Diff, heads: Mapping[str, str]) -> CheckedChange:
    """Run `checks` over `heads` (the head's text by path) and over what those files were before."""
    bases = {path: _base(diff, path, text) for path, text in heads.items()}
    outcomes = await asyncio.gather(*(_run(check, heads, bases) for check in checks))
    found: list[Draft] = []
    for path, text in heads.items():
        file = diff.file(path)
        if file is not None:
            after = [one for now, _ in outcomes for one in now.problems if one.path == path]
            then = [one for _, was in outcomes for one in was.problems if one.path == path]
            found.extend(drafts(then, after, file, bases[path] or "", text))
    return CheckedChange(
        tuple(found),
        tuple(row for check, (now, _) in zip(checks, outcomes, strict=True) for row in _rows(check, now, heads)),
        tuple((path, tuple(check.name for check in checks if check.reads(path))) for path in heads),
    )


def _base(diff: Diff, path: str, head: str) -> str | None:
    file = diff.file(path)
    return before(head, file) if file else None


async def _run(check: Check, heads: Mapping[str, str], bases: Mapping[str, str | None]) -> tuple[Checked, Checked]:
    """One check on the new versions, and on the old ones of the files it had something to say about."""
    wanted = {path: text for path, text in heads.items() if check.reads(path)}
    if not wanted:
        return Checked(), Checked()
    now = await check.run([Source(path, text) for path, text in wanted.items()])
    spoken = dict.fromkeys(problem.path for problem in now.problems)
    old = [Source(path, text) for path in spoken if (text := bases.get(path))]
    return now, await check.run(old) if old else Checked()


def _rows(check: Check, now: Checked, heads: Mapping[str, str]) -> list[Covered]:
    name, count = f"check: {check.name}", sum(check.reads(path) for path in heads)
    failed = [Covered(f"{name}: {path}" if path else name, State.FAILED, reason) for path, reason in now.failed]
    if not count:
        return [Covered(name, State.SKIPPED, "no file of its kind changed")]
    return [Covered(name, State.REVIEWED, by=(f"{count} file{'' if count == 1 else 's'}",)), *failed]

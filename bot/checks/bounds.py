"""Keeps files from analysers that are so large that reading them exhausts the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.interfaces import Check, CheckResult, Source

_BYTES = 512 * 1024
_LINES = 20_000


@dataclass(frozen=True, slots=True)
class BoundedCheck:
    """A check that sees only whole files within the bounds; for the others it says which bound.

    A check of lines has no such bound: of a file over the bounds it is given the changed lines, see handlers/run_checks.
    """

    check: Check

    @property
    def name(self) -> str:
        """The check's own."""
        return self.check.name

    @property
    def whole(self) -> bool:
        """The check's own."""
        return self.check.whole

    def reads(self, path: str) -> bool:
        """Whether the check reads files like this."""
        return self.check.reads(path)

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Run the check on the files within the bounds; each other file has failed, with the bound as its reason."""
        over = {file: reason for file in files if self.check.whole and (reason := excess(file.text))}
        checked = await self.check.run([file for file in files if file not in over])
        return CheckResult(checked.problems, (*checked.failed, *((file.path, reason) for file, reason in over.items())))


def excess(text: str) -> str:
    """Which bound `text` is over; empty when it is over none."""
    if len(text) > _BYTES or len(text.encode(errors="replace")) > _BYTES:
        return "is over 512 KB"
    return f"has over {_LINES:,} lines" if text.count("\n") >= _LINES else ""

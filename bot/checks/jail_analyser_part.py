"""An external analyser: files in, problems out. A file that breaks it costs the others nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.checks.jail import Jail
from bot.core.findings.problem import Problem
from bot.interfaces import Checked, Source

Parse = Callable[[bytes, Sequence[Source]], tuple[Problem, ...]]
"""Output and staged files -> problems; file number 7 was staged under the name 7. Raises ValueError for nonsense."""

_RUNS = 16
_BARE_RETURN = re.compile(r"\r(?!\n)")  # a line break for some tools and not for git: line numbers would be wrong


@dataclass(frozen=True, slots=True)
class Analyser:
    """A command for the jail and what its output means. Whether it worked is decided on the output alone."""

    argv: Sequence[str]
    jail: Jail
    parse: Parse

    async def run(self, files: Sequence[Source]) -> Checked:
        """Analyse all files at once; in halves, at most 16 runs in all, as long as a file among them breaks the tool."""
        failed = [(file.path, "has bare carriage returns") for file in files if _BARE_RETURN.search(file.text)]
        waiting = [[file for file in files if not _BARE_RETURN.search(file.text)]]
        problems: list[Problem] = []
        runs = 0
        while waiting:
            batch = waiting.pop()
            runs += 1
            found, trouble, may_split = await self._try(batch)
            problems.extend(found)
            if trouble and may_split and len(batch) > 1 and runs + len(waiting) < _RUNS - 1:
                half = len(batch) // 2
                waiting += [batch[half:], batch[:half]]
            elif trouble:
                failed += [(file.path, trouble) for file in batch]
        return Checked(tuple(problems), tuple(failed))

    async def _try(self, batch: Sequence[Source]) -> tuple[tuple[Problem, ...], str, bool]:
        """Problems, or the trouble and whether a file may be the cause of it."""
        if not batch:
            return (), "", False
        staged = [(file.path, file.text.encode(errors="replace")) for file in batch]
        ran = await self.jail.run(self.argv, staged)
        if ran.trouble:
            return (), ran.trouble, ran.exit_code is not None
        try:
            return self.parse(ran.stdout, batch), "", False
        except ValueError:
            last_words = " ".join(ran.stderr_tail.split())[-200:]
            return (), f"gave no output that can be read: {last_words}", True

"""`run_checks`: what the deterministic analysers say about a file as the pull request leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from bot.interfaces import Check, Source, Tool
from bot.model.tools import Arguments, Files, ToolContext, normal

PROBLEMS = 60


class CheckArguments(Arguments):
    """Which file."""

    path: Annotated[str, Field(description="Relative to the repository's root, at the head.")]


@dataclass(frozen=True, slots=True)
class RunChecks:
    """The same checks as a review runs, over a file of the model's choice."""

    files: Files
    checks: Sequence[Check]
    name: str = "run_checks"
    description: str = "Run the linters and other checks over one file at the head, changed or not."
    parameters: Mapping[str, Any] = field(default_factory=CheckArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """One problem a line as path:line: rule: title, and which checks ran."""
        path = normal(CheckArguments.read(arguments).path)
        source = Source(path, await self.files.text(path, "head"))
        ran = [check for check in self.checks if check.reads(path)]
        seen = [await check.run([source]) for check in ran]
        problems = sorted({(p.line, p.rule, p.title) for one in seen for p in one.problems})
        failed = [f"failed: {reason}" for one in seen for _, reason in one.failed]
        heading = (
            f"{len(problems)} problems by {', '.join(check.name for check in ran) or 'no check: none reads this file'}"
        )
        return "\n".join(
            (heading, *failed, *(f"{path}:{n}: {rule}: {title}" for n, rule, title in problems[:PROBLEMS]))
        )


def offer(desk: ToolContext) -> Tool | None:
    """Where there are checks."""
    return RunChecks(desk.files, desk.checks) if desk.checks else None

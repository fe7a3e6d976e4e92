"""`run_checks`: the problems that linters and other checks find in a file at the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from bot.interfaces import Check, Source, Tool
from bot.model.tools import Arguments, Files, ToolContext, normal

PROBLEMS = 60


class CheckArguments(Arguments):
    """The path of the file."""

    path: Annotated[str, Field(description="Relative to the repository's root, at the head.")]


@dataclass(frozen=True, slots=True)
class RunChecks:
    """Runs the checks of a review on a file that the model chooses."""

    files: Files
    checks: Sequence[Check]
    name: str = "run_checks"
    description: str = "Run the linters and other checks over one file at the head, changed or not."
    parameters: Mapping[str, Any] = field(default_factory=CheckArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns the names of the checks, then one problem a line as path:line: rule: title."""
        path = normal(CheckArguments.read(arguments).path)
        source = Source(path, await self.files.text(path, "head"))
        ran = [check for check in self.checks if check.reads(path)]
        results = [await check.run([source]) for check in ran]
        problems = sorted(
            {(problem.line, problem.rule, problem.title) for result in results for problem in result.problems}
        )
        failed = [f"failed: {reason}" for result in results for _, reason in result.failed]
        heading = (
            f"{len(problems)} problems by {', '.join(check.name for check in ran) or 'no check: none reads this file'}"
        )
        return "\n".join(
            (heading, *failed, *(f"{path}:{n}: {rule}: {title}" for n, rule, title in problems[:PROBLEMS]))
        )


def offer(context: ToolContext) -> Tool | None:
    """Returns the tool if there are checks."""
    return RunChecks(context.files, context.checks) if context.checks else None

"""`assistant standards check`: runs each executable rule of the team's documents over its own good and bad examples."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bot.app import build_rules_check
from bot.checks.scan import GRAMMARS
from bot.cli.standards import committed_sections
from bot.core.comments.sanitize import show_hidden
from bot.core.findings.executable_rules import SOURCE, ExecutableRule, executable_rules
from bot.core.findings.standard import Document, Standard
from bot.errors import Refused, TooLarge, UserError
from bot.interfaces import Source
from bot.settings import Settings
from bot.standards.sections import sections


@dataclass(frozen=True, slots=True)
class RuleReport:
    """A rule or block that was tried: where it stands, and what is wrong with it. A rule without `problems` works."""

    id: str
    place: str
    problems: tuple[str, ...] = ()


def check(repo: Path, files: Sequence[Path], *, as_json: bool) -> bool:
    """Checks the rules in `files`, or those of the last commit of `repo`. Returns whether all work. Raises UserError."""
    found = asyncio.run(_reports([one for file in files for one in _sections(file)] if files else None, repo))
    wrong = [one for one in found if one.problems]
    if as_json:
        rows = [{"rule": one.id, "place": one.place, "problems": list(one.problems)} for one in found]
        print(json.dumps(rows, indent=2, ensure_ascii=False))  # noqa: T201 - this is the output
        return not wrong
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for one in found:
        console.print(f"{'wrong' if one.problems else 'ok   '} {show_hidden(one.place)} {one.id}".rstrip())
        for problem in one.problems:
            console.print(f"      {show_hidden(problem)}")
    console.print(f"{len(found) - len(wrong)} of {len(found)} executable rules work." if found else _NONE)
    return not wrong


_NONE = "There are no executable rules: no section has a fenced block that is marked `ast-grep`."


def _sections(file: Path) -> tuple[Standard, ...]:
    try:
        return sections(Document(str(file), ""), file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except (Refused, TooLarge) as error:
        raise UserError(f"{file}: {error}") from error


async def _reports(given: Sequence[Standard] | None, repo: Path) -> list[RuleReport]:
    read = executable_rules(await committed_sections(repo) if given is None else given)
    unusable = [RuleReport("", f"{one.section.document}:{one.line}", (one.reason,)) for one in read.unusable]
    return [*unusable, *await asyncio.gather(*map(_report, read.rules))]


async def _report(rule: ExecutableRule) -> RuleReport:
    return RuleReport(rule.id, f"{rule.section.document}:{rule.line}", tuple(await _problems(rule)))


async def _problems(rule: ExecutableRule) -> list[str]:
    """What is wrong with a rule: it cannot be run, it lacks examples, or it judges one of them wrongly."""
    if rule.language not in GRAMMARS:
        return [f"ast-grep cannot read {rule.language}"]
    missing = [
        f"it has no example in a fence that is marked `{rule.language} {word}`"
        for word, is_bad in (("bad", True), ("good", False))
        if not any(example.is_bad == is_bad for example in rule.examples)
    ]
    check_rules = build_rules_check(Settings.read(_env_file=None))
    if check_rules is None:
        raise UserError(f"ASSISTANT_CHECKS leaves out the check {SOURCE}")
    everywhere = replace(rule, scope=(), section=replace(rule.section, scope=()))
    suffix = GRAMMARS[rule.language][-1].suffix  # the last grammar of a language accepts the most
    sources = [Source(f"{number}.{suffix}", one.code + "\n") for number, one in enumerate(rule.examples)]
    checked = await check_rules([everywhere]).run(sources or [Source(f"0.{suffix}", "\n")])
    if checked.failed:
        return [*missing, checked.failed[0][1]]
    hit = {problem.path for problem in checked.problems}
    judged = [
        f"it {'does not find' if example.is_bad else 'finds'} the {'bad' if example.is_bad else 'good'} example on line {example.line}"
        for source, example in zip(sources, rule.examples, strict=True)
        if (source.path in hit) != example.is_bad
    ]
    return [*missing, *judged]

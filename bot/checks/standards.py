"""Runs the rules that the team's documents carry as code, with ast-grep in the jail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from bot.checks.bounds import BoundedCheck
from bot.checks.jail import Jail
from bot.checks.scan import GRAMMARS, PatternRule, scan
from bot.core.code.language import LANGUAGES, rules_apply_to
from bot.core.findings.executable_rules import SOURCE, ExecutableRule
from bot.interfaces import Check, CheckResult, Source


@dataclass(frozen=True, slots=True)
class StandardsCheck:
    """A check for the languages and scopes of `rules`. Rules for a language that ast-grep cannot read find nothing."""

    jail: Jail
    rules: tuple[ExecutableRule, ...]
    name: str = SOURCE
    whole: bool = True

    def reads(self, path: str) -> bool:
        """Files that a rule applies to."""
        return any(rule.applies_to(path) for rule in self.rules)

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Run all rules in one process. If ast-grep reads none of the files, one process for each rule finds the bad rule."""
        checked = await self._scan(self.rules, files)
        if len(self.rules) == 1 or not checked.failed or checked.problems:
            return checked
        alone = await asyncio.gather(*(self._scan([rule], files) for rule in self.rules))
        failed = dict.fromkeys(
            ("", f"rule {rule.id}: {one.failed[0][1]}") if len(one.failed) == len(files) else (path, reason)
            for rule, one in zip(self.rules, alone, strict=True)
            for path, reason in one.failed
        )
        return CheckResult(tuple(chain.from_iterable(one.problems for one in alone)), tuple(failed))

    async def _scan(self, rules: Sequence[ExecutableRule], files: Sequence[Source]) -> CheckResult:
        by_id = {rule.id: rule for rule in rules}
        checked = await scan(self.jail, [_pattern(rule) for rule in rules], files, self.name)
        problems = (problem for problem in checked.problems if by_id[problem.rule].applies_to(problem.path))
        return CheckResult(tuple(problems), checked.failed)


def unreadable(rules: Sequence[ExecutableRule]) -> tuple[ExecutableRule, ...]:
    """The rules for languages that ast-grep has no grammar for."""
    return tuple(rule for rule in rules if rule.language not in GRAMMARS)


def _pattern(rule: ExecutableRule) -> PatternRule:
    return PatternRule(
        id=rule.id,
        languages=tuple(sorted(name for name in LANGUAGES if rules_apply_to(name, rule.language))),
        title=rule.title,
        why=rule.why,
        match=rule.match,
        severity=rule.severity,
        category=rule.category,
    )


@dataclass(frozen=True, slots=True)
class RulesCheck:
    """Makes the check for the rules of one review."""

    jail: Jail

    def __call__(self, rules: Sequence[ExecutableRule]) -> Check:
        """The check for `rules`; it sees no file over the bounds."""
        return BoundedCheck(StandardsCheck(self.jail, tuple(rules)))

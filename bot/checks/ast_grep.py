"""Runs our own rules for many languages with ast-grep: injection, ignored errors, leaks, wrong comparisons, unsafe defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.checks.jail import Jail
from bot.checks.pack import has_rules, rules_for
from bot.checks.scan import grammar_of, scan
from bot.core.code.language import language
from bot.interfaces import Check, CheckResult, Source


@dataclass(frozen=True, slots=True)
class AstGrep:
    """A check for the languages that have rules in `rules` and a grammar in ast-grep."""

    jail: Jail
    name: str = "ast-grep"
    whole: bool = True

    def reads(self, path: str) -> bool:
        """Files of the languages that have rules."""
        return grammar_of(path) is not None and has_rules(language(path))

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Run the rules for the languages of `files`, in one process."""
        return await scan(self.jail, rules_for(language(file.path) for file in files), files, self.name)


def offer(jail: Jail) -> Check:
    """The check; ast-grep runs in `jail`."""
    return AstGrep(jail)

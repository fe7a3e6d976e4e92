"""Deterministic analysers, one a file. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from bot.checks.bounds import Bounded
from bot.checks.hygiene import Hygiene
from bot.checks.invisible import Invisible
from bot.checks.jail import Jail
from bot.checks.ruff import Ruff
from bot.checks.secrets import Secrets
from bot.interfaces import Check


def every(*, allow_unconfined: bool = False, analysers: Sequence[Check] = ()) -> tuple[Check, ...]:
    """All checks, and the operator's own `analysers`. None of them sees a file over the bounds.

    `allow_unconfined` lets external programs run where the kernel cannot lock them in.
    """
    ours: tuple[Check, ...] = (Ruff(Jail(allow_unconfined)), Secrets(), Invisible(), Hygiene())
    return tuple(map(Bounded, (*ours, *analysers)))

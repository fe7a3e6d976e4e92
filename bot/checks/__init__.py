"""Deterministic analysers, one a file. A module here that has `offer(jail)` is a check: adding one is adding a file."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from pkgutil import iter_modules

from bot.checks.bounds import BoundedCheck
from bot.checks.jail import Jail
from bot.interfaces import Check


def every(*, allow_unconfined: bool = False, names: Collection[str] | None = None) -> tuple[Check, ...]:
    """All checks or those in `names`, without those whose optional program is not installed.

    None of them sees a file over the bounds.
    `allow_unconfined` lets external programs run where the kernel cannot lock them in.
    """
    jail = Jail(allow_unconfined)
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    ours = [module.offer(jail) for module in modules if hasattr(module, "offer")]
    return tuple(BoundedCheck(check) for check in ours if check and (names is None or check.name in names))

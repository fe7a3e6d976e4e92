"""What tools told a model about standards: the sections that may be cited, and searches that got no answer."""

from __future__ import annotations

import json
from collections.abc import Iterable

from bot.core.code.coverage_part import Covered, State
from bot.core.findings.standard import Standard
from bot.engine.journal import from_json
from bot.interfaces import LookedUp

_FOUND = '{"standards": ['  # how the answer of search_standards begins; one that was cut has another end


def standards_in(lookups: Iterable[LookedUp]) -> Iterable[Standard]:
    """The sections that a search really returned and that govern: only these may be cited."""
    for lookup in lookups:
        if lookup.tool == "search_standards" and lookup.text.startswith(_FOUND) and lookup.text.endswith("]}"):
            found = json.loads(lookup.text)["standards"]
            yield from (from_json(one, Standard) for one in found if one["governs"])


def unanswered(lookups: Iterable[LookedUp]) -> Iterable[Covered]:
    """A row if a search of the standards got no answer: what it would have found was not applied."""
    silent = "not available: "
    failed = [one.text for one in lookups if one.tool == "search_standards" and one.text.startswith(silent)][:1]
    reasons = (text.removeprefix(silent) for text in failed)
    return [Covered("standards", State.FAILED, f"standards unavailable: {reason}") for reason in reasons]

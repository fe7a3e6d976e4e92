"""`assistant stats`: what became of findings, by category and by rule, with the definitions beside the numbers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot.core.findings.muting import DEFINITIONS, OutcomeRate, TopicTally, rates
from bot.settings import Settings
from bot.storage.database import Database
from bot.storage.ledger import Ledger, MonthlyCost


def stats(*, as_json: bool) -> None:
    """Print the rates of every repository and category, and of every rule, from the ledger."""
    found, tallies, costs = asyncio.run(_counted())
    rules = [one for one in tallies if one.decided]
    if as_json:
        print(json.dumps({**_rows(found, rules), "costs": [one._asdict() for one in costs]}, indent=2))  # noqa: T201 - this is the output
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(_table(found) if found else "No pull request with findings was merged yet.")
    if rules:
        console.print(_rules(rules))
    if costs:
        console.print(_costs(costs))
    if found or rules:
        for name, meaning in DEFINITIONS.items():
            console.print(f"[dim]{name}: {meaning}[/dim]")


async def _counted() -> tuple[tuple[OutcomeRate, ...], tuple[TopicTally, ...], tuple[MonthlyCost, ...]]:
    with Database(Settings.read().database) as database:
        ledger = Ledger(database)
        return rates(await ledger.outcomes()), await ledger.tallies(), await ledger.costs()


def _rows(found: Iterable[OutcomeRate], rules: Iterable[TopicTally]) -> dict[str, object]:
    categories = [asdict(one) | {"strict": one.strict, "judged": one.judged} for one in found]
    topics = [asdict(one) | {"accepted": one.accepted, "muted": one.unwanted} for one in rules]
    return {"definitions": DEFINITIONS, "rates": categories, "rules": topics}


def _table(found: Iterable[OutcomeRate]) -> Table:
    columns = ("repository", "category", "findings", "addressed", "fixed", "dismissed", "ignored", "strict", "judged")
    table = Table(*columns, box=None)
    for one in found:
        counts = map(str, (one.total, one.addressed, one.fixed, one.dismissed, one.ignored))
        table.add_row(escape(one.repo), one.category, *counts, _share(*one.strict), _share(*one.judged))
    return table


def _rules(rules: Iterable[TopicTally]) -> Table:
    table = Table("repository", "rule", "category", "fixed", "dismissed", "accepted", "", box=None)
    for one in rules:
        counts, fate = map(str, (one.fixed, one.dismissed)), "muted" if one.unwanted else ""
        table.add_row(escape(one.repo), escape(one.topic), one.category, *counts, _share(*one.accepted), fate)
    return table


def _costs(costs: Iterable[MonthlyCost]) -> Table:
    table = Table("repository", "pull request", "month", "tokens", "dollars", box=None)
    for one in costs:
        table.add_row(escape(one.repo), str(one.number), one.month, str(one.tokens), f"{one.dollars:.2f}")
    return table


def _share(share: float, low: float, high: float) -> str:
    return f"{share:.0%} ({low:.0%}-{high:.0%})"

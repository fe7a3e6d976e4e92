"""`assistant stats`: what became of the findings of merged pull requests, with the definitions beside the numbers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot.ledger import Ledger
from bot.review.learning import DEFINITIONS, Rate, rates
from bot.settings import Settings


def stats(*, as_json: bool) -> None:
    """Print the rates of every repository and category, from the ledger."""
    found = asyncio.run(_counted())
    if as_json:
        rows = [asdict(one) | {"strict": one.strict, "judged": one.judged} for one in found]
        print(json.dumps({"definitions": DEFINITIONS, "rates": rows}, indent=2))  # noqa: T201 - this is the output
        return
    console = Console(highlight=False, soft_wrap=True)
    if not found:
        console.print("No pull request with findings was merged yet.")
        return
    console.print(_table(found))
    for name, meaning in DEFINITIONS.items():
        console.print(f"[dim]{name}: {meaning}[/dim]")


async def _counted() -> tuple[Rate, ...]:
    with Ledger(Settings.read().database) as ledger:
        return rates(await ledger.outcomes())


def _table(found: tuple[Rate, ...]) -> Table:
    columns = ("repository", "category", "findings", "addressed", "fixed", "dismissed", "ignored", "strict", "judged")
    table = Table(*columns, box=None)
    for one in found:
        counts = map(str, (one.total, one.addressed, one.fixed, one.dismissed, one.ignored))
        table.add_row(escape(one.repo), one.category, *counts, _share(*one.strict), _share(*one.judged))
    return table


def _share(share: float, low: float, high: float) -> str:
    return f"{share:.0%} ({low:.0%}-{high:.0%})"

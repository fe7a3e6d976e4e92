"""`assistant stats`: what became of findings, by category and by rule, with their definitions; what reviews cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot.app import review_budget, spending_limits
from bot.core.code.hidden import show_hidden
from bot.core.comments.replies import spender
from bot.core.costs import Balance
from bot.core.findings.muting import DEFINITIONS, OutcomeRate, TopicTally, rates
from bot.errors import UserError
from bot.settings import Settings
from bot.storage.audit import AuditEntry, AuditLog
from bot.storage.database import Database
from bot.storage.ledger import Ledger, MonthlyCost


def stats(*, as_json: bool) -> None:
    """Print the rates of every repository and category, and of every rule, and what was spent, from the ledger."""
    told = asyncio.run(_counted())
    rules = [one for one in told.tallies if one.decided]
    if as_json:
        spent = {"costs": [one._asdict() for one in told.costs], "left": _left(told.balances)}
        print(json.dumps({**_rows(told.rates, rules), **spent}, indent=2))  # noqa: T201 - this is the output
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(_table(told.rates) if told.rates else "No pull request with findings was merged yet.")
    if rules:
        console.print(_rules(rules))
    if told.costs:
        console.print(_costs(told.costs), _people(told.costs), _balances(told.balances), sep="\n")
    if told.rates or rules:
        for name, meaning in DEFINITIONS.items():
            console.print(f"[dim]{name}: {meaning}[/dim]")


def audit(pull: str, limit: int, *, as_json: bool) -> None:
    """Print the newest entries of the audit log, of a repository or pull request if one is named. Raises UserError."""
    repo, _, number = pull.partition("#")
    if pull and (repo.count("/") != 1 or not (number.isdecimal() or "#" not in pull)):
        raise UserError(f"{pull} is neither OWNER/REPO nor OWNER/REPO#NUMBER")
    entries = asyncio.run(_audited(repo, int(number or 0), limit))
    if as_json:
        print(json.dumps([asdict(entry) | {"at": entry.at.isoformat()} for entry in entries], indent=2))  # noqa: T201
        return
    rows = Table("when", "pull request", "decided", "by", "on", "why", box=None)
    for entry in entries:
        cells = (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.pull, entry.what, entry.actor, entry.word, entry.reason)
        rows.add_row(*map(escape, map(show_hidden, cells)))
    Console(highlight=False, soft_wrap=True).print(rows if entries else "Nothing was decided yet.")


async def _audited(repo: str, number: int, limit: int) -> tuple[AuditEntry, ...]:
    with Database(Settings.read().database) as database:
        database.migrate()
        return await AuditLog(database).entries(repo, number, limit)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the ledger holds. `balances` are those of each repository with spending in the last 30 days, by its name."""

    rates: tuple[OutcomeRate, ...]
    tallies: tuple[TopicTally, ...]
    costs: tuple[MonthlyCost, ...]
    balances: Mapping[str, tuple[Balance, ...]]


async def _counted() -> Statistics:
    settings = Settings.read()
    bounds = [
        one for one in spending_limits(settings, review_budget(settings)) if one.scope in {"repository", "installation"}
    ]
    with Database.existing(settings.database) as database:
        ledger = Ledger(database)
        found = rates(await ledger.outcomes()), await ledger.tallies(), await ledger.costs()
        spenders = await ledger.spenders(timedelta(days=30))
        return Statistics(*found, {one.repo: await ledger.balances(one, bounds) for one in spenders})


def _left(balances: Mapping[str, Iterable[Balance]]) -> list[dict[str, object]]:
    return [{"repo": repo} | asdict(one) for repo, found in balances.items() for one in found]


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
    """A row for each pull request and month."""
    table = Table("repository", "pull request", "month", "tokens", "dollars", box=None)
    for (repo, number, month), rows in _grouped(costs, lambda one: (one.repo, str(one.number), one.month)):
        table.add_row(escape(repo), number, month, *_sums(rows))
    return table


def _people(costs: Iterable[MonthlyCost]) -> Table:
    """A row for each person, repository and month."""
    table = Table("person", "repository", "month", "tokens", "dollars", box=None)
    for (person, repo, month), rows in _grouped(costs, lambda one: (one.person, one.repo, one.month)):
        table.add_row(escape(person) or "-", escape(repo), month, *_sums(rows))
    return table


def _balances(balances: Mapping[str, Iterable[Balance]]) -> Table:
    """What is left of each limit."""
    table = Table("repository", "spent on", "dollars", "left", box=None)
    for repo, found in balances.items():
        for one in found:
            left = "no limit" if one.left is None else f"{one.left:.2f}"
            table.add_row(escape(repo), spender(one), f"{one.dollars:.2f}", left)
    return table


def _grouped(
    costs: Iterable[MonthlyCost], key: Callable[[MonthlyCost], tuple[str, str, str]]
) -> Iterable[tuple[tuple[str, str, str], list[MonthlyCost]]]:
    return ((name, list(rows)) for name, rows in groupby(sorted(costs, key=key), key))


def _sums(rows: Iterable[MonthlyCost]) -> tuple[str, str]:
    rows = list(rows)
    return str(sum(one.tokens for one in rows)), f"{sum(one.dollars for one in rows):.2f}"


def _share(share: float, low: float, high: float) -> str:
    return f"{share:.0%} ({low:.0%}-{high:.0%})"

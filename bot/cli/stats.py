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
from bot.core.findings.muting import DEFINITIONS, OutcomeRate, TopicTally
from bot.engine.queue import read_queues
from bot.errors import UserError
from bot.settings import Settings
from bot.storage.audit import AuditEntry, AuditLog
from bot.storage.database import Database
from bot.storage.figures import METRICS, Figures, MonthlyCost, Overview, Quantiles, Window
from bot.storage.ledger import Ledger
from bot.telemetry.metrics import QueueReading
from bot.web.dashboard import cause_in_words


def stats(days: int = 0, *, as_json: bool) -> None:
    """Print the figures of the dashboard over the last `days` (0: of all time), and what was ever spent, from the ledger."""
    told = asyncio.run(_counted(days))
    rules = [one for one in told.tallies if one.decided]
    if as_json:
        spent = {"costs": [one._asdict() for one in told.costs], "left": _left(told.balances)}
        queues = {"queues": [asdict(one) for one in told.queues]}
        print(json.dumps({**_rows(told.rates, rules), **spent, **_figures(told.overview), **queues}, indent=2))  # noqa: T201 - this is the output
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(_overview(told.overview, days), _queues(told.queues), sep="\n")
    if told.rates:
        console.print(_table(told.rates))
    if rules:
        console.print(_rules(rules))
    if told.costs:
        console.print(_costs(told.costs), _people(told.costs), _balances(told.balances), sep="\n")
    for name, meaning in {**METRICS, **(DEFINITIONS if told.rates or rules else {})}.items():
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
    """What the database holds: `balances` of each repository with spending in the last 30 days, by name; `queues` now."""

    rates: tuple[OutcomeRate, ...]
    tallies: tuple[TopicTally, ...]
    costs: tuple[MonthlyCost, ...]
    balances: Mapping[str, tuple[Balance, ...]]
    overview: Overview
    queues: tuple[QueueReading, ...] = ()


async def _counted(days: int) -> Statistics:
    settings = Settings.read()
    bounds = [
        one for one in spending_limits(settings, review_budget(settings)) if one.scope in {"repository", "installation"}
    ]
    with Database.existing(settings.database) as database:
        ledger, figures, window = Ledger(database), Figures(database), Window.of(days)
        spenders = await ledger.spenders(timedelta(days=30))
        return Statistics(
            await figures.outcomes(window),
            await figures.tallies(window),
            await figures.monthly(),
            {one.repo: await ledger.balances(one, bounds) for one in spenders},
            await Overview.read(figures, window),
            await asyncio.to_thread(read_queues, settings.database),
        )


def _left(balances: Mapping[str, Iterable[Balance]]) -> list[dict[str, object]]:
    return [{"repo": repo} | asdict(one) for repo, found in balances.items() for one in found]


def _rows(found: Iterable[OutcomeRate], rules: Iterable[TopicTally]) -> dict[str, object]:
    categories = [asdict(one) | {"strict": one.strict, "judged": one.judged} for one in found]
    topics = [asdict(one) | {"accepted": one.accepted, "muted": one.unwanted} for one in rules]
    return {"definitions": DEFINITIONS, "rates": categories, "rules": topics}


def _figures(overview: Overview) -> dict[str, object]:
    times, merged = overview.times, overview.merged
    quantiles = {name: asdict(getattr(times, name)) for name in ("queue", "model", "post", "total")}
    return {
        "since": overview.window.since,
        "metrics": METRICS,
        "reviews": [one._asdict() for one in overview.reviews],
        "first_reviews": {"count": times.count, **quantiles},
        "coverage": overview.coverage._asdict(),
        "spent": [one._asdict() for one in overview.costs],
        "severities": [one._asdict() for one in overview.severities],
        "found": [one._asdict() for one in overview.rules],
        "addressed": merged and {"findings": merged.total, "strict": merged.strict, "judged": merged.judged},
        "failures": [one._asdict() for one in overview.failures],
    }


def _overview(overview: Overview, days: int) -> Table:
    """The figures in one line each."""
    table = Table(f"last {days} days" if days else "all time", "", box=None)
    times, coverage, merged = overview.times, overview.coverage, overview.merged
    table.add_row("reviews", str(overview.reviewed))
    table.add_row("time to first review, p50 / p95", _seconds(times.total))
    for name in ("queue", "model", "post"):
        table.add_row(f"  {name}", _seconds(getattr(times, name)))
    table.add_row("files reviewed", f"{coverage.files_read} of {coverage.files}")
    table.add_row("lines reviewed", f"{coverage.lines_read} of {coverage.lines}")
    table.add_row("tokens, dollars", f"{overview.tokens}, {overview.dollars:.2f}")
    table.add_row("findings", str(overview.findings))
    table.add_row(
        "addressed (strict)", _share(*merged.strict) if merged else "no pull request with findings was merged yet"
    )
    for one in overview.failures:
        table.add_row(f"failed: {escape(one.kind)}, {escape(cause_in_words(one.cause))}", str(one.total))
    return table


def _queues(readings: Iterable[QueueReading]) -> Table:
    """The runs that have not ended; a row for each queue and state that has any."""
    table = Table("queue", "now", "runs", "oldest", box=None)
    for one in readings:
        if one.runs:
            table.add_row(one.queue, one.state, str(one.runs), f"{one.oldest:.0f} s")
    if not table.row_count:
        table.add_row("all", "nothing waits and nothing runs", "0", "-")
    return table


def _seconds(quantiles: Quantiles) -> str:
    """A median and a 95th percentile in words."""
    return " / ".join("-" if value is None else f"{value:.1f} s" for value in (quantiles.p50, quantiles.p95))


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

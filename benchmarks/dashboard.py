"""Times the whole pages of the dashboard over 100,000 reviews, which it makes in a database of its own.

    python benchmarks/dashboard.py [--reviews 100000] [--days 90] [--url postgresql://…]

The reviews are spread evenly over the days and over 50 repositories. Each has two findings and four model calls. With 90 days
all of them are on the longest page. A page is a request to the application, its figures and its HTML included. Its
CPU is the sum over the threads of this process, so that a page on an idle machine with SQLite takes no longer than that.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import httpx
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request

from bot.core.story import Story
from bot.engine.journal import to_json
from bot.storage.database import Database
from bot.storage.figures import Figures
from bot.storage.runs import RunLog, day_of, page_of
from bot.storage.tables import FINDINGS, REPOSITORIES, RUNS, SPENDING, STORIES
from bot.web.dashboard import Dashboard, Viewer

REPOSITORIES_MADE, BATCH, PULLS = 50, 5_000, 4
TOPICS = [f"R{number:03}" for number in range(80)]


def run_rows(first: int, count: int, total: int, days: int, chance: random.Random) -> list[dict[str, Any]]:
    """Rows of runs, oldest first."""
    rows = []
    for number in range(first, first + count):
        ended = datetime.now(UTC) - timedelta(days=days) * (1 - number / total)
        done, times = chance.random() > 0.03, [chance.uniform(0, 60) for _ in range(3)]
        rows.append({
            "job": f"delivery/{number}", "kind": "review", "page": page_of(f"delivery/{number}"), "installation": 1,
            "repo_id": number % REPOSITORIES_MADE + 1, "repo": f"octo/repo-{number % REPOSITORIES_MADE + 1}",
            "number": number // PULLS, "title": "A change of the product", "head": f"{number:040x}", "trigger": "pushed",
            "actor": "alice", "end": "done" if done else "failed", "cause": "" if done else "Outage",
            "reason": "" if done else "GitHub does not answer", "outcome": "neutral" if done else "", "url": "",
            "day": day_of(ended), "ended": ended, "queued": times[0], "modelled": times[1], "posted": times[2],
            "total": sum(times), "first": done and number % PULLS == 0, "findings": 2, "files": 9, "files_read": 8,
            "lines": 400, "lines_read": 380, "tokens": 60_000, "dollars": 0.2, "steps": [],
        })  # fmt: skip
    return rows


def finding_rows(runs: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """Two findings for each run."""
    return [
        {
            "repo_id": run["repo_id"], "number": run["number"], "identity": f"{run['page'][:15]}{n}", "repo": run["repo"],
            "state": chance.choice(("open", "fixed", "dismissed")), "topic": chance.choice(TOPICS),
            "category": chance.choice(("correctness", "standards", "security")), "rule": True,
            "outcome": chance.choice(("pending", "addressed", "ignored", "dismissed")), "known": {},
            "changed": run["ended"], "severity": chance.randrange(3), "day": run["day"],
        }
        for run in runs for n in range(2)
    ]  # fmt: skip


def spending_rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Four settled calls for each run."""
    return [
        {
            "id": f"{run['job']}/{n}", "installation": 1, "repo_id": run["repo_id"], "number": run["number"],
            "job": run["job"], "tokens": 15_000, "dollars": 0.05, "settled": True, "at": run["ended"],
            "day": run["day"], "person": "alice", "likely_tokens": 0, "likely_dollars": 0.0,
        }
        for run in runs for n in range(4)
    ]  # fmt: skip


def fill(database: Database, total: int, days: int) -> None:
    """Makes the reviews."""
    chance = random.Random(7)

    def write(connection: sa.Connection) -> None:
        names = [{"repo_id": n, "repo": f"octo/repo-{n}", "installation": 1} for n in range(1, REPOSITORIES_MADE + 1)]
        connection.execute(sa.insert(REPOSITORIES), names)
        story = to_json(Story(), Story)
        for first in range(0, total, BATCH):
            runs = run_rows(first, min(BATCH, total - first), total, days, chance)
            connection.execute(sa.insert(RUNS), runs)
            connection.execute(sa.insert(FINDINGS), finding_rows(runs, chance))
            connection.execute(sa.insert(SPENDING), spending_rows(runs))
            connection.execute(
                sa.insert(STORIES), [{"job": run["job"], "story": story, "day": run["day"]} for run in runs]
            )

    asyncio.run(database.run(write))


async def look(
    database: Database, repos: tuple[int, ...] | None, path: str, times: int = 20
) -> list[tuple[float, float]]:
    """The times of a page and their CPU, in milliseconds, for somebody who may read `repos` (None: all)."""

    async def door(_: Request) -> Viewer:
        return Viewer("alice", repos)

    async def queue() -> dict[str, int]:
        return {"reviews": 0}

    dashboard = Dashboard(Figures(database), RunLog(database), door, "https://github.com", queue)
    transport = httpx.ASGITransport(Starlette(routes=dashboard.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        taken = []
        for _ in range(times):
            begun, cpu = perf_counter(), process_time()
            (await client.get(path)).raise_for_status()
            taken.append(((perf_counter() - begun) * 1000, (process_time() - cpu) * 1000))
    return taken


def _rank(taken: Sequence[float], share: float) -> float:
    """The time that a share of the pages does not exceed."""
    return sorted(taken)[ceil(share * len(taken)) - 1]


def main() -> None:
    """Fills a database and prints the time of each page."""
    options = argparse.ArgumentParser()
    options.add_argument("--reviews", type=int, default=100_000)
    options.add_argument("--days", type=int, default=90)
    options.add_argument("--url", default="")
    asked = options.parse_args()
    folder = Path(tempfile.mkdtemp())
    with Database(asked.url or f"sqlite:///{folder / 'bench.db'}") as database:
        begun = perf_counter()
        fill(database, asked.reviews, asked.days)
        print(f"{asked.reviews} reviews over {asked.days} days made in {perf_counter() - begun:.1f} s")
        everybody, some = tuple(range(1, REPOSITORIES_MADE + 1)), tuple(range(1, 11))
        pages = {
            **{f"dashboard, {days} days": (None, f"/dashboard?days={days}") for days in (7, 30, 90)},
            "dashboard, 90 days, who reads all 50": (everybody, "/dashboard?days=90"),
            "dashboard, 90 days, who reads 10": (some, "/dashboard?days=90"),
            "dashboard, 90 days, one repository": (None, "/dashboard?days=90&repo=octo/repo-7"),
            "list of reviews": (None, "/reviews"),
            "list of reviews, one repository": (None, "/reviews?repo=octo/repo-7"),
            "list of failed reviews": (None, "/reviews?end=failed"),
            "one review": (None, f"/reviews/{page_of('delivery/7')}"),
        }
        for name, (repos, path) in pages.items():
            taken, cpu = zip(*asyncio.run(look(database, repos, path)), strict=True)
            times = f"p50 {_rank(taken, 0.5):5.0f} ms, p95 {_rank(taken, 0.95):5.0f} ms, least CPU {min(cpu):5.0f} ms"
            print(f"{name:37} {times}   (aim: under 300)", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""What `assistant stats` shows: every number with its interval, every word with its definition."""

import asyncio
import json
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest

from bot.cli.stats import stats
from bot.core.code.pull_request import PullRef
from bot.core.findings.finding import Category, Severity
from bot.core.findings.known import FindingState, KnownFinding, Outcome
from bot.core.findings.muting import DEFINITIONS
from bot.engine.database import EngineDatabase
from bot.interfaces import RunEnd
from bot.job import Job, Trigger
from bot.storage.database import Database
from bot.storage.figures import METRICS, Figures, Overview, Window
from bot.storage.ledger import Ledger, Reservation, Spending
from bot.storage.runs import RunLog

PULL, OTHER = PullRef("octo/shop", 7, repo_id=42), PullRef("octo/till", 7, repo_id=43)
FOUND = KnownFinding(
    "", "E722", "", "p" * 16, 1, "a.py", Category.CORRECTNESS, Severity.ERROR, "ruff", outcome=Outcome.FIXED
)


@pytest.fixture
def show(tmp_path, monkeypatch, capsys):
    """Prints what became of these findings, by repository."""

    def show(known, *, as_json):
        url = f"sqlite:///{tmp_path}/ledger.db"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DATABASE_URL", url)
        with Database(url) as database:
            ledger = Ledger(database)
            for pull, fates in known.items():
                found = [replace(FOUND, identity=f"{n:016x}", state=state) for n, state in enumerate(fates)]
                asyncio.run(ledger.keep(pull, found))
        stats(as_json=as_json)
        return capsys.readouterr().out

    return show


def test_each_rule_is_told_with_its_acceptance_and_whether_it_is_muted(show):
    fates = {
        PULL: [FindingState.FIXED, *[FindingState.DISMISSED] * 20],
        OTHER: [FindingState.FIXED, FindingState.DISMISSED, FindingState.OPEN],
    }
    told = json.loads(show(fates, as_json=True))

    rules = [(one["repo"], one["topic"], one["fixed"], one["dismissed"], one["muted"]) for one in told["rules"]]
    assert rules == [("octo/shop", "E722", 1, 20, True), ("octo/till", "E722", 1, 1, False)]
    assert told["rules"][1]["accepted"] == pytest.approx([0.5, 0.0945, 0.9055], abs=1e-4)
    assert [(one["repo"], one["fixed"]) for one in told["rates"]] == [("octo/shop", 21), ("octo/till", 3)]


def test_on_a_terminal_every_number_has_its_definition(show):
    shown = show({PULL: [FindingState.FIXED]}, as_json=False)

    assert "100% (21%-100%)" in shown
    assert all(f"{name}: " in shown for name in {**DEFINITIONS, **METRICS})


def test_the_figures_of_the_dashboard_are_printed_for_the_same_days(show, tmp_path, capsys):
    show({PULL: [FindingState.FIXED], OTHER: [FindingState.OPEN]}, as_json=True)
    with Database(f"sqlite:///{tmp_path}/ledger.db") as database:
        overview = asyncio.run(Overview.read(Figures(database), Window.of(30)))
    stats(30, as_json=True)
    told = json.loads(capsys.readouterr().out)

    assert told["severities"] == [row._asdict() for row in overview.severities] != []
    assert told["found"] == [row._asdict() for row in overview.rules]
    assert told["addressed"]["strict"] == list(overview.merged.strict)
    assert told["coverage"] == overview.coverage._asdict()
    stats(30, as_json=False)
    assert "last 30 days" in capsys.readouterr().out


def test_where_nothing_was_merged_or_judged_it_says_so(show):
    shown = show({}, as_json=False)
    assert "addressed (strict)               no pull request with findings was merged yet" in shown
    assert "%" not in shown.partition("reviews: ")[0]


def test_spending_is_told_by_pull_request_person_and_month_with_what_is_left(show, tmp_path):
    show({}, as_json=True)
    with Database(f"sqlite:///{tmp_path}/ledger.db") as database:
        for name, pull in (("a/1", PULL), ("a/2", PULL), ("b/1", OTHER)):
            person = "alice" if pull is PULL else "[bold]bo"
            call = Reservation(name, pull, name, Spending(1000, 0.5), person=person)
            asyncio.run(Ledger(database).reserve(call, ()))

    told = json.loads(show({}, as_json=True))
    costs = told["costs"]
    assert [(one["repo"], one["number"], one["tokens"], one["dollars"]) for one in costs] == [
        ("42", 7, 2000, 1.0),
        ("43", 7, 1000, 0.5),
    ]
    assert re.fullmatch(r"\d{4}-\d\d", costs[0]["month"])
    assert [one["person"] for one in costs] == ["alice", "[bold]bo"]
    left = [(one["repo"], one["scope"], one["dollars"], one["left"]) for one in told["left"]]
    assert left == [
        ("42", "repository", 1.0, 49.0),
        ("42", "installation", 1.5, 498.5),
        ("43", "repository", 0.5, 49.5),
        ("43", "installation", 1.5, 498.5),
    ]
    shown = show({}, as_json=False)
    assert re.search(r"alice +42 +\S+ +2000 +1\.00", shown)
    assert re.search(r"\[bold\]bo +43 +\S+ +1000 +0\.50", shown)
    assert re.search(r"the installation, 30 days +1\.50 +498\.50", shown)


def test_the_queues_are_printed_with_the_age_of_the_oldest_and_failures_with_their_reason(show, tmp_path):
    unused = json.loads(show({}, as_json=True))
    assert unused["queues"] == []
    assert "nothing waits and nothing runs" in show({}, as_json=False)

    file = tmp_path / "ledger.db"
    EngineDatabase(f"sqlite:///{file}").prepare()
    columns = "(workflow_uuid, status, queue_name, created_at, updated_at)"
    with closing(sqlite3.connect(file)) as connection, connection:
        for name, state, queue, age in (
            ("a", "ENQUEUED", "reviews", 90),
            ("b", "ENQUEUED", "reviews", 300),
            ("c", "PENDING", "answers", 7),
            ("d", "SUCCESS", "reviews", 900),
        ):
            at = (time.time() - age) * 1000
            connection.execute(
                f"INSERT INTO workflow_status {columns} VALUES (?, ?, ?, ?, ?)", (name, state, queue, at, at)
            )
    with Database(f"sqlite:///{file}") as database:
        job = Job("delivery/1", PULL, Trigger.OPENED)
        asyncio.run(RunLog(database).end(RunEnd(job, "review", "failed", "no answer", "Outage", time.time())))

    told, shown = json.loads(show({}, as_json=True)), show({}, as_json=False)
    waiting = {(one["queue"], one["state"]): one for one in told["queues"] if one["runs"]}
    assert {key: one["runs"] for key, one in waiting.items()} == {("answers", "running"): 1, ("reviews", "queued"): 2}
    assert waiting["reviews", "queued"]["oldest"] == pytest.approx(300, abs=60)
    assert re.search(r"reviews +queued +2 +3\d\d s", shown)
    assert re.search(r"failed: review, The code host is out +1 *\n", shown)
    assert "Outage" not in shown

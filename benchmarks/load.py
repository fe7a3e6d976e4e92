"""Load on the real server: many deliveries, many commands at once, large reviews, many reviews, several workers.

`assistant serve` and `assistant work` are processes of their own with the product's own times; a sandbox GitHub and a
scripted model are in this process; a third one sends and measures. On SQLite, except for the run `workers`.

    python benchmarks/load.py [deliveries] [commands] [pings] [memory] [workers] [--quick] [--json]

All of them if none is named. Prints each figure beside its aim. Exits with 1 if an invariant does not hold
(tests/support/invariants.py), or if a delivery or a command was lost or done twice.
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
from review import Size, change
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.job import Job, decide
from bot.sandbox.world import conversation, hooks
from bot.sandbox.world.people import PullRequest
from bot.sandbox.world.state import IssueComment
from bot.sandbox.world.traffic import Delivery
from bot.webhook import parse
from tests.support import small_review
from tests.support.assistant_process import AssistantProcess
from tests.support.chaos import postgres
from tests.support.load_generator import Hit, request
from tests.support.load_stage import PATIENCE, LoadStage, load_stage
from tests.support.model_turns import Turn, says
from tests.support.product_with_model import Request
from tests.support.served import Served, until

PINGS = 25
"""Pings a second."""
LARGE = Size("large", 300, 20_000)
LATE = 0.1
"""Seconds that a ping may take."""
MB = 1024

console = Console(stderr=True)


def say(words: str) -> None:
    console.print(f"… {words}", highlight=False)


@dataclass(frozen=True)
class Report:
    """The figures of one run, each with its aim in words, and what is broken."""

    figures: dict[str, tuple[float, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, what: str, value: float, aim: str = "") -> None:
        self.figures[what] = value, aim

    def percentiles(self, what: str, seconds: Sequence[float], aim: str = "") -> None:
        """p50, p95, p99 and the longest of some times, in milliseconds; the aim is for p99."""
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        for name, value in {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "longest": max(seconds)}.items():
            self.add(f"{what}: {name} in ms", value * 1000, aim if name == "p99" else "")

    def expect(self, what: str, count: int, wanted: int) -> None:
        """Adds a count that has to be right."""
        self.add(what, count, f"{wanted}")
        if count != wanted:
            self.broken.append(f"{what}: {count}, not {wanted}")

    async def judge(self, here: LoadStage) -> None:
        """Waits until all work has ended, counts the reviews, and looks at the invariants."""
        self.broken.extend(await here.broken())
        pulls = here.world.pulls
        if pulls:
            self.expect("pull requests reviewed once", sum(len(pull.reviews) == 1 for pull in pulls), len(pulls))

    def show(self, name: str) -> None:
        """Prints it as plain lines."""
        print(f"{name}: {RUNS[name].__doc__}")
        for what, (value, aim) in self.figures.items():
            print(f"{value:10.1f}  {what}" + (f"   (aim: {aim})" if aim else ""))
        for line in [*self.notes, *(f"BROKEN {one}" for one in self.broken)]:
            print(f"  {line}")
        print(flush=True)


async def deliveries(report: Report, *, quick: bool) -> None:
    """5,000 deliveries in a minute. Most make no job; those that make one come twice."""
    total, seconds, chance = 300 if quick else 5000, 5.0 if quick else 60.0, random.Random(1)
    async with load_stage() as here:
        first = await traffic(here.world, total, chance)
        when = [chance.uniform(0, seconds) for _ in first]
        jobs = [place for place, one in enumerate(first) if makes_job(one)]
        say(f"{total} deliveries in {seconds:g} s")
        again = [when[place] + chance.uniform(0, 5) for place in jobs]
        hits = await here.send([*first, *(first[place] for place in jobs)], [*when, *again])
        words = Counter(hit.word for hit in hits)
        report.add("deliveries", len(hits))
        report.percentiles("acknowledged", [hit.seconds for hit in hits])
        report.expect("not acknowledged", sum(hit.status not in {200, 202} for hit in hits), 0)
        report.expect("accepted", words["accepted"], len(jobs))
        report.expect("recognised as a double", words["duplicate"], len(jobs))
        report.add("MB of the server after the load", here.server.rss / MB)
        say("the work of it")
        begun = time.monotonic()
        await report.judge(here)
        report.add("seconds until all of its work was done", time.monotonic() - begun)


async def traffic(world: Served, total: int, chance: random.Random) -> list[Delivery]:
    """Deliveries that together with the doubles are `total`: 1.2 % open a pull request, 8 % are other events with a job."""
    shop, talk = await world.repository("shop"), await world.repository("talk")
    drafts = [await talk.open_pull(f"Draft {n}", "", {f"d{n}.py": "A = 1\n"}, draft=True) for n in range(5)]
    world.sandbox.deliveries.clear()
    pulls = [await world.open(shop, number) for number in range(max(3, total * 12 // 1000))]
    for turn in range(total * 4 // 100):
        chance.choice(pulls).label("alice", f"area/{turn}")
        chance.choice(pulls).end_checks()
    github, alice = world.sandbox.world, world.sandbox.world.user("alice")
    for turn in range(total - 2 * len(world.sandbox.deliveries)):
        draft = chance.choice(drafts)
        if turn % 8 < 5:
            commits = [{"id": f"{turn:040x}", "message": f"Change {turn}\n\n{'Why it is so. ' * 20}"}] * 8
            branch = {"ref": f"refs/heads/b{turn}", "before": "0" * 40, "after": f"{turn:040x}", "commits": commits}
            hooks.emit(github, talk.state, "push", None, alice, **branch)
        elif turn % 8 < 7:
            draft.comment("alice", f"I looked at it ({turn}), and it is good.")
        else:
            old = {"title": {"from": f"Draft of {turn}"}}
            conversation.announce(github, talk.state, draft.state, "edited", alice, changes=old)
    return chance.sample(world.sandbox.deliveries, k=len(world.sandbox.deliveries))


def makes_job(delivery: Delivery) -> bool:
    headers = {name.lower(): text for name, text in delivery.headers.items()}
    return isinstance(decide(parse(headers, delivery.body)), Job)


async def commands(report: Report, *, quick: bool) -> None:
    """200 questions at once, in 20 repositories of 20 owners; the model takes 2 s, writes are a second apart."""
    owners, pulls = (3, 2) if quick else (20, 5)
    async with load_stage(assistant_write_spacing=1) as here:
        here.world.model.script = lambda _: says({"citations": [], "known": True, "answer": "Once."}, seconds=2)
        asked = []
        for owner in range(owners):
            repo = await here.world.sandbox.repository(f"team-{owner}/shop", small_review.BASE, private=True)
            person = repo.user(f"dev-{owner}", "write").login  # one person may ask 30 times an hour
            for number in range(pulls):
                pull = await repo.open_pull(f"Draft {number}", "", small_review.code(number), draft=True)
                asked += [(pull, pull.comment(person, f"/assistant ask Is {turn} paid?")) for turn in range(2)]
        here.world.sandbox.deliveries[:] = here.pending("issue_comment")
        say(f"{len(asked)} commands at once")
        watching = asyncio.create_task(signs(here.world, asked))
        hits = await here.send(here.pending("issue_comment"))
        report.percentiles("webhook answered", [hit.seconds for hit in hits], "under 1000")
        report.expect("not acknowledged", sum(hit.word != "accepted" for hit in hits), 0)
        seen, answered = await watching
        report.percentiles("reaction on GitHub", [at - hits[0].due for at in seen])
        report.percentiles("answer on GitHub", [at - hits[0].due for at in answered])
        await report.judge(here)
        report.expect("commands with a reaction", len(seen), len(asked))
        report.expect("answers", len(answers(here.world, asked)), len(asked))


Asked = Sequence[tuple[PullRequest, IssueComment]]


async def signs(world: Served, asked: Asked) -> tuple[list[float], list[float]]:
    """When each question had a reaction, and when each answer was there, on the monotonic clock."""
    end = time.monotonic() + PATIENCE
    seen: dict[int, float] = {}
    answered: dict[int, float] = {}
    while min(len(seen), len(answered)) < len(asked) and time.monotonic() < end:
        now = time.monotonic()
        for comment in (comment for _, comment in asked if comment.reactions):
            seen.setdefault(comment.id, now)
        for answer in answers(world, asked):
            answered.setdefault(answer.id, now)
        await asyncio.sleep(0.05)
    return list(seen.values()), list(answered.values())


def answers(world: Served, asked: Asked) -> list[IssueComment]:
    pulls = {pull.state.id: pull.state for pull, _ in asked}.values()
    return [said for pull in pulls for said in pull.comments if said.author == world.sandbox.world.app.bot]


async def pings(report: Report, *, quick: bool) -> None:
    """Pings (GET /livez) while six large reviews of 300 files and 20,000 lines run in the same process."""
    count = 1 if quick else 6
    async with load_stage(assistant_checks="", assistant_fetch_megabytes=20) as here:
        here.world.model.script = partial(reviewed, {"walkthrough": "Rates.", "findings": []})
        say("pings of an idle server")
        report.percentiles("ping without reviews", [hit.seconds for hit in await here.fire(ping_shots())])
        for number in range(count):
            base, head = change(LARGE, number)
            repo = await here.world.sandbox.repository(f"octo/large-{number}", base | small_review.BASE, private=True)
            here.world.pulls.append(await repo.open_pull(f"Large {number}", "Rates change.", head))
        say(f"{count} large reviews")
        before, begun, hits = here.server.cpu, time.monotonic(), list[Hit]()
        await here.send(here.pending("pull_request"))
        while here.world.open_ends() and time.monotonic() < begun + PATIENCE:
            hits += await here.fire(ping_shots())
        report.add("seconds for all reviews", time.monotonic() - begun)
        report.add("CPU seconds for all reviews", here.server.cpu - before)
        report.add("pings", len(hits))
        report.percentiles("ping meanwhile", [hit.seconds for hit in hits], "under 100")
        report.expect("not answered", sum(hit.status != 200 for hit in hits), 0)
        late = [
            f"{place / PINGS:.0f} s: {hit.seconds * 1000:.0f} ms"
            for place, hit in enumerate(hits)
            if hit.seconds > LATE
        ]
        report.notes.append(
            f"{len(late)} pings over {LATE * 1000:.0f} ms{', the first at ' * bool(late)}{', '.join(late[:20])}"
        )
        report.add("MB of the server at the end", here.server.rss / MB)
        await report.judge(here)


def ping_shots(seconds: int = 4) -> list[tuple[float, bytes]]:
    """What a supervisor asks, evenly spread."""
    return [(turn / PINGS, request("GET", "/livez")) for turn in range(seconds * PINGS)]


def reviewed(found: dict[str, object], body: dict[str, object]) -> Turn:
    """What each pass finds, and that it holds, after a second."""
    return says(found if Request(body).purpose == "find" else small_review.VERDICT, seconds=1)


async def memory(report: Report, *, quick: bool) -> None:
    """Resident memory over 500 small reviews in one process, after each 50."""
    total, batch = (20, 5) if quick else (500, 50)
    async with load_stage(assistant_automatic_per_pull_day=total) as here:  # one person opens them all
        repos = [await here.world.repository(f"shop-{number}") for number in range(4)]
        sizes, begun = [here.server.rss], time.monotonic()
        for number in range(total):
            await here.world.open(repos[number % 4], number)
            if number % batch == batch - 1:
                await here.send(here.pending("pull_request", "opened"))
                await here.world.whole(PATIENCE)
                sizes.append(here.server.rss)
                say(f"{number + 1} reviews: {sizes[-1] / MB:.0f} MB")
        report.add("reviews per minute", total / (time.monotonic() - begun) * 60)
        middle = len(sizes) // 2
        report.add("MB at the start", sizes[0] / MB)
        report.add("MB in the middle", sizes[middle] / MB)
        report.add("MB at the end", sizes[-1] / MB)
        report.add("KB per review, second half", (sizes[-1] - sizes[middle]) / ((len(sizes) - 1 - middle) * batch), "0")
        report.notes.append(f"MB after each {batch}: " + ", ".join(f"{size / MB:.0f}" for size in sizes[1:]))
        await report.judge(here)


async def workers(report: Report, *, quick: bool) -> None:
    """60 small reviews by 1, 2 and 4 worker processes on Postgres; the model takes 1 s for each of two answers."""
    count = 6 if quick else 60
    database, folder = await asyncio.to_thread(postgres)
    try:
        for number in (1, 2) if quick else (1, 2, 4):
            with psycopg.connect(database.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE load{number}")
            say(f"{number} workers")
            async with load_stage("serve", "--no-worker", url=database.get_uri(database=f"load{number}")) as here:
                await by_workers(report, here, number, count)
    finally:
        await asyncio.to_thread(database.cleanup)
        shutil.rmtree(folder, ignore_errors=True)


async def by_workers(report: Report, here: LoadStage, number: int, count: int) -> None:
    here.world.model.script = partial(reviewed, small_review.findings(small_review.CLAIM))
    log = here.world.folder / "log"
    running = [await AssistantProcess.start(here.world.settings, "work", log=log) for _ in range(number)]
    try:
        await until(lambda: log.read_text().count('"event": "started"') > number, "the workers did not start")
        repos = [await here.world.repository(f"shop-{place}") for place in range(6)]
        for place in range(count):
            await here.world.open(repos[place % 6], place)
        begun = time.monotonic()
        await here.send(here.pending("pull_request"))
        await here.world.whole(PATIENCE)
        report.add(f"reviews per minute by {number}", count / (time.monotonic() - begun) * 60)
        report.expect(f"reviewed twice by {number}", sum(len(pull.reviews) > 1 for pull in here.world.pulls), 0)
        await report.judge(here)
    finally:
        for worker in running:
            await worker.end()


RUNS = {run.__name__: run for run in (deliveries, commands, pings, memory, workers)}


def main() -> None:
    """Does the named runs, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of {', '.join(RUNS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a small part of each, to see that it works")
    parser.add_argument("--json", action="store_true", help="print the figures as one object")
    options = parser.parse_args()
    if unknown := set(options.runs) - RUNS.keys():
        parser.error(f"no run {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    reports = {name: Report() for name in options.runs or RUNS}
    for name, report in reports.items():
        say(name)
        asyncio.run(RUNS[name](report, quick=options.quick))
        if not options.json:
            report.show(name)
    if options.json:
        found = {name: {what: value for what, (value, _) in one.figures.items()} for name, one in reports.items()}
        print(json.dumps(found | {"broken": [line for one in reports.values() for line in one.broken]}))
    sys.exit(any(report.broken for report in reports.values()))


if __name__ == "__main__":
    main()

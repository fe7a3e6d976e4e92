"""The invariants I1-I9: what holds of GitHub, the ledger and the engine after any crash, outage or lost delivery.

`violations` looks at a sandbox and the product's database once the work has ended. docs/explanation/reliability.md
says each invariant in words.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property

import sqlalchemy as sa

from bot.app import build_signer
from bot.core.code.pull_request import PullRef
from bot.core.comments.marker import Signer
from bot.engine.database import EngineDatabase, closing_engine
from bot.engine.queue import WAITING, client
from bot.engine.tables import WORKERS
from bot.errors import BadDelivery
from bot.hosts.github.auth import GitHubApp
from bot.job import Job, decide
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world.people import PullRequest
from bot.sandbox.world.state import Pull, Repository
from bot.storage.tables import REVIEWS, RUNS, SPENDING, TABLES
from bot.webhook import parse

BODY = 65_536
"""Characters that GitHub takes in one comment, review or output of a check run."""
AUTOMATIC = {"opened", "pushed", "ready", "retargeted", "recovered"}
ENDED = ("SUCCESS", "CANCELLED")
TOKENS = 2_000_000
"""The budget of a review, by default."""


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold: its number, the pull request or object, and what is wrong."""

    invariant: str
    where: str
    what: str


@dataclass(frozen=True)
class Shown:
    """What people see on a pull request in the end; equal for two pull requests with the same change."""

    reviews: int
    comments: tuple[tuple[str, int | None, str], ...]
    conclusions: tuple[str | None, ...]


def shown(pull: PullRequest | Pull, repo: Repository | None = None) -> Shown:
    """What a pull request shows at its head, without ids, commits and times."""
    state = pull.state if isinstance(pull, PullRequest) else pull
    runs = (repo or pull.repo).check_runs
    return Shown(
        sum(review.state != "PENDING" for review in state.reviews),
        tuple(sorted((said.path, said.line, said.body.partition("<!--")[0][:60]) for said in state.review_comments)),
        tuple(run.conclusion for run in runs if run.head_sha == state.head_sha),
    )


@dataclass(frozen=True)
class World:
    """A sandbox and the product's database at `url`, after the work has ended.

    `expected` is what each open pull request has to show; `logs` and `secrets` are texts that must not meet. `recovered`:
    the product had the time to find the deliveries that did not reach it.
    """

    sandbox: Sandbox
    url: str
    expected: Callable[[PullRequest], Shown | None] = lambda _: None
    secrets: Sequence[str] = ()
    logs: str = ""
    tokens: int = TOKENS
    recovered: bool = True
    quiet: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def signer(self) -> Signer:
        app = self.sandbox.world.app
        return build_signer(GitHubApp(str(app.id), app.private_key).checked())

    @cached_property
    def tables(self) -> dict[str, list[sa.RowMapping]]:
        """The rows of our own tables."""
        with closing_engine(EngineDatabase(self.url).engine()) as engine, engine.connect() as connection:
            names = (*TABLES.tables.values(),)
            return {table.name: list(connection.execute(sa.select(table)).mappings()) for table in names}

    @cached_property
    def rows(self):
        """The rows of the engine, by the id of the run."""
        with (
            closing_engine(EngineDatabase(self.url).engine()) as engine,
            closing(_Destroyed(client(engine, patient=False))) as opened,
        ):
            return {row.workflow_id: row for row in opened.client.list_workflows()}

    @cached_property
    def pulls(self) -> list[tuple[Repository, Pull]]:
        repositories = self.sandbox.world.repositories.values()
        return [(repo, pull) for repo in repositories for pull in repo.pulls if repo.full_name not in self.quiet]

    @cached_property
    def jobs(self) -> dict[str, Job]:
        """The job of each delivery that reached us, or had to be found by us."""
        jobs = {}
        for delivery in self.sandbox.deliveries:
            if delivery.code is None or (not self.recovered and not 200 <= delivery.code < 300):
                continue
            try:
                job = decide(parse({name.lower(): text for name, text in delivery.headers.items()}, delivery.body))
            except BadDelivery:
                continue
            if isinstance(job, Job) and job.pull.repo not in self.quiet:
                jobs[job.id] = job
        return jobs

    def ours(self, said) -> bool:
        return said.author == self.sandbox.world.app.bot

    def texts(self) -> Iterator[tuple[Repository, str, str]]:
        """All that we posted: the repository, the place and the text."""
        for repo, pull in self.pulls:
            where = f"{repo.full_name}#{pull.number}"
            for said in (*pull.reviews, *pull.comments, *pull.review_comments):
                if self.ours(said):
                    yield repo, f"{where} {said.id}", said.body
        for repo in self.sandbox.world.repositories.values():
            for run in repo.check_runs:
                for text in (run.title, run.summary, run.text):
                    yield repo, f"{repo.full_name} check run {run.id}", text or ""


class _Destroyed:
    """A client whose `close` gives its connections back."""

    def __init__(self, opened) -> None:
        self.client = opened

    def close(self) -> None:
        self.client.destroy()


def violations(world: World) -> list[Violation]:
    """All invariants that do not hold, in the order of their numbers."""
    return [Violation(number, *found) for number, look in INVARIANTS.items() for found in look(world)]


Found = Iterator[tuple[str, str]]


def _every_delivery_ends(world: World) -> Found:
    """I1"""
    for id_, job in world.jobs.items():
        if id_ not in world.rows and not _is_replay(world, job):
            yield str(job.pull), f"the delivery {id_} has no run"
    for id_, row in world.rows.items():
        if row.status in WAITING:
            yield id_, f"the run has not ended: {row.status}"
        output = row.output if isinstance(row.output, dict) else {}
        handed = str(output.get("word", "")).partition("handed on to ")[2]
        if row.name == "ingest" and handed and handed not in world.rows:
            yield id_, f"it was handed on to {handed}, which has no run"
    for repo, pull in world.pulls:
        if pull.state == "open" and not pull.draft and not _runs_at_head(repo, pull):
            yield f"{repo.full_name}#{pull.number}", "its head has no check run of ours"


def _is_replay(world: World, job: Job) -> bool:
    return any(row["digest"] == job.digest and row["job"] != job.id for row in world.tables["assistant_bodies"])


def _runs_at_head(repo: Repository, pull: Pull) -> list:
    return [run for run in repo.check_runs if run.head_sha == pull.head_sha]


def _nothing_is_posted_twice(world: World) -> Found:
    """I2"""
    for repo, pull in world.pulls:
        where, ref = f"{repo.full_name}#{pull.number}", PullRef(repo.full_name, pull.number, repo.id)
        reviews = [review for review in pull.reviews if world.ours(review)]
        for what, said in (("review", reviews), ("reply", [*pull.comments, *pull.review_comments])):
            names = (name for one in said if world.ours(one) for name in world.signer.read(ref, what, one.body))
            yield from ((where, f"{what} {name} is there {n} times") for name, n in Counter(names).items() if n > 1)
        placed = Counter(
            (said.path, said.original_commit, said.body) for said in pull.review_comments if world.ours(said)
        )
        yield from ((where, f"the comment on {key[0]} is there {n} times") for key, n in placed.items() if n > 1)
        automatic = Counter(
            row["head"]
            for row in world.tables["reviews"]
            if (row["repo_id"], row["number"]) == (repo.id, pull.number)
            and row["trigger"] in AUTOMATIC
            and row["url"]
            and "/model/" not in row["job"]
        )
        yield from ((where, f"{head[:7]} has {n} automatic reviews") for head, n in automatic.items() if n > 1)
    for repo in world.sandbox.world.repositories.values():
        keys = Counter(run.external_id for run in repo.check_runs)
        yield from ((repo.full_name, f"{n} check runs are {key}") for key, n in keys.items() if n > 1 and key)


def _a_review_is_of_the_head(world: World) -> Found:
    """I3"""
    for repo, pull in world.pulls:
        for review in pull.reviews:
            if world.ours(review) and review.head != review.commit:
                yield (
                    f"{repo.full_name}#{pull.number}",
                    f"review {review.id} is of {review.commit[:7]}, not of the head",
                )


def _success_means_all_was_reviewed(world: World) -> Found:
    """I4"""
    jobs = {hashlib.sha256(row["job"].encode()).hexdigest()[:16]: row for row in world.tables["reviews"]}
    for repo in world.sandbox.world.repositories.values():
        for run in repo.check_runs:
            row = jobs.get(run.external_id.rpartition("/")[2].partition("+")[0])
            if run.conclusion == "success" and (row is None or row["detail"]["unreviewed"]):
                yield f"{repo.full_name} check run {run.id}", "success, but not all of the head was reviewed"


def _bounds_hold(world: World) -> Found:
    """I5"""
    spent: Counter[str] = Counter()
    for row in world.tables["spending"]:
        spent[row["job"]] += row["tokens"]
    yield from ((job, f"used {tokens} tokens") for job, tokens in spent.items() if tokens > world.tokens)
    yield from ((where, f"{len(text)} characters") for _, where, text in world.texts() if len(text) > BODY)


def _no_secret_is_written(world: World) -> Found:
    """I6"""
    kept = [str(row) for table in (REVIEWS, RUNS, SPENDING) for row in world.tables[table.name]]
    kept += [f"{row.input} {row.output}" for row in world.rows.values()]
    places = [("the log", world.logs), *(("the database", text) for text in kept)]
    places += [(where, text) for _, where, text in world.texts()]
    yield from ((where, "holds a secret") for where, text in places for secret in world.secrets if secret in text)


def _private_text_stays(world: World) -> Found:
    """I7"""
    private = {repo.full_name: repo for repo in world.sandbox.world.repositories.values() if repo.private}
    named = re.compile("|".join(rf"{re.escape(name)}(?![\w-])" for name in private) or r"(?!)")
    for repo, where, text in world.texts():
        if others := {name for name in named.findall(text) if name != repo.full_name}:
            yield where, f"names the private repositories {sorted(others)}"
    for request in world.sandbox.requests:
        if request.method != "GET" and request.path.startswith("/repos/") and len(request.repositories) > 1:
            yield request.path, f"was written with a token for {len(request.repositories)} repositories"


def _failures_are_visible(world: World) -> Found:
    """I8"""
    for repo in world.sandbox.world.repositories.values():
        followed = {run.external_id.removesuffix("+end") for run in repo.check_runs if run.external_id.endswith("+end")}
        for run in repo.check_runs:
            if run.status != "completed" and run.external_id not in followed and repo.full_name not in world.quiet:
                yield f"{repo.full_name} check run {run.id}", f"is still {run.status}"
    keys = {
        run.external_id.rpartition("/")[2].partition("+")[0]
        for repo in world.sandbox.world.repositories.values()
        for run in repo.check_runs
        if run.conclusion not in {None, "success"}
    }
    for row in world.tables["runs"]:
        digest = hashlib.sha256(row["job"].encode()).hexdigest()[:16]
        if row["kind"] == "review" and row["end"] == "failed" and digest not in keys:
            yield f"{row['repo']}#{row['number']}", f"the failure of {row['job']} is not shown"


def _the_end_is_the_same(world: World) -> Found:
    """I9"""
    live = {f"{row['name']}/{row['epoch']}" for row in world.tables[WORKERS.name] if row["state"] == "live"}
    for id_, row in world.rows.items():
        if row.status == "PENDING" and row.executor_id not in live:
            yield id_, f"belongs to {row.executor_id}, which is gone"
        first, _, turn = id_.partition("~")
        followed = {f"fail/{id_}", f"{first}~{int(turn or 1) + 1}"} & world.rows.keys()
        if row.status not in (*ENDED, *WAITING) and not followed:
            yield id_, f"ended as {row.status}, and no report follows"
    for repo, pull in world.pulls:
        person = PullRequest(world.sandbox.world, repo, pull)
        expected = world.expected(person)
        if expected is not None and shown(person) != expected:
            yield f"{repo.full_name}#{pull.number}", f"shows {shown(person)}, not {expected}"


INVARIANTS: dict[str, Callable[[World], Found]] = {
    "I1": _every_delivery_ends,
    "I2": _nothing_is_posted_twice,
    "I3": _a_review_is_of_the_head,
    "I4": _success_means_all_was_reviewed,
    "I5": _bounds_hold,
    "I6": _no_secret_is_written,
    "I7": _private_text_stays,
    "I8": _failures_are_visible,
    "I9": _the_end_is_the_same,
}

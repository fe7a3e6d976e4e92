"""The rows of the engine as our own values: what is asked for, what runs, what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient, EnqueueOptions, StepInfo, WorkflowStatus, error

from bot.core.code.pull_request import PullRef
from bot.engine.database import JsonSerializer, pack
from bot.engine.journal import from_json, to_json
from bot.job import Job

NAME = "review-assistant"
VERSION = "1"  # pinned: DBOS would derive it from the source and strand every job that was queued before an update
QUEUES = {"ingest": "ingest", "review": "reviews", "answer": "answers", "abandon": "answers", "fail": "answers"}
WAITING = ("ENQUEUED", "DELAYED", "PENDING")
_STATES = {
    "ENQUEUED": "queued",
    "DELAYED": "waiting",
    "PENDING": "running",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "given up",
}

_BROKEN = {
    "ERROR": "an internal error",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "its worker went down again and again",
}


def key(pull: PullRef) -> str:
    """A pull request in an id: it survives a rename of the repository."""
    return f"{pull.repo_id or pull.repo}/{pull.number}"


@dataclass(frozen=True, slots=True)
class Order:
    """A workflow to start for a job, `delay` seconds from now.

    `turn` counts how often the work was taken up: each turn after a long wait is a row of its own, named after the
    first. `reason` is for the workflows that announce an end.
    """

    workflow: str
    first: str
    job: Job
    turn: int = 1
    reason: str = ""
    delay: float = 0.0

    @property
    def id(self) -> str:
        """The row of this turn."""
        return self.turns[-1]

    @property
    def turns(self) -> tuple[str, ...]:
        """The rows of all turns so far."""
        return (self.first, *(f"{self.first}~{turn}" for turn in range(2, self.turn + 1)))

    @property
    def queue(self) -> str:
        return QUEUES[self.workflow]

    @property
    def partition(self) -> str:
        """Of which only so many run at once: reviews by repository, all else one by one for a pull request."""
        pull = self.job.pull
        return str(pull.repo_id or pull.repo) if self.workflow == "review" else key(pull)


@dataclass(frozen=True, slots=True)
class Run:
    """A workflow that is queued, waiting or running, and the job it serves."""

    id: str
    job: Job


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as an operator sees it. `ended_at` is in seconds since 1970; `word` is what its handler or its error said."""

    id: str
    kind: str
    status: str
    attempts: int
    ended_at: float | None
    word: str


@dataclass(frozen=True, slots=True)
class Runs:
    """Every row that is not ours to execute goes through here; nothing of the SDK comes out."""

    client: DBOSClient

    def add(self, order: Order) -> bool:
        """Store an order; False if its id is known. Durable on return."""
        try:
            self.client.enqueue(_options(order), *_arguments(order))
        except error.DBOSWorkflowIDInUseError:
            return False
        return True

    def add_in(self, connection: sa.Connection, order: Order) -> bool:
        """Like `add`, within a transaction of the caller's."""
        try:
            self.client.enqueue_in_transaction(connection, _options(order), *_arguments(order))
        except error.DBOSWorkflowIDInUseError:
            return False
        return True

    def active(self, pull: PullRef, workflow: str = "review") -> tuple[Run, ...]:
        """The reviews, or other runs, of a pull request that have not ended."""
        rows = self.client.list_workflows(
            workflow_id_prefix=f"{workflow}/{key(pull)}/", status=list(WAITING), load_output=False
        )
        return tuple(Run(row.workflow_id, _job(row)) for row in rows)

    def reviewed(self, job: Job, head: str) -> bool:
        """Whether a review of `head` that looked at all that `job` wants came to its end."""
        rows = self.client.list_workflows(workflow_id_prefix=f"review/{key(job.pull)}/{head}/", status="SUCCESS")
        return any(_job(row).covers(job) for row in rows if row.output and row.output["end"] == "done")

    def cancel(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Stop these runs; which of them are stopped now, as opposed to ended before."""
        if not ids:
            return ()
        self.client.cancel_workflows(list(ids))
        rows = self.client.list_workflows(
            workflow_ids=list(ids), status="CANCELLED", load_input=False, load_output=False
        )
        return tuple(row.workflow_id for row in rows)

    def journal(self, id_: str) -> tuple[dict[str, dict[str, Any]], int]:
        """What the steps of a run came to, by name, and how many there were."""
        steps = self.client.list_workflow_steps(id_)
        entries = {step["function_name"]: _entry(step) for step in steps}
        return entries, max((step["function_id"] for step in steps), default=0)

    def running(self) -> dict[str, list[str]]:
        """The ids of running workflows by the worker that claimed them."""
        found: dict[str, list[str]] = {}
        for row in self.client.list_workflows(status="PENDING", load_input=False, load_output=False):
            found.setdefault(row.executor_id or "", []).append(row.workflow_id)
        return found

    def broken(self, since: datetime) -> tuple[tuple[Run, str], ...]:
        """Runs that ended without a last word, and why."""
        rows = self.client.list_workflows(
            status=list(_BROKEN),
            name=["ingest", "review", "answer"],
            completed_after=since.isoformat(),
            load_output=False,
        )
        return tuple(
            (Run(row.workflow_id, _job(row)), _BROKEN[row.status]) for row in rows if isinstance(row.input, dict)
        )

    def requeue(self, id_: str) -> None:
        """Put a run back into its queue as if it had never been claimed."""
        row = next(iter(self.client.list_workflows(workflow_ids=[id_], load_input=False, load_output=False)))
        self.client.resume_workflow(id_, queue_name=row.queue_name)

    def records(self, *, limit: int | None = None, ids: Sequence[str] | None = None) -> tuple[RunRecord, ...]:
        """Runs, newest first."""
        rows = self.client.list_workflows(
            limit=limit, workflow_ids=None if ids is None else list(ids), sort_desc=True, load_input=False
        )
        return tuple(_record(row) for row in rows)

    def depth(self) -> dict[str, int]:
        """How many runs have not ended, by queue."""
        rows = self.client.list_workflows(
            status=list(WAITING), queue_name=sorted(set(QUEUES.values())), load_input=False, load_output=False
        )
        return dict(Counter(row.queue_name or "" for row in rows))

    def probe(self) -> None:
        """Write a row and take it away again: what fails here would fail for a job."""
        self.client.enqueue({"workflow_name": "probe", "queue_name": "probe", "workflow_id": "probe"})
        self.client.delete_workflow("probe")

    def delete(self, ended_before: datetime, limit: int = 500) -> int:
        """Delete the oldest runs that ended before a moment, at most `limit`; how many."""
        rows = self.client.list_workflows(
            completed_before=ended_before.isoformat(), limit=limit, load_input=False, load_output=False
        )
        if rows:
            self.client.delete_workflows([row.workflow_id for row in rows])
        return len(rows)


def client(engine: sa.Engine, *, patient: bool) -> DBOSClient:
    """A client that waits for a database out of reach, as a worker must, or says so at once, as the front door must."""
    return DBOSClient(
        system_database_engine=engine,
        serializer=JsonSerializer(),
        application_name=NAME,
        retry_connection_errors=patient,
    )


def _options(order: Order) -> EnqueueOptions:
    options: EnqueueOptions = {
        "workflow_name": order.workflow,
        "queue_name": order.queue,
        "workflow_id": order.id,
        "workflow_id_reuse_policy": "reject",
        "queue_partition_key": order.partition,
        "app_version": VERSION,
    }
    return {**options, "delay_seconds": order.delay} if order.delay > 0 else options


def _arguments(order: Order) -> tuple[Any, ...]:
    return to_json(order.job, Job), order.turn, order.reason


def _entry(step: StepInfo) -> dict[str, Any]:
    """A step as the journal knows it; what the engine does between steps leaves an empty entry."""
    if step["error"] is not None:
        return {"error": pack(step["error"])}
    return step["output"] if isinstance(step["output"], dict) else {}


def _job(row: WorkflowStatus) -> Job:
    if row.input is None:
        raise LookupError(f"{row.workflow_id} was read without its input")
    return from_json(row.input["args"][0], Job)


def _record(row: WorkflowStatus) -> RunRecord:
    output = row.output if isinstance(row.output, dict) else {}
    return RunRecord(
        id=row.workflow_id,
        kind=row.name,
        status=output.get("end") or _STATES.get(row.status, row.status.lower()),
        attempts=row.recovery_attempts or 0,
        ended_at=row.completed_at / 1000 if row.completed_at else None,
        word=output.get("word") or (str(row.error) if row.error else ""),
    )

"""The rows of DBOS as our own values: orders for runs, the runs that have not ended, and the journal of a run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient, EnqueueOptions, StepInfo, WorkflowStatus, error

from bot.core.code.pull_request import PullRef
from bot.engine.database import EngineDatabase, JsonSerializer, closing_engine, pack, unpack
from bot.engine.journal import from_json, to_json
from bot.interfaces import READING, HeadState, StepRecord
from bot.job import Job
from bot.telemetry.metrics import QueueReading

NAME = "review-assistant"
VERSION = "1"  # pinned: by default it is a hash of the source, and an update would strand every queued job
QUEUES = {"ingest": "ingest", "review": "reviews", "answer": "answers", "abandon": "answers", "fail": "answers"}
WAITING = ("ENQUEUED", "DELAYED", "PENDING")
_OWN = ("engine/", "DBOS.")
"""The beginnings of the names of steps that are not a handler's."""
_TROUBLE = 200
_AT_ONCE = 100
_AT_A_TIME = 2000
"""Runs whose journals are deleted in one transaction, and in one call."""
_OVER = "('SUCCESS', 'CANCELLED')"
"""States of runs that never go on from their journal. One that failed keeps it: it shows what happened."""
_APART = 0.2
"""Seconds between the runs that go on after an outage."""
_BROKEN = {
    "ERROR": "an internal error",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "its worker crashed again and again",
}


def key(pull: PullRef) -> str:
    """Returns the pull request's part of an id. A rename of the repository does not change it."""
    return f"{pull.repo_id or pull.repo}/{pull.number}"


@dataclass(frozen=True, slots=True)
class Order:
    """A workflow to start for a job, `delay` seconds from now.

    `turn` counts the runs of the same work: after a long wait it continues in a new row, named after the first.
    `reason` is for the workflows that announce an end.
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
    def reports_ingest(self) -> bool:
        """Whether it reports that the routing of its job was given up: such a run has the job's own id."""
        return self.workflow == "fail" and self.first.startswith(f"fail/{self.job.id}")

    @property
    def queue(self) -> str:
        return QUEUES[self.workflow]

    @property
    def partition(self) -> str:
        """The group with a limit of runs at once: the repository for reviews, the pull request for all others."""
        pull = self.job.pull
        return str(pull.repo_id or pull.repo) if self.workflow == "review" else key(pull)


@dataclass(frozen=True, slots=True)
class Run:
    """A workflow that is queued, waiting or running, and the job it serves."""

    id: str
    job: Job


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A run as an operator sees it: where it stands and why. `state` is queued, waiting, running, or how it ended."""

    id: str
    kind: str
    state: str
    reason: str
    pull: str
    trigger: str
    created: str


@dataclass(frozen=True, slots=True)
class Runs:
    """Reads and writes the rows of all runs. Returns no types of the SDK."""

    client: DBOSClient
    notify: Callable[[str], None] = lambda _: None
    """Is called with the queue of each new order that can start now."""

    def add(self, order: Order) -> bool:
        """Stores an order; False if its id is known. Durable on return."""
        try:
            self.client.enqueue(_options(order), *_arguments(order))
        except error.DBOSWorkflowIDInUseError:
            return False
        if order.delay <= 0:
            self.notify(order.queue)
        return True

    def add_in(self, connection: sa.Connection, order: Order) -> bool:
        """Stores an order in the caller's transaction; False if its id is known.

        Call `notify` after the commit. An order whose earlier run ended without reading the pull request is stored once more, under a new id.
        """
        try:
            self.client.enqueue_in_transaction(connection, _options(order), *_arguments(order))
        except error.DBOSWorkflowIDInUseError:
            again = self._again(order)
            return again is not None and self.add_in(connection, again)
        return True

    def _again(self, order: Order) -> Order | None:
        """Returns the order that starts a known job again; None if the job is under way or has done its work."""
        rows = self.client.list_workflows(workflow_id_prefix=order.first, load_input=False, sort_desc=True)
        family = [row for row in rows if row.workflow_id == order.first or row.workflow_id[len(order.first)] in "~/"]
        if not family or any(row.status in WAITING for row in family) or not _ended_unread(family[0]):
            return None
        number = len({row.workflow_id.partition("~")[0] for row in family})
        job = replace(order.job, id=f"{order.job.id}/again/{number}")
        return Order(order.workflow, job.id, job)

    def active(self, pull: PullRef, workflow: str = "review") -> tuple[Run, ...]:
        """Returns the reviews, or other runs, of a pull request that have not ended."""
        rows = self.client.list_workflows(
            workflow_id_prefix=f"{workflow}/{key(pull)}/", status=list(WAITING), load_output=False
        )
        return tuple(Run(row.workflow_id, _job(row)) for row in rows)

    def reviewed(self, job: Job, head: str) -> bool:
        """Whether a review of `head` that covers `job` has ended with a result."""
        rows = self.client.list_workflows(workflow_id_prefix=f"review/{key(job.pull)}/{head}/", status="SUCCESS")
        return any(_job(row).covers(job) for row in rows if row.output and row.output["end"] == "done")

    def head(self, pull: PullRef, head: str) -> HeadState:
        """Returns what became of the reviews of a head."""
        if self.active(pull):
            return HeadState.LIVING
        rows = self.client.list_workflows(workflow_id_prefix=f"review/{key(pull)}/{head}/", load_input=False)
        ends = {row.output["end"] for row in rows if row.output} | {"failed" for row in rows if row.status in _BROKEN}
        if ends - {"superseded", "failed"}:
            return HeadState.SETTLED
        return HeadState.FAILED if "failed" in ends else HeadState.UNKNOWN

    def cancel(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Stops these runs. Returns the ids of those that had not ended before."""
        if not ids:
            return ()
        self.client.cancel_workflows(list(ids))
        rows = self.client.list_workflows(
            workflow_ids=list(ids), status="CANCELLED", load_input=False, load_output=False
        )
        return tuple(row.workflow_id for row in rows)

    def journal(self, id_: str) -> tuple[dict[str, dict[str, Any]], int]:
        """Returns the results of a run's steps by name, and the number of the last step."""
        steps = self.client.list_workflow_steps(id_)
        entries = {step["function_name"]: _entry(step) for step in steps}
        return entries, max((step["function_id"] for step in steps), default=0)

    def steps(self, turns: Sequence[str]) -> tuple[StepRecord, ...]:
        """Returns the steps of all turns of a run, in their order, without the engine's own."""
        found = [step for turn in turns for step in self.client.list_workflow_steps(turn)]
        timed = [step for step in found if step["started_at_epoch_ms"] and not step["function_name"].startswith(_OWN)]
        return tuple(map(_step, timed))

    def progress(self, id_: str) -> int:
        """Returns the number of steps that a run has finished in all its turns. To read something again is no progress."""
        first, _, turn = id_.partition("~")
        turns = (first, *(f"{first}~{number}" for number in range(2, int(turn or 1) + 1)))
        steps = (step for row in turns for step in self.client.list_workflow_steps(row, load_output=False))
        names = (step["function_name"] for step in steps)
        return len({name.partition(READING)[0] for name in names if not name.startswith(_OWN)})

    def running(self) -> dict[str, list[str]]:
        """Returns the ids of running workflows by the worker that claimed them."""
        ids: dict[str, list[str]] = {}
        for row in self.client.list_workflows(status="PENDING", load_input=False, load_output=False):
            ids.setdefault(row.executor_id or "", []).append(row.workflow_id)
        return ids

    def broken(self, since: datetime) -> tuple[tuple[Run, str], ...]:
        """Returns the runs that ended without a report on the pull request, each with the reason."""
        rows = self.client.list_workflows(
            status=list(_BROKEN),
            name=["ingest", "review", "answer"],
            completed_after=since.isoformat(),
        )
        return tuple(
            (Run(row.workflow_id, _job(row)), _BROKEN[row.status])
            for row in rows
            if isinstance(row.input, dict) and not isinstance(row.error, sa.exc.OperationalError)
        )

    def unstored(self, since: datetime) -> tuple[Order, ...]:
        """Returns the next turn of each run that ended only because the database failed when its end was stored."""
        rows = self.client.list_workflows(status="ERROR", name=list(QUEUES), completed_after=since.isoformat())
        lost = (row for row in rows if isinstance(row.error, sa.exc.OperationalError) and isinstance(row.input, dict))
        return tuple(map(_next_turn, lost))

    def requeue(self, id_: str) -> None:
        """Puts a run back into its queue, as if no worker had claimed it."""
        row = next(iter(self.client.list_workflows(workflow_ids=[id_], load_input=False, load_output=False)))
        self.client.resume_workflow(id_, queue_name=row.queue_name)

    def records(self, limit: int, id_: str = "") -> tuple[JobRecord, ...]:
        """Returns the newest runs, or the one with this id."""
        rows = self.client.list_workflows(
            workflow_ids=[id_] if id_ else None, name=["ingest", "review", "answer"], sort_desc=True, limit=limit
        )
        return tuple(_record(row) for row in rows if isinstance(row.input, dict))

    def job(self, id_: str) -> Job:
        """Returns the job of a run. Raises LookupError for an unknown one."""
        rows = self.client.list_workflows(workflow_ids=[id_], load_output=False)
        if not rows:
            raise LookupError(id_)
        return _job(rows[0])

    def retry(self, id_: str) -> str:
        """Starts the job of a run that has ended once more; returns the new job's id, empty if the run is under way."""
        rows = self.client.list_workflows(workflow_ids=[id_], load_output=False)
        if not rows or rows[0].status in WAITING:
            return ""
        job = _job(rows[0])
        first = job.id.partition("/again/")[0]
        known = self.client.list_workflows(workflow_id_prefix=f"{first}/again/", load_input=False, load_output=False)
        number = len({row.workflow_id.partition("~")[0] for row in known}) + 1
        again = replace(job, id=f"{first}/again/{number}", seen=None, received=time.time())
        return again.id if self.add(Order("ingest", again.id, again)) else ""

    def wake(self) -> int:
        """Lets the runs that an outage laid aside go on now. Returns how many."""
        waiting = self.client.list_workflows(status="DELAYED", load_input=False, load_output=False)
        before = {_turn_before(row.workflow_id): row.workflow_id for row in waiting if "~" in row.workflow_id}
        earlier = self.client.list_workflows(workflow_ids=list(before), load_input=False) if before else []
        laid_aside = [before[row.workflow_id] for row in earlier if row.output and row.output["end"] == "outage"]
        for number, id_ in enumerate(laid_aside):
            self.client.set_workflow_delay(id_, delay_seconds=number * _APART)
        return len(laid_aside)

    def depth(self) -> dict[str, int]:
        """Returns the number of runs that have not ended, by queue."""
        rows = self.client.list_workflows(
            status=list(WAITING), queue_name=sorted(set(QUEUES.values())), load_input=False, load_output=False
        )
        return dict(Counter(row.queue_name or "" for row in rows))

    def probe(self) -> None:
        """Writes a row and deletes it. Raises what storing a job would raise."""
        self.client.enqueue({"workflow_name": "probe", "queue_name": "probe", "workflow_id": "probe"})
        self.client.delete_workflow("probe")

    def delete(self, ended_before: datetime, limit: int = 500) -> int:
        """Deletes the oldest runs that ended before a time, at most `limit`. Returns how many."""
        rows = self.client.list_workflows(
            completed_before=ended_before.isoformat(), limit=limit, load_input=False, load_output=False
        )
        if rows:
            self.client.delete_workflows([row.workflow_id for row in rows])
        return len(rows)


def table_name(engine: sa.Engine, name: str) -> str:
    """Returns the name of a table of DBOS in queries."""
    return f"dbos.{name}" if engine.dialect.name == "postgresql" else name


def drop_journals(engine: sa.Engine, ended_before: datetime) -> int:
    """Deletes the steps of runs that succeeded or were cancelled before a time, unless a later turn goes on from them.

    Returns how many rows of runs lost theirs, at most 2000 a call. The rows of the runs stay, with what they were given and
    how they ended: a redelivery needs only these. Each hundred rows are a transaction, so that no worker waits long.
    """
    steps, rows, before = (
        table_name(engine, "operation_outputs"),
        table_name(engine, "workflow_status"),
        ended_before.timestamp(),
    )
    ended = sa.text(
        f"SELECT DISTINCT workflow_uuid FROM {steps} JOIN {rows} USING (workflow_uuid) "  # noqa: S608 - names of ours
        f"WHERE completed_at_epoch_ms < :before AND completed_at < :before AND status IN {_OVER}"
    )
    later = sa.text(
        f"SELECT workflow_uuid FROM {rows} WHERE workflow_uuid LIKE '%~%' "  # noqa: S608 - a name of ours
        f"AND (completed_at IS NULL OR completed_at >= :before OR status NOT IN {_OVER})"
    )
    with engine.connect() as connection:
        found = connection.execute(ended, {"before": before * 1000}).scalars().all()
        going_on = {id_.partition("~")[0] for id_ in connection.execute(later, {"before": before * 1000}).scalars()}
    over = [id_ for id_ in found if id_.partition("~")[0] not in going_on][:_AT_A_TIME]
    deletion = sa.text(f"DELETE FROM {steps} WHERE workflow_uuid IN :ids")  # noqa: S608 - a name of ours
    for start in range(0, len(over), _AT_ONCE):
        with engine.begin() as transaction:
            ids: sa.BindParameter[list[str]] = sa.bindparam("ids", over[start : start + _AT_ONCE], expanding=True)
            transaction.execute(deletion.bindparams(ids))
    return len(over)


def queue_readings(engine: sa.Engine, now: float) -> tuple[QueueReading, ...]:
    """Counts the runs that have not ended, by queue and state, with the age of the oldest in seconds at `now`."""
    wanted: sa.BindParameter[list[str]] = sa.bindparam("states", list(_LIVING), expanding=True)
    query = sa.text(
        f"SELECT queue_name, status, count(*), min(created_at) FROM {table_name(engine, 'workflow_status')} "  # noqa: S608 - a name of ours
        "WHERE status IN :states AND queue_name IS NOT NULL GROUP BY queue_name, status"
    ).bindparams(wanted)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    found = {(queue, status): (count, now - created / 1000) for queue, status, count, created in rows}
    return tuple(
        QueueReading(queue, state, *found.get((queue, status), (0, 0.0)))
        for queue in sorted(set(QUEUES.values()))
        for status, state in _LIVING.items()
    )


def read_queues(url: str) -> tuple[QueueReading, ...]:
    """The readings of the database at `url` now; empty where no server has used it yet."""
    with closing_engine(EngineDatabase(url).engine(lasting=False)) as engine:
        schema, _, table = table_name(engine, "workflow_status").rpartition(".")
        used = sa.inspect(engine).has_table(table, schema=schema or None)
        return queue_readings(engine, time.time()) if used else ()


def client(engine: sa.Engine, *, patient: bool) -> DBOSClient:
    """Returns a client. If the database is out of reach, it waits (`patient`, for a worker) or raises at once (webhook)."""
    return DBOSClient(
        system_database_engine=engine,
        serializer=JsonSerializer(),
        application_name=NAME,
        retry_connection_errors=patient,
    )


_LIVING = {"ENQUEUED": "queued", "DELAYED": "waiting", "PENDING": "running"}
_STATES = {**_LIVING, "CANCELLED": "cancelled"}


def _record(row: WorkflowStatus) -> JobRecord:
    job, output = _job(row), row.output if isinstance(row.output, dict) else {}
    return JobRecord(
        id=row.workflow_id,
        kind=row.name,
        state=output.get("end") or _STATES.get(row.status, "failed"),
        reason=output.get("word") or _BROKEN.get(row.status, ""),
        pull=str(job.pull),
        trigger=job.trigger.value,
        created=datetime.fromtimestamp((row.created_at or 0) / 1000, UTC).isoformat(timespec="seconds"),
    )


def _ended_unread(row: WorkflowStatus) -> bool:
    """Whether a run ended before it could read the pull request, or without any result."""
    return row.status in _BROKEN or bool(row.output and row.output["end"] in {"failed", "unread"})


def _next_turn(row: WorkflowStatus) -> Order:
    _, turn, reason = row.input["args"] if row.input else (None, 1, "")
    return Order(row.name, row.workflow_id.removesuffix(f"~{turn}"), _job(row), turn + 1, reason)


def _turn_before(id_: str) -> str:
    first, _, turn = id_.rpartition("~")
    return first if turn == "2" else f"{first}~{int(turn) - 1}"


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
    """Returns a step's journal entry; empty for the calls that DBOS numbers between steps.

    It is empty too if the database failed while the step's result was stored: that is not how the step ended.
    """
    if step["error"] is not None and not isinstance(step["error"], sa.exc.OperationalError):
        return {"error": pack(step["error"])}
    return step["output"] if isinstance(step["output"], dict) else {}


def _step(step: StepInfo) -> StepRecord:
    began = step["started_at_epoch_ms"] or 0
    entry, ended = _entry(step), step["completed_at_epoch_ms"] or began
    error = unpack(entry["error"]) if "error" in entry else None
    return StepRecord(
        name=step["function_name"],
        began=began / 1000,
        seconds=(ended - began) / 1000,
        retries=entry.get("tries", 0),
        trouble=str(error or entry.get("trouble") or entry.get("reason") or "")[:_TROUBLE],
        failed=error is not None,
    )


def _job(row: WorkflowStatus) -> Job:
    if row.input is None:
        raise LookupError(f"{row.workflow_id} was read without its input")
    return from_json(row.input["args"][0], Job)

"""The runs of a durable engine as a test sees them: what became of each."""

import asyncio
from dataclasses import dataclass

STATES = {
    "ENQUEUED": "queued",
    "DELAYED": "waiting",
    "PENDING": "running",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "given up",
}


@dataclass(frozen=True)
class RunRecord:
    """One run. `word` is what its handler returned or its error said."""

    id: str
    kind: str
    status: str
    attempts: int
    ended: bool
    word: str


async def run_records(engine, *ids):
    """All runs, newest first; or those with these ids."""
    client = engine._open.runs.client
    rows = await asyncio.to_thread(
        client.list_workflows, workflow_ids=list(ids) or None, sort_desc=True, load_input=False
    )
    return tuple(record(row) for row in rows)


def record(row):
    output = row.output if isinstance(row.output, dict) else {}
    return RunRecord(
        id=row.workflow_id,
        kind=row.name,
        status=output.get("end") or STATES.get(row.status, row.status.lower()),
        attempts=row.recovery_attempts or 0,
        ended=bool(row.completed_at),
        word=output.get("word") or (str(row.error) if row.error else ""),
    )

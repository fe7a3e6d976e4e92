"""The engine's own tables, beside those of DBOS. A migration of `bot/storage` creates them."""

from __future__ import annotations

import sqlalchemy as sa

TABLES = sa.MetaData()
WORKERS = sa.Table(
    "assistant_workers",
    TABLES,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
)
"""One row for each worker process: the epoch of its lease, and a number that grows with each renewal."""
CRASHES = sa.Table(
    "assistant_crashes",
    TABLES,
    sa.Column("run", sa.String(300), primary_key=True),
    sa.Column("holder", sa.String(220), primary_key=True),
    sa.Column("steps", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
"""The runs that a worker had when it died, each with the number of steps that it had finished."""
LEASES = sa.Table(
    "assistant_leases",
    TABLES,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
)
"""Work that one process does at a time."""
LANES = sa.Table(
    "assistant_lanes",
    TABLES,
    sa.Column("installation", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("holder", sa.String(220), nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("free", sa.Float, nullable=False),
    sa.Column("slot", sa.Float, nullable=False),
    sa.Column("limited", sa.Float, nullable=False),
)
"""One row for each installation: who writes to GitHub now, when the next write may start, and until when none may."""
BODIES = sa.Table(
    "assistant_bodies",
    TABLES,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("job", sa.String(200), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
"""The digest of each delivery's body, and the job that had it first."""

"""Leases of workers, write lanes of installations, and the tables that the engine made by itself before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables. Two of them may exist: earlier versions made them at the start of the engine."""
    op.create_table(
        "assistant_workers",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
    )
    op.create_table(
        "assistant_crashes",
        sa.Column("run", sa.String(300), primary_key=True),
        sa.Column("holder", sa.String(220), primary_key=True),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "assistant_lanes",
        sa.Column("installation", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(220), nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("free", sa.Float, nullable=False),
        sa.Column("slot", sa.Float, nullable=False),
        sa.Column("limited", sa.Float, nullable=False),
    )
    op.create_table(
        "assistant_leases",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "assistant_bodies",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("job", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop what is new here. The engine of the version before makes the other two again."""
    for table in ("assistant_lanes", "assistant_crashes", "assistant_workers"):
        op.drop_table(table)

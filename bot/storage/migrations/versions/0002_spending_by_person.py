"""Spending has a person, and what a call probably costs if its answer is lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns. Older rows belong to no person."""
    op.add_column("spending", sa.Column("person", sa.String(100), nullable=False, server_default=""))
    op.add_column("spending", sa.Column("likely_tokens", sa.BigInteger, nullable=True))
    op.add_column("spending", sa.Column("likely_dollars", sa.Float, nullable=True))


def downgrade() -> None:
    """Drop them again."""
    for column in ("likely_dollars", "likely_tokens", "person"):
        op.drop_column("spending", column)

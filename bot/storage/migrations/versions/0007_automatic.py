"""Automatic events are counted beside the requests of people, so that pushes are bounded too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the mark of an automatic event; everything before it was a request."""
    op.add_column("asked", sa.Column("automatic", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Forget which events were automatic."""
    with op.batch_alter_table("asked") as asked:
        asked.drop_column("automatic")

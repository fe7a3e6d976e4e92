"""An index on the runs of a pull request: the reconciler asks whether we were ever told of one."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the index."""
    op.create_index("runs_pull", "runs", ["repo_id", "number"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("runs_pull", "runs")

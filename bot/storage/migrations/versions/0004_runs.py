"""Runs, their stories and the repositories have tables; findings and spending have a day, and indexes by day."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_BATCH = 1_000


def upgrade() -> None:
    """Create the tables and columns, and fill them from the older rows."""
    _create_runs()
    op.create_table(
        "stories",
        sa.Column("job", sa.String(200), primary_key=True),
        sa.Column("story", sa.JSON, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Index("stories_day", "day"),
    )
    op.create_table(
        "repositories",
        sa.Column("repo_id", sa.BigInteger, primary_key=True),
        sa.Column("repo", sa.String(200), nullable=False),
        sa.Column("installation", sa.BigInteger, nullable=False),
    )
    op.add_column("findings", sa.Column("severity", sa.Integer, nullable=False, server_default="0"))
    for table in ("findings", "spending"):
        op.add_column(table, sa.Column("day", sa.String(10), nullable=False, server_default=""))
    _fill(op.get_bind())
    by_day = ["day", "repo_id", "severity", "category", "topic", "state", "outcome", "rule"]
    op.create_index("findings_day", "findings", by_day)
    op.create_index("spending_day", "spending", ["day", "repo_id", "tokens", "dollars"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("job", sa.String(200), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("page", sa.String(20), nullable=False),
        sa.Column("installation", sa.BigInteger, nullable=False),
        sa.Column("repo_id", sa.BigInteger, nullable=False),
        sa.Column("repo", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("trigger", sa.String(20), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("end", sa.String(20), nullable=False),
        sa.Column("cause", sa.String(60), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued", sa.Float, nullable=True),
        sa.Column("modelled", sa.Float, nullable=True),
        sa.Column("posted", sa.Float, nullable=True),
        sa.Column("total", sa.Float, nullable=True),
        sa.Column("first", sa.Boolean, nullable=False),
        sa.Column("findings", sa.Integer, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("files_read", sa.Integer, nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("lines_read", sa.Integer, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("dollars", sa.Float, nullable=True),
        sa.Column("steps", sa.JSON, nullable=False),
        sa.Index("runs_page", "page", unique=True),
        sa.Index("runs_ended", "kind", "ended", "job", "repo_id", "end"),
        sa.Index("runs_day", "kind", "day", "repo_id", "end", "outcome", "files", "files_read", "lines", "lines_read"),
        sa.Index("runs_cause", "end", "day", "repo_id", "cause", "kind"),
        sa.Index("runs_first", "first", "day", "repo_id", "queued", "modelled", "posted", "total"),
    )


def _fill(connection: sa.Connection) -> None:
    """Fills the new columns of older rows, and makes a run of each older review. Their times are not known."""
    day = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD')" if _is_postgres(connection) else "substr({}, 1, 10)"
    severity = "(known->>'severity')::int" if _is_postgres(connection) else "json_extract(known, '$.severity')"
    connection.execute(
        sa.text(f"UPDATE findings SET day = {day.format('changed')}, severity = coalesce({severity}, 0)")  # noqa: S608 - no value of a person
    )
    connection.execute(sa.text(f"UPDATE spending SET day = {day.format('at')}"))  # noqa: S608 - likewise
    connection.execute(
        sa.text(
            "INSERT INTO repositories (repo_id, repo, installation) "
            "SELECT repo_id, max(repo), max(installation) FROM reviews GROUP BY repo_id"
        )
    )
    reviews = sa.Table("reviews", sa.MetaData(), autoload_with=connection)
    runs = sa.Table("runs", sa.MetaData(), autoload_with=connection)
    rows = connection.execute(sa.select(reviews)).mappings()
    while batch := rows.fetchmany(_BATCH):
        connection.execute(sa.insert(runs), [_run(row) for row in batch])


def _is_postgres(connection: sa.Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _run(row: sa.RowMapping) -> dict[str, object]:
    detail = row["detail"] or {}
    usage = detail.get("usage") or {}
    kept = {name: row[name] for name in ("job", "installation", "repo_id", "repo", "number", "head", "trigger", "url")}
    return kept | {
        "kind": "review",
        "page": hashlib.sha256(row["job"].encode()).hexdigest()[:16],
        "title": "",
        "actor": "",
        "end": "done",
        "cause": "",
        "reason": "",
        "outcome": row["outcome"],
        "day": f"{row['finished']:%Y-%m-%d}",
        "ended": row["finished"],
        "first": False,
        "findings": detail.get("posted", 0) + detail.get("listed", 0),
        "files": 0,
        "files_read": 0,
        "lines": 0,
        "lines_read": 0,
        "tokens": usage.get("input", 0) + usage.get("output", 0),
        "dollars": usage.get("dollars"),
        "steps": [],
    }


def downgrade() -> None:
    """Drop them again."""
    op.drop_index("findings_day", "findings")
    op.drop_index("spending_day", "spending")
    op.drop_column("findings", "severity")
    for table in ("findings", "spending"):
        op.drop_column(table, "day")
    for table in ("repositories", "stories", "runs"):
        op.drop_table(table)

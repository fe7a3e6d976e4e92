"""The schema: all tables of the product. test_ledger.py compares it with the result of the migrations."""

from __future__ import annotations

import sqlalchemy as sa

from bot.core.code.pull_request import PullRef
from bot.engine.tables import TABLES as ENGINE_TABLES

TABLES = sa.MetaData()
for _table in ENGINE_TABLES.tables.values():
    _table.to_metadata(TABLES)
REVIEWS = sa.Table(
    "reviews",
    TABLES,
    sa.Column("job", sa.String(200), primary_key=True),
    sa.Column("installation", sa.BigInteger, nullable=False),
    sa.Column("repo_id", sa.BigInteger, nullable=False),
    sa.Column("repo", sa.String(200), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("head", sa.String(64), nullable=False),
    sa.Column("trigger", sa.String(20), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("finished", sa.DateTime(timezone=True), nullable=False),
    sa.Index("reviews_pull", "repo_id", "number", "finished"),
)
FINDINGS = sa.Table(
    "findings",
    TABLES,
    sa.Column("repo_id", sa.BigInteger, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("identity", sa.String(32), primary_key=True),
    sa.Column("repo", sa.String(200), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("topic", sa.String(300), nullable=False),
    sa.Column("category", sa.String(20), nullable=False),
    sa.Column("rule", sa.Boolean, nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("known", sa.JSON, nullable=False),
    sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
    sa.Column("severity", sa.Integer, nullable=False, server_default="0"),
    sa.Column("day", sa.String(10), nullable=False, server_default=""),
    sa.Index("findings_severity", "day", "severity", "repo_id"),
    sa.Index("findings_topic", "topic", "category", "state", "day", "repo_id"),
    sa.Index("findings_outcome", "category", "outcome", "repo_id", "day"),
)
SPENDING = sa.Table(
    "spending",
    TABLES,
    sa.Column("id", sa.String(300), primary_key=True),
    sa.Column("installation", sa.BigInteger, nullable=False),
    sa.Column("repo_id", sa.BigInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("job", sa.String(200), nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("dollars", sa.Float, nullable=False),
    sa.Column("settled", sa.Boolean, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("person", sa.String(100), nullable=False, server_default=""),
    sa.Column("likely_tokens", sa.BigInteger, nullable=True),
    sa.Column("likely_dollars", sa.Float, nullable=True),
    sa.Column("day", sa.String(10), nullable=False, server_default=""),
    sa.Index("spending_scope", "installation", "at"),
    sa.Index("spending_day", "day", "repo_id", "tokens", "dollars"),
)
ASKED = sa.Table(
    "asked",
    TABLES,
    sa.Column("job", sa.String(200), primary_key=True),
    sa.Column("repo_id", sa.BigInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("actor", sa.BigInteger, nullable=False),
    sa.Column("admitted", sa.Boolean, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("automatic", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("asked_repository", "repo_id", "at"),
)
EXCHANGES = sa.Table(
    "exchanges",
    TABLES,
    sa.Column("job", sa.String(200), primary_key=True),
    sa.Column("repo_id", sa.BigInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("thread", sa.BigInteger, nullable=False),
    sa.Column("asker", sa.String(100), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("exchanges_thread", "repo_id", "number", "thread", "at"),
)
TALKS = sa.Table(
    "talks",
    TABLES,
    sa.Column("repo_id", sa.BigInteger, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("thread", sa.BigInteger, primary_key=True),
    sa.Column("id", sa.String(200), nullable=False),
    sa.Column("opening", sa.Integer, nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False),
    sa.Column("told", sa.JSON, nullable=False),
    sa.Column("broken", sa.Boolean, nullable=False),
)
PAUSES = sa.Table(
    "pauses",
    TABLES,
    sa.Column("repo_id", sa.BigInteger, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("by", sa.String(100), nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)
AUDIT = sa.Table(
    "audit",
    TABLES,
    sa.Column("job", sa.String(200), primary_key=True),
    sa.Column("what", sa.String(60), primary_key=True),
    sa.Column("repo_id", sa.BigInteger, nullable=False),
    sa.Column("repo", sa.String(300), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("actor_id", sa.BigInteger, nullable=False),
    sa.Column("word", sa.String(60), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("audit_pull", "repo_id", "number", "at"),
    sa.Index("audit_at", "at"),
)

RUNS = sa.Table(
    "runs",
    TABLES,
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
    sa.Index("runs_pull", "repo_id", "number"),
    sa.Index("runs_ended", "kind", "ended", "job", "repo_id", "end"),
    sa.Index("runs_day", "kind", "day", "end", "outcome", "repo_id", "files", "files_read", "lines", "lines_read"),
    sa.Index("runs_cause", "end", "day", "repo_id", "cause", "kind"),
    sa.Index("runs_first", "first", "day", "repo_id", "queued", "modelled", "posted", "total"),
)
STORIES = sa.Table(
    "stories",
    TABLES,
    sa.Column("job", sa.String(200), primary_key=True),
    sa.Column("story", sa.JSON, nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Index("stories_day", "day"),
)
REPOSITORIES = sa.Table(
    "repositories",
    TABLES,
    sa.Column("repo_id", sa.BigInteger, primary_key=True),
    sa.Column("repo", sa.String(200), nullable=False),
    sa.Column("installation", sa.BigInteger, nullable=False),
)


def of_pull(table: sa.Table, pull: PullRef) -> sa.ColumnElement[bool]:
    """Returns the condition for the rows of a pull request."""
    return sa.and_(table.c.repo_id == pull.repo_id, table.c.number == pull.number)

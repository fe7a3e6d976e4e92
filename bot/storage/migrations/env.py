"""Alembic's entry: runs the migrations on the connection of `Database.migrate`, inside its transaction."""

from __future__ import annotations

from alembic import context

from bot.storage.tables import TABLES

context.configure(connection=context.config.attributes["connection"], target_metadata=TABLES, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

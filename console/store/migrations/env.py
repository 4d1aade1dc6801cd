"""What Alembic runs to apply migrations: on the connection that console/store/upgrade.py hands it."""

from __future__ import annotations

from alembic import context

from console.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()

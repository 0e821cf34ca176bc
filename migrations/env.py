"""Alembic's environment: runs the migrations on the connection, and in the transaction, that `migrate.py` opened."""

from __future__ import annotations

from alembic import context

from authserver.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()

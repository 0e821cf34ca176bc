"""Alembic's environment: runs the migrations on the connection, and in the transaction, that `migrate.py` opened.

While an upgrade rolls, instances of the old version run, and start again, on the new schema. So whatever replaces
something takes three steps, each in a release of its own:

1. Expand. A migration adds the new place; the code writes both places and reads the old one.
2. Migrate. A migration fills the new place from the old one; the code reads the new one and still writes both.
3. Contract. The code leaves the old place alone; in the release after that, a migration drops it.

Each migration names in `compatible_with` the oldest revision whose code can work, reading and writing, on the schema
and the rows that it leaves behind. This is stored with the schema, in the same transaction: code that does not know
the database's revision starts if it knows this one, and refuses otherwise.

- A table, a nullable column, a column with a server default, an index that is not unique: old code does not notice.
  Repeat what the migration before says; never name an older one.
- A column renamed, dropped, retyped or made NOT NULL, a constraint that rows of old code violate, a value that old
  code cannot read (a new `kind` of change or revocation): name the first revision whose code can live with it. The
  revision is all that one can name, so where the code alone made the difference, that release has a migration too,
  one that does nothing.
- A statement that locks a table for more than a second (an index on a large one, many rows filled) makes the old
  version answer 503 meanwhile: fill in small steps outside of a migration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from authserver.storage.migrate import COMPATIBLE_STATE
from authserver.storage.state import PUT
from authserver.storage.tables import metadata


def _store_compatibility(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
) -> None:
    del heads, run_args
    migration: Any = step.up_revision
    assert ctx.connection is not None  # noqa: S101 - there is no offline mode
    ctx.connection.execute(PUT, {"name": COMPATIBLE_STATE, "value": migration.module.compatible_with})


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
    on_version_apply=_store_compatibility,
)
context.run_migrations()

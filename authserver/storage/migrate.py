"""Migrations: which one the database has reached, and the way to the newest.

A start that finds the newest one reads a single row and never imports Alembic. A database that a newer version has
migrated is usable as long as that migration says so (`migrations/env.py` has the rule): versions run side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from authserver.core.errors import ConfigurationError
from authserver.storage.address import names_postgresql

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Every revision under `migrations/versions`, oldest first; a test compares.
REVISIONS = ("0001",)
HEAD = REVISIONS[-1]

#: Where the database keeps the oldest revision whose code can live with its schema; every migration writes it.
COMPATIBLE_STATE = "schema_compatible_with"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """The revision of a usable database (None: it is empty) and the newest one that this code knows."""

    current: str | None
    head: str

    @property
    def is_pending(self) -> bool:
        """Tell whether `upgrade` has something to do."""
        return self.current != self.head and not self.is_ahead

    @property
    def is_ahead(self) -> bool:
        """Tell whether a newer version has migrated the database, in a way that this code can live with."""
        return self.current is not None and self.current not in REVISIONS


class Schema(Protocol):
    """The schema of one database, as each backend reads and changes it."""

    def revision(self) -> str | None:
        """Return its revision, None for an empty database; raise ConfigurationError when it cannot be used."""

    def state(self, name: str) -> str | None:
        """Return the value stored under `name` in a database that has a revision, None when there is none."""

    def change(self, upgrade: Callable[[Connection], None]) -> None:
        """Run `upgrade` within one transaction, of many processes one at a time."""


def status(url: str) -> MigrationStatus:
    """Read where the database stands; a missing file is an empty database and stays missing.

    Raises ConfigurationError when the URL is not supported, when the database cannot be reached, read or used, and
    when it is ahead of this code and does not say that this code can live with it. It blocks, for two seconds at most,
    and twice that when the database is ahead.
    """
    schema = _schema(url)
    found = MigrationStatus(current=schema.revision(), head=HEAD)
    # The revision was read first: what a migration in between has written is newer, and refuses more.
    if found.is_ahead and schema.state(COMPATIBLE_STATE) not in REVISIONS:
        raise ConfigurationError(
            f"AUTHSERVER_DATABASE_URL: the database is at revision {found.current}, this version knows up to {HEAD}; "
            "run the newer authserver, or restore a backup made before its migration",
        )
    return found


def pending(url: str) -> bool:
    """Tell whether `upgrade` has something to do; raises as `status` does."""
    return status(url).is_pending


async def upgrade(url: str) -> MigrationStatus:
    """Bring the database to the newest revision, in one transaction, and return where it stands.

    A database that is ahead stays as it is. Of several processes that start together one migrates and the others wait
    for it. Killed in the middle, it leaves the database as it was. Raises as `status` does, and TemporarilyUnavailable
    when the lock stays taken.
    """
    return await asyncio.to_thread(_upgrade, url)


def migrations_directory() -> Path:
    """Return the directory of the Alembic environment: inside an installed package, or beside it in the repository."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _upgrade(url: str) -> MigrationStatus:
    before = status(url)
    if not before.is_pending:
        return before
    _schema(url).change(_run_alembic)
    return status(url)


def _schema(url: str) -> Schema:
    """Choose the backend; only the one that is used is loaded."""
    if names_postgresql(url):
        from authserver.storage.postgresql_migration import PostgresqlSchema  # noqa: PLC0415

        return PostgresqlSchema(url)
    from authserver.storage.sqlite_migration import SqliteSchema  # noqa: PLC0415

    return SqliteSchema(url)


def _run_alembic(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - most starts have nothing to migrate
    from alembic.config import Config  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in REVISIONS:
        return  # a newer version won the race for the lock
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

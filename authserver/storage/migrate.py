"""Migrations: which one the database has reached, and the way to the newest.

A start that finds the newest one reads a single row and never imports Alembic.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.storage.sqlite_file import create_file, sqlite_path

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Every revision under `migrations/versions`, oldest first; a test compares.
REVISIONS = ("0001",)
HEAD = REVISIONS[-1]

LOCK_WAIT_SECONDS = 30.0
_RETRY_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """The revision that the database has (None: it is empty) and the one that this code needs."""

    current: str | None
    head: str

    @property
    def is_pending(self) -> bool:
        """Tell whether `upgrade` has something to do."""
        return self.current != self.head


def status(url: str) -> MigrationStatus:
    """Read where the database stands; a missing file is an empty database and stays missing.

    Raises ConfigurationError when the URL is not supported, when the file is no database that can be read, and
    when the database is ahead of this code.
    """
    path = sqlite_path(url)
    current = _read_revision(path) if path.exists() else None
    if current is not None and current not in REVISIONS:
        raise ConfigurationError(
            f"AUTHSERVER_DATABASE_URL: the database is at revision {current}, this version knows up to {HEAD}; "
            "run the newer authserver, or restore a backup made before its migration",
        )
    return MigrationStatus(current=current, head=HEAD)


def pending(url: str) -> bool:
    """Tell whether `upgrade` has something to do; raises as `status` does."""
    return status(url).is_pending


async def upgrade(url: str) -> MigrationStatus:
    """Bring the database to the newest revision, in one transaction, and return where it stands.

    Of several processes that start together one migrates and the others wait for it. Killed in the middle, it
    leaves the database as it was. Raises as `status` does, and TemporarilyUnavailable when the lock stays taken.
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
    path = sqlite_path(url)
    create_file(path)
    try:
        _enter_wal(path)
        _run_alembic(path)
    except sqlite3.OperationalError as error:
        raise TemporarilyUnavailable(f"database: cannot migrate: {error}") from error
    return status(url)


def _read_revision(path: Path) -> str | None:
    try:
        with closing(_connect(path)) as connection:
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    except sqlite3.Error as error:
        raise ConfigurationError(f"AUTHSERVER_DATABASE_URL: cannot read {path}: {error}") from error
    return None if row is None else str(row[0])


def _connect(path: Path) -> sqlite3.Connection:
    # Mode rw: a file that is missing is not made in passing. Alembic's transaction is begun by hand.
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=LOCK_WAIT_SECONDS)


def _enter_wal(path: Path) -> None:
    """Switch the file to WAL, which it then stays in. SQLite does not wait for this lock: repeat."""
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            with closing(_connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _run_alembic(path: Path) -> None:
    from alembic import command  # noqa: PLC0415 - most starts have nothing to migrate
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            _begin(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except CommandError as error:  # a newer version won the race for the lock
        raise ConfigurationError(f"AUTHSERVER_DATABASE_URL: cannot migrate: {error}") from error
    except DBAPIError as error:
        raise error.orig if isinstance(error.orig, sqlite3.OperationalError) else error from error


def _begin(connection: Connection) -> None:
    """Take the lock before the revision is read: whoever comes second finds the work done.

    Foreign keys are not enforced meanwhile, for SQLite changes a table by making it anew.
    """
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("PRAGMA synchronous=FULL")
    connection.exec_driver_sql("BEGIN IMMEDIATE")

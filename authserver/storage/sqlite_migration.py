"""The schema of a SQLite file: which revision it has, and the transaction that brings it to the newest."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.storage.sqlite_file import create_file, sqlite_path

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOCK_WAIT_SECONDS = 30.0
_RETRY_SECONDS = 0.05


class SqliteSchema:
    """`storage.migrate.Schema` of the file that a URL names."""

    def __init__(self, url: str) -> None:
        """Raise ConfigurationError for a URL that names no file."""
        self._path = sqlite_path(url)

    def revision(self) -> str | None:
        """Return the revision, None for an empty database; a missing file is one, and stays missing."""
        if not self._path.exists():
            return None
        return _read(self._path, "alembic_version", "SELECT version_num FROM alembic_version")

    def state(self, name: str) -> str | None:
        """Return the value stored under `name` in a database that has a revision, None when there is none."""
        return _read(self._path, "deployment_state", "SELECT value FROM deployment_state WHERE name = ?", name)

    def change(self, upgrade: Callable[[Connection], None]) -> None:
        """Run `upgrade` within one transaction, alone; raise TemporarilyUnavailable when the lock stays taken."""
        create_file(self._path)
        try:
            _enter_wal(self._path)
            _run(self._path, upgrade)
        except sqlite3.OperationalError as error:
            raise TemporarilyUnavailable(f"database: cannot migrate: {error}") from error


def _read(path: Path, table: str, statement: str, *parameters: str) -> str | None:
    """Return the one value that a statement finds in a table, None when there is no value or no such table."""
    try:
        with closing(_connect(path)) as connection:
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            row = connection.execute(statement, parameters).fetchone() if known else None
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


def _run(path: Path, upgrade: Callable[[Connection], None]) -> None:
    from sqlalchemy import create_engine  # noqa: PLC0415 - most starts have nothing to migrate
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            _begin(connection)
            upgrade(connection)
            connection.commit()
    except DBAPIError as error:
        raise error.orig if isinstance(error.orig, sqlite3.OperationalError) else error from error


def _begin(connection: Connection) -> None:
    """Take the lock before the revision is read: whoever comes second finds the work done.

    Foreign keys are not enforced meanwhile, for SQLite changes a table by making it anew.
    """
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("PRAGMA synchronous=FULL")
    connection.exec_driver_sql("BEGIN IMMEDIATE")

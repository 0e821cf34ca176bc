"""The schema of a PostgreSQL database: whether it can be used, its revision, and the transaction that changes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.storage.postgresql_address import PostgresqlAddress, postgresql_address
from authserver.storage.postgresql_driver import asyncpg, open_connection
from authserver.storage.postgresql_failures import cause_of, configuration_error, describe, sqlstate
from authserver.storage.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

OLDEST_VERSION = 13
CONNECT_SECONDS = 2.0
LOCK_WAIT_SECONDS = 30.0

#: One for the whole database; arbitrary, and different from the one of writes: a running instance is not disturbed.
MIGRATION_LOCK = int.from_bytes(b"authsrvM")

_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError)
_CANNOT_WAIT = frozenset(("55P03", "57014", "40P01"))  # lock not available, statement timeout, deadlock
_SETTINGS = {"application_name": "authserver migrate", "idle_in_transaction_session_timeout": "60000"}

#: Whoever comes second waits, and then finds the work done. A table that is in use is not waited for as long: behind
#: a change that waits, every other query on the table would wait too.
LOCKED = (
    f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'",
    f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})",
    "SET LOCAL lock_timeout = '3s'",
)

_SERVER = """
SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('server_encoding') AS encoding,
       to_regclass('alembic_version')::text AS versions
"""
_LACKING = """
SELECT string_agg(name, ', ' ORDER BY name) FROM (
    SELECT c.relname AS name FROM pg_class c
    WHERE c.oid IN (SELECT to_regclass(t) FROM unnest($1::text[]) t) AND NOT (
        has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
    UNION ALL
    SELECT s.relname FROM pg_class s WHERE s.oid = to_regclass('revocations_sequence_seq')
        AND NOT has_sequence_privilege(s.oid, 'USAGE')
) lacking
"""


class PostgresqlSchema:
    """`storage.migrate.Schema` of the database that a URL names."""

    def __init__(self, url: str) -> None:
        """Raise ConfigurationError for a URL that cannot be read."""
        self._address = postgresql_address(url)

    def revision(self) -> str | None:
        """Return the revision, None for an empty database; raise ConfigurationError when it cannot be used."""
        return _in_a_loop_of_its_own(_asked(self._address, lambda driver: _revision(driver, self._address)))

    def state(self, name: str) -> str | None:
        """Return the value stored under `name` in a database that has a revision, None when there is none."""
        return _in_a_loop_of_its_own(_asked(self._address, lambda driver: _state(driver, name)))

    def change(self, upgrade: Callable[[Connection], None]) -> None:
        """Run `upgrade` within one transaction under the lock of migrations, which ends with it, however it ends.

        Raises ConfigurationError, and TemporarilyUnavailable when a lock stays taken.
        """
        _in_a_loop_of_its_own(_change(self._address, upgrade))


def _in_a_loop_of_its_own(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end whether or not this thread has an event loop: a start may wait, and is asked for both ways."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _asked(address: PostgresqlAddress, question: Callable[[Any], Awaitable[str | None]]) -> str | None:
    failure: BaseException
    try:
        driver = await open_connection(
            address, seconds=CONNECT_SECONDS, command_seconds=CONNECT_SECONDS, settings=_SETTINGS
        )
        try:
            return await question(driver)
        finally:
            driver.terminate()
    except _FAILURES as error:
        failure = error
    raise _refusal(failure, address)


async def _revision(driver: Any, address: PostgresqlAddress) -> str | None:
    server = await driver.fetchrow(_SERVER)
    if server["version"] < OLDEST_VERSION:
        raise _refused(
            f"{address.place} is PostgreSQL {server['version']}; at least version {OLDEST_VERSION} is needed"
        )
    if server["encoding"] != "UTF8":
        raise _refused(f"{address.place} has the encoding {server['encoding']}; create the database with UTF8")
    if server["versions"] is None:
        return None
    revision: str | None = await driver.fetchval("SELECT version_num FROM alembic_version")
    if revision is None:
        return None
    await _require_permissions(driver, address)
    return revision


async def _state(driver: Any, name: str) -> str | None:
    if await driver.fetchval("SELECT to_regclass('deployment_state')") is None:
        return None
    value: str | None = await driver.fetchval("SELECT value FROM deployment_state WHERE name = $1", name)
    return value


async def _require_permissions(driver: Any, address: PostgresqlAddress) -> None:
    lacking = await driver.fetchval(_LACKING, list(metadata.tables))
    if lacking:
        raise _refused(
            f"the user {address.user} may not use {lacking} at {address.place}: let it own the tables, "
            "or GRANT SELECT, INSERT, UPDATE, DELETE on them and USAGE on their sequences",
        )


async def _change(address: PostgresqlAddress, upgrade: Callable[[Connection], None]) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: open_connection(
            address, seconds=CONNECT_SECONDS, command_seconds=None, settings=_SETTINGS
        ),
        poolclass=NullPool,
        hide_parameters=True,
    )
    failure: BaseException
    try:
        async with engine.begin() as connection:
            for statement in LOCKED:
                await connection.exec_driver_sql(statement)
            await connection.run_sync(upgrade)
            return
    except (DBAPIError, *_FAILURES) as error:
        failure = cause_of(error)
    raise _refusal(failure, address)


def _refusal(error: BaseException, address: PostgresqlAddress) -> ConfigurationError | TemporarilyUnavailable:
    if sqlstate(error) in _CANNOT_WAIT:
        return TemporarilyUnavailable(f"database: cannot migrate: {describe(error)}")
    return configuration_error(error, address)


def _refused(problem: str) -> ConfigurationError:
    return ConfigurationError(f"AUTHSERVER_DATABASE_URL: {problem}")

"""Connections to a PostgreSQL server: a few that read, one that writes.

Every write takes one advisory lock for its transaction, whichever instance makes it. So, as on SQLite, there is one
writer at a time: what it reads it may rely on, and a follower that reads by sequence never meets a later one first.
A server that hangs costs a request a second at most; a connection that it may still use is thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from authserver.core.clock import MS_PER_SECOND
from authserver.core.errors import AuthServerError, TemporarilyUnavailable
from authserver.storage.connections import TAKEN, WAIT_BUDGET_MS
from authserver.storage.postgresql_driver import asyncpg, open_connection
from authserver.storage.postgresql_failures import failing_closed

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

    from authserver.storage.postgresql_address import PostgresqlAddress

READERS = 4

#: One for the whole database; arbitrary, and different from the one of migrations.
WRITE_LOCK = int.from_bytes(b"authsrvW")

_WAIT_SECONDS = WAIT_BUDGET_MS / MS_PER_SECOND
_MARGIN_MS = 50
_SHARED_SETTINGS = {
    "application_name": "authserver",
    "jit": "off",  # every statement is short
    "statement_timeout": "900",
    "lock_timeout": "900",
    # A writer that hangs lets go of the lock, and a host that vanished of its connections.
    "idle_in_transaction_session_timeout": "3000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
_READER = {**_SHARED_SETTINGS, "default_transaction_read_only": "on"}

# One round trip. The lock is the last to be taken and, being the transaction's, released when all can see its work.
_BEGIN = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL lock_timeout = {{wait_ms}};
SELECT pg_advisory_xact_lock({WRITE_LOCK})
"""
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
#: What is raised when the server has answered, and the connection is in a state that we know.
_ANSWERED = (AuthServerError, DBAPIError, asyncpg.PostgresError)
_SILENT = (asyncpg.InterfaceError, OSError)

_STAMP = "SELECT (SELECT max(sequence) FROM change_log), (SELECT max(sequence) FROM revocations)"


class PostgresqlConnections:
    """`storage.connections.Connections` to one PostgreSQL database; at most `READERS` + 1 of them an instance."""

    def __init__(self, *, address: PostgresqlAddress) -> None:
        """Connect nothing yet."""
        self._readers = _engine(address, size=READERS, settings=_READER)
        self._writer = _engine(address, size=1, settings=_SHARED_SETTINGS)
        self._turn = asyncio.Lock()
        self._closed = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection outside of any transaction: each statement sees one committed state.

        Raises TemporarilyUnavailable within a second, whether all connections are busy or the server is silent.
        """
        self._refuse_when_closed()
        with failing_closed(taken=TAKEN):
            async with asyncio.timeout(_WAIT_SECONDS), self._readers.connect() as connection:
                with _distrusting(await _driver_of(connection)):
                    yield connection

    @asynccontextmanager
    async def writing(self, *, taken: str = TAKEN) -> AsyncIterator[AsyncConnection]:
        """Lend the writing connection within one transaction, committed at the end, rolled back on any error.

        Raises Conflict(`taken`) when a uniqueness is violated, and TemporarilyUnavailable, within a second when
        another writer holds the lock. A statement that then takes longer than that is given up as well.
        """
        self._refuse_when_closed()
        with failing_closed(taken=taken):
            async with (
                asyncio.timeout(_WAIT_SECONDS) as budget,
                self._turn,
                self._writer.connect() as connection,
                _transaction(await _driver_of(connection), wait_ms=_left_ms(budget)),
            ):
                budget.reschedule(None)  # from here on each statement has its own
                yield connection

    async def rows(self, statement: str, *parameters: object) -> Iterable[Sequence[Any]]:
        """Read by the driver itself, on a reading connection."""
        async with self.reading() as connection:
            found: Iterable[Sequence[Any]] = await (await _driver_of(connection)).fetch(statement, *parameters)
        return found

    async def stamp(self) -> object:
        """Return the newest sequences: every change that a cache must follow raises one of them."""
        (newest,) = await self.rows(_STAMP)
        return tuple(newest)

    async def close(self) -> None:
        """Close every connection, the writing one after its write."""
        self._closed = True
        async with self._turn:
            await self._writer.dispose()
        await self._readers.dispose()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise TemporarilyUnavailable("database: closed")


@contextmanager
def _distrusting(driver: Any) -> Iterator[None]:
    """Throw the connection away unless the server has answered: an answer may still be on its way to somebody else."""
    try:
        yield
    except _ANSWERED:
        raise
    except BaseException:
        driver.terminate()
        raise


@asynccontextmanager
async def _transaction(driver: Any, *, wait_ms: int) -> AsyncIterator[None]:
    """Begin with the lock, commit, or roll back; a connection thrown away takes its transaction along."""
    with _distrusting(driver):
        try:
            await driver.execute(_BEGIN.format(wait_ms=wait_ms))
            yield
            await driver.execute("COMMIT")
        except _ANSWERED:
            await _roll_back(driver)
            raise


async def _roll_back(driver: Any) -> None:
    try:
        await driver.execute("ROLLBACK")
    except _ANSWERED + _SILENT:  # the failure that led here is the one to tell
        driver.terminate()


async def _driver_of(connection: AsyncConnection) -> Any:
    """Return asyncpg's own connection."""
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None:
        raise TemporarilyUnavailable("database: the connection was lost")
    return driver


def _left_ms(budget: asyncio.Timeout) -> int:
    """Return how long the server may wait for the lock, so that it gives up before we do."""
    left = (budget.when() or 0) - asyncio.get_running_loop().time()
    return max(1, int(left * MS_PER_SECOND) - _MARGIN_MS)


def _engine(address: PostgresqlAddress, *, size: int, settings: Mapping[str, str]) -> AsyncEngine:
    async def connect() -> Any:
        driver = await open_connection(address, seconds=_WAIT_SECONDS, command_seconds=_WAIT_SECONDS, settings=settings)
        await driver.execute(_DURABLE)
        return driver

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        # Transactions are begun by hand, in one round trip with the lock.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_size=size,
        max_overflow=0,
        pool_timeout=_WAIT_SECONDS,
        pool_use_lifo=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _replace_when_closed)
    event.listen(engine.sync_engine, "invalidate", _terminate)
    return engine


def _replace_when_closed(connection: DBAPIConnection, _record: Any, _proxy: Any) -> None:
    """Have the pool connect anew: after a restart of the server not one caller meets a dead connection."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _terminate(connection: DBAPIConnection, _record: Any, _error: BaseException | None) -> None:
    """Close without a farewell, for which SQLAlchemy would wait two seconds."""
    connection.driver_connection.terminate()

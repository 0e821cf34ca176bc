"""A pool of connections to a PostgreSQL server that never lends a dead one, nor keeps one that it cannot trust."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from authserver.core.clock import MS_PER_SECOND
from authserver.core.errors import AuthServerError
from authserver.storage.connections import WAIT_BUDGET_MS
from authserver.storage.postgresql_driver import asyncpg, open_connection

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

    from authserver.storage.postgresql_address import PostgresqlAddress

WAIT_SECONDS = WAIT_BUDGET_MS / MS_PER_SECOND

#: Raised when the server has answered, so that the state of the connection is known.
ANSWERED = (AuthServerError, DBAPIError, asyncpg.PostgresError)

# Whoever switched durability off for speed did not mean revocations.
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""


class PostgresqlPool:
    """Up to `size` connections, each made when it is needed and with the server's `settings` for its session."""

    def __init__(self, *, address: PostgresqlAddress, size: int, settings: Mapping[str, str]) -> None:
        """Connect nothing yet."""
        self._engine = _engine(address, size=size, settings=settings)
        self._starting: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[tuple[AsyncConnection, Any]]:
        """Lend a connection, and the driver's own within it, outside of any transaction.

        It is thrown away when something else than an answer of the server ended its use: an answer may still be on
        its way, and is not to be taken for the next one's.
        """
        connection = await self._start()
        try:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                yield connection, driver
            except ANSWERED:
                raise
            except BaseException:
                driver.terminate()
                raise
        finally:
            await connection.close()

    async def close(self) -> None:
        """Close every connection that is not lent, and those that were being made for nobody."""
        await asyncio.gather(*self._starting, return_exceptions=True)
        await self._engine.dispose()

    async def _start(self) -> AsyncConnection:
        """Take a connection from the pool; one that is being made when the caller goes away goes to the pool."""
        connection = self._engine.connect()
        starting = self._keep(_started(connection))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._keep(_give_back(connection, starting))
            raise
        return connection

    def _keep(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return task


async def _started(connection: AsyncConnection) -> None:
    await connection.start()


async def _give_back(connection: AsyncConnection, starting: asyncio.Task[Any]) -> None:
    with suppress(DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await starting
        await connection.close()


def _engine(address: PostgresqlAddress, *, size: int, settings: Mapping[str, str]) -> AsyncEngine:
    async def connect() -> Any:
        driver = await open_connection(address, seconds=WAIT_SECONDS, command_seconds=WAIT_SECONDS, settings=settings)
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
        pool_timeout=WAIT_SECONDS,
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

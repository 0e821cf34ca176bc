"""Connections to a PostgreSQL server: a few that read, one that writes.

Every write takes one advisory lock for its transaction, whichever instance makes it. So, as on SQLite, there is one
writer at a time: what it reads it may rely on, and a follower that reads by sequence never meets a later one first.
A server that hangs costs a request a second, and leaves no connection behind that would cost another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from authserver.core.clock import MS_PER_SECOND
from authserver.core.errors import TemporarilyUnavailable
from authserver.storage.connections import TAKEN
from authserver.storage.postgresql_driver import asyncpg
from authserver.storage.postgresql_failures import failing_closed
from authserver.storage.postgresql_pool import ANSWERED, WAIT_SECONDS, PostgresqlPool

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from authserver.storage.postgresql_address import PostgresqlAddress

READERS = 4

#: Arbitrary, one for the whole database, and not the one of migrations.
WRITE_LOCK = int.from_bytes(b"authsrvW")

#: The server gives up a little before we do: then its answer is known, and the connection can be kept.
_MARGIN_MS = 50
_WRITER = {
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
_READER = {**_WRITER, "default_transaction_read_only": "on"}

# One round trip. The lock is released with the transaction, when everybody can see what it has written.
_BEGIN = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL lock_timeout = {{wait_ms}};
SELECT pg_advisory_xact_lock({WRITE_LOCK})
"""
_STAMP = "SELECT (SELECT max(sequence) FROM change_log), (SELECT max(sequence) FROM revocations)"


class PostgresqlConnections:
    """`storage.connections.Connections` to one PostgreSQL database; at most `READERS` + 1 of them an instance."""

    def __init__(self, *, address: PostgresqlAddress) -> None:
        """Connect nothing yet."""
        self._readers = PostgresqlPool(address=address, size=READERS, settings=_READER)
        self._writer = PostgresqlPool(address=address, size=1, settings=_WRITER)
        self._turn = asyncio.Lock()
        self._closed = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection outside of any transaction: each statement sees one committed state.

        Raises TemporarilyUnavailable within a second, whether all connections are busy or the server is silent.
        """
        async with self._lent_reader() as (connection, _):
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
                asyncio.timeout(WAIT_SECONDS) as budget,
                self._turn,
                self._writer.lend() as (connection, driver),
                _transaction(driver, wait_ms=_left_ms(budget)),
            ):
                budget.reschedule(None)  # from here on each statement has its own
                yield connection

    async def rows(self, statement: str, *parameters: object) -> Iterable[Sequence[Any]]:
        """Read by the driver itself, on a reading connection."""
        async with self._lent_reader() as (_, driver):
            found: Iterable[Sequence[Any]] = await driver.fetch(statement, *parameters)
        return found

    async def stamp(self) -> object:
        """Return the newest sequences: every change that a cache must follow raises one of them."""
        (newest,) = await self.rows(_STAMP)
        return tuple(newest)

    async def close(self) -> None:
        """Close every connection, the writing one after its write."""
        self._closed = True
        async with self._turn:
            await self._writer.close()
        await self._readers.close()

    @asynccontextmanager
    async def _lent_reader(self) -> AsyncIterator[tuple[AsyncConnection, Any]]:
        self._refuse_when_closed()
        with failing_closed(taken=TAKEN):
            async with asyncio.timeout(WAIT_SECONDS), self._readers.lend() as lent:
                yield lent

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise TemporarilyUnavailable("database: closed")


@asynccontextmanager
async def _transaction(driver: Any, *, wait_ms: int) -> AsyncIterator[None]:
    """Begin with the lock; commit, or roll back. A connection that is thrown away takes its transaction along."""
    try:
        await driver.execute(_BEGIN.format(wait_ms=wait_ms))
        yield
        await driver.execute("COMMIT")
    except ANSWERED:
        await _roll_back(driver)
        raise


async def _roll_back(driver: Any) -> None:
    try:
        await driver.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # the failure that led here is the one to tell
        driver.terminate()


def _left_ms(budget: asyncio.Timeout) -> int:
    """Return how long the server may wait for the lock."""
    left = (budget.when() or 0) - asyncio.get_running_loop().time()
    return max(1, int(left * MS_PER_SECOND) - _MARGIN_MS)

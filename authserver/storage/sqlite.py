"""Connections to one SQLite file: a few that read, one that writes, one that watches.

SQLite has one writer at a time. Writers of this process queue here, in order; `BEGIN IMMEDIATE` then waits for
those of other processes. Both waits share one budget (catalogue DB-01, DB-02, DB-03).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from authserver.core.clock import MS_PER_SECOND
from authserver.core.errors import TemporarilyUnavailable
from authserver.storage.connections import TAKEN, WAIT_BUDGET_MS
from authserver.storage.sqlite_failures import failing_closed

if TYPE_CHECKING:
    import aiosqlite
    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection

BUSY_TIMEOUT_MS = 800
READERS = 4

_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a revocation acknowledged is a revocation on disk
    "PRAGMA foreign_keys=ON",
)
_LOCK_WAIT = "authserver_lock_wait_ms"


class SqliteConnections:
    """`storage.connections.Connections` to one database file."""

    def __init__(self, *, path: Path) -> None:
        """Connect nothing yet."""
        # At DEBUG, aiosqlite logs every statement with its parameters.
        logging.getLogger("aiosqlite").setLevel(logging.WARNING)
        self._readers = _reading_engine(path)
        self._writer = _writing_engine(path)
        self._turn = asyncio.Lock()
        self._watcher = _Watcher(engine=self._readers)
        self._closed = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection outside of any transaction: each statement sees one committed state.

        Raises TemporarilyUnavailable, within a second when every reading connection is busy.
        """
        self._refuse_when_closed()
        with failing_closed(taken=TAKEN):
            async with self._readers.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, *, taken: str = TAKEN) -> AsyncIterator[AsyncConnection]:
        """Lend the writing connection within one transaction, committed at the end, rolled back on any error.

        Raises Conflict(`taken`) when a uniqueness is violated, and TemporarilyUnavailable, within a second when
        another writer holds the lock.
        """
        self._refuse_when_closed()
        with failing_closed(taken=taken):
            async with self._next_turn() as wait_ms, self._writer.connect() as connection:
                connection.info[_LOCK_WAIT] = wait_ms
                async with connection.begin():
                    yield connection

    async def rows(self, statement: str, *parameters: object) -> Iterable[Sequence[Any]]:
        """Read by the driver itself; SQLite takes `$1`, `$2` … for names."""
        named = {str(position): value for position, value in enumerate(parameters, 1)}
        async with self.reading() as connection:
            return await (await _driver_of(connection)).execute_fetchall(statement, named)

    async def stamp(self) -> object:
        """Return a value that changes with every commit of another connection (SQLite's `data_version`)."""
        self._refuse_when_closed()
        with failing_closed(taken=TAKEN):
            return await self._watcher.data_version()

    async def close(self) -> None:
        """Close every connection: an open one keeps a thread that would outlive the event loop."""
        self._closed = True
        await self._watcher.close()
        async with self._turn:
            await self._writer.dispose()
        await self._readers.dispose()

    @asynccontextmanager
    async def _next_turn(self) -> AsyncIterator[int]:
        """Wait in the queue of this process's writers; give the milliseconds left to wait for the lock."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_BUDGET_MS / MS_PER_SECOND
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise TemporarilyUnavailable("database: too many writers are waiting") from error
        try:
            left_ms = int((deadline - loop.time()) * MS_PER_SECOND)
            yield max(1, min(BUSY_TIMEOUT_MS, left_ms))
        finally:
            self._turn.release()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise TemporarilyUnavailable("database: closed")


class _Watcher:
    """One connection kept open: `PRAGMA data_version` compares only with itself."""

    def __init__(self, *, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._generation = 0

    async def data_version(self) -> tuple[int, int]:
        async with self._lock:
            try:
                if self._connection is None:
                    self._generation += 1
                    self._connection = await self._engine.connect()
                driver = await _driver_of(self._connection)
                ((version,),) = await driver.execute_fetchall("PRAGMA data_version")
            except BaseException:
                # A new connection counts from anew: the generation keeps its stamps apart.
                await self._drop()
                raise
            return self._generation, version

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()


async def _driver_of(connection: AsyncConnection) -> aiosqlite.Connection:
    """Return the driver's own connection: one hop to its thread where SQLAlchemy takes several."""
    driver: aiosqlite.Connection | None = (await connection.get_raw_connection()).driver_connection
    if driver is None:
        raise TemporarilyUnavailable("database: the connection was lost")
    return driver


def _reading_engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        _engine_url(path),
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_size=READERS + 1,  # the watcher keeps one
        max_overflow=0,
        pool_timeout=WAIT_BUDGET_MS / MS_PER_SECOND,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _configure_reader)
    return engine


def _writing_engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        _engine_url(path),
        # The driver must not begin transactions by itself: they would begin as readers, and fail on their first write.
        connect_args={"isolation_level": None},
        pool_size=1,
        max_overflow=0,
        pool_timeout=WAIT_BUDGET_MS / MS_PER_SECOND,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _configure)
    event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _engine_url(path: Path) -> URL:
    return URL.create("sqlite+aiosqlite", database=str(path))


def _configure(connection: DBAPIConnection, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _configure_reader(connection: DBAPIConnection, record: Any) -> None:
    _configure(connection, record)
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock first: a reader that turns writer fails at once, whatever the busy timeout."""
    wait_ms = connection.info[_LOCK_WAIT]
    if connection.info.get("busy_timeout_ms", BUSY_TIMEOUT_MS) != wait_ms:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms}")
        connection.info["busy_timeout_ms"] = wait_ms
    connection.exec_driver_sql("BEGIN IMMEDIATE")

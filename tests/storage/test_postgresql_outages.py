"""PostgreSQL busy, killed, hung or closed: never a guess, and never more than a second."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from authserver.core.errors import TemporarilyUnavailable
from authserver.storage.database import Database
from authserver.storage.postgresql import READERS, PostgresqlConnections
from authserver.storage.postgresql_address import postgresql_address
from tests.postgresql import PostgresqlServer

from .on_postgresql import run_at
from .subjects import a_client, a_revocation


def test_an_exhausted_pool_is_refused_within_a_second(postgresql_url: str) -> None:
    """DB-03: one reader too many, and one writer too many, are told to come again."""

    async def scenario() -> None:
        connections = PostgresqlConnections(address=postgresql_address(postgresql_url))
        async with AsyncExitStack() as held:
            await held.enter_async_context(connections.writing())
            started = time.monotonic()
            with pytest.raises(TemporarilyUnavailable):
                await held.enter_async_context(connections.writing())
            assert time.monotonic() - started < 3
        started = time.monotonic()
        readers = [_hold(connections, 4) for _ in range(READERS + 1)]
        outcomes = await asyncio.gather(*readers, return_exceptions=True)
        assert all(isinstance(outcome, TemporarilyUnavailable) for outcome in outcomes)
        assert time.monotonic() - started < 3
        await connections.close()

    asyncio.run(scenario())


def test_a_lock_held_by_another_instance_is_waited_for_less_than_a_second(postgresql_url: str) -> None:
    """DB-01: every waiting writer is refused in time, readers are not disturbed, and then all is well."""

    async def scenario(database: Database) -> None:
        other = PostgresqlConnections(address=postgresql_address(postgresql_url))
        async with other.writing():
            started = time.monotonic()
            writes = [database.clients.add(a_client(f"c{n}")) for n in range(5)]
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            assert time.monotonic() - started < 3
            assert all(isinstance(outcome, TemporarilyUnavailable) for outcome in outcomes)
            assert await database.clients.get("c0") is None
        await database.clients.add(a_client())
        await other.close()

    run_at(postgresql_url, scenario)


def test_a_server_that_was_killed_is_used_again_at_once(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """DB-04: no answer while it is away; afterwards the first read and the first write succeed, and nothing is lost."""

    async def scenario(database: Database) -> None:
        added = await database.revocations.add([a_revocation("t1")])
        await asyncio.gather(*(database.clients.get("c1") for _ in range(READERS)))
        await asyncio.to_thread(postgresql.kill)
        try:
            await _refuse_everything(database)
        finally:
            await asyncio.to_thread(postgresql.start)
        assert await database.revocations.page(after=0, limit=10) == added
        await asyncio.gather(*(database.clients.get("c1") for _ in range(READERS * 2)))
        assert await database.revocations.add([a_revocation("t2")])

    run_at(postgresql_url, scenario)


def test_a_server_that_hangs_costs_a_second_at_most(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """DB-04: silence is no answer; when it ends, reads and writes succeed, and what was refused can be repeated."""

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        await database.changes.stamp()
        postgresql.suspend()
        try:
            await _refuse_everything(database)
        finally:
            postgresql.resume()
        assert await database.clients.get("c1") == a_client()
        await database.revocations.add([a_revocation("t")])
        assert len(await database.revocations.page(after=0, limit=10)) == 1

    run_at(postgresql_url, scenario)


def test_a_writer_that_hangs_lets_go_of_the_lock(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """DB-01: an instance that stops in the middle of a write does not stop the others for long."""

    async def scenario(database: Database) -> None:
        hung = PostgresqlConnections(address=postgresql_address(postgresql_url))
        stopped = asyncio.create_task(_write_slowly(hung, 3.4))
        await asyncio.sleep(3.2)
        await database.clients.add(a_client())
        with pytest.raises(TemporarilyUnavailable):
            await stopped
        await hung.close()

    run_at(postgresql_url, scenario)


def test_a_closed_database_refuses(postgresql_url: str) -> None:
    """CRASH-03: a late caller is refused instead of opening it again."""

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        await database.close()
        for late in (database.changes.stamp(), database.clients.get("c1"), database.state.put("a", "b")):
            with pytest.raises(TemporarilyUnavailable):
                await late

    run_at(postgresql_url, scenario)


def test_a_cancelled_write_does_not_hold_up_the_next(postgresql_url: str) -> None:
    """A caller that goes away leaves all or nothing, and the queue moves on."""

    async def scenario(database: Database) -> None:
        for n in range(20):
            task = asyncio.create_task(database.clients.add(a_client("c1")))
            await asyncio.sleep(n / 2_000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await database.clients.add(a_client("c2"))
        noted = await database.changes.position()
        assert noted == 1 + (await database.clients.get("c1") is not None)

    run_at(postgresql_url, scenario)


async def _hold(connections: PostgresqlConnections, seconds: float) -> None:
    async with connections.reading():
        await asyncio.sleep(seconds)


async def _write_slowly(connections: PostgresqlConnections, seconds: float) -> None:
    async with connections.writing() as connection:
        await asyncio.sleep(seconds)
        await connection.exec_driver_sql("SELECT 1")


async def _refuse_everything(database: Database) -> None:
    """Require that each verb is refused as unavailable, within the second that a request has."""
    started = time.monotonic()
    outcomes = await asyncio.gather(
        database.revocations.add([a_revocation("refused")]),
        database.clients.get("c1"),
        database.revocations.page(after=0, limit=1),
        database.changes.stamp(),
        database.ping(),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [TemporarilyUnavailable] * 5
    assert time.monotonic() - started < 3

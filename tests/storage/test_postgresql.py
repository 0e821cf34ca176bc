"""PostgreSQL passes the contract, and fails closed when it cannot answer."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from authserver.core.errors import Conflict, PreconditionFailed, TemporarilyUnavailable, ValidationFailed
from authserver.storage.change_log import KEPT_ROWS
from authserver.storage.database import Database, open_database
from authserver.storage.postgresql import READERS, PostgresqlConnections
from authserver.storage.postgresql_address import postgresql_address
from tests.postgresql import PostgresqlServer

from .contract import StorageContract
from .subjects import NOW, Stores, a_client, a_key, a_revocation, a_secret

#: Undoes as many insertions as it is told, as PostgreSQL does to the loser of two transactions.
COLLIDE = """
CREATE SEQUENCE attempts;
CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('attempts') <= {times} THEN RAISE EXCEPTION 'collision' USING ERRCODE = '{sqlstate}'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER collide AFTER INSERT ON change_log FOR EACH ROW EXECUTE FUNCTION collide();
"""


class TestContract(StorageContract):
    """The contract on a real server."""

    @pytest.fixture(autouse=True)
    def _fresh(self, postgresql_url: str) -> None:
        self.url = postgresql_url

    def open(self) -> Stores:
        """Open the database of this test."""
        return _open(self.url)


def test_followers_miss_nothing_that_many_instances_write_at_once(postgresql_url: str) -> None:
    """P1: a sequence is seen only after all smaller ones, so that a cursor never skips an entry."""

    async def write(database: Database, name: str) -> None:
        for n in range(40):
            await database.revocations.add([a_revocation(f"{name}-{n}")])
            await database.clients.add(a_client(f"{name}-{n}"))

    async def scenario(reader: Database) -> None:
        writers = [_open(postgresql_url) for _ in range(4)]
        writing = asyncio.gather(*(write(each, f"w{n}") for n, each in enumerate(writers)))
        cursor, position = 0, 0
        seen: list[str] = []
        changed: list[str] = []
        while len(seen) < 160 or len(changed) < 160:
            done = writing.done()
            for entry in await reader.revocations.page(after=cursor, limit=1000):
                cursor, seen = entry.sequence, [*seen, entry.value]
            for change in await reader.changes.since(position) or ():
                position, changed = change.sequence, [*changed, change.key]
            assert not done or len(seen) == len(changed) == 160
        await writing
        assert set(seen) == set(changed)
        for each in writers:
            await each.close()

    _run(postgresql_url, scenario)


def test_the_log_of_changes_has_no_holes(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """A write that is undone after it was numbered leaves its number to the next one."""
    postgresql.sql(COLLIDE.format(times=1, sqlstate="23514"), database=_name(postgresql_url))

    async def scenario(database: Database) -> None:
        with pytest.raises(Conflict):
            await database.clients.add(a_client("c1"))
        await database.clients.add(a_client("c2"))
        changes = await database.changes.since(0)
        assert changes is not None
        assert [(change.sequence, change.key) for change in changes] == [(1, "c2")]

    _run(postgresql_url, scenario)


def test_an_exhausted_pool_is_refused_within_a_second(postgresql_url: str) -> None:
    """DB-03: one reader too many, and one writer too many, are told to come again."""

    async def scenario() -> None:
        connections = PostgresqlConnections(address=postgresql_address(postgresql_url))
        async with AsyncExitStack() as held:
            await held.enter_async_context(connections.writing())
            started = time.monotonic()
            with pytest.raises(TemporarilyUnavailable):
                await held.enter_async_context(connections.writing())
            assert time.monotonic() - started < 1.1
        started = time.monotonic()
        readers = [_hold(connections, 1.5) for _ in range(READERS + 1)]
        outcomes = await asyncio.gather(*readers, return_exceptions=True)
        assert all(isinstance(outcome, TemporarilyUnavailable) for outcome in outcomes)
        assert time.monotonic() - started < 1.1
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
            assert time.monotonic() - started < 1.1
            assert all(isinstance(outcome, TemporarilyUnavailable) for outcome in outcomes)
            assert await database.clients.get("c0") is None
        await database.clients.add(a_client())
        await other.close()

    _run(postgresql_url, scenario)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_transaction_that_was_undone_is_repeated(
    postgresql: PostgresqlServer, postgresql_url: str, sqlstate: str
) -> None:
    """DB-06: after two collisions the third attempt succeeds, with one effect."""
    postgresql.sql(COLLIDE.format(times=2, sqlstate=sqlstate), database=_name(postgresql_url))

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        assert await database.clients.get("c1") == a_client()
        assert await database.changes.position() == 1

    _run(postgresql_url, scenario)


def test_repetition_is_bounded(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """DB-06: three attempts, within a second, then the caller is told; nothing is stored."""
    postgresql.sql(COLLIDE.format(times=1000, sqlstate="40001"), database=_name(postgresql_url))

    async def scenario(database: Database) -> None:
        started = time.monotonic()
        with pytest.raises(TemporarilyUnavailable):
            await database.clients.add(a_client())
        assert time.monotonic() - started < 1
        assert await database.clients.get("c1") is None

    _run(postgresql_url, scenario)
    assert postgresql.sql("SELECT last_value FROM attempts", database=_name(postgresql_url)) == "3"


def test_of_changes_on_several_instances_one_wins(postgresql_url: str) -> None:
    """DB-09: ten instances change one version of a client and one set of keys: no update is lost."""

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        instances = [_open(postgresql_url) for _ in range(10)]
        changed = (each.clients.replace(a_client(client_name="new"), expected_version=1) for each in instances)
        replaced = await asyncio.gather(*changed, return_exceptions=True)
        firsts = (each.signing_keys.change(before=[], after=[a_key(f"k{n}")]) for n, each in enumerate(instances))
        rotated = await asyncio.gather(*firsts, return_exceptions=True)
        assert sum(isinstance(outcome, PreconditionFailed) for outcome in replaced) == 9
        assert sum(isinstance(outcome, Conflict) for outcome in rotated) == 9
        for each in instances:
            await each.close()

    _run(postgresql_url, scenario)


def test_foreign_keys_are_enforced(postgresql_url: str) -> None:
    """DB-08: a key for a resource that does not exist is refused."""

    async def scenario(database: Database) -> None:
        with pytest.raises(Conflict, match="does not exist"):
            await database.signing_keys.change(before=[], after=[a_key("k", resource_id="gone")])

    _run(postgresql_url, scenario)


@pytest.mark.parametrize("text", ["canary\x00", "canary\ud800"])
def test_text_that_the_database_cannot_hold_is_refused(postgresql_url: str, text: str) -> None:
    """TOK-16: refused input, neither stored differently nor taken for a failure; its text is not repeated."""

    async def scenario(database: Database) -> None:
        for attempt in (
            database.clients.add(a_client(client_name=text)),
            database.revocations.add([a_revocation(text)]),
            database.state.get(text),
        ):
            with pytest.raises(ValidationFailed) as refusal:
                await attempt
            assert "canary" not in _shown(refusal.value)
        assert await database.revocations.page(after=0, limit=1) == []

    _run(postgresql_url, scenario)


def test_no_secret_is_in_an_error_or_a_log(
    postgresql: PostgresqlServer, postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """LOG-03: PostgreSQL repeats the row that it refuses; we repeat nothing of it."""
    caplog.set_level(logging.DEBUG)
    refuse = "ALTER TABLE client_secrets ADD CHECK (secret_hint <> 'abcd')"
    postgresql.sql(refuse, database=_name(postgresql_url))

    async def scenario(database: Database) -> None:
        with pytest.raises(Conflict) as refused:
            await database.clients.add(a_client("c1", secrets=[a_secret("k1", "c1")]))
        postgresql.sql("DROP TABLE client_secrets", database=_name(postgresql_url))
        with pytest.raises(TemporarilyUnavailable, match="client_secrets") as failed:
            await database.clients.add(a_client("c2", secrets=[a_secret("k2", "c2")]))
        shown = _shown(refused.value) + _shown(failed.value) + caplog.text
        assert "hash-of" not in shown
        assert postgresql.password not in shown

    _run(postgresql_url, scenario)


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

    _run(postgresql_url, scenario)


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

    _run(postgresql_url, scenario)


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

    _run(postgresql_url, scenario)


def test_a_closed_database_refuses(postgresql_url: str) -> None:
    """CRASH-03: a late caller is refused instead of opening it again."""

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        await database.close()
        for late in (database.changes.stamp(), database.clients.get("c1"), database.state.put("a", "b")):
            with pytest.raises(TemporarilyUnavailable):
                await late

    _run(postgresql_url, scenario)


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

    _run(postgresql_url, scenario)


def test_old_changes_are_swept_out(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """The newest rows stay; a follower from before them is told to start over."""
    sweep_at = KEPT_ROWS + 1_000
    rows = "INSERT INTO change_log SELECT n, 'client', 'c' || n, 0 FROM generate_series(1, {}) n"
    postgresql.sql(rows.format(sweep_at - 1), database=_name(postgresql_url))

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        assert await database.changes.position() == sweep_at
        assert await database.changes.since(1_000) is None
        kept = await database.changes.since(1_001)
        assert kept is not None
        assert len(kept) == KEPT_ROWS - 1

    _run(postgresql_url, scenario)


def _open(url: str) -> Database:
    return open_database(url, clock=lambda: NOW * 1000)


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _run(url: str, scenario: Callable[[Database], Awaitable[None]]) -> None:
    async def opened() -> None:
        database = _open(url)
        try:
            await scenario(database)
        finally:
            await database.close()

    asyncio.run(opened())


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
    assert time.monotonic() - started < 1.2


def _shown(error: BaseException) -> str:
    """Return what a log of the error, and of those behind it, would show; the traceback quotes no test."""
    return "".join(traceback.format_exception(error.with_traceback(None)))

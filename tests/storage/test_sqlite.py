"""SQLite passes the contract, and fails closed when it cannot answer."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path

import pytest

from authserver.core.errors import ConfigurationError, Conflict, TemporarilyUnavailable
from authserver.storage.change_log import KEPT_ROWS
from authserver.storage.database import Database, open_database
from authserver.storage.sqlite import READERS, SqliteConnections

from .contract import StorageContract
from .subjects import NOW, Stores, a_client, a_key, a_revocation, a_secret

HOLD_THE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class TestContract(StorageContract):
    """The contract on a file in WAL mode."""

    @pytest.fixture(autouse=True)
    def _fresh(self, database_path: Path) -> None:
        self.path = database_path

    def open(self) -> Stores:
        """Open the file of this test."""
        return _open(self.path)


def test_a_lock_held_by_another_process_is_waited_for_less_than_a_second(database_path: Path) -> None:
    """DB-01: every waiting writer is refused in time, readers are not disturbed, and then all is well."""

    async def scenario() -> None:
        database = _open(database_path)
        with _locked(database_path):
            writes = (_timed(database, f"c{n}") for n in range(5))
            assert max(await asyncio.gather(*writes)) < 1.1
            assert await database.clients.get("c0") is None
        await database.clients.add(a_client())
        await database.close()

    asyncio.run(scenario())


def test_two_instances_write_in_turns(database_path: Path) -> None:
    """DB-02: a write that reads first succeeds although the other instance commits all the time."""

    async def scenario() -> None:
        instances = [_open(database_path), _open(database_path)]
        adds = [instances[n % 2].clients.add(a_client(f"c{n}")) for n in range(40)]
        await asyncio.gather(*adds)
        removals = [instances[(n + 1) % 2].clients.remove(f"c{n}", expected_version=1) for n in range(40)]
        await asyncio.gather(*removals)
        assert await instances[0].changes.position() == 80
        for instance in instances:
            await instance.close()

    asyncio.run(scenario())


def test_an_exhausted_pool_is_refused_within_a_second(database_path: Path) -> None:
    """DB-03: one reader too many is told to come again, not kept for 30 seconds."""

    async def scenario() -> None:
        connections = SqliteConnections(path=database_path)
        async with AsyncExitStack() as held:
            for _ in range(READERS + 1):
                await held.enter_async_context(connections.reading())
            started = time.monotonic()
            with pytest.raises(TemporarilyUnavailable):
                await held.enter_async_context(connections.reading())
            assert time.monotonic() - started < 3
        await connections.close()

    asyncio.run(scenario())


def test_a_full_disk_stores_nothing_and_still_reads(database_path: Path) -> None:
    """DB-04: the write is refused as a whole, reads go on."""

    async def scenario() -> None:
        connections = SqliteConnections(path=database_path)
        async with connections.writing() as connection:
            await connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite takes the present size instead
        database = Database(connections=connections, clock=lambda: 0)
        with pytest.raises(TemporarilyUnavailable, match="full"):
            await database.clients.add(a_client(client_description="x" * 100_000))
        assert await database.clients.get("c1") is None
        assert await database.changes.position() == 0
        await database.close()

    asyncio.run(scenario())


def test_a_read_only_file_is_read_but_not_written(database_path: Path) -> None:
    """DB-04: a revocation that cannot be stored is not acknowledged."""
    with database_path.open("r+b") as file:
        file.seek(18)  # the header's write version: SQLite treats a file from the future as read-only
        file.write(b"\x03")

    async def scenario() -> None:
        database = _open(database_path)
        with pytest.raises(TemporarilyUnavailable, match="readonly"):
            await database.revocations.add([a_revocation("t")])
        assert len(await database.resources.all()) == 1
        await database.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("damage", [b"no database " * 1000, b""])
def test_a_damaged_file_answers_nothing(database_path: Path, damage: bytes) -> None:
    """AUTH-25: neither "no such client" nor a crash, for each verb that reads or writes."""
    database_path.write_bytes(damage)

    async def scenario() -> None:
        database = _open(database_path)
        for attempt in (
            database.clients.get("c1"),
            database.clients.page("default", after=None, limit=1),
            database.signing_keys.all(),
            database.changes.position(),
            database.state.put("a", "b"),
            database.ping(),
        ):
            with pytest.raises(TemporarilyUnavailable):
                await attempt
        await database.close()

    asyncio.run(scenario())


def test_foreign_keys_are_enforced(database_path: Path) -> None:
    """DB-08: a key for a resource that does not exist is refused."""

    async def scenario() -> None:
        database = _open(database_path)
        with pytest.raises(Conflict, match="does not exist"):
            await database.signing_keys.change(before=[], after=[a_key("k", resource_id="gone")])
        await database.close()

    asyncio.run(scenario())


def test_no_secret_is_in_an_error_or_a_log(database_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """LOG-03: a statement that fails, and one that succeeds at level DEBUG, hide their parameters."""
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        database = _open(database_path)
        await database.clients.add(a_client("c1", secrets=[a_secret("k1", "c1")]))
        with closing(sqlite3.connect(database_path)) as connection:
            connection.execute("DROP TABLE client_secrets")
        with pytest.raises(TemporarilyUnavailable) as failure:
            await database.clients.add(a_client("c2", secrets=[a_secret("k2", "c2")]))
        shown = "".join(traceback.format_exception(failure.value)) + caplog.text
        assert "no such table" in shown
        assert "hash-of" not in shown
        await database.close()

    asyncio.run(scenario())


def test_a_closed_database_leaves_no_thread_and_refuses(database_path: Path) -> None:
    """CRASH-03: nothing keeps the process alive; a late caller is refused instead of opening it again."""
    before = set(threading.enumerate())

    async def scenario() -> None:
        database = _open(database_path)
        await asyncio.gather(*(database.clients.get("c1") for _ in range(READERS)))
        await database.changes.stamp()
        await database.clients.add(a_client())
        await database.close()
        for late in (database.changes.stamp(), database.clients.get("c1"), database.state.put("a", "b")):
            with pytest.raises(TemporarilyUnavailable):
                await late

    asyncio.run(scenario())
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=2)
        assert not thread.is_alive()


def test_a_cancelled_write_does_not_hold_up_the_next(database_path: Path) -> None:
    """A caller that goes away leaves all or nothing, and the queue moves on."""

    async def scenario() -> None:
        database = _open(database_path)
        for n in range(20):
            task = asyncio.create_task(database.clients.add(a_client("c1")))
            await asyncio.sleep(n / 10_000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await database.clients.add(a_client("c2"))
        noted = await database.changes.position()
        assert noted == 1 + (await database.clients.get("c1") is not None)
        await database.close()

    asyncio.run(scenario())


def test_old_changes_are_swept_out(database_path: Path) -> None:
    """The newest rows stay; a follower from before them is told to start over."""
    sweep_at = KEPT_ROWS + 1_000
    with closing(sqlite3.connect(database_path)) as connection, connection:
        rows = ((n, "client", f"c{n}", 0) for n in range(1, sweep_at))
        connection.executemany("INSERT INTO change_log VALUES (?, ?, ?, ?)", rows)

    async def scenario() -> None:
        database = _open(database_path)
        await database.clients.add(a_client())
        assert await database.changes.position() == sweep_at
        assert await database.changes.since(0) is None
        assert await database.changes.since(1_000) is None
        kept = await database.changes.since(1_001)
        assert kept is not None
        assert len(kept) == KEPT_ROWS - 1
        await database.close()

    asyncio.run(scenario())


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Directory 0700, file 0600, whatever the umask allows."""
    path = tmp_path / "data" / "authserver.db"
    asyncio.run(_open(path).close())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?cache=shared",
        "sqlite:///a.db?mode=ro",
        "sqlite://host/a.db",
        "mysql://user:hunter2@db.example/a",
        "a.db",
        "",
    ],
)
def test_a_url_that_cannot_serve_is_refused_in_one_line(url: str) -> None:
    """The line names the setting and repeats no password."""
    with pytest.raises(ConfigurationError) as refusal:
        open_database(url, clock=lambda: 0)
    (line,) = refusal.value.problems
    assert line.startswith("AUTHSERVER_DATABASE_URL: ")
    assert "hunter2" not in line


def _open(path: Path) -> Database:
    return open_database(f"sqlite:///{path}", clock=lambda: NOW * 1000)


async def _timed(database: Database, client_id: str) -> float:
    """Return how many seconds a write took to be refused."""
    started = time.monotonic()
    with pytest.raises(TemporarilyUnavailable):
        await database.clients.add(a_client(client_id))
    return time.monotonic() - started


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the write lock in another process."""
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.communicate()

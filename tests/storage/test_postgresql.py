"""PostgreSQL passes the contract, and keeps apart what many instances do at once."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback

import pytest

from authserver.core.errors import Conflict, PreconditionFailed, TemporarilyUnavailable, ValidationFailed
from authserver.storage.change_log import KEPT_ROWS
from authserver.storage.database import Database
from tests.postgresql import PostgresqlServer

from .contract import StorageContract
from .on_postgresql import name_in, open_at, run_at
from .subjects import Stores, a_client, a_key, a_revocation, a_secret

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
        return open_at(self.url)


def test_followers_miss_nothing_that_many_instances_write_at_once(postgresql_url: str) -> None:
    """P1: a sequence is seen only after all smaller ones, so that a cursor never skips an entry."""

    async def write(database: Database, name: str) -> None:
        for n in range(40):
            await database.revocations.add([a_revocation(f"{name}-{n}")])
            await database.clients.add(a_client(f"{name}-{n}"))

    async def scenario(reader: Database) -> None:
        writers = [open_at(postgresql_url) for _ in range(4)]
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

    run_at(postgresql_url, scenario)


def test_the_log_of_changes_has_no_holes(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """A write that is undone after it was numbered leaves its number to the next one."""
    postgresql.sql(COLLIDE.format(times=1, sqlstate="23514"), database=name_in(postgresql_url))

    async def scenario(database: Database) -> None:
        with pytest.raises(Conflict):
            await database.clients.add(a_client("c1"))
        await database.clients.add(a_client("c2"))
        changes = await database.changes.since(0)
        assert changes is not None
        assert [(change.sequence, change.key) for change in changes] == [(1, "c2")]

    run_at(postgresql_url, scenario)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_transaction_that_was_undone_is_repeated(
    postgresql: PostgresqlServer, postgresql_url: str, sqlstate: str
) -> None:
    """DB-06: after two collisions the third attempt succeeds, with one effect."""
    postgresql.sql(COLLIDE.format(times=2, sqlstate=sqlstate), database=name_in(postgresql_url))

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        assert await database.clients.get("c1") == a_client()
        assert await database.changes.position() == 1

    run_at(postgresql_url, scenario)


def test_repetition_is_bounded(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """DB-06: three attempts, within a second, then the caller is told; nothing is stored."""
    postgresql.sql(COLLIDE.format(times=1000, sqlstate="40001"), database=name_in(postgresql_url))

    async def scenario(database: Database) -> None:
        started = time.monotonic()
        with pytest.raises(TemporarilyUnavailable):
            await database.clients.add(a_client())
        assert time.monotonic() - started < 3
        assert await database.clients.get("c1") is None

    run_at(postgresql_url, scenario)
    assert postgresql.sql("SELECT last_value FROM attempts", database=name_in(postgresql_url)) == "3"


def test_of_changes_on_several_instances_one_wins(postgresql_url: str) -> None:
    """DB-09: ten instances change one version of a client and one set of keys: no update is lost."""

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        instances = [open_at(postgresql_url) for _ in range(10)]
        changed = (each.clients.replace(a_client(client_name="new"), expected_version=1) for each in instances)
        replaced = await asyncio.gather(*changed, return_exceptions=True)
        firsts = (each.signing_keys.change(before=[], after=[a_key(f"k{n}")]) for n, each in enumerate(instances))
        rotated = await asyncio.gather(*firsts, return_exceptions=True)
        assert sum(isinstance(outcome, PreconditionFailed) for outcome in replaced) == 9
        assert sum(isinstance(outcome, Conflict) for outcome in rotated) == 9
        for each in instances:
            await each.close()

    run_at(postgresql_url, scenario)


def test_foreign_keys_are_enforced(postgresql_url: str) -> None:
    """DB-08: a key for a resource that does not exist is refused."""

    async def scenario(database: Database) -> None:
        with pytest.raises(Conflict, match="does not exist"):
            await database.signing_keys.change(before=[], after=[a_key("k", resource_id="gone")])

    run_at(postgresql_url, scenario)


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

    run_at(postgresql_url, scenario)


def test_no_secret_is_in_an_error_or_a_log(
    postgresql: PostgresqlServer, postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """LOG-03: PostgreSQL repeats the row that it refuses; we repeat nothing of it."""
    caplog.set_level(logging.DEBUG)
    refuse = "ALTER TABLE client_secrets ADD CHECK (secret_hint <> 'abcd')"
    postgresql.sql(refuse, database=name_in(postgresql_url))

    async def scenario(database: Database) -> None:
        with pytest.raises(Conflict) as refused:
            await database.clients.add(a_client("c1", secrets=[a_secret("k1", "c1")]))
        postgresql.sql("DROP TABLE client_secrets", database=name_in(postgresql_url))
        with pytest.raises(TemporarilyUnavailable, match="client_secrets") as failed:
            await database.clients.add(a_client("c2", secrets=[a_secret("k2", "c2")]))
        shown = _shown(refused.value) + _shown(failed.value) + caplog.text
        assert "hash-of" not in shown
        assert postgresql.password not in shown

    run_at(postgresql_url, scenario)


def test_old_changes_are_swept_out(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """The newest rows stay; a follower from before them is told to start over."""
    sweep_at = KEPT_ROWS + 1_000
    rows = "INSERT INTO change_log SELECT n, 'client', 'c' || n, 0 FROM generate_series(1, {}) n"
    postgresql.sql(rows.format(sweep_at - 1), database=name_in(postgresql_url))

    async def scenario(database: Database) -> None:
        await database.clients.add(a_client())
        assert await database.changes.position() == sweep_at
        assert await database.changes.since(1_000) is None
        kept = await database.changes.since(1_001)
        assert kept is not None
        assert len(kept) == KEPT_ROWS - 1

    run_at(postgresql_url, scenario)


def _shown(error: BaseException) -> str:
    """Return what a log of the error, and of those behind it, would show; the traceback quotes no test."""
    return "".join(traceback.format_exception(error.with_traceback(None)))

"""The migrations on PostgreSQL: from nothing, together, interrupted; and every server that cannot be used."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.storage import migrate, postgresql_migration
from authserver.storage.database import open_database
from authserver.storage.tables import metadata
from tests.postgresql import PostgresqlServer
from tests.server import AUTHSERVER, free_port

from .on_postgresql import name_in
from .subjects import Stores, a_client
from .test_migrate import AHEAD, AHEAD_AND_INCOMPATIBLE, CHECK_WITHOUT_ALEMBIC, UPGRADE, UPGRADE_AND_DIE

TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
NO_POSTGRESQL = """
import asyncio, sys
from authserver.storage import database, migrate
assert not migrate.pending(sys.argv[1])
asyncio.run(database.open_database(sys.argv[1], clock=lambda: 0).close())
assert not {"asyncpg", "sqlalchemy.dialects.postgresql"} & set(sys.modules)
"""


@pytest.fixture
def empty(postgresql: PostgresqlServer) -> Iterator[str]:
    """Yield the name of an empty database of this test's own."""
    name = postgresql.create_database()
    yield name
    postgresql.drop_database(name)


def test_a_fresh_database_is_brought_to_the_newest_revision(postgresql: PostgresqlServer, empty: str) -> None:
    """From nothing to the head, and again without a change; all three spellings of the URL name it."""
    url = postgresql.url(empty)
    assert migrate.status(url) == migrate.MigrationStatus(current=None, head=migrate.HEAD)
    assert asyncio.run(migrate.upgrade(url)) == migrate.MigrationStatus(current=migrate.HEAD, head=migrate.HEAD)
    for scheme in ("postgresql", "postgres", "postgresql+asyncpg"):
        assert not migrate.pending(f"{scheme}{url.removeprefix('postgresql')}")


def test_the_status_can_be_asked_on_an_event_loop(postgresql_url: str) -> None:
    """A server that starts asks on the loop that it will serve on."""

    async def scenario() -> None:
        assert not migrate.pending(postgresql_url)

    asyncio.run(scenario())


def test_processes_that_start_together_migrate_once(postgresql: PostgresqlServer, empty: str) -> None:
    """MIG-02: three at once: all report success, and the first rows exist once."""
    command = [sys.executable, "-c", UPGRADE, postgresql.url(empty)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == [migrate.HEAD] * 3
    assert postgresql.sql("SELECT count(*) FROM resources", database=empty) == "1"


@pytest.mark.parametrize("statement", [6, 16])
def test_an_upgrade_that_dies_leaves_nothing_half_done(
    postgresql: PostgresqlServer, empty: str, statement: int
) -> None:
    """MIG-02, CRASH-02: kill -9 in the middle: no table is there afterwards, and the next upgrade succeeds."""
    command = [sys.executable, "-c", UPGRADE_AND_DIE, postgresql.url(empty), str(statement)]
    assert subprocess.run(command, check=False).returncode == 9
    assert postgresql.sql(TABLES, database=empty) == "0"
    assert asyncio.run(migrate.upgrade(postgresql.url(empty))).current == migrate.HEAD


def test_an_upgrade_waits_while_another_one_runs(
    postgresql: PostgresqlServer, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MIG-02: not for ever: it is told that the lock stays taken, and has changed nothing."""
    locked = ("SET LOCAL lock_timeout = '100ms'", *postgresql_migration.LOCKED[1:])
    monkeypatch.setattr(postgresql_migration, "LOCKED", locked)
    hold = f"SELECT pg_advisory_lock({postgresql_migration.MIGRATION_LOCK}); SELECT pg_sleep(20)"
    with subprocess.Popen([*postgresql.psql(empty), "-c", hold], stdout=subprocess.DEVNULL) as holder:
        while "advisory" not in postgresql.sql("SELECT locktype FROM pg_locks"):
            pass
        with pytest.raises(TemporarilyUnavailable, match="cannot migrate"):
            asyncio.run(migrate.upgrade(postgresql.url(empty)))
        holder.kill()
    assert postgresql.sql(TABLES, database=empty) == "0"


def test_a_running_instance_is_not_disturbed_by_a_migration(postgresql_url: str) -> None:
    """MIG-01: what migrates holds no lock that a write waits for, unless it changes the same table."""

    async def scenario(stores: Stores) -> None:
        schema = postgresql_migration.PostgresqlSchema(postgresql_url)
        loop = asyncio.get_running_loop()

        def write_meanwhile(_: Connection) -> None:
            asyncio.run_coroutine_threadsafe(stores.clients.add(a_client()), loop).result(5)

        await asyncio.to_thread(schema.change, write_meanwhile)
        assert await stores.clients.get("c1") == a_client()
        await stores.close()

    async def opened() -> None:
        await scenario(open_database(postgresql_url, clock=lambda: 0))

    asyncio.run(opened())


def test_the_tables_are_those_that_the_migrations_build(postgresql_url: str) -> None:
    """Neither side has a table, column, type, index or constraint that the other lacks."""

    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []

    _on_a_connection(postgresql_url, compare)


def test_the_migrations_write_what_the_tables_would(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """Collations, sequences and names of constraints too: both dump alike."""
    direct = postgresql.create_database()
    _on_a_connection(postgresql.url(direct), metadata.create_all)
    migrated = postgresql_url.rpartition("/")[2]
    postgresql.sql("DROP TABLE alembic_version", database=migrated)
    assert postgresql.schema(migrated) == postgresql.schema(direct)


def test_a_start_without_migrations_does_not_load_alembic(postgresql_url: str) -> None:
    """A database that is up to date costs one connection."""
    command = [sys.executable, "-c", CHECK_WITHOUT_ALEMBIC, postgresql_url]
    assert subprocess.run(command, check=False).returncode == 0


def test_sqlite_does_not_load_postgresql(database_path: Path) -> None:
    """Whoever has no PostgreSQL pays nothing for it, and needs no driver."""
    command = [sys.executable, "-c", NO_POSTGRESQL, f"sqlite:///{database_path}"]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql:///database",
        "postgresql://user:hunter2@/database",
        "postgresql://user:hunter2@host",
        "postgresql://user:hunter2@host:port/database",
        "postgresql://user:hunter2@host:99999/database",
        "postgresql://user:hun@ter2@host/database",
        "postgresql://user:hun/ter2@host/database",
        "postgresql://user:hun#ter2@host/database",
        "postgresql://user:hunter2@[::1/database",
        "postgresql://user:hunter2@host/database?sslmode=perhaps",
        "postgresql://user:hunter2@host/database?options=hunter2",
        "postgresql://user:hunter2@host/database?hunter2",
        "postgresql+psycopg://user:hunter2@host/database",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_in_one_line(url: str) -> None:
    """The line names the setting and repeats no part of a password."""
    for attempt in (migrate.status, lambda url: open_database(url, clock=lambda: 0)):
        _refusal(attempt, url, forbidden="ter2")


def test_a_server_that_is_not_there_is_named(postgresql: PostgresqlServer) -> None:
    """Host, port and database, and never the password."""
    url = postgresql.url("a").replace(str(postgresql.port), str(free_port()))
    assert "cannot reach 127.0.0.1:" in _refusal(migrate.status, url, forbidden=postgresql.password)


def test_a_server_that_hangs_is_not_waited_for(postgresql: PostgresqlServer, empty: str) -> None:
    """The start is refused after two seconds."""
    postgresql.suspend()
    try:
        assert "no answer in time" in _refusal(migrate.status, postgresql.url(empty), forbidden=postgresql.password)
    finally:
        postgresql.resume()


def test_a_wrong_password_is_named(postgresql: PostgresqlServer, empty: str) -> None:
    """Not shown, and a user who does not exist looks the same."""
    for user in ("authserver", "nobody"):
        url = postgresql.url(empty, user=user, password="hunter2")
        assert f"refuses the password of the user {user}" in _refusal(migrate.status, url, forbidden="hunter2")


def test_a_missing_database_is_named(postgresql: PostgresqlServer) -> None:
    """It is not made in passing."""
    line = _refusal(migrate.status, postgresql.url("missing"), forbidden=postgresql.password)
    assert "no database at" in line


def test_a_server_that_is_too_old_is_refused(
    postgresql: PostgresqlServer, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says which version it is, and which is needed."""
    monkeypatch.setattr(postgresql_migration, "OLDEST_VERSION", 99)
    assert "at least version 99" in _refusal(migrate.status, postgresql.url(empty), forbidden=postgresql.password)


def test_a_database_that_holds_no_unicode_is_refused(postgresql: PostgresqlServer) -> None:
    """Whatever the server's default is."""
    postgresql.sql("CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    assert "SQL_ASCII" in _refusal(migrate.status, postgresql.url("bytes"), forbidden=postgresql.password)


@pytest.mark.parametrize("statement", AHEAD_AND_INCOMPATIBLE)
def test_a_database_ahead_of_the_code_is_refused(
    postgresql: PostgresqlServer, postgresql_url: str, statement: str
) -> None:
    """MIG-03: one line says what to do; status, pending and upgrade agree."""
    postgresql.sql(f"{AHEAD}; {statement}", database=name_in(postgresql_url))
    for attempt in (migrate.status, migrate.pending, lambda url: asyncio.run(migrate.upgrade(url))):
        assert "9999" in _refusal(attempt, postgresql_url, forbidden=postgresql.password)


def test_a_database_that_is_ahead_but_compatible_is_used_as_it_is(
    postgresql: PostgresqlServer, postgresql_url: str
) -> None:
    """MIG-01: what the newest migration left behind says that this code can live with it: nothing to do."""
    postgresql.sql(AHEAD, database=name_in(postgresql_url))
    for found in (migrate.status(postgresql_url), asyncio.run(migrate.upgrade(postgresql_url))):
        assert (found.current, found.is_ahead, found.is_pending) == ("9999", True, False)


def test_a_user_who_may_not_create_tables_is_refused(postgresql: PostgresqlServer, empty: str) -> None:
    """The line says which permission is missing, and nothing is half made."""
    user = f"limited_{empty}"
    postgresql.sql(f"CREATE USER {user} PASSWORD 'hunter2'; REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=empty)
    url = postgresql.url(empty, user=user, password="hunter2")
    line = _refusal(lambda url: asyncio.run(migrate.upgrade(url)), url, forbidden="hunter2")
    assert "permission denied for schema public" in line
    assert postgresql.sql(TABLES, database=empty) == "0"


def test_a_user_who_may_not_write_is_refused(postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """Before the port opens, not at the first revocation."""
    database = postgresql_url.rpartition("/")[2]
    user = f"reader_{database}"
    grant = f"CREATE USER {user} PASSWORD 'hunter2'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
    postgresql.sql(grant, database=database)
    line = _refusal(migrate.status, postgresql.url(database, user=user, password="hunter2"), forbidden="hunter2")
    assert "may not use" in line
    assert "revocations" in line


def test_the_program_refuses_in_one_line(tmp_path: Path) -> None:
    """`serve`, `doctor` and `clients` end with 1 and one line on the database; no traceback, no password."""
    url = f"postgresql://user:hunter2@127.0.0.1:{free_port()}/database"
    environment = {"AUTHSERVER_DATABASE_URL": url, "AUTHSERVER_DATA_DIR": str(tmp_path), "PATH": ""}
    for arguments in (["serve", "--dev", "--port", "0"], ["migrate", "up"], ["doctor"]):
        run = subprocess.run(
            [AUTHSERVER, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=20
        )
        shown = run.stdout + run.stderr
        assert run.returncode == 1
        assert "AUTHSERVER_DATABASE_URL: cannot reach 127.0.0.1" in shown
        assert not {"Traceback", "hunter2"} & set(shown.replace(":", " ").split())


def _refusal(attempt: object, url: str, *, forbidden: str) -> str:
    """Return the one line of a refusal; require that it names the setting and does not hold what is forbidden."""
    assert callable(attempt)
    with pytest.raises(ConfigurationError) as refusal:
        attempt(url)
    (line,) = refusal.value.problems
    assert line.startswith("AUTHSERVER_DATABASE_URL: ")
    assert "\n" not in line
    assert forbidden not in line
    return line


def _on_a_connection(url: str, work: object) -> None:
    """Run `work` on a plain connection of SQLAlchemy."""
    assert callable(work)

    async def connected() -> None:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.begin() as connection:
            await connection.run_sync(work)
        await engine.dispose()

    asyncio.run(connected())

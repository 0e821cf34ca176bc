"""The migrations: from nothing, again, together, interrupted, and from the future."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import create_engine

from authserver.core.errors import ConfigurationError
from authserver.storage import migrate
from authserver.storage.tables import metadata

UPGRADE = """
import asyncio, sys
from authserver.storage import migrate
print(asyncio.run(migrate.upgrade(sys.argv[1])).current)
"""

#: Dies at the n-th statement of the migration, as by kill -9.
UPGRADE_AND_DIE = """
import asyncio, itertools, os, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from authserver.storage import migrate
count = itertools.count(1)
@event.listens_for(Engine, "after_cursor_execute")
def die(*_):
    if next(count) == int(sys.argv[2]):
        os._exit(9)
asyncio.run(migrate.upgrade(sys.argv[1]))
"""

CHECK_WITHOUT_ALEMBIC = """
import asyncio, sys
from authserver.storage import database, migrate
assert not migrate.pending(sys.argv[1])
asyncio.run(migrate.upgrade(sys.argv[1]))
assert "alembic" not in sys.modules
"""

#: What a newer version leaves behind, and what makes it one that older code cannot live with.
AHEAD = "UPDATE alembic_version SET version_num = '9999'"
AHEAD_AND_INCOMPATIBLE = (
    "UPDATE deployment_state SET value = '9999' WHERE name = 'schema_compatible_with'",
    "DELETE FROM deployment_state WHERE name = 'schema_compatible_with'",
    "DROP TABLE deployment_state",
)


def test_a_fresh_database_is_brought_to_the_newest_revision(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """From a missing file, in a missing directory, to the head; nothing is printed."""
    url = f"sqlite:///{tmp_path}/data/authserver.db"
    assert migrate.status(url) == migrate.MigrationStatus(current=None, head=migrate.HEAD)
    assert not (tmp_path / "data").exists()
    assert asyncio.run(migrate.upgrade(url)) == migrate.MigrationStatus(current=migrate.HEAD, head=migrate.HEAD)
    assert not migrate.pending(url)
    assert capfd.readouterr() == ("", "")


def test_a_second_upgrade_changes_nothing(database_path: Path) -> None:
    """The file is the same, byte for byte."""
    before = database_path.read_bytes()
    asyncio.run(migrate.upgrade(f"sqlite:///{database_path}"))
    assert database_path.read_bytes() == before


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    """Two at once: both report success, and the first rows exist once."""
    path = tmp_path / "authserver.db"
    command = [sys.executable, "-c", UPGRADE, f"sqlite:///{path}"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in processes] == [migrate.HEAD] * 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM resources").fetchone() == (1,)


@pytest.mark.parametrize("statement", [6, 24])
def test_an_upgrade_that_dies_leaves_nothing_half_done(tmp_path: Path, statement: int) -> None:
    """CRASH-02: no table is there afterwards, and the next upgrade succeeds."""
    path = tmp_path / "authserver.db"
    command = [sys.executable, "-c", UPGRADE_AND_DIE, f"sqlite:///{path}", str(statement)]
    assert subprocess.run(command, check=False).returncode == 9
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert asyncio.run(migrate.upgrade(f"sqlite:///{path}")).current == migrate.HEAD


@pytest.mark.parametrize("statement", AHEAD_AND_INCOMPATIBLE)
def test_a_database_ahead_of_the_code_is_refused(database_path: Path, statement: str) -> None:
    """MIG-03: an older version refuses with one line that says what to do; status, pending and upgrade agree."""
    _execute(database_path, AHEAD, statement)
    url = f"sqlite:///{database_path}"
    for attempt in (migrate.status, migrate.pending, lambda url: asyncio.run(migrate.upgrade(url))):
        with pytest.raises(ConfigurationError, match="9999"):
            attempt(url)


def test_a_database_that_is_ahead_but_compatible_is_used_as_it_is(database_path: Path) -> None:
    """MIG-01: what the newest migration left behind says that this code can live with it: nothing to do."""
    _execute(database_path, AHEAD)
    before = database_path.read_bytes()
    url = f"sqlite:///{database_path}"
    for found in (migrate.status(url), asyncio.run(migrate.upgrade(url))):
        assert (found.current, found.is_ahead, found.is_pending) == ("9999", True, False)
    assert database_path.read_bytes() == before


def test_a_newer_version_that_was_faster_is_left_alone(database_path: Path) -> None:
    """MIG-01: whoever finds, once the lock is free, that a newer version has migrated does nothing.

    It calls the inside, for the moment between the look and the lock cannot be met from outside.
    """
    _execute(database_path, AHEAD)
    schema = migrate._schema(f"sqlite:///{database_path}")
    schema.change(migrate._run_alembic)
    assert schema.revision() == "9999"


def test_each_migration_names_the_oldest_code_that_can_live_with_it() -> None:
    """MIG-01: a revision that its own code knows, and none older than the migration before has named."""
    named = [script.module.compatible_with for script in _scripts()]
    assert all(name in migrate.REVISIONS[: number + 1] for number, name in enumerate(named))
    assert named == sorted(named, key=migrate.REVISIONS.index)


def test_the_database_holds_what_its_newest_migration_names(database_path: Path) -> None:
    """MIG-01: for code that is older than the migration."""
    schema = migrate._schema(f"sqlite:///{database_path}")
    assert schema.state(migrate.COMPATIBLE_STATE) == _scripts()[-1].module.compatible_with


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """And left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(ConfigurationError, match="not a database"):
        asyncio.run(migrate.upgrade(f"sqlite:///{path}"))
    assert path.read_text() == "not a database " * 100


def test_the_tables_are_those_that_the_migrations_build(database_path: Path) -> None:
    """Neither side has a table, column, type, index or constraint that the other lacks."""
    engine = create_engine(f"sqlite:///{database_path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_migrations_write_what_the_tables_would(database_path: Path, tmp_path: Path) -> None:
    """Names of constraints, cascades and AUTOINCREMENT too: both write the same statements."""
    engine = create_engine(f"sqlite:///{tmp_path}/direct.db")
    metadata.create_all(engine)
    engine.dispose()
    migrated, direct = _statements(database_path), _statements(tmp_path / "direct.db")
    assert {name: sql for name, sql in migrated.items() if name != "alembic_version"} == direct


def test_the_known_revisions_are_those_in_the_directory() -> None:
    """A new migration is entered in REVISIONS, in order."""
    assert tuple(script.revision for script in _scripts()) == migrate.REVISIONS


def test_a_start_without_migrations_does_not_load_alembic(database_path: Path) -> None:
    """A database that is up to date costs one query."""
    command = [sys.executable, "-c", CHECK_WITHOUT_ALEMBIC, f"sqlite:///{database_path}"]
    assert subprocess.run(command, check=False).returncode == 0


def _scripts() -> list[Script]:
    """Return the migrations in the directory, oldest first."""
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_directory()))
    return list(reversed(list(ScriptDirectory.from_config(config).walk_revisions())))


def _execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def _statements(path: Path) -> dict[str, frozenset[str]]:
    """Return the parts of each CREATE statement, by name; the order of constraints does not count."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: frozenset(line.strip().rstrip(",") for line in sql.splitlines()) for name, sql in rows}

"""Databases for the storage's tests."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserver.storage import migrate
from tests.postgresql import PostgresqlServer, start_postgresql, unavailable


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database file as the migrations leave it. Copy it: it is shared."""
    path = tmp_path_factory.mktemp("migrated") / "authserver.db"
    asyncio.run(migrate.upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
def database_path(tmp_path: Path, migrated: Path) -> Path:
    """Return a fresh migrated database file of this test's own."""
    return Path(shutil.copy(migrated, tmp_path / "authserver.db"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """Yield a PostgreSQL server; its database `migrated` is as the migrations leave it, to be copied."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    with start_postgresql() as server:
        server.sql("CREATE DATABASE migrated TEMPLATE template0")
        asyncio.run(migrate.upgrade(server.url("migrated")))
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """Yield the URL of a fresh migrated database of this test's own."""
    name = postgresql.create_database(template="migrated")
    yield postgresql.url(name)
    postgresql.drop_database(name)

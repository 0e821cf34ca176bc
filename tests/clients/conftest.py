"""A registry of clients on a fresh database, for each test."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from authserver.storage import migrate
from tests.clients.registry import Registry


@pytest.fixture(scope="session")
def migrated_clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database file as the migrations leave it. Copy it: it is shared."""
    path = tmp_path_factory.mktemp("migrated") / "authserver.db"
    asyncio.run(migrate.upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
def registry(tmp_path: Path, migrated_clients: Path) -> Registry:
    """Return a registry of this test's own."""
    return Registry(Path(shutil.copy(migrated_clients, tmp_path / "authserver.db")))

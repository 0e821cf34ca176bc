"""Databases for the storage's tests."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from authserver.storage import migrate


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

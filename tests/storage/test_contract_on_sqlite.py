"""SQLite passes the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from authserver.storage.database import open_database

from .contract import StorageContract
from .subjects import NOW, Stores


class TestSqlite(StorageContract):
    """The contract on a file in WAL mode."""

    @pytest.fixture(autouse=True)
    def _fresh(self, database_path: Path) -> None:
        self.path = database_path

    def open(self) -> Stores:
        """Open the file of this test."""
        return open_database(f"sqlite:///{self.path}", clock=lambda: NOW * 1000)

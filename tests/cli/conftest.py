"""The command line on a data directory as `serve --dev` leaves it, without a server."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from authserver.development import prepare
from authserver.settings import read_settings
from authserver.storage import migrate
from tests.cli.command import CommandLine


@pytest.fixture(scope="session")
def prepared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with secrets and an empty database, to be copied."""
    data_dir = tmp_path_factory.mktemp("prepared") / "data"
    settings = prepare(read_settings({}, data_dir=data_dir))
    asyncio.run(migrate.upgrade(settings.database))
    return data_dir


@pytest.fixture
def empty_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data directory that does not exist yet; the environment names it, and no other setting."""
    for name in list(os.environ):
        if name.startswith("AUTHSERVER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AUTHSERVER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def data_dir(empty_dir: Path, prepared_dir: Path) -> Path:
    """Return a data directory of the test's own, ready for use."""
    shutil.copytree(prepared_dir, empty_dir)
    return empty_dir


@pytest.fixture
def cli(data_dir: Path) -> CommandLine:
    """Return the command line on `data_dir`."""
    return CommandLine()

"""What every test may use: a real server in a process of its own, and the profiles of the fuzz tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.server import RunningServer, start_server

settings.register_profile(
    "short", max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
settings.register_profile("long", max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a test that configures the logs leaves behind for the next one."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server of this module's own, started as a user starts it, with logs at DEBUG."""
    data_dir: Path = tmp_path_factory.mktemp("server")
    with start_server(data_dir, AUTHSERVER_LOG_LEVEL="debug") as running:
        yield running

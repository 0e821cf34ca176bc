"""What the tests of the resource server library share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.resource_server.deployment import Deployment
from tests.server import start_server


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Yield a resource, its resource server and a caller, on one server that all tests here leave alive."""
    with start_server(tmp_path_factory.mktemp("deployment")) as server:
        yield Deployment.of(server)


@pytest.fixture(autouse=True)
def _own_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test hear the library, whatever another one in this process has made of its logger."""
    logger = logging.getLogger("authserver.resource_server")
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "handlers", [])
    level = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(level)

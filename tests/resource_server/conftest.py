"""What the tests of the resource server library share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.resource_server.deployment import Deployment
from tests.server import start_server


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Yield a resource, its resource server and a caller, on one server that all tests here leave alive."""
    with start_server(tmp_path_factory.mktemp("deployment")) as server:
        yield Deployment.of(server)

"""What the tests of the sidecar share: one centre and one sidecar that all of them leave alive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.resource_server.deployment import Deployment
from tests.server import start_server
from tests.sidecar.beside import RunningSidecar, sidecar_files, start_sidecar


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Yield a resource, its resource server and a caller, on one server."""
    with start_server(tmp_path_factory.mktemp("centre")) as server:
        yield Deployment.of(server)


@pytest.fixture(scope="session")
def sidecar(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSidecar]:
    """Yield a sidecar of that resource."""
    directory = tmp_path_factory.mktemp("sidecar")
    with start_sidecar(directory, *sidecar_files(directory, deployment), "--log-level", "debug") as running:
        yield running

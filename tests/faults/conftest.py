"""What the tests of faults share: one deployment a module, put right after each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.deployment import Deployment, start_deployment
from tests.redis_server import unavailable


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is slow unless FAULTS=long, and everything where no Redis can be started."""
    reason = unavailable()
    for item in items:
        if "faults" not in item.path.parts:
            continue
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif item.get_closest_marker("slow") and os.environ.get("FAULTS") != "long":
            item.add_marker(pytest.mark.skip(reason="the long form: make faults"))


@pytest.fixture(scope="module")
def _deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with start_deployment(tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment


@pytest.fixture
def deployment(_deployment: Deployment) -> Deployment:
    """Return two instances with Redis in use: whatever the test before has done is healed."""
    _deployment.heal()
    return _deployment

"""What the tests of the token client share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.token_client.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """Yield a server whose answers the test scripts."""
    with scripted_server() as server:
        yield server

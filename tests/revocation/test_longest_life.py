"""A watermark outlives every token that it refuses, whatever the settings were when that was issued."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from authserver.core.errors import TemporarilyUnavailable
from authserver.revocation.longest_life import LongestLife
from tests.server import claims_of, start_server


class State:
    """The facts of one deployment."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.away = False

    async def get(self, name: str) -> str | None:
        """Return the value stored under `name`."""
        if self.away:
            raise TemporarilyUnavailable("away")
        return self.values.get(name)

    async def put(self, name: str, value: str) -> None:
        """Store a value under `name`."""
        self.values[name] = value


def test_the_longest_of_all_instances_counts() -> None:
    """Of those that run now and of those that ran before."""
    state = State()
    short, long = (LongestLife(state=state, max_ttl_seconds=seconds) for seconds in (60, 3600))
    assert asyncio.run(short()) == 60
    assert asyncio.run(long()) == 3600
    assert asyncio.run(short()) == 3600
    assert asyncio.run(LongestLife(state=State(), max_ttl_seconds=60)()) == 60


def test_a_maximum_that_was_lowered(tmp_path: Path) -> None:
    """REV-13: what was issued for an hour stays refused for an hour, though new tokens live for five seconds."""
    with start_server(tmp_path, AUTHSERVER_MAX_ACCESS_TOKEN_TTL="3600") as server:
        client = server.create_client()
        token = server.token(client)
    short = {"AUTHSERVER_ACCESS_TOKEN_TTL": "5", "AUTHSERVER_MAX_ACCESS_TOKEN_TTL": "5"}
    with start_server(tmp_path, port=server.port, **short) as server:
        assert server.introspect(token, client).json()["active"] is True
        entry = server.admin("POST", "/revocations", {"kind": "client", "value": client["client_id"]}).json()
        assert entry["expires_at"] >= claims_of(token)["exp"]
        assert entry["expires_at"] >= time.time() + 3600
        assert server.introspect(token, client).json() == {"active": False}

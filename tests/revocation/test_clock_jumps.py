"""The whole composition on a clock that is set wrong for a while (CLK-01), below HTTP and on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from authserver.administration.actor import Actor
from authserver.app.runtime import Runtime, open_runtime
from authserver.core.client import AuthMethod
from authserver.core.clock import system_clock
from authserver.core.credentials import Credentials
from authserver.development import prepare
from authserver.settings import read_settings
from authserver.storage import migrate
from authserver.tokens.issue import TokenRequest

HOUR_MS = 3600 * 1000
API = "https://api.example.com"


class Instance:
    """One process, its client, and a wall clock that can be set."""

    def __init__(self, runtime: Runtime, wall: WallClock) -> None:
        self.wall = wall
        self._runtime = runtime
        self._credentials = Credentials(AuthMethod.CLIENT_SECRET_BASIC, "", "")

    async def register(self) -> None:
        """Create the client."""
        clients = self._runtime.administration.clients
        client, secret = await clients.create(
            Actor(name="test"), {"client_name": "n", "scope": "read", "audiences": [API]}
        )
        self._credentials = Credentials(AuthMethod.CLIENT_SECRET_BASIC, client.client_id, secret)

    async def token(self) -> str:
        """Issue a token."""
        request = TokenRequest(
            credentials=self._credentials, grant_type="client_credentials", scope=None, resources=(), parameters={}
        )
        return (await self._runtime.tokens.issuer.issue(request)).access_token

    async def is_active(self, token: str) -> bool:
        """Introspect it."""
        return (await self._runtime.tokens.introspector.introspect(self._credentials, token)).claims is not None

    async def revoke(self, token: str) -> None:
        """Revoke it."""
        await self._runtime.tokens.revoker.revoke(self._credentials, token)


class WallClock:
    """The system's clock, and by how much it was set."""

    def __init__(self) -> None:
        self.set_by_ms = 0

    def __call__(self) -> int:
        """Return the time."""
        return system_clock() + self.set_by_ms


def run(directory: Path, scenario: Callable[[Instance], Awaitable[None]]) -> None:
    """Run a scenario on an instance with a fresh database."""

    async def opened() -> None:
        wall = WallClock()
        settings = prepare(read_settings({"AUTHSERVER_DATA_DIR": str(directory)}, port=8000))
        await migrate.upgrade(settings.database)
        async with open_runtime(settings, clock=wall) as runtime:
            instance = Instance(runtime, wall)
            await instance.register()
            await scenario(instance)

    asyncio.run(opened())


def test_an_hour_ahead_and_back(tmp_path: Path) -> None:
    """CLK-01: tokens of both times end as they say, revoked ones stay revoked, and no more is accepted meanwhile."""

    async def scenario(instance: Instance) -> None:
        kept, revoked = await instance.token(), await instance.token()
        await instance.revoke(revoked)
        instance.wall.set_by_ms = HOUR_MS + 1000
        assert not await instance.is_active(kept)
        ahead = await instance.token()
        assert await instance.is_active(ahead)
        instance.wall.set_by_ms = 0
        assert await instance.is_active(kept)
        assert not await instance.is_active(revoked)
        assert not await instance.is_active(ahead)  # not before its time
        instance.wall.set_by_ms = 2 * HOUR_MS + 2000
        assert not await instance.is_active(ahead)

    run(tmp_path, scenario)


def test_an_hour_behind_and_back(tmp_path: Path) -> None:
    """CLK-01: a token made while the clock was behind is an hour old when it is right again; what is new is good."""

    async def scenario(instance: Instance) -> None:
        kept = await instance.token()
        instance.wall.set_by_ms = -HOUR_MS
        assert not await instance.is_active(kept)
        behind = await instance.token()
        assert await instance.is_active(behind)
        revoked = await instance.token()
        await instance.revoke(revoked)
        assert not await instance.is_active(revoked)
        instance.wall.set_by_ms = 0
        assert await instance.is_active(kept)
        assert not await instance.is_active(behind)
        assert not await instance.is_active(revoked)
        assert await instance.is_active(await instance.token())

    run(tmp_path, scenario)

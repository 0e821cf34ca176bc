"""The key ring on the real store: two connections to one file stand for two processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState
from authserver.jose.errors import UntrustedToken
from authserver.keys.ring import KeyRing
from authserver.storage.database import open_database
from authserver.storage.migrate import upgrade
from tests.keys.deployment import POLICY, Deployment, only


@asynccontextmanager
async def two_instances(deployment: Deployment, path: Path) -> AsyncIterator[list[KeyRing]]:
    """Migrate a new file and start two instances on it at one moment."""
    url = f"sqlite:///{path / 'authserver.db'}"
    await upgrade(url)
    databases = [open_database(url, clock=lambda: deployment.now_ms) for _ in range(2)]
    rings = [deployment.instance(store=database.signing_keys) for database in databases]
    try:
        await asyncio.gather(*(ring.load() for ring in rings))
        await asyncio.gather(*(ring.ensure(workspace_id="default", alg=SigningAlg.ES256) for ring in rings))
        yield rings
    finally:
        for database in databases:
            await database.close()


def test_rot_01_one_rotation_wins_on_sqlite(tmp_path: Path) -> None:
    """ROT-01: ten rotations at one moment in two processes make one key, and both agree on it."""

    async def scenario() -> None:
        async with two_instances(Deployment(), tmp_path) as rings:
            await asyncio.gather(
                *(rings[n % 2].rotate(workspace_id="default", alg=SigningAlg.ES256) for n in range(10))
            )
            assert len(rings[0].list()) == 3
            assert rings[0].list() == rings[1].list()
            assert rings[0].jwks() == rings[1].jwks()

    asyncio.run(scenario())


def test_the_whole_life_on_sqlite(tmp_path: Path) -> None:
    """ROT-02, ROT-03, ROT-04: next, active, retiring, gone and revoked survive the way through the database."""

    async def scenario() -> None:
        deployment = Deployment()
        async with two_instances(deployment, tmp_path) as (ring, other):
            token = deployment.token(ring)
            first = other.verify(token).kid
            await ring.rotate(workspace_id="default", alg=SigningAlg.ES256)
            second = only(ring.list(), KeyState.ACTIVE).kid
            await ring.revoke(second)
            deployment.advance(POLICY.longest_token_seconds + POLICY.leeway_seconds)
            await other.load()
            await other.tick()
            assert first not in {key.kid for key in other.list()}
            assert [key.kid for key in other.list() if key.revoked_at is not None] == [second]
            assert other.verify(deployment.token(other)).kid not in {first, second}
            with pytest.raises(UntrustedToken):
                other.verify(token)

    asyncio.run(scenario())

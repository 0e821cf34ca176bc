"""Acknowledging what somebody else has stored: nobody may miss it from then on."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from authserver.core.errors import TemporarilyUnavailable
from tests.revocation.test_completeness import Instance, World


async def stored_and_untold(world: World) -> None:
    """Have a revocation stored by an instance that ends before it can tell anybody; `a` finds it by itself."""
    await world.a.keep()
    assert not await world.b.is_revoked(1)
    shown = world.beacon.mark
    await Instance(world.store, world.beacon).revoke(1)
    world.beacon.mark = shown
    await world.a.revocations.follow()


def test_a_confirmed_revocation_is_known_to_all() -> None:
    """CRASH-01: what was found stored and is acknowledged, the other instances refuse in their very next answer."""

    async def scenario() -> None:
        world = World()
        await stored_and_untold(world)
        assert not await world.b.is_revoked(1)
        await world.a.revocations.confirm()
        assert await world.b.is_revoked(1)

    with structlog.testing.capture_logs():
        asyncio.run(scenario())


def test_nothing_is_confirmed_without_the_database() -> None:
    """CRASH-01: where the revocation stands is what the others are told; who cannot ask does not acknowledge."""

    async def scenario() -> None:
        world = World()
        await stored_and_untold(world)
        world.store.away = True
        with pytest.raises(TemporarilyUnavailable):
            await world.a.revocations.confirm()
        world.store.away = False
        await world.a.revocations.confirm()
        assert await world.b.is_revoked(1)

    with structlog.testing.capture_logs():
        asyncio.run(scenario())

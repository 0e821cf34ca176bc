"""Who keeps the beacon lit: whoever sees both it and the database, and nobody else."""

from __future__ import annotations

import pytest

from authserver.core.errors import TemporarilyUnavailable
from tests.revocation.test_completeness import Instance, MemoryBeacon, World, play


def test_the_keeper_puts_right_what_another_could_not_raise() -> None:
    """RDS-14: a step that was stored and never shown is shown by whoever sees both; nobody else misses it."""

    async def scenario(world: World) -> None:
        other = Instance(world.store, MemoryBeacon())  # it sees another beacon: ours is lost to it
        assert not await world.b.is_revoked(1)
        await other.revoke(1)
        await Instance(world.store, world.beacon).keep()
        world.store.away = True
        with pytest.raises(TemporarilyUnavailable):
            await world.b.is_revoked(1)
        world.store.away = False
        assert await world.b.is_revoked(1)

    play(scenario)


def test_nobody_lights_what_he_has_not_looked_at() -> None:
    """RDS-14: without the database a keeper shows nothing and says so; a gate never lights anything."""

    async def scenario(world: World) -> None:
        await world.a.revoke(1)
        assert await world.b.is_revoked(1)
        world.beacon.mark, world.beacon.lit = None, 0
        await world.b.is_revoked(1)
        world.store.away = True
        keeper = Instance(world.store, world.beacon)
        with pytest.raises(TemporarilyUnavailable):
            await keeper.keep()
        assert (world.beacon.mark, world.beacon.lit) == (None, 0)

    play(scenario)


def test_the_keeper_follows_without_the_beacon() -> None:
    """RDS-02: while the beacon is away its keeper looks at the database all the same."""

    async def scenario(world: World) -> None:
        await world.a.revoke(1)
        world.beacon.away = True
        await world.b.keep()
        assert world.b.revocations.position == 1

    play(scenario)


def test_many_looks_light_it_once() -> None:
    """RDS-10: however often the database is looked at, the beacon is lit a few times a second."""

    async def scenario(world: World) -> None:
        keeper, world.beacon.lit = Instance(world.store, world.beacon), 0
        reads = world.store.reads
        for _ in range(20):
            await keeper.keep()
        assert world.store.reads == reads + 20
        assert world.beacon.lit == 1

    play(scenario)

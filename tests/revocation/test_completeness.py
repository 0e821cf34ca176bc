"""Whether memory is complete: what the beacon shows, and what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
import structlog

from authserver.core.errors import TemporarilyUnavailable
from authserver.core.ports import Mark
from authserver.core.revocation import Revocation
from authserver.revocation import service as service_module
from authserver.revocation.completeness import BeaconGate, BeaconKeeper
from authserver.revocation.service import RevocationService
from tests.core.test_revocation_index import START_MS, token_of
from tests.revocation.lives import lives
from tests.revocation.test_service import Store


class CountedStore(Store):
    """A store that can be away, and counts who reads it."""

    reads = 0
    away = False

    async def since(self, sequence: int) -> AsyncIterator[Sequence[Revocation]]:
        """Yield what follows."""
        self.reads += 1
        if self.away:
            raise TemporarilyUnavailable("away")
        async for batch in super().since(sequence):
            yield batch


class MemoryBeacon:
    """A beacon in memory that goes out when told to, which tests/storage/test_redis_beacon.py shows in Redis."""

    def __init__(self) -> None:
        self.mark: Mark | None = None
        self.away = False
        self.reads = 0
        self.lit = 0
        self._epochs = 0

    async def read(self) -> Mark | None:
        """Return what it shows."""
        self.reads += 1
        self._require()
        return self.mark

    async def time_ms(self) -> int:
        """Return a time."""
        self._require()
        return START_MS

    async def raise_to(self, sequence: int, *, seen_after_ms: int | None = None) -> None:
        """Show the greater; be lit by who has seen the database."""
        self._require()
        if seen_after_ms is not None:
            self.lit += 1
            if self.mark is None:
                self._epochs += 1
                self.mark = Mark(f"epoch {self._epochs}", sequence)
        if self.mark is not None:
            self.mark = Mark(self.mark.epoch, max(self.mark.sequence, sequence))

    async def announce(self) -> None:
        """Tell nobody."""
        self._require()

    async def heard(self) -> AsyncIterator[None]:
        """Hear nothing."""
        yield

    def _require(self) -> None:
        if self.away:
            raise TemporarilyUnavailable("away")


class Instance:
    """One process: its memory, behind its gate."""

    def __init__(self, store: Store, beacon: MemoryBeacon) -> None:
        self.revocations = RevocationService(
            store=store, clock=lambda: START_MS, longest_life=lives(3600), leeway_seconds=60, beacon=beacon
        )
        self._gate = BeaconGate(beacon=beacon, revocations=self.revocations)
        self.keep = BeaconKeeper(beacon=beacon, revocations=self.revocations, look=self.revocations.follow)

    async def revoke(self, number: int) -> None:
        """Revoke one token."""
        jti = token_of(0, START_MS + number, jti_of(number)).jti
        await self.revocations.revoke_token(
            jti=jti, expires_at=START_MS // 1000 + 3600, workspace_id="default", actor="test"
        )

    async def is_revoked(self, number: int) -> bool:
        """Answer as introspection does."""
        await self._gate.require_complete()
        return self.revocations.is_revoked(token_of(0, START_MS + number, jti_of(number)))


class World:
    """Two instances, one store, one beacon that is lit."""

    def __init__(self) -> None:
        self.store = CountedStore()
        self.beacon = MemoryBeacon()
        self.a = Instance(self.store, self.beacon)
        self.b = Instance(self.store, self.beacon)


def jti_of(number: int) -> str:
    """Return the same jti for the same number: a UUIDv7 of its millisecond."""
    head = f"{START_MS + number:012x}"
    return f"{head[:8]}-{head[8:]}-7000-8000-{number:012x}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "UNTOLD_SECONDS", 0.01)


def play(scenario: Callable[[World], Awaitable[None]]) -> None:
    """Run a scenario in a world of its own."""

    async def run() -> None:
        world = World()
        await world.a.keep()
        await scenario(world)

    with structlog.testing.capture_logs():
        asyncio.run(run())


def test_the_next_answer_knows() -> None:
    """P1: what one instance has acknowledged, the other refuses in its very next answer."""

    async def scenario(world: World) -> None:
        for number in range(20):
            assert not await world.b.is_revoked(number)
            await world.a.revoke(number)
            assert await world.b.is_revoked(number)

    play(scenario)


def test_a_still_beacon_spares_the_database() -> None:
    """RDS-10: while nothing is revoked, checks read the beacon and never the database; many share one look."""

    async def scenario(world: World) -> None:
        await world.a.revoke(1)
        await world.b.is_revoked(1)
        world.store.reads, world.beacon.reads = 0, 0
        world.store.away = True
        for _ in range(5):
            assert all(await asyncio.gather(*(world.b.is_revoked(1) for _ in range(50))))
        assert world.store.reads == 0
        assert world.beacon.reads == 5

    play(scenario)


def test_without_the_beacon_the_database_answers() -> None:
    """RDS-02: a beacon that is away costs a query for each look, and hides nothing."""

    async def scenario(world: World) -> None:
        world.beacon.away = True
        for number in range(5):
            await world.a.revoke(number)
            assert await world.b.is_revoked(number)

    play(scenario)


def test_without_both_nobody_knows() -> None:
    """INT-10: neither beacon nor database: no answer at all, about any token."""

    async def scenario(world: World) -> None:
        await world.a.revoke(1)
        world.beacon.away = world.store.away = True
        for number in (1, 2):
            with pytest.raises(TemporarilyUnavailable):
                await world.a.is_revoked(number)

    play(scenario)


def test_a_beacon_that_shows_something_else_is_not_believed_without_the_database() -> None:
    """RDS-04: emptied, replaced or ahead, and the database away: nobody knows."""

    async def scenario(world: World) -> None:
        await world.a.revoke(1)
        await world.b.is_revoked(1)
        world.store.away = True
        for mark in (None, Mark("another", 1), Mark("epoch 1", 0), Mark("epoch 1", 2)):
            world.beacon.mark = mark
            with pytest.raises(TemporarilyUnavailable):
                await world.b.is_revoked(1)

    play(scenario)


@pytest.mark.parametrize("mark", [None, Mark("another", 0), Mark("epoch 1", 0), Mark("another", 99)])
def test_it_is_put_right(mark: Mark | None) -> None:
    """RDS-04: after one look at the database a beacon that knew less shows all, and is believed again."""

    async def scenario(world: World) -> None:
        for number in range(3):
            await world.a.revoke(number)
        assert await world.b.is_revoked(2)
        world.beacon.mark = mark
        assert await world.b.is_revoked(2)
        await Instance(world.store, world.beacon).keep()
        assert world.beacon.mark is not None
        assert world.beacon.mark.sequence >= 3
        await world.a.revoke(7)
        assert await world.b.is_revoked(7)

    play(scenario)


def test_one_that_is_behind_is_put_right_by_the_next_answer() -> None:
    """RDS-04: a beacon that shows an older step is raised by whoever knows better, whoever keeps it."""

    async def scenario(world: World) -> None:
        await world.a.revoke(1)
        assert await world.b.is_revoked(1)
        world.beacon.mark = Mark("epoch 1", 0)
        assert await world.b.is_revoked(1)
        assert world.beacon.mark == Mark("epoch 1", 1)

    play(scenario)


def test_a_beacon_that_went_out_is_not_believed() -> None:
    """RDS-14: when nobody sees both any more it goes out, and who has lost the database admits it."""

    async def scenario(world: World) -> None:
        assert not await world.b.is_revoked(1)
        world.beacon.mark = None
        assert not await world.b.is_revoked(1)
        world.store.away = True
        with pytest.raises(TemporarilyUnavailable):
            await world.b.is_revoked(1)

    play(scenario)


def test_what_comes_back_is_not_believed_at_once() -> None:
    """RDS-04: a Redis that was away may show its old epoch and an old step: the database is asked first."""

    async def scenario(world: World) -> None:
        await world.a.revoke(1)
        assert await world.b.is_revoked(1)
        old = world.beacon.mark
        world.beacon.away = True
        assert await world.b.is_revoked(1)
        world.beacon.away = False
        await world.a.revoke(2)
        world.beacon.mark = old  # the last step was lost with the machine
        assert await world.b.is_revoked(2)

    play(scenario)


def test_a_retry_tells_the_others_too() -> None:
    """CRASH-01: stored, then killed before anybody was told: who retries elsewhere is acknowledged and believed."""

    async def scenario(world: World) -> None:
        await world.a.revoke(1)
        assert await world.b.is_revoked(1)
        world.beacon.away = True  # as if the process ended here
        with suppress(TemporarilyUnavailable):
            await world.a.revoke(2)
        world.beacon.away = False
        other = Instance(world.store, world.beacon)
        await other.revoke(2)
        assert await world.b.is_revoked(2)

    play(scenario)


def test_an_acknowledgement_waits_until_the_others_have_looked() -> None:
    """RDS-14: while the beacon cannot be raised, a 200 comes no sooner than the others' own look at the database."""

    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        world.beacon.away = True
        started = loop.time()
        await world.a.revoke(1)
        assert loop.time() - started >= 0.01

    play(scenario)

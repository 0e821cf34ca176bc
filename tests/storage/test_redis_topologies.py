"""The beacon where Redis is more than one server: under a Sentinel and in a cluster."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from authserver.core.errors import TemporarilyUnavailable
from authserver.storage.redis_beacon import RedisBeacon
from tests.redis_server import start_cluster, start_sentinel, unavailable
from tests.storage.beacons import HEAD, lit, met, with_beacon

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=unavailable() or "")


# redis-py's Sentinel client leaves the connections of a primary that died to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_failover_is_followed() -> None:
    """RDS-08: when a Sentinel makes the replica the primary, the beacon is lit there."""

    async def scenario(beacon: RedisBeacon) -> None:
        await met(beacon)
        await lit(beacon, 9)
        watched.primary.kill()
        deadline = time.monotonic() + 15
        while True:
            try:
                assert (await lit(beacon, 10)).sequence == 10
                break
            except TemporarilyUnavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)

    with start_sentinel() as watched:
        with_beacon(watched.url, scenario)
        assert watched.primary_port() == watched.replica.port
    gc.collect()  # here, and not in whatever test comes next


# redis-py's cluster client leaves the connections of a node that hung to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster() -> None:
    """RDS-08: in a cluster hash and channel lie in one slot; a lost node is unavailable, and used again when back."""

    async def scenario(beacon: RedisBeacon) -> None:
        await met(beacon)
        await beacon.check_policy()
        assert (await lit(beacon, 4)).sequence == 4
        owner = cluster.owner_of(HEAD)
        owner.suspend()
        started = time.monotonic()
        with pytest.raises(TemporarilyUnavailable):
            await beacon.read()
        assert time.monotonic() - started < 1
        owner.resume()
        await met(beacon)
        assert beacon.is_up
        assert (await lit(beacon, 4)).sequence == 4

    with start_cluster() as cluster:
        with_beacon(cluster.url, scenario)
    gc.collect()  # here, and not in whatever test comes next


def test_a_cluster_speaks() -> None:
    """RDS-09: an announcement in a cluster is heard."""

    async def scenario(beacon: RedisBeacon) -> None:
        await met(beacon)
        heard = beacon.heard()
        await asyncio.wait_for(anext(heard), 3)
        await beacon.raise_to(1)
        await asyncio.wait_for(anext(heard), 3)
        await heard.aclose()  # type: ignore[attr-defined]

    with start_cluster() as cluster:
        with_beacon(cluster.url, scenario)

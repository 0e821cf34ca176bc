"""The beacon on a real Redis: what it shows, for how long, and what it makes of everything that can be wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import structlog

from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.core.ports import LEASE_SECONDS, Mark
from authserver.storage.redis_beacon import RedisBeacon
from tests.redis_server import RedisServer, start_redis, unavailable
from tests.storage.beacons import HEAD, lit, with_beacon

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=unavailable() or "")

LEASE_MS = 1000 * LEASE_SECONDS


@pytest.fixture(scope="module")
def _redis() -> Iterator[RedisServer]:
    with start_redis() as server:
        yield server


@pytest.fixture
def redis(_redis: RedisServer) -> RedisServer:
    """Return an empty server."""
    _redis.command("FLUSHALL")
    return _redis


def test_an_empty_one_shows_nothing_until_it_is_lit(redis: RedisServer) -> None:
    """RDS-04: an emptied Redis is recognised, and gets an epoch that it never had."""

    async def scenario(beacon: RedisBeacon) -> None:
        assert await beacon.read() is None
        first = await lit(beacon, 5)
        assert first == Mark(first.epoch, 5)
        redis.command("FLUSHALL")
        assert await beacon.read() is None
        assert (await lit(beacon, 5)).epoch != first.epoch

    with_beacon(redis.url, scenario)


def test_it_never_goes_back(redis: RedisServer) -> None:
    """RDS-12: raised in any order, any number of times, it shows the greatest; the epoch stays."""

    async def scenario(beacon: RedisBeacon) -> None:
        first = await lit(beacon, 0)
        await asyncio.gather(*(beacon.raise_to(n % 50) for n in range(100)))
        assert await beacon.read() == Mark(first.epoch, 49)
        await beacon.raise_to(7)
        assert await beacon.read() == Mark(first.epoch, 49)

    with_beacon(redis.url, scenario)


def test_it_goes_out(redis: RedisServer) -> None:
    """RDS-14: it is lit for the lease and no longer, counted from before the database was asked."""

    async def scenario(beacon: RedisBeacon) -> None:
        await lit(beacon, 1, age_ms=500)
        assert 0 < redis.command("PTTL", HEAD) <= LEASE_MS - 500
        await lit(beacon, 1)
        assert LEASE_MS - 500 < redis.command("PTTL", HEAD) <= LEASE_MS
        deadline = time.monotonic() + LEASE_SECONDS + 0.2
        while await beacon.read() is not None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    with_beacon(redis.url, scenario)


def test_only_who_knows_all_keeps_it_lit(redis: RedisServer) -> None:
    """RDS-14: neither who knows less, nor who looked too long ago, nor who did not look at all prolongs its light."""

    async def scenario(beacon: RedisBeacon) -> None:
        first = await lit(beacon, 3, age_ms=300)
        ends_at = redis.command("PEXPIRETIME", HEAD)
        await lit(beacon, 2)
        await lit(beacon, 3, age_ms=400)
        await lit(beacon, 3, age_ms=60_000)
        await beacon.raise_to(3)
        assert await beacon.read() == first
        await beacon.raise_to(4)
        assert await beacon.read() == Mark(first.epoch, 4)
        assert redis.command("PEXPIRETIME", HEAD) == ends_at
        await lit(beacon, 4)
        assert redis.command("PEXPIRETIME", HEAD) > ends_at

    with_beacon(redis.url, scenario)


def test_a_step_shown_while_it_is_out_is_not_hidden_by_who_is_late(redis: RedisServer) -> None:
    """RACE-03: raised while it is out, it stays out for whoever had looked before, and is lit by who knows all."""

    async def scenario(beacon: RedisBeacon) -> None:
        asked_at_ms = await beacon.time_ms()
        await beacon.raise_to(5)
        assert await beacon.read() is None
        await beacon.raise_to(4, seen_after_ms=asked_at_ms)
        assert await beacon.read() is None
        assert 0 < redis.command("PTTL", HEAD) <= LEASE_MS
        assert (await lit(beacon, 5)).sequence == 5
        assert 0 < redis.command("PTTL", HEAD) <= LEASE_MS

    with_beacon(redis.url, scenario)


@pytest.mark.parametrize("fields", [("epoch", "e", "sequence", "9"), ("sequence", "1"), ("epoch", "e")])
def test_a_light_without_an_end_gets_one(redis: RedisServer, fields: tuple[str, ...]) -> None:
    """RDS-04, RDS-14: a hash that somebody else wrote, whole or not, goes out like any other and is lit again."""

    async def scenario(beacon: RedisBeacon) -> None:
        redis.command("HSET", HEAD, *fields)
        await beacon.raise_to(1)
        assert 0 < redis.command("PTTL", HEAD) <= LEASE_MS
        deadline = time.monotonic() + 2 * LEASE_SECONDS
        mark = None
        while mark is None or mark.sequence != 1:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
            await beacon.raise_to(1, seen_after_ms=await beacon.time_ms())
            mark = await beacon.read()

    with_beacon(redis.url, scenario)


def test_without_an_end_it_is_not_lit(redis: RedisServer) -> None:
    """RDS-08, RDS-14: where setting an expiry is forbidden nothing is lit at all."""

    async def scenario(beacon: RedisBeacon) -> None:
        with pytest.raises(TemporarilyUnavailable):
            await lit(beacon, 1)
        assert redis.command("EXISTS", HEAD) == 0

    redis.command("ACL", "SETUSER", "default", "-pexpireat")
    try:
        with_beacon(redis.url, scenario)
    finally:
        redis.command("ACL", "SETUSER", "default", "+pexpireat")


def test_one_that_cannot_be_written_is_read_and_reported_once(redis: RedisServer) -> None:
    """RDS-08: a read-only Redis is not up; that is said once, however often it is read; back, it is used again."""

    async def scenario(beacon: RedisBeacon) -> None:
        mark = await lit(beacon, 1)
        redis.command("REPLICAOF", "127.0.0.1", "1")
        for _ in range(5):
            with pytest.raises(TemporarilyUnavailable):
                await beacon.raise_to(2)
            assert await beacon.read() in {mark, None}
            assert not beacon.is_up
        redis.command("REPLICAOF", "NO", "ONE")
        deadline = time.monotonic() + 2
        while not beacon.is_up:
            assert time.monotonic() < deadline
            with suppress(TemporarilyUnavailable):
                await beacon.raise_to(2)
            await asyncio.sleep(0.05)

    with structlog.testing.capture_logs() as lines:
        with_beacon(redis.url, scenario)
    assert [line["event"] for line in lines] == ["redis.writes.unavailable", "redis.writes.back"]


def test_only_news_is_told(redis: RedisServer) -> None:
    """RDS-10: who keeps it lit wakes nobody up."""

    async def scenario(beacon: RedisBeacon) -> None:
        redis.command("CONFIG", "RESETSTAT")
        for sequence in (1, 1, 1, 2, 1, 2):
            await lit(beacon, sequence)
        assert redis.command("INFO", "commandstats")["cmdstat_publish"]["calls"] == 2

    with_beacon(redis.url, scenario)


def test_everybody_hears(redis: RedisServer) -> None:
    """RDS-09: a listener hears each step and each announcement, and is told to look when its connection was lost."""

    async def scenario(beacon: RedisBeacon) -> None:
        heard = beacon.heard()

        async def hear() -> None:
            await asyncio.wait_for(anext(heard), 3)

        await hear()  # what was said before it listened
        await beacon.raise_to(3)
        await hear()
        await beacon.announce()
        await hear()
        redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        await hear()
        await heard.aclose()  # type: ignore[attr-defined]

    with_beacon(redis.url, scenario)


@pytest.mark.parametrize(
    ("command", "undo"),
    [
        (("SET", HEAD, "text"), ("DEL", HEAD)),
        (("HSET", HEAD, "epoch", "e", "sequence", "many"), ("DEL", HEAD)),
        (("ACL", "SETUSER", "default", "-hmget"), ("ACL", "SETUSER", "default", "+hmget")),
    ],
    ids=["WRONGTYPE", "nonsense", "NOPERM"],
)
def test_whatever_makes_no_sense_is_unavailable(
    redis: RedisServer, command: tuple[str, ...], undo: tuple[str, ...]
) -> None:
    """RDS-08: an answer that cannot be believed is none."""

    async def scenario(beacon: RedisBeacon) -> None:
        with pytest.raises(TemporarilyUnavailable):
            await beacon.read()

    redis.command(*command)
    try:
        with_beacon(redis.url, scenario)
    finally:
        redis.command(*undo)


def test_a_wrong_password_is_unavailable_and_not_repeated() -> None:
    """RDS-08, LOG-03: NOAUTH is mapped, and neither error nor log repeats the password."""

    async def scenario(beacon: RedisBeacon) -> None:
        with pytest.raises(TemporarilyUnavailable) as caught:
            await beacon.read()
        assert "hunter2" not in repr(caught.value)

    with start_redis() as server, structlog.testing.capture_logs() as lines:
        server.command("CONFIG", "SET", "requirepass", "secret")
        with_beacon(f"redis://:hunter2@127.0.0.1:{server.port}", scenario)
        server.password = "secret"
    assert "hunter2" not in str(lines)


@pytest.mark.parametrize("policy", ["volatile-lru", "allkeys-lru", "allkeys-random", "volatile-ttl"])
def test_an_evicting_policy_is_refused(redis: RedisServer, policy: str) -> None:
    """RDS-06: a Redis that may evict is refused in one line that says what to set; a good one is not."""

    async def scenario(beacon: RedisBeacon) -> None:
        with pytest.raises(ConfigurationError, match=f"maxmemory-policy {policy}.*set maxmemory-policy to noeviction"):
            await beacon.check_policy()
        redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await beacon.check_policy()

    redis.command("CONFIG", "SET", "maxmemory-policy", policy)
    with_beacon(redis.url, scenario)


@pytest.mark.parametrize(
    "url", ["http://h", "redis+sentinel://h:1/0", "redis://h:port", "redis+cluster://h:x", "nonsense:hunter2", ""]
)
def test_a_url_that_cannot_be_understood(url: str) -> None:
    """RDS-01: one line that names the setting and never the URL."""
    with pytest.raises(ConfigurationError) as caught:
        RedisBeacon(url=url)
    assert "AUTHSERVER_REDIS_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_hung_one_is_given_up_soon_and_met_once() -> None:
    """RDS-03: the first to ask waits 200 ms; all others not at all; what comes back is used within a second."""

    async def scenario(beacon: RedisBeacon, server: RedisServer) -> None:
        await beacon.raise_to(1)
        server.suspend()
        seconds = [await refused(beacon) for _ in range(100)]
        assert 0.1 < seconds[0] < 1  # a second and more is redis-py's own way
        assert sorted(seconds)[len(seconds) // 2] < 0.05
        await asyncio.sleep(0.6)
        assert await refused(beacon) < 0.05  # tried aside
        server.resume()
        started = time.monotonic()
        while not beacon.is_up:
            await asyncio.sleep(0.02)
            if not beacon.is_up:
                await refused(beacon)
        assert time.monotonic() - started < 3

    async def refused(beacon: RedisBeacon) -> float:
        started = time.monotonic()
        with pytest.raises(TemporarilyUnavailable):
            await beacon.read()
        return time.monotonic() - started

    with start_redis() as server:
        with_beacon(server.url, lambda beacon: scenario(beacon, server))

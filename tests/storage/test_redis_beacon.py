"""The beacon on a real Redis, alone, under a Sentinel and in a cluster; and the circuit breaker."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog

from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.core.ports import Mark
from authserver.storage import redis_client
from authserver.storage.redis_beacon import RedisBeacon
from authserver.storage.redis_client import Breaker
from tests.redis_server import RedisServer, start_cluster, start_redis, start_sentinel, unavailable

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=unavailable() or "")

HEAD = "{authserver}:revocations:head"


@pytest.fixture(scope="module")
def _redis() -> Iterator[RedisServer]:
    with start_redis() as server:
        yield server


@pytest.fixture
def redis(_redis: RedisServer) -> RedisServer:
    """Return an empty server."""
    _redis.command("FLUSHALL")
    return _redis


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisBeacon]:
    """Open a beacon and close it."""
    beacon = RedisBeacon(url=url)
    try:
        yield beacon
    finally:
        await beacon.close()


def with_beacon(url: str, scenario: Callable[[RedisBeacon], Awaitable[None]]) -> None:
    """Run a scenario on a beacon of its own."""

    async def run() -> None:
        async with opened(url) as beacon:
            await scenario(beacon)

    asyncio.run(run())


def test_an_empty_one_shows_nothing_until_it_is_raised(redis: RedisServer) -> None:
    """RDS-04: an emptied Redis is recognised, and gets an epoch that it never had."""

    async def scenario(beacon: RedisBeacon) -> None:
        assert await beacon.read() is None
        first = await beacon.raise_to(5)
        assert await beacon.read() == first == Mark(first.epoch, 5)
        redis.command("FLUSHALL")
        assert await beacon.read() is None
        assert (await beacon.raise_to(5)).epoch != first.epoch

    with_beacon(redis.url, scenario)


def test_it_never_goes_back(redis: RedisServer) -> None:
    """RDS-12: raised in any order, any number of times, it shows the greatest; the epoch stays."""

    async def scenario(beacon: RedisBeacon) -> None:
        marks = await asyncio.gather(*(beacon.raise_to(n % 50) for n in range(100)))
        assert len({mark.epoch for mark in marks}) == 1
        assert (await beacon.raise_to(7)).sequence == 49

    with_beacon(redis.url, scenario)


def test_everybody_hears(redis: RedisServer) -> None:
    """RDS-09: a listener hears each step and each announcement, and is told to look when its connection was lost."""

    async def scenario(beacon: RedisBeacon) -> None:
        heard = beacon.heard()

        async def hear() -> None:
            await asyncio.wait_for(anext(heard), 3)

        await hear()  # what was said before it listened
        for speak in (lambda: beacon.raise_to(3), beacon.announce):
            await speak()
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
        assert seconds[0] < 0.3
        assert max(seconds[1:]) < 0.05
        await asyncio.sleep(0.6)
        assert await refused(beacon) < 0.05  # tried aside
        server.resume()
        started = time.monotonic()
        while not beacon.is_up:
            await asyncio.sleep(0.02)
            if not beacon.is_up:
                await refused(beacon)
        assert time.monotonic() - started < 1.5

    async def refused(beacon: RedisBeacon) -> float:
        started = time.monotonic()
        with pytest.raises(TemporarilyUnavailable):
            await beacon.read()
        return time.monotonic() - started

    with start_redis() as server:
        with_beacon(server.url, lambda beacon: scenario(beacon, server))


def test_a_failover_is_followed() -> None:
    """RDS-08: when a Sentinel makes the replica the primary, the beacon goes on there; its epoch is the same."""

    async def scenario(beacon: RedisBeacon) -> None:
        mark = await beacon.raise_to(9)
        assert watched.primary.command("WAIT", 1, 2000) == 1  # replicated
        watched.primary.kill()
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            try:
                assert (await beacon.raise_to(10)) == Mark(mark.epoch, 10)
                break
            except TemporarilyUnavailable:
                await asyncio.sleep(0.1)
        assert await beacon.read() == Mark(mark.epoch, 10)

    with start_sentinel() as watched:
        with_beacon(watched.url, scenario)
        assert watched.primary_port() == watched.replica.port


# redis-py's cluster client leaves the connections of a node that hung to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster() -> None:
    """RDS-08: in a cluster hash and channel lie in one slot; a lost node is unavailable, and used again when back."""

    async def scenario(beacon: RedisBeacon) -> None:
        await beacon.check_policy()
        mark = await beacon.raise_to(4)
        assert await beacon.read() == Mark(mark.epoch, 4)
        owner = cluster.owner_of(HEAD)
        owner.suspend()
        started = time.monotonic()
        with pytest.raises(TemporarilyUnavailable):
            await beacon.read()
        assert time.monotonic() - started < 0.3
        owner.resume()
        deadline = time.monotonic() + 5
        while not beacon.is_up and time.monotonic() < deadline:
            with pytest.raises(TemporarilyUnavailable):
                await beacon.read()
            await asyncio.sleep(0.1)
        assert await beacon.read() == Mark(mark.epoch, 4)

    with start_cluster() as cluster:
        with_beacon(cluster.url, scenario)
    gc.collect()  # here, and not in whatever test comes next


def test_a_cluster_speaks() -> None:
    """RDS-09: an announcement in a cluster is heard."""

    async def scenario(beacon: RedisBeacon) -> None:
        heard = beacon.heard()
        await asyncio.wait_for(anext(heard), 3)
        await beacon.raise_to(1)
        await asyncio.wait_for(anext(heard), 3)
        await heard.aclose()  # type: ignore[attr-defined]

    with start_cluster() as cluster:
        with_beacon(cluster.url, scenario)


def test_the_breaker_tries_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """RDS-03: nobody waits while the circuit is open, one command is tried aside; both turns are logged."""
    monkeypatch.setattr(redis_client, "OPEN_SECONDS", 0.05)

    async def run() -> None:
        breaker, tried, healthy = Breaker(name="redis"), 0, False

        async def command() -> str:
            nonlocal tried
            tried += 1
            await asyncio.sleep(0.01)
            if not healthy:
                raise OSError
            return "reply"

        for _ in range(3):
            with pytest.raises(TemporarilyUnavailable):
                await breaker.call(command)
        assert (tried, breaker.is_open) == (1, True)
        healthy = True
        await asyncio.sleep(0.06)
        for _ in range(5):
            with pytest.raises(TemporarilyUnavailable):
                await breaker.call(command)
        await asyncio.sleep(0.03)
        assert (tried, breaker.is_open) == (2, False)
        assert await breaker.call(command) == "reply"
        await breaker.close()

    with structlog.testing.capture_logs() as lines:
        asyncio.run(run())
    assert [line["event"] for line in lines] == ["redis.unavailable", "redis.back"]


def test_closing_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRASH-03: a command that is tried aside when the process ends is given up."""
    monkeypatch.setattr(redis_client, "OPEN_SECONDS", 0.0)

    async def run() -> None:
        breaker = Breaker(name="redis")

        async def fail() -> None:
            raise OSError

        with pytest.raises(TemporarilyUnavailable):
            await breaker.call(fail)
        with pytest.raises(TemporarilyUnavailable):
            await breaker.call(lambda: asyncio.sleep(60))
        await asyncio.sleep(0)
        await breaker.close()
        assert len(asyncio.all_tasks()) == 1

    with structlog.testing.capture_logs():
        asyncio.run(run())

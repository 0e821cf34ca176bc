"""The circuit breaker around Redis: nobody waits for what is known to hang."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from authserver.core.errors import TemporarilyUnavailable
from authserver.storage import redis_client
from authserver.storage.redis_client import Breaker


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

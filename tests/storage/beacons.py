"""Beacons in Redis, as tests open and light them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from authserver.core.errors import TemporarilyUnavailable
from authserver.core.ports import Mark
from authserver.storage.redis_beacon import RedisBeacon

HEAD = "{authserver}:revocations:head"


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


async def met(beacon: RedisBeacon, seconds: float = 15) -> None:
    """Wait until it answers: to find one's way among several servers takes longer than a command may."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await beacon.time_ms()
        except TemporarilyUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        else:
            return


async def lit(beacon: RedisBeacon, sequence: int, *, age_ms: int = 0) -> Mark:
    """Light it, as who looked at the database `age_ms` ago; return what it shows then."""
    await beacon.raise_to(sequence, seen_after_ms=await beacon.time_ms() - age_ms)
    mark = await beacon.read()
    assert mark is not None
    return mark

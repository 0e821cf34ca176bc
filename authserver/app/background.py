"""What happens by itself while the server runs: following the database, keys' schedule, housekeeping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from authserver.app.capabilities import Capabilities
from authserver.core.errors import AuthServerError
from authserver.core.ports import Beacon
from authserver.core.running import running
from authserver.replication.follower import Follower
from authserver.revocation.completeness import BeaconKeeper
from authserver.revocation.pruning import Pruner

KEY_TICK_SECONDS = 5.0
USAGE_FLUSH_SECONDS = 5.0
PRUNE_SECONDS = 60.0


@asynccontextmanager
async def background(capabilities: Capabilities) -> AsyncIterator[None]:
    """Run the tasks until the block is left, then end them."""
    c = capabilities
    listening = [_listen(c.beacon, c.follower)] if c.beacon is not None else []
    async with running(
        *listening,
        c.follower.run(_look(c)),
        every(KEY_TICK_SECONDS, "keys", c.keys.tick),
        every(USAGE_FLUSH_SECONDS, "usage", c.usage.flush),
        every(PRUNE_SECONDS, "prune", Pruner(revocations=c.revocations, clock=c.clock)),
    ):
        yield


def _look(c: Capabilities) -> Callable[[], Awaitable[None]]:
    """Return what looks at the database, and shows on the beacon what was found."""
    if c.beacon is None:
        return c.follower.catch_up
    return BeaconKeeper(beacon=c.beacon, revocations=c.revocations, look=c.follower.catch_up)


async def _listen(beacon: Beacon, follower: Follower) -> None:
    """Look at the database whenever another instance says that something was changed."""
    async for _ in beacon.heard():
        follower.wake()


async def every(seconds: float, name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Repeat `work` for ever; a failure is logged and the next round tries again."""
    log = structlog.get_logger()
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except AuthServerError as error:
            log.warning("background.failed", task=name, reason=error.reason)
        except Exception as error:
            log.error(  # noqa: TRY400 - the processor hides the text of exceptions
                "background.failed", task=name, exc_info=error
            )

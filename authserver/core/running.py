"""Work that goes on beside a block of code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

#: A task that was told to end and has not by then is told again: time enough to put away what it holds.
INSIST_SECONDS = 1.0


@asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run each of `work` as a task until the block is left; then cancel them all and wait for their end.

    What one of them failed with is raised then, not before: work that must go on handles its failures itself.
    """
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        await _end(tasks)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until all have ended; raise what one of them failed with.

    Once is not enough: up to Python 3.11 `asyncio.wait_for`, which redis-py uses for each command, loses a
    cancellation that comes at the moment when what it waits for is done (https://github.com/python/cpython/issues/86296).
    """
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=INSIST_SECONDS)
    for task in tasks:
        with suppress(asyncio.CancelledError):
            task.result()

"""Work beside a block: it ends with the block, whatever it is doing."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from authserver.core.running import running


async def endless(ended: list[bool]) -> None:
    """Work until cancelled, and say so then."""
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(True)


def test_work_ends_with_the_block() -> None:
    """What never ends by itself is cancelled when the block is left."""
    ended: list[bool] = []

    async def scenario() -> None:
        async with running(endless(ended), endless(ended)):
            await asyncio.sleep(0)
            assert not ended

    asyncio.run(asyncio.wait_for(scenario(), 5))
    assert ended == [True, True]


def test_a_cancellation_that_is_lost_is_said_again() -> None:
    """Work that once takes its cancellation for something else still ends, and the block with it."""
    rounds = []

    async def deaf() -> None:
        while True:
            rounds.append(True)
            if len(rounds) <= 2:
                with suppress(asyncio.CancelledError):  # as `asyncio.wait_for` of Python 3.11 may
                    await asyncio.Event().wait()
            else:
                await asyncio.Event().wait()

    async def scenario() -> None:
        async with running(deaf()):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(scenario(), 5))
    assert len(rounds) == 3


def test_what_failed_is_raised() -> None:
    """An error of the work is raised at the end of the block, once all work has ended."""
    ended: list[bool] = []

    async def failing() -> None:
        raise ValueError("broken")

    async def scenario() -> None:
        async with running(failing(), endless(ended)):
            await asyncio.sleep(0)

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(asyncio.wait_for(scenario(), 5))
    assert ended == [True]

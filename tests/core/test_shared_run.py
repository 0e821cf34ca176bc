"""One run for many callers, and never one that started before they asked."""

from __future__ import annotations

import asyncio

import pytest

from authserver.core.shared_run import SharedRun


class Operation:
    """Counts its runs and takes a moment for each."""

    def __init__(self) -> None:
        self.started = 0
        self.ended = 0
        self.error: Exception | None = None

    async def __call__(self) -> None:
        """Run once."""
        self.started += 1
        await asyncio.sleep(0.01)
        self.ended += 1
        if self.error is not None:
            raise self.error


def test_many_callers_share_one() -> None:
    """RDS-10: of a hundred calls at once, one costs something."""

    async def run() -> None:
        operation = Operation()
        shared = SharedRun(operation)
        await asyncio.gather(*(shared() for _ in range(100)))
        assert operation.started == 1

    asyncio.run(run())


def test_nobody_joins_a_run_that_has_started() -> None:
    """REV-14: who asks during a run is told what the next one finds out."""

    async def run() -> None:
        operation = Operation()
        shared = SharedRun(operation)
        first = asyncio.create_task(shared())
        await asyncio.sleep(0.005)
        assert operation.started == 1
        await asyncio.gather(*(shared() for _ in range(10)))
        assert operation.ended == 2
        await first

    asyncio.run(run())


def test_an_error_reaches_all_and_is_over() -> None:
    """INT-10: what fails, fails for everybody who shared it, and not for those who come after."""

    async def run() -> None:
        operation = Operation()
        operation.error = ValueError("once")
        shared = SharedRun(operation)
        told = await asyncio.gather(*(shared() for _ in range(3)), return_exceptions=True)
        assert told == [operation.error] * 3
        operation.error = None
        await shared()

    asyncio.run(run())


def test_the_end_of_the_event_loop_is_the_end() -> None:
    """A run that is cancelled is not begun again for whoever waits: they are cancelled too."""
    started = 0

    async def operation() -> None:
        nonlocal started
        started += 1
        await asyncio.sleep(10)

    async def run() -> None:
        shared = SharedRun(operation)
        first = asyncio.create_task(shared())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        later = asyncio.create_task(shared())
        await asyncio.sleep(0)
        (runner,) = asyncio.all_tasks() - {first, later, asyncio.current_task()}
        runner.cancel()
        outcomes = await asyncio.gather(first, later, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2

    asyncio.run(run())
    assert started == 1


def test_a_caller_that_leaves_takes_nobody_along() -> None:
    """HTTP-08: a caller that is cancelled ends neither the run nor the others' waiting."""

    async def run() -> None:
        operation = Operation()
        shared = SharedRun(operation)
        leaving, staying = asyncio.create_task(shared()), asyncio.create_task(shared())
        await asyncio.sleep(0.005)
        leaving.cancel()
        await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert operation.ended == 1

    asyncio.run(run())

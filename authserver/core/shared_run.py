"""One run of an operation for many callers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class SharedRun:
    """Runs an operation on behalf of everybody who asks before it starts.

    At most one run is under way and one waits. A caller never joins a run that has started: what it is
    told was found out after it asked.
    """

    def __init__(self, operation: Callable[[], Awaitable[None]]) -> None:
        """Run `operation`."""
        self._operation = operation
        self._waiting: asyncio.Future[None] | None = None
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Wait for a run that starts after this call; raise what the operation raises."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            if self._runner is None:
                self._runner = asyncio.create_task(self._run())
        await asyncio.shield(self._waiting)

    async def _run(self) -> None:
        try:
            while self._waiting is not None:
                outcome, self._waiting = self._waiting, None
                await self._run_for(outcome)
        finally:
            self._runner = None
            if self._waiting is not None:  # the event loop is about to end, and nobody runs for them any more
                self._waiting.cancel()
                self._waiting = None

    async def _run_for(self, outcome: asyncio.Future[None]) -> None:
        try:
            await self._operation()
        except asyncio.CancelledError:
            outcome.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 - handed on to every caller
            outcome.set_exception(error)
            outcome.exception()  # a caller that went away is no unheard error
        else:
            outcome.set_result(None)

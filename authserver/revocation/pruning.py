"""When to forget revocations: not while the clock may be wrong, for what is forgotten too early lives again."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from authserver.core.clock import MS_PER_SECOND, Clock
from authserver.revocation.service import RevocationService

#: A step of the clock beyond this is no adjustment.
MAX_STEP_SECONDS = 30

#: How long a clock that was set forward is given to be set back before it is believed.
DOUBT_SECONDS = 3600


class Pruner:
    """Prunes, but for an hour after the clock was set forward: the entries of living tokens would go."""

    def __init__(
        self, *, revocations: RevocationService, clock: Clock, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        """Compare `clock` with `elapsed` (seconds), which nobody can set, at every call."""
        self._revocations = revocations
        self._clock = clock
        self._elapsed = elapsed
        self._offset_seconds = self._measure()
        self._doubted_until = elapsed()
        self._log = structlog.get_logger()

    async def __call__(self) -> None:
        """Prune if the clock is beyond doubt; raise TemporarilyUnavailable."""
        before, self._offset_seconds = self._offset_seconds, self._measure()
        step_seconds = self._offset_seconds - before
        if step_seconds > MAX_STEP_SECONDS:
            self._doubted_until = self._elapsed() + DOUBT_SECONDS
            self._log.warning("clock.set_forward", seconds=round(step_seconds))
        if self._elapsed() >= self._doubted_until:
            await self._revocations.prune()

    def _measure(self) -> float:
        return self._clock() / MS_PER_SECOND - self._elapsed()

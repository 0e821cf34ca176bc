"""A brake on token scanning (RFC 7662 §4): how many unknown tokens one caller may introspect in a minute."""

from __future__ import annotations

from collections.abc import Callable

from authserver.core.clock import Clock, seconds
from authserver.core.errors import TooManyRequests

WINDOW_SECONDS = 60


class MissBudget:
    """Counts misses of each caller in windows of a minute. Callers are authenticated clients, so few."""

    def __init__(self, *, limit: int, clock: Clock, alarm: Callable[[str], None]) -> None:
        """Allow `limit` misses a minute; call `alarm` with the caller once a window when they are used up."""
        self._limit = limit
        self._clock = clock
        self._alarm = alarm
        self._window = 0
        self._misses: dict[str, int] = {}

    def require(self, caller: str) -> None:
        """Raise TooManyRequests when the caller's budget of this minute is used up."""
        self._turn()
        if self._misses.get(caller, 0) >= self._limit:
            raise TooManyRequests("too many unknown tokens introspected")

    def count(self, caller: str) -> None:
        """Count one miss."""
        self._turn()
        misses = self._misses[caller] = self._misses.get(caller, 0) + 1
        if misses == self._limit:
            self._alarm(caller)

    def _turn(self) -> None:
        window = seconds(self._clock()) // WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._misses.clear()

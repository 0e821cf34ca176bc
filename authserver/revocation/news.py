"""The newest revocations in their order, for those who follow them, and the bell that wakes those who wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile

from authserver.core.revocation import BEGINNING, Place, Revocation

CAPACITY = 10_000


class News:
    """The last entries that came in, without a gap, up to `position`."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        """Hold up to `capacity` entries."""
        self._entries: deque[Revocation] = deque(maxlen=capacity)
        self._bell = asyncio.Event()
        self._closed = False
        self.position = 0

    def extend(self, entries: Sequence[Revocation]) -> None:
        """Add entries in their order, those that are known already left out; ring the bell."""
        fresh = [entry for entry in entries if entry.sequence > self.position]
        if fresh:
            self._entries.extend(fresh)
            self.position = fresh[-1].sequence
            self.ring()

    def forget(self) -> None:
        """Begin again: the positions given until now are those of a database that is no more."""
        self._entries.clear()
        self.position = 0

    @property
    def place(self) -> Place:
        """Return where somebody stands who has read everything."""
        return self._entries[-1].place if self._entries else BEGINNING

    def since(self, sequence: int) -> Sequence[Revocation] | None:
        """Return the entry of that sequence and all after it, None when memory does not reach back that far."""
        if not self._entries or not self._entries[0].sequence <= sequence <= self.position:
            return None
        newest_first = takewhile(lambda entry: entry.sequence >= sequence, reversed(self._entries))
        return list(newest_first)[::-1]

    async def wait(self, seconds: float) -> float:
        """Return when the bell rings, or after `seconds`, or when the server stops: the seconds that it took."""
        if self._closed:
            return 0.0
        clock = asyncio.get_running_loop().time
        began = clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        return clock() - began

    def close(self) -> None:
        """Let everybody go who waits, now and later."""
        self._closed = True
        self.ring()

    def ring(self) -> None:
        """Wake everybody who waits: there are entries, or published keys, that were not there before."""
        self._bell.set()
        self._bell = asyncio.Event()

"""Whether this process knows every revocation that was acknowledged, by any instance, before this moment.

The beacon shows the sequence of the newest revocation. If it is the one that we hold, memory is complete; if not, or
when the beacon is away or out, the database is asked for what is missing. If neither answers, nobody knows.

A beacon that stands still proves nothing by itself: an instance that has lost it goes on revoking in the database. So
it goes out by itself, and only who has just asked the database lights it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from authserver.core.errors import TemporarilyUnavailable
from authserver.core.ports import LEASE_SECONDS, Beacon, Knowledge, Mark
from authserver.core.shared_run import SharedRun
from authserver.revocation.service import RevocationService


class PollingGate:
    """Without a beacon: the database is asked four times a second, and believed for a few seconds more."""

    def __init__(self, *, knowledge: Knowledge, grace_seconds: int) -> None:
        """Let pass as long as the last successful look is at most `grace_seconds` ago."""
        self._knowledge = knowledge
        self._grace_seconds = grace_seconds

    async def require_complete(self) -> float:
        """Return how many seconds ago the last look was; raise TemporarilyUnavailable when that is too long."""
        return self._knowledge.require_fresh(self._grace_seconds)


#: How long a check waits for the database. One that hangs is known to hang by then.
PATIENCE_SECONDS = 0.25


class BeaconGate:
    """Lets a check of a revocation pass once memory is complete; many checks share one look at the beacon."""

    def __init__(self, *, beacon: Beacon, revocations: RevocationService) -> None:
        """Compare `beacon` with what `revocations` hold."""
        self._beacon = beacon
        self._revocations = revocations
        self._epoch: str | None = None
        self._believed = False
        self._look = SharedRun(self._make_complete)
        self._log = structlog.get_logger()

    async def require_complete(self) -> float:
        """Return 0 once memory holds all that was acknowledged before the call; raise TemporarilyUnavailable."""
        await self._look()
        return 0.0

    async def _make_complete(self) -> None:
        try:
            mark = await self._beacon.read()
        except TemporarilyUnavailable:
            self._believed = False  # what comes back may have lost the last steps, with its epoch kept
            await self._catch_up()
            return
        if self._believed and mark is not None and mark == Mark(self._epoch or "", self._revocations.position):
            return
        await self._catch_up()
        await self._adopt(mark)

    async def _catch_up(self) -> None:
        """Take up what is missing; what takes longer goes on without those who wait."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._revocations.follow()
        except TimeoutError:
            raise TemporarilyUnavailable("the database takes too long to say what was revoked") from None

    async def _adopt(self, mark: Mark | None) -> None:
        """Take over the beacon's epoch; put right what it shows if it knows less than the database."""
        if mark is None:
            return  # who follows the database lights it
        if mark.sequence < self._revocations.position:
            if self._epoch is not None:
                self._log.warning("beacon.behind", held=self._revocations.position)
            try:
                await self._beacon.raise_to(self._revocations.position)
            except TemporarilyUnavailable:
                return  # memory is complete all the same
        self._epoch = mark.epoch
        self._believed = True


#: How long a beacon that was lit is left alone, however often the database is looked at.
RELIGHT_SECONDS = LEASE_SECONDS / 4


class BeaconKeeper:
    """Keeps the beacon lit, and right, for as long as this process sees both it and the database."""

    def __init__(self, *, beacon: Beacon, revocations: RevocationService, look: Callable[[], Awaitable[None]]) -> None:
        """`look` brings `revocations` up to what the database has, or raises."""
        self._beacon = beacon
        self._revocations = revocations
        self._look = look
        self._due = 0.0

    async def __call__(self) -> None:
        """Look, then show what was found; raise what `look` raises. A beacon that is away is passed over."""
        asked_at_ms = await self._time_ms()
        await self._look()
        if asked_at_ms is not None:
            with suppress(TemporarilyUnavailable):
                await self._beacon.raise_to(self._revocations.position, seen_after_ms=asked_at_ms)

    async def _time_ms(self) -> int | None:
        """Return the beacon's time; None when it is away, or was lit just now."""
        now = time.monotonic()
        if now < self._due:
            return None
        try:
            asked_at_ms = await self._beacon.time_ms()
        except TemporarilyUnavailable:
            return None
        self._due = now + RELIGHT_SECONDS
        return asked_at_ms

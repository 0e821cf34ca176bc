"""Follows the database: a change made by any process is in force here within a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog

from authserver.core.clock import uptime
from authserver.core.errors import AuthServerError, TemporarilyUnavailable
from authserver.core.ports import ChangeKind, ChangeLog
from authserver.core.shared_run import SharedRun

POLL_SECONDS = 0.25

#: How long a request waits for a look at the database. One that hangs is known to hang by then.
LOOK_SECONDS = 0.25

#: Applies changes of one kind: gets the keys that changed, or None when it must forget everything.
Handler = Callable[[frozenset[str] | None], Awaitable[None]]


class Follower:
    """Asks the database four times a second whether anything changed, and hands the changes on.

    It is also the process's conscience: it knows how long ago it last could ask (`require_fresh`).
    """

    def __init__(self, *, changes: ChangeLog) -> None:
        """Follow `changes`; handlers are given to `start`, once the caches exist."""
        self._changes = changes
        self._handlers: Mapping[ChangeKind, Handler] = {}
        self._revocations: Callable[[], Awaitable[None]] | None = None
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._position = 0
        self._stamp: object = None
        self._fresh_at = uptime()
        self._looking = SharedRun(self.catch_up)
        self._log = structlog.get_logger()

    async def start(
        self, *, handlers: Mapping[ChangeKind, Handler], revocations: Callable[[], Awaitable[None]]
    ) -> None:
        """Load everything once: from here on `catch_up` brings only what is new."""
        self._handlers = handlers
        self._revocations = revocations
        self._stamp = await self._changes.stamp()
        self._position = await self._changes.position()
        for handler in handlers.values():
            await handler(None)
        await revocations()
        self._fresh_at = uptime()

    async def catch_up(self) -> None:
        """Apply whatever was written until now; raise TemporarilyUnavailable when the database cannot be asked."""
        async with self._lock:
            started = uptime()
            stamp = await self._changes.stamp()
            if stamp != self._stamp:
                await self._apply()
                self._stamp = stamp
            self._fresh_at = started

    async def look(self) -> None:
        """Know all that any process had written when this was called; many callers share the work.

        Raises TemporarilyUnavailable when the database does not say so within a quarter of a second.
        """
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._looking()
        except TimeoutError:
            raise TemporarilyUnavailable("the database takes too long to say what has changed") from None

    def wake(self) -> None:
        """Look at once instead of at the next quarter of a second."""
        self._wake.set()

    async def run(self, look: Callable[[], Awaitable[None]] | None = None) -> None:
        """Catch up for ever; a database that is away is asked again, and reported once.

        `look` is called in place of `catch_up`, which it must call.
        """
        look = look or self.catch_up
        failing = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await look()
                if failing:
                    self._log.info("database.back")
                failing = False
            except AuthServerError as error:
                if not failing:
                    self._log.error("database.unavailable", reason=error.reason)
                failing = True
            except Exception as error:  # noqa: BLE001 - to end here would refuse every token until a restart
                if not failing:
                    self._log.error("database.not_followed", exc_info=error)
                failing = True

    def age_seconds(self) -> float:
        """Return how long ago the database was last asked with success."""
        return uptime() - self._fresh_at

    def require_fresh(self, grace_seconds: int) -> float:
        """Return how many seconds ago the last successful look was; raise TemporarilyUnavailable past the grace."""
        age_seconds = self.age_seconds()
        if age_seconds > grace_seconds:
            raise TemporarilyUnavailable("the database has not answered for too long to know what changed")
        return age_seconds

    async def _apply(self) -> None:
        """Hand on what is new. The position moves when every handler is through: what failed comes again."""
        changes = await self._changes.since(self._position)
        if changes is None:
            position = await self._changes.position()
            for handler in self._handlers.values():
                await handler(None)
        else:
            position = changes[-1].sequence if changes else self._position
            for kind, handler in self._handlers.items():
                keys = frozenset(change.key for change in changes if change.kind is kind)
                if keys:
                    await handler(keys)
        if self._revocations is not None:
            await self._revocations()
        self._position = position

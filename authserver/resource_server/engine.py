"""The part of a verifier that talks to the authorization server: a thread with an event loop of its own.

So one core serves asyncio and threads alike, a service's busy event loop cannot delay a revocation, and a process that
was forked goes on with a thread of its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

from authserver.core.errors import ConfigurationError
from authserver.jose.errors import TokenRefused
from authserver.resource_server.check import Limits, TokenCheck
from authserver.resource_server.claims import read_answer
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.errors import CannotVerify, InvalidToken
from authserver.resource_server.follower import Counts, Follower
from authserver.resource_server.source import Connection, Source, SourceFailed
from authserver.resource_server.token import VerifiedToken

T = TypeVar("T")

START_SECONDS = 5.0

_LONGEST_WAIT_SECONDS = 10
_PAUSE_SECONDS = 1.0

_log = logging.getLogger("authserver.resource_server")


class Engine:
    """Holds the check of one verifier, and keeps it up to date while it runs."""

    def __init__(
        self, source: VerifierConfig | str, *, connection: Connection, limits: Limits, follow_revocations: bool
    ) -> None:
        """`source` is a configuration, or the URL that has it."""
        self.counts = Counts()
        self.check: TokenCheck | None = None
        self._url = source if isinstance(source, str) else None
        self._connection = connection
        self._limits = limits
        self._follow_revocations = follow_revocations
        if isinstance(source, VerifierConfig):
            self.check = self._check_of(source)
        self._reset()
        reset = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (method := reset()) and method())

    def _reset(self) -> None:
        """Be without thread, sockets and locks: at first, and in a forked child, where those of the parent are dead."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: asyncio.Task[None] | None = None
        self._learnt: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._source: Source | None = None
        self._follower: Follower | None = None
        self._closed = False

    def open(self) -> concurrent.futures.Future[None]:
        """Start as `start` does, after a close as well."""
        if self._closed:
            self._reset()
        return self.start()

    def start(self) -> concurrent.futures.Future[None]:
        """Start unless it runs or was closed.

        The future is done when keys and revocations are known, or cannot be for the moment.
        It fails with ConfigurationError when they never will: the credentials or the configuration are refused.
        """
        with self._starting:
            if self._thread is None and not self._closed:
                ready = threading.Event()
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(self._main(ready)), name="authserver-verifier", daemon=True
                )
                self._thread.start()
                ready.wait()
        return self._learnt

    def close(self) -> None:
        """End the thread and close its connections; harmless when it never ran."""
        with self._starting:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None and self._running is not None:
            self._loop.call_soon_threadsafe(self._running.cancel)
            thread.join()

    @property
    def has_learnt(self) -> bool:
        """Tell whether the beginning is over: keys and revocations are known, or it is known why not."""
        return self._learnt.done()

    def learn(self) -> concurrent.futures.Future[None]:
        """Start if need be; done when the beginning is over, whatever it brought, or after 5 seconds."""
        return self._submit(self._until_learnt())

    @property
    def key_set(self) -> bytes:
        """Return the JWK Set as the authorization server publishes it."""
        return self._follower.key_set if self._follower is not None else b'{"keys":[]}'

    @property
    def has_recent_keys(self) -> bool:
        """Tell whether the keys were fetched so lately that an unknown one is a stranger's."""
        return self._follower is not None and self._follower.has_recent_keys

    def fetch_keys(self) -> concurrent.futures.Future[None]:
        """Ask for newer keys, at most every 30 seconds; done when there is nothing more to wait for."""
        return self._submit(self._fetch_keys())

    def introspect(self, token: str) -> concurrent.futures.Future[VerifiedToken]:
        """Ask the authorization server about a token; fails with InvalidToken or CannotVerify."""
        return self._submit(self._introspect(token))

    def _submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        self.start()
        loop = self._loop
        if loop is None or self._closed:
            work.close()
            raise CannotVerify("the verifier was closed")
        return asyncio.run_coroutine_threadsafe(work, loop)

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._running = asyncio.get_running_loop(), asyncio.current_task()
        ready.set()
        source = self._source = Source(self._connection)
        try:
            while True:
                try:
                    await self._run(source)
                except ConfigurationError as error:
                    self._settle(error)
                    _log.error("the verifier cannot work: %s", error)
                except SourceFailed as failure:
                    self._settle(_final(failure))
                    _log.warning("the verifier knows nothing yet: %s", failure)
                except Exception:  # noqa: BLE001 - whatever it was, the feed must go on
                    _log.exception("the verifier lost its feed and starts again")
                await asyncio.sleep(_PAUSE_SECONDS)
        except asyncio.CancelledError:
            self._settle(None)
        finally:
            await source.close()

    async def _run(self, source: Source) -> None:
        """Learn, and go on learning; raise SourceFailed or ConfigurationError when the beginning fails."""
        check = self.check
        if check is None:
            check = self.check = self._check_of(await source.configuration(self._url or ""))
        wait_seconds = max(1, min(_LONGEST_WAIT_SECONDS, int(self._limits.max_staleness_seconds / 3)))
        self._follower = Follower(
            check, source, counts=self.counts, wait_seconds=wait_seconds, monotonic=time.monotonic
        )
        await self._follower.learn()
        self._settle(None)
        await self._follower.follow()

    def _settle(self, error: Exception | None) -> None:
        if self._learnt.done():
            return
        if error is None:
            self._learnt.set_result(None)
        else:
            self._learnt.set_exception(error)

    async def _until_learnt(self) -> None:
        with contextlib.suppress(TimeoutError, ConfigurationError):
            async with asyncio.timeout(START_SECONDS):
                await asyncio.shield(asyncio.wrap_future(self._learnt))

    async def _fetch_keys(self) -> None:
        if self._follower is not None:
            await self._follower.fetch_keys()

    async def _introspect(self, token: str) -> VerifiedToken:
        check = self.check
        if check is None or self._source is None or check.config.introspection_endpoint is None:
            raise CannotVerify("there is no introspection endpoint yet")
        try:
            answer = await self._source.introspection(check.config, token)
            if not answer["active"]:
                raise InvalidToken("inactive, says the authorization server")
            return read_answer(answer, check.config, as_of=time.time())
        except SourceFailed as failure:
            raise CannotVerify(str(failure)) from None
        except TokenRefused as refusal:
            raise InvalidToken(refusal.reason) from None

    def _check_of(self, config: VerifierConfig) -> TokenCheck:
        if self._follow_revocations and config.revocations_endpoint is None:
            raise ConfigurationError(
                "revocations_endpoint: is missing; export the document again, or say follow_revocations=False."
            )
        return TokenCheck(
            config,
            limits=self._limits,
            follows_revocations=self._follow_revocations,
            clock=time.time,
            monotonic=time.monotonic,
        )


def _final(failure: SourceFailed) -> Exception | None:
    """Return what a start fails with: nothing for a server that is away and may come back."""
    return ConfigurationError(str(failure)) if failure.refused else None

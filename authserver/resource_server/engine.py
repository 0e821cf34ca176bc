"""The part of a verifier that talks to the authorization server: a thread with an event loop of its own.

So one core serves asyncio and threads alike, a service's busy event loop cannot delay a revocation, and a process that
was forked goes on with a thread of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from authserver.core.clock import uptime
from authserver.core.errors import ConfigurationError
from authserver.core.fork import tell_after_fork
from authserver.jose.errors import UntrustedToken
from authserver.resource_server.backoff import LONGEST_OBEYED_SECONDS, REFUSED_SECONDS, Backoff
from authserver.resource_server.bearer import is_token_text
from authserver.resource_server.check import MAX_TOKEN_CHARACTERS, Limits, TokenCheck
from authserver.resource_server.claims import read_answer
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.errors import CannotVerify, InvalidToken
from authserver.resource_server.follower import Follower
from authserver.resource_server.key_follower import Counts
from authserver.resource_server.source import Connection, SourceFailed
from authserver.resource_server.token import VerifiedToken
from authserver.resource_server.worker import Outcome, Worker

T = TypeVar("T")

START_SECONDS = 5.0

_LONGEST_WAIT_SECONDS = 5
_PAUSE_SECONDS = 1.0
_MAX_KEY_FETCHES = 100
_MAX_INTROSPECTIONS = 1_000

_log = logging.getLogger("authserver.resource_server")


class Engine:
    """Holds the check of one verifier, and keeps it up to date while it runs.

    `has_started`: the start is over; keys and revocations are known, or it is known why not. False once closed.
    """

    def __init__(
        self,
        source: VerifierConfig | str,
        *,
        connection: Connection,
        limits: Limits,
        follow_revocations: bool,
        introspects: bool,
    ) -> None:
        """`source` is a configuration, or the URL that has it."""
        self.counts = Counts()
        self.check: TokenCheck | None = None
        self.is_closed = False
        self._has_complained = False
        self._url = source if isinstance(source, str) else None
        self._connection = connection.prepared()
        self._limits = limits
        self._follow_revocations = follow_revocations
        self._introspects = introspects
        self._inherited: Worker | None = None
        self._reset()
        if isinstance(source, VerifierConfig):
            self.check = self._check_of(source)
        tell_after_fork(self)

    def _reset(self) -> None:
        """Have locks of our own, and no thread yet."""
        self._worker: Worker | None = None
        self._lock = threading.RLock()  # the handler of a signal may close what its thread is about to start
        self._key_fetches: set[concurrent.futures.Future[None]] = set()
        self._introspections: set[concurrent.futures.Future[VerifiedToken]] = set()
        self.has_started = False

    def after_fork(self) -> None:
        """Begin anew in a forked child, where the parent's thread, sockets and locks are dead.

        They are kept, not closed: closing its event loop here would deafen the one there.
        """
        self._inherited = self._worker
        self._reset()
        if self.check is not None:
            self.check.revocations.version += 1  # the parent's thread may have been in the middle of a page

    def open(self) -> concurrent.futures.Future[Outcome]:
        """Start unless it runs, after a close as well.

        The future is done when keys and revocations are known, or cannot be for the moment. Its result is a
        ConfigurationError when they never will be: the credentials or the configuration are refused.
        """
        with self._lock:
            self.is_closed = False
            return self._running_worker().started

    def start(self) -> None:
        """Start unless it runs or was closed."""
        with self._lock:
            if not self.is_closed:
                self._running_worker()

    def close(self, *, for_good: bool = True) -> None:
        """End the thread and its connections; harmless when it never ran.

        `for_good`: no check succeeds any more; otherwise the next one starts anew.
        """
        with self._lock:
            self.is_closed, self.has_started = for_good, False
            worker, self._worker = self._worker, None
        atexit.unregister(self.close)
        if worker is not None:
            worker.end()

    def wait_for_start(self) -> concurrent.futures.Future[None]:
        """Start if need be; done when the start is over, whatever it brought, or after 5 seconds."""
        return self._submit(self._until_started)

    @property
    def key_set(self) -> bytes:
        """Return the JWK Set as the authorization server publishes it."""
        follower = self._follower
        return follower.keys.document if follower is not None else b'{"keys":[]}'

    @property
    def may_fetch_keys(self) -> bool:
        """Tell whether newer keys may be fetched: there is somebody to ask, and it is not too early."""
        follower = self._follower
        return follower is None or follower.keys.may_ask

    @property
    def may_miss_a_key(self) -> bool:
        """Tell whether a key that is unknown may be a new one that could not be fetched."""
        follower = self._follower
        return follower is not None and follower.may_miss_a_key

    def fetch_keys(self) -> concurrent.futures.Future[None]:
        """Ask for newer keys, at most every 30 seconds; done when there is nothing more to wait for.

        Anybody can make tokens that name an unknown key: beyond 100 that wait, raises CannotVerify.
        """
        return self._submit_one_of(self._key_fetches, _MAX_KEY_FETCHES, self._fetch_keys)

    def introspect(self, token: str) -> concurrent.futures.Future[VerifiedToken]:
        """Ask the authorization server about a token; fails with InvalidToken or CannotVerify.

        Anybody can make texts that could be tokens: beyond 1,000 that wait, raises CannotVerify.
        """
        if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARACTERS or not is_token_text(token):
            raise InvalidToken("too long, or with characters that no token has")
        return self._submit_one_of(
            self._introspections, _MAX_INTROSPECTIONS, lambda worker: self._introspect(worker, token)
        )

    @property
    def _follower(self) -> Follower | None:
        worker = self._worker
        return worker.follower if worker is not None else None

    def _running_worker(self) -> Worker:
        """Return the present worker, a new one if there is none. To be called with the lock."""
        worker = self._worker
        if worker is None or worker.is_dead:
            worker = self._worker = Worker(self._connection)
            try:
                worker.start(self._work)
            except BaseException as error:  # of a signal's handler, too
                self._worker = None
                worker.end()
                self._complain(error)
                raise
            atexit.register(self.close)  # a daemon thread must not be cut short in the middle of a line of log
        return worker

    def _complain(self, error: BaseException) -> None:
        """Say once why it cannot start: each check tries it again."""
        if not self._has_complained:
            self._has_complained = True
            _log.error("the verifier cannot start: %s", error)

    def _submit_one_of(
        self,
        waiting: set[concurrent.futures.Future[T]],
        most: int,
        job: Callable[[Worker], Coroutine[Any, Any, T]],
    ) -> concurrent.futures.Future[T]:
        if len(waiting) >= most:
            raise CannotVerify("too many tokens wait for the authorization server")
        future = self._submit(job)
        waiting.add(future)
        future.add_done_callback(waiting.discard)
        return future

    def _submit(self, job: Callable[[Worker], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        with self._lock:  # so that no job gets into an event loop that has ended
            if self.is_closed:
                raise CannotVerify("the verifier was closed")
            worker = self._running_worker()
            return worker.run(job(worker))

    async def _work(self, worker: Worker) -> None:
        """Get in sync, and keep in sync, until cancelled."""
        try:
            await self._keep_in_sync(worker)
        finally:
            if self._worker is worker:  # whatever has ended it: the next check begins anew
                self.has_started = False

    async def _keep_in_sync(self, worker: Worker) -> None:
        backoff = Backoff(longest_obeyed_seconds=min(LONGEST_OBEYED_SECONDS, self._limits.max_staleness_seconds / 3))
        known = ""
        outcome: Outcome
        while True:
            unexpected: Exception | None = None
            try:
                follower = await self._first_sync(worker, backoff)
                known = ""
                await follower.follow()
            except ConfigurationError as error:
                outcome, pause, problem = error, REFUSED_SECONDS, f"the verifier cannot work: {error}"
            except SourceFailed as failure:
                pause, problem = backoff.after(failure), f"the verifier knows nothing yet: {failure}"
                outcome = ConfigurationError(str(failure)) if failure.refused else None
            except Exception as error:  # noqa: BLE001 - whatever it was, the feed must go on
                outcome, pause, problem = None, _PAUSE_SECONDS, f"the verifier starts again: {type(error).__name__}"
                unexpected = error
            if problem != known:
                known = problem
                with contextlib.suppress(Exception):  # a log handler that breaks must not end it
                    _log.error(problem, exc_info=unexpected)
            self._settle(worker, outcome)
            await asyncio.sleep(pause)

    async def _first_sync(self, worker: Worker, backoff: Backoff) -> Follower:
        """Learn what there is at the start; raise SourceFailed or ConfigurationError. Return who goes on."""
        check = self.check
        if check is None:
            check = self.check = self._check_of(await worker.source.configuration(self._url or ""))
        if worker.follower is None:
            worker.follower = Follower(
                check,
                worker.source,
                config_url=self._url,
                counts=self.counts,
                backoff=backoff,
                wait_seconds=max(1, int(min(_LONGEST_WAIT_SECONDS, self._limits.max_staleness_seconds / 3))),
                monotonic=uptime,
            )
        await worker.follower.sync_once()
        self._settle(worker, None)
        return worker.follower

    def _settle(self, worker: Worker, outcome: Outcome) -> None:
        if worker.started.done():
            return
        with self._lock:
            self.has_started = self.has_started or self._worker is worker
        worker.settle(outcome)

    @staticmethod
    async def _until_started(worker: Worker) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await asyncio.shield(asyncio.wrap_future(worker.started))

    @staticmethod
    async def _fetch_keys(worker: Worker) -> None:
        if worker.follower is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(START_SECONDS):
                    await worker.follower.keys.fetch_if_due()

    async def _introspect(self, worker: Worker, token: str) -> VerifiedToken:
        check = self.check
        if check is None:
            raise CannotVerify("there is no configuration yet")
        try:
            answer = await worker.source.introspection(check.config, token)
            if not answer["active"]:
                raise InvalidToken("inactive, says the authorization server")
            return read_answer(answer, check.config, as_of=time.time())
        except SourceFailed as failure:
            raise CannotVerify(str(failure)) from None
        except UntrustedToken as fault:
            raise InvalidToken(fault.reason) from None

    def _check_of(self, config: VerifierConfig) -> TokenCheck:
        if self._follow_revocations and config.revocations_endpoint is None:
            raise ConfigurationError(
                "revocations_endpoint: is missing; export the document again, or say follow_revocations=False."
            )
        if self._introspects and config.introspection_endpoint is None:
            raise ConfigurationError("introspection_endpoint: is missing; export the document again.")
        return TokenCheck(
            config,
            limits=self._limits,
            follows_revocations=self._follow_revocations,
            clock=time.time,
            monotonic=uptime,
        )

"""Keeps one token for many threads and tasks: one fetch for all who wait, in a thread of its own.

A thread fetches for sync and async callers alike. So nobody waits for a renewal while the token at hand is good, a
caller that is cancelled takes nobody's token away, and no event loop owns anything.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from random import SystemRandom

from authserver.core.fork import tell_after_fork
from authserver.token_client.access_token import Token, elapsed_ms
from authserver.token_client.errors import TokenError, TokenUnavailable
from authserver.token_client.schedule import (
    Held,
    Step,
    after_failure,
    after_rejection,
    after_success,
    next_step,
)

#: Fetches that may hang at once, in name resolution for one, where no timeout applies; beyond that none starts.
MAX_FETCHES = 3

#: Messages kept while a log handler is slow; older ones are dropped.
MAX_UNTOLD = 16

_log = logging.getLogger("authserver.token_client")
_jitter = SystemRandom().random


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A fetch under way. It counts as failed at `ends_at_ms`, whatever becomes of it."""

    ends_at_ms: int
    outcome: Future[Token | TokenError] = field(default_factory=Future)


class Keeper:
    """Hands out the token that `fetch` brings, as long as it is good."""

    def __init__(
        self, fetch: Callable[[int], Token], *, timeout_seconds: float, clock: Callable[[], int] = elapsed_ms
    ) -> None:
        """Call `fetch` when a token is due; nobody waits longer than `timeout_seconds`.

        It is given the time of `clock`, from which the token's lifetime counts, and raises TokenError.
        """
        self._fetch = fetch
        self._timeout_ms = int(timeout_seconds * 1000)
        self._clock = clock
        self._held = Held(_jitter())
        self._lock = threading.RLock()  # a signal's handler may ask for a token while its thread holds the lock
        self._flight: Flight | None = None
        self._fetching: set[threading.Thread] = set()
        self._untold: deque[Callable[[], None]] = deque(maxlen=MAX_UNTOLD)
        self._telling = threading.Lock()
        tell_after_fork(self)

    def token(self) -> Token:
        """Return a token that is good; raise TokenUnavailable or TokenRefused."""
        found = self._token_or_flight()
        return found if isinstance(found, Token) else self._delivered(self._wait(found))

    async def token_async(self) -> Token:
        """Return a token that is good; raise TokenUnavailable or TokenRefused."""
        found = self._token_or_flight()
        return found if isinstance(found, Token) else self._delivered(await self._wait_async(found))

    def successor(self, rejected: Token) -> Token | None:
        """Return another token than the one that a resource refused; None when there is none to be had now."""
        found = self._successor_or_flight(rejected)
        return _other(self._wait(found) if isinstance(found, Flight) else found, rejected)

    async def successor_async(self, rejected: Token) -> Token | None:
        """Return another token than the one that a resource refused; None when there is none to be had now."""
        found = self._successor_or_flight(rejected)
        return _other(await self._wait_async(found) if isinstance(found, Flight) else found, rejected)

    def replace(self, rejected: Token) -> None:
        """Begin to fetch another token than the one that a resource refused, and do not wait for it."""
        self._successor_or_flight(rejected)

    def close(self) -> None:
        """Wait for a fetch under way, then forget the token. The pause after a failure is kept."""
        if (flight := self._flight) is not None:
            self._wait(flight)
        self._forget()

    async def close_async(self) -> None:
        """Wait for a fetch under way, then forget the token. The pause after a failure is kept."""
        if (flight := self._flight) is not None:
            await self._wait_async(flight)
        self._forget()

    def _token_or_flight(self) -> Token | Flight:
        with self._lock:
            now_ms = self._clock()
            self._end_if_overdue(now_ms)
            step = next_step(self._held, now_ms)
            token = self._held.good_token(now_ms)
            if step in {Step.RENEW, Step.FETCH} and self._flight is None:
                self._start(now_ms)
            found = token or self._flight or self._held.error or TokenUnavailable("no fetch can be started")
        self._tell()
        return found if isinstance(found, Token | Flight) else self._delivered(found)

    def _successor_or_flight(self, rejected: Token) -> Token | Flight | None:
        with self._lock:
            now_ms = self._clock()
            self._end_if_overdue(now_ms)
            successor = _other(self._held.good_token(now_ms), rejected)
            if successor is None and self._flight is None and (held := after_rejection(self._held, now_ms)) is not None:
                self._held = held
                self._start(now_ms)
            found = successor or self._flight
        self._tell()
        return found

    def _start(self, now_ms: int) -> None:
        """Begin a fetch. The lock is held."""
        flight = self._flight = Flight(now_ms + self._timeout_ms)
        flight.outcome.set_running_or_notify_cancel()  # so that one who waits cannot cancel it for the others
        if len(self._fetching) >= MAX_FETCHES:
            self._end(flight, TokenUnavailable("earlier fetches still hang"))
            return
        thread = threading.Thread(target=self._run, args=(flight, now_ms), name="token-fetch", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process has too many threads, or ends
            self._end(flight, TokenUnavailable("no thread can be started"))
        else:
            self._fetching.add(thread)

    def _run(self, flight: Flight, asked_at_ms: int) -> None:
        outcome: Token | TokenError
        try:
            outcome = self._fetch(asked_at_ms)
        except TokenError as error:
            outcome = error.again(error.retry_after_seconds)  # without the frames, which know the secret
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            outcome = TokenUnavailable(f"the fetch failed: {type(error).__name__}")
        with self._lock:
            self._fetching.discard(threading.current_thread())
            self._end(flight, outcome)
        flight.outcome.set_result(outcome)
        self._tell()

    def _end(self, flight: Flight, outcome: Token | TokenError) -> None:
        """Take over what a fetch brought, unless it was given up before. The lock is held."""
        if self._flight is not flight:
            return
        self._flight = None
        now_ms = self._clock()
        if isinstance(outcome, Token):
            self._held = after_success(self._held, outcome, _jitter())
            self._untold.append(partial(_log.debug, "got an access token for %d s", outcome.lifetime_ms // 1000))
        else:
            self._held = after_failure(self._held, outcome, now_ms, _jitter())
            kept = "the old one is kept" if self._held.good_token(now_ms) else "there is none"
            seconds = self._held.retry_after_seconds(now_ms)
            text = "no new access token, %s; next try in %d s: %s"
            self._untold.append(partial(_log.warning, text, kept, seconds, outcome.reason))

    def _end_if_overdue(self, now_ms: int) -> None:
        """Give up a fetch that hangs, so that another can begin. The lock is held."""
        if self._flight is not None and now_ms >= self._flight.ends_at_ms:
            self._end(self._flight, TokenUnavailable("the authorization server did not answer in time"))

    def _tell(self) -> None:
        """Log what is untold, but never in an event loop. The lock is not held: a log handler may ask for a token."""
        if not self._untold or self._telling.locked():
            return
        try:
            asyncio.get_running_loop()
            threading.Thread(target=self._tell_all, name="token-log", daemon=True).start()
        except RuntimeError:  # there is no loop, or no thread can be started
            self._tell_all()

    def _tell_all(self) -> None:
        """Log what is untold, in one thread at a time: that thread also logs what others add meanwhile."""
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    with suppress(Exception):  # a log handler that breaks takes nobody's token away
                        self._untold.popleft()()
            finally:
                self._telling.release()

    def _wait(self, flight: Flight) -> Token | TokenError:
        try:
            return flight.outcome.result(self._patience_seconds(flight))
        except TimeoutError:
            with self._lock:
                self._end_if_overdue(self._clock())
            self._tell()
            return TokenUnavailable("the authorization server did not answer in time")

    async def _wait_async(self, flight: Flight) -> Token | TokenError:
        try:
            async with asyncio.timeout(self._patience_seconds(flight)):
                return await asyncio.wrap_future(flight.outcome)
        except TimeoutError:
            if flight.outcome.done():  # in time, but the event loop was busy until now
                return flight.outcome.result()
            with self._lock:
                self._end_if_overdue(self._clock())
            self._tell()
            return TokenUnavailable("the authorization server did not answer in time")

    def _patience_seconds(self, flight: Flight) -> float:
        """Return how long to wait: not at all within a fetch, where a log handler of the HTTP client may be."""
        if threading.current_thread() in self._fetching:
            return 0
        return max(0, flight.ends_at_ms - self._clock() + 1) / 1000

    def _delivered(self, outcome: Token | TokenError) -> Token:
        if isinstance(outcome, Token):
            return outcome
        raise outcome.again(self._held.retry_after_seconds(self._clock()))

    def _forget(self) -> None:
        with self._lock:
            self._held = replace(self._held, jitter=_jitter(), token=None)

    def after_fork(self) -> None:
        """Go on in a child process with the token, but without the parent's threads, and at a moment of its own."""
        self._lock = threading.RLock()
        self._flight = None
        self._fetching = set()
        self._untold.clear()
        self._telling = threading.Lock()
        self._held = replace(self._held, jitter=_jitter())


def _other(outcome: Token | TokenError | None, rejected: Token) -> Token | None:
    """Return the token, unless the server gave out the rejected one again."""
    return outcome if isinstance(outcome, Token) and outcome.access_token != rejected.access_token else None

"""One run of a verifier's thread, from a start to a close."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from authserver.core.errors import ConfigurationError
from authserver.resource_server.errors import CannotVerify, Refusal
from authserver.resource_server.follower import Follower
from authserver.resource_server.source import THREAD_NAME, Connection, Source

T = TypeVar("T")

#: What a start has come to: nothing, or why it never will succeed.
Outcome = ConfigurationError | None

_CLOSE_SECONDS = 5.0

_log = logging.getLogger("authserver.resource_server")


class Worker:
    """Thread, event loop, connections and jobs: all that ends with a close, and is never seen by the next start.

    `started` is done when the start is over, with what it has come to.
    """

    def __init__(self, connection: Connection) -> None:
        """Use `connection` once there is an event loop."""
        self.started: concurrent.futures.Future[Outcome] = concurrent.futures.Future()
        self.follower: Follower | None = None
        self._connection = connection
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._source: Source | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._is_over = False

    @property
    def is_dead(self) -> bool:
        """Tell whether the thread has ended, told to or not."""
        return self._thread is not None and not self._thread.is_alive()

    @property
    def source(self) -> Source:
        """Return the connections."""
        if self._source is None:
            raise CannotVerify("the verifier has not started")
        return self._source

    def start(self, work: Callable[[Worker], Coroutine[Any, Any, None]]) -> None:
        """Run `work` in a thread of its own until `end`; raise CannotVerify when the system has none to give."""
        ready = threading.Event()
        failure = ""

        def run() -> None:
            nonlocal failure
            try:
                asyncio.run(self._run(work, ready))
            except Exception as error:  # noqa: BLE001 - whatever it was, the caller is told
                failure = f": {error}"
                if ready.is_set():
                    _log.exception("the verifier has ended")
            finally:
                ready.set()

        self._thread = threading.Thread(target=run, name=THREAD_NAME, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is about to exit
            raise CannotVerify("no thread can be started") from error
        ready.wait()
        if self._loop is None:
            raise CannotVerify(f"no event loop can be started{failure}")

    def end(self) -> None:
        """End the thread and its connections, also one that is about to start; who waits for a job is told so."""
        self._is_over = True
        loop, main, thread = self._loop, self._main, self._thread
        if loop is None or main is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(main.cancel)
        if thread is not threading.current_thread():
            thread.join(_CLOSE_SECONDS)

    def run(self, job: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a job; it fails with a Refusal or not at all. Not after `end`."""
        guarded = self._guarded(job)
        if self._loop is not None and not self._is_over:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                future = asyncio.run_coroutine_threadsafe(guarded, self._loop)
                if not self.is_dead:  # as it has when a signal's handler closed us in the middle of that line
                    return future
        guarded.close()
        job.close()
        raise CannotVerify("the verifier has not started, or has ended")

    def settle(self, outcome: Outcome) -> None:
        """Say that the start is over."""
        if not self.started.done():
            self.started.set_result(outcome)

    async def _run(self, work: Callable[[Worker], Coroutine[Any, Any, None]], ready: threading.Event) -> None:
        source = self._source = Source(self._connection)
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        ready.set()
        try:
            if not self._is_over:
                await work(self)
        except asyncio.CancelledError:
            _log.debug("the verifier ends")
        finally:
            self._is_over = True
            self.settle(None)
            for job in self._jobs:
                job.cancel()
            await asyncio.gather(*self._jobs, return_exceptions=True)
            await source.close()

    async def _guarded(self, job: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._jobs.add(task)
        task.add_done_callback(_retrieve_exception)
        try:
            return await job
        except Refusal:
            raise
        except asyncio.CancelledError:
            if self._is_over:
                raise CannotVerify("the verifier was closed") from None
            raise
        except Exception as error:  # noqa: BLE001 - a caller handles refusals and nothing else
            with contextlib.suppress(Exception):  # a log handler that breaks changes no answer
                _log.exception("something that should not happen did")
            raise CannotVerify(f"unexpected {type(error).__name__}") from None
        finally:
            self._jobs.discard(task)


def _retrieve_exception(job: asyncio.Task[Any]) -> None:
    """Take note of how a job has ended: whoever sent it may have been cancelled, and asks no more."""
    if not job.cancelled():
        job.exception()

"""Several workers as one server: started, watched, restarted and stopped together. It imports none of the server.

The first worker goes ahead: it migrates the database, makes the first keys, and finds what keeps a server from
starting; the others follow. A worker that ends is started again, later and later when it does not last.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from authserver.app.worker import READY, Worker
from authserver.core.errors import ConfigurationError
from authserver.core.running import running

#: How long a worker has to last to be forgiven its earlier ends.
STEADY_SECONDS = 30.0
FIRST_RESTART_SECONDS = 0.25
LAST_RESTART_SECONDS = 10.0
#: How much longer than it was given a worker may take to stop before it is killed.
KILL_AFTER_SECONDS = 5.0

_MEMORY = Path("/dev/shm")  # noqa: S108 - a private directory is made in it


def restart_delay_seconds(failures: int) -> float:
    """Return how long to wait after the worker has ended `failures` times in a row."""
    return float(min(FIRST_RESTART_SECONDS * 2 ** min(failures - 1, 10), LAST_RESTART_SECONDS))


class Supervisor:
    """Keeps `workers` processes of `command` running until a signal."""

    def __init__(
        self,
        *,
        workers: int,
        command: Sequence[str],
        patience_seconds: float,
        announce: Callable[[], None],
        ends_with_terminal: bool,
    ) -> None:
        """Start `command --worker …` for each; `announce` once all serve; kill after `patience_seconds` of stopping.

        `ends_with_terminal`: SIGHUP stops them all, instead of making each read its secrets again.
        """
        self._workers = workers
        self._command = command
        self._patience_seconds = patience_seconds
        self._announce = announce
        self._ends_with_terminal = ends_with_terminal
        self._stopping = asyncio.Event()
        self._slots: list[_Slot] = []

    async def run(self) -> int:
        """Return the exit code: 0 after a signal, that of the first worker when it could not start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        if self._ends_with_terminal:
            loop.add_signal_handler(signal.SIGHUP, self._stop, signal.SIGTERM)
        else:
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        with metrics_directory() as directory:
            self._slots = [
                _Slot(number, self._command, directory, self._stopping) for number in range(1, self._workers + 1)
            ]
            first, *_ = self._slots
            await first.start()
            if not await first.serves():
                code = await first.end()
                return 0 if self._stopping.is_set() else abs(code) or 1
            async with running(self._announce_when_all_serve()):
                await asyncio.gather(*(slot.keep() for slot in self._slots))
        structlog.get_logger().info("server.stopped")
        return 0

    async def _announce_when_all_serve(self) -> None:
        for slot in self._slots:
            await slot.serving.wait()
        self._announce()

    def _stop(self, number: int) -> None:
        """Pass a signal on; from the second one on, let the workers hurry."""
        if self._stopping.is_set():
            number = signal.SIGINT
        else:
            self._stopping.set()
            asyncio.get_running_loop().call_later(self._patience_seconds + KILL_AFTER_SECONDS, self._kill)
        for slot in self._slots:
            slot.signal(number)

    def _kill(self) -> None:
        structlog.get_logger().error("workers.killed", reason="they did not stop in time")
        for slot in self._slots:
            slot.signal(signal.SIGKILL)

    def _reload(self) -> None:
        for slot in self._slots:
            if slot.serving.is_set():  # one that is still starting reads the files anyway
                slot.signal(signal.SIGHUP)


class _Slot:
    """The place of one worker, whichever process has it at the moment."""

    def __init__(self, number: int, command: Sequence[str], directory: str, stopping: asyncio.Event) -> None:
        self._number = number
        self._command = command
        self._directory = directory
        self._stopping = stopping
        self._process: asyncio.subprocess.Process | None = None
        self._channel: socket.socket | None = None
        self._log = structlog.get_logger()
        self.serving = asyncio.Event()

    async def keep(self) -> None:
        """Keep a worker running until the supervisor stops."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._live()
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            delay = restart_delay_seconds(failures)
            self._log.error("worker.died", worker=self._number, exit=code, restart_in_seconds=delay)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()

    async def _live(self) -> int | None:
        """Return the exit code of the process once it ends, None when there is no room for one."""
        try:
            if self._process is None:
                await self.start()
        except OSError as error:
            self._log.error("worker.not_started", worker=self._number, reason=error.strerror)
            return None
        if not self.serving.is_set():
            await self.serves()
        return await self.end()

    async def start(self) -> None:
        """Start a process in a group of its own, so that Ctrl-C reaches it through us alone."""
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(0)
        with theirs:
            worker = Worker(number=self._number, channel=theirs.fileno(), metrics_directory=self._directory)
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                "--worker",
                str(worker),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(worker.channel,),
                process_group=0,
            )
        if self._stopping.is_set():
            self.signal(signal.SIGTERM)

    async def serves(self) -> bool:
        """Wait until the worker serves, or has ended: False."""
        assert self._channel is not None  # noqa: S101 - after `start`
        try:
            said = await asyncio.get_running_loop().sock_recv(self._channel, 1)
        except ConnectionError:
            said = b""
        if said == READY:
            self.serving.set()
        return said == READY

    async def end(self) -> int:
        """Wait for the process to end and return its exit code, negative for a signal."""
        assert self._process is not None  # noqa: S101 - after `start`
        assert self._channel is not None  # noqa: S101
        code = await self._process.wait()
        self._process = None
        self.serving.clear()
        self._channel.close()
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the process, if there is one."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


@contextlib.contextmanager
def metrics_directory() -> Iterator[str]:
    """Make a private directory for what the workers count, in memory where the system has such a place; remove it.

    Raises ConfigurationError when nothing can be written anywhere.
    """
    parent = str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None
    try:
        directory = tempfile.mkdtemp(prefix="authserver-metrics-", dir=parent)
    except OSError:
        raise ConfigurationError(
            "AUTHSERVER_WORKERS: several workers need a temporary directory; make /dev/shm or TMPDIR writable."
        ) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)

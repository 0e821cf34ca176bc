"""uvicorn as our processes run it: it stops by stages, ends with 0, and stays within the limits of the system."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import structlog
import uvicorn

from authserver.wire.http import CLOSE
from authserver.wire.protocol import protocol_class
from authserver.wire.request_head import Limits
from authserver.wire.stopping import Stage, Stop

BACKLOG = 2048
SPARE_FILES = 100  # open files beside connections: the database, the log, and the answers 503


class StagedServer(uvicorn.Server):
    """A server that goes on to the next stage of stopping at each signal."""

    def __init__(
        self, config: uvicorn.Config, *, ready: Callable[[], None], closing: Callable[[], None], stop: Stop
    ) -> None:
        """Call `ready` once the port is open and `closing` before it closes; `stop` is shared with the readiness."""
        super().__init__(config)
        self._ready = ready
        self._closing = closing
        self._stop = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Obey SIGTERM and SIGINT; uvicorn's own handling ends the process by the signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.obey, number)
        yield

    def obey(self, number: int) -> None:
        """Do what a signal asks for."""
        before = self._stop.stage
        stage = self._stop.signalled(number)
        if before is Stage.SERVING:
            self._end_connections()
            delay_seconds = self._stop.delay_seconds if stage is Stage.DRAINING else 0
            structlog.get_logger().info("server.stopping", delay_seconds=delay_seconds)
            asyncio.get_running_loop().call_later(delay_seconds, self._close)
        elif stage >= Stage.CLOSING:
            self._close()
        self.force_exit = stage is Stage.LEAVING

    def _end_connections(self) -> None:
        """Let every answer from here on be the last of its connection (RFC 9112 §9.6)."""
        self.config.encoded_headers.append(CLOSE)
        self.server_state.default_headers.append(CLOSE)

    def _close(self) -> None:
        self._stop.stage = max(self._stop.stage, Stage.CLOSING)
        self._closing()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def configuration(
    application: Any, *, limits: Limits, grace_seconds: int, host: str = "127.0.0.1", port: int = 0
) -> uvicorn.Config:
    """Return what uvicorn is told of an ASGI application.

    `limits` are kept to, and connections also to what the system allows; requests have `grace_seconds` to end when it
    stops. `host` and `port` are for a server that is given no sockets.
    """
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http=protocol_class(replace(limits, max_connections=_connections(limits.max_connections))),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        timeout_graceful_shutdown=grace_seconds,
    )


def _connections(wanted: int) -> int:
    """Raise the limit of open files, 1,024 on many systems, for so many connections; return how many it allows.

    Past the limit of the system connections would be reset, also those of the health checks; past ours they get 503.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (OSError, ValueError):  # some systems have a lower ceiling than the one they name
            allowed = min(allowed, soft)
    if allowed < needed:
        structlog.get_logger().warning("server.few_files", open_files=allowed, connections=allowed - SPARE_FILES)
    return max(allowed - SPARE_FILES, 1)

"""The process: prepare, listen, say so, drain, exit 0."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Iterator

import structlog
import uvicorn

from authserver.app.background import background
from authserver.app.capabilities import ISSUER_STATE
from authserver.app.runtime import Runtime, open_runtime
from authserver.app.surface import build_surface
from authserver.core.errors import ConfigurationError
from authserver.settings import Settings
from authserver.storage import migrate
from authserver.wire.protocol import Limits, protocol_class

BACKLOG = 2048
SPARE_FILES = 100  # open files beside connections: the database, the log, and the answers 503


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which ends the process by the signal instead of with 0."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Finish the requests at hand after SIGTERM or SIGINT; a second one does not wait for them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()


async def serve(settings: Settings, *, announce: Callable[[Runtime], None]) -> None:
    """Serve until a signal; `announce` is called once the port is open.

    Migrates the database first. Raises ConfigurationError before anything listens.
    """
    if migrate.status(settings.database).is_pending:
        await migrate.upgrade(settings.database)
    async with open_runtime(settings) as runtime, background(runtime.capabilities):
        await runtime.capabilities.database.state.put(ISSUER_STATE, runtime.capabilities.issuer)
        await _listen(settings, runtime, announce)
    structlog.get_logger().info("server.stopped")


async def _listen(settings: Settings, runtime: Runtime, announce: Callable[[Runtime], None]) -> None:
    server = _Server(
        uvicorn.Config(
            build_surface(runtime),
            host=settings.host,
            port=settings.port,
            http=protocol_class(_limits(settings)),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            backlog=BACKLOG,
            timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        ),
        ready=lambda: announce(runtime),
    )
    try:
        await server.serve()
    except SystemExit:  # how uvicorn says that the port could not be opened, after a line in the log
        server.started = False
    if not server.started:
        raise ConfigurationError(
            f"AUTHSERVER_PORT: cannot listen on {settings.host}:{settings.port}; is another server running there?"
        )


def _limits(settings: Settings) -> Limits:
    return Limits(
        header_seconds=settings.request_seconds,
        body_seconds=settings.request_seconds,
        idle_seconds=settings.request_seconds,
        max_connections=_connections(settings.max_connections),
        max_requests=settings.max_requests,
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

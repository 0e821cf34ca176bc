"""The process: prepare, listen, say so, drain, exit 0."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
import uvicorn

from authserver.app.background import background
from authserver.app.capabilities import ISSUER_STATE
from authserver.app.listening import shared_sockets
from authserver.app.runtime import Runtime, open_runtime
from authserver.app.secrets import SecretReload
from authserver.app.stopping import Stage, Stop
from authserver.app.surface import build_surface
from authserver.app.worker import Supervision, Worker
from authserver.core.errors import ConfigurationError
from authserver.settings import Settings
from authserver.storage import migrate
from authserver.telemetry.metrics import Metrics
from authserver.telemetry.worker_metrics import join_workers
from authserver.wire.door import FrontDoor
from authserver.wire.protocol import Limits, protocol_class

BACKLOG = 2048
_CLOSE = (b"connection", b"close")
SPARE_FILES = 100  # open files beside connections: the database, the log, and the answers 503


class _Server(uvicorn.Server):
    """uvicorn that stops by stages, and ends with 0 instead of by the signal."""

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
        """Go on to the next stage at each signal."""
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
            delay = self._stop.delay_seconds if stage is Stage.DRAINING else 0
            structlog.get_logger().info("server.stopping", delay_seconds=delay)
            asyncio.get_running_loop().call_later(delay, self._close)
        elif stage >= Stage.CLOSING:
            self._close()
        self.force_exit = stage is Stage.LEAVING

    def _end_connections(self) -> None:
        """Let every answer from here on be the last of its connection (RFC 9112 §9.6)."""
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers.append(_CLOSE)

    def _close(self) -> None:
        self._stop.stage = max(self._stop.stage, Stage.CLOSING)
        self._closing()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()


async def serve(
    settings: Settings,
    *,
    announce: Callable[[], None],
    read_secrets: Callable[[], Settings],
    worker: Worker | None = None,
) -> None:
    """Serve until a signal, alone or as one `worker` of several; `announce` is called once the port is open.

    Migrates the database first. `read_secrets` reads the secret keys and admin tokens again while it runs. Raises
    ConfigurationError before anything listens.
    """
    if migrate.status(settings.database).is_pending:
        await migrate.upgrade(settings.database)
    metrics = Metrics(workers=join_workers(worker.metrics_directory, worker.number) if worker else None)
    async with open_runtime(settings, metrics=metrics) as runtime, background(runtime.capabilities):
        await runtime.capabilities.database.state.put(ISSUER_STATE, runtime.capabilities.issuer)
        async with _reloading(runtime, read_secrets):
            await _listen(settings, runtime, announce, worker)
    structlog.get_logger().info("worker.stopped" if worker else "server.stopped")


@contextlib.asynccontextmanager
async def _reloading(runtime: Runtime, read_secrets: Callable[[], Settings]) -> AsyncIterator[None]:
    """Take over changed secrets, by themselves and at SIGHUP, until the block is left."""
    c = runtime.capabilities
    reload = SecretReload(settings=c.settings, read=read_secrets, keys=c.keys, admin_tokens=c.admin_tokens)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(reload.watch())
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGHUP, lambda: tasks.create_task(reload.reload(), name="reload")
        )
        yield
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        watching.cancel()


async def _listen(settings: Settings, runtime: Runtime, announce: Callable[[], None], worker: Worker | None) -> None:
    stop = Stop(delay_seconds=settings.shutdown_delay_seconds, supervised=worker is not None)
    supervision = Supervision(worker) if worker else None

    def ready() -> None:
        announce()
        if supervision is not None:
            supervision.say_ready()
            supervision.watch(lambda: server.obey(signal.SIGINT))

    server = _Server(
        _configuration(settings, build_surface(runtime, draining=lambda: stop.stage > Stage.SERVING)),
        ready=ready,
        closing=runtime.capabilities.revocations.news.close,
        stop=stop,
    )
    try:
        await server.serve(shared_sockets(settings.host, settings.port) if worker else None)
    except (SystemExit, OSError):  # SystemExit: how uvicorn says that the port could not be opened
        server.started = False
    if not server.started:
        raise ConfigurationError(
            f"AUTHSERVER_PORT: cannot listen on {settings.host}:{settings.port}; is another server running there?"
        )


def _configuration(settings: Settings, application: FrontDoor) -> uvicorn.Config:
    return uvicorn.Config(
        application,
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

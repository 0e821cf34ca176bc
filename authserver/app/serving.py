"""The process: prepare, listen, say so, drain, exit 0."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable

import structlog

from authserver.app.background import background, every
from authserver.app.capabilities import ISSUER_STATE, Capabilities
from authserver.app.listening import shared_sockets
from authserver.app.migration import Migration
from authserver.app.runtime import Runtime, open_runtime
from authserver.app.secrets import LOOK_SECONDS, SecretReload
from authserver.app.server import server_configuration
from authserver.app.surface import build_surface
from authserver.app.worker import Supervision, Worker
from authserver.core.errors import ConfigurationError
from authserver.core.running import running
from authserver.settings import Settings
from authserver.storage import migrate
from authserver.telemetry.metrics import Metrics
from authserver.telemetry.worker_metrics import join_workers
from authserver.wire.server import StagedServer
from authserver.wire.stopping import Stage, Stop


async def serve(
    settings: Settings,
    *,
    announce: Callable[[], None],
    read_secrets: Callable[[], Settings],
    migration: Migration | None = None,
    ends_with_terminal: bool = False,
    worker: Worker | None = None,
) -> None:
    """Serve until a signal, alone or as one `worker` of several; `announce` is called once the port is open.

    A `migration` that was begun is waited for. `read_secrets` reads the secret keys and admin tokens again, now and
    then and at SIGHUP, unless that is the end of the terminal. Raises ConfigurationError before anything listens.
    """
    if migration is not None:
        await migration.finish()
    database = migrate.status(settings.database)
    if database.is_ahead:
        structlog.get_logger().warning("database.ahead", revision=database.current, known=database.head)
    metrics = Metrics(workers=join_workers(worker.metrics_directory, worker.number) if worker else None)
    async with open_runtime(settings, metrics=metrics) as runtime, background(runtime.capabilities):
        await _remember_issuer(runtime.capabilities)
        server = _server(settings, runtime, announce, worker)
        async with _reloading(runtime, read_secrets) as reload:
            hung_up = (lambda: server.obey(signal.SIGTERM)) if ends_with_terminal else reload.ask
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)
            await _run(server, settings, worker)
    structlog.get_logger().info("worker.stopped" if worker else "server.stopped")


async def _remember_issuer(c: Capabilities) -> None:
    """Store under which issuer this deployment serves, for the command line; say so if it was another one before."""
    before = await c.database.state.get(ISSUER_STATE)
    if before == c.issuer:
        return
    if before is not None:
        structlog.get_logger().warning("issuer.changed", before=before, now=c.issuer)
    await c.database.state.put(ISSUER_STATE, c.issuer)


@contextlib.asynccontextmanager
async def _reloading(runtime: Runtime, read_secrets: Callable[[], Settings]) -> AsyncIterator[SecretReload]:
    """Take over changed secrets until the block is left."""
    c = runtime.capabilities
    reload = SecretReload(settings=c.settings, read=read_secrets, keys=c.keys, admin_tokens=c.admin_tokens)
    async with running(every(LOOK_SECONDS, "secrets", reload.look)):
        yield reload


def _server(settings: Settings, runtime: Runtime, announce: Callable[[], None], worker: Worker | None) -> StagedServer:
    stop = Stop(delay_seconds=settings.shutdown_delay_seconds, supervised=worker is not None)
    supervision = Supervision(worker) if worker else None

    def ready() -> None:
        announce()
        if supervision is not None:
            supervision.say_ready()
            supervision.watch(lambda: server.obey(signal.SIGINT))

    server = StagedServer(
        server_configuration(settings, build_surface(runtime, draining=lambda: stop.stage > Stage.SERVING)),
        ready=ready,
        closing=runtime.capabilities.revocations.news.close,
        stop=stop,
    )
    return server


async def _run(server: StagedServer, settings: Settings, worker: Worker | None) -> None:
    try:
        await server.serve(shared_sockets(settings.host, settings.port) if worker else None)
    except (SystemExit, OSError):  # SystemExit: how uvicorn says that the port could not be opened
        server.started = False
    if not server.started:
        raise ConfigurationError(
            f"AUTHSERVER_PORT: cannot listen on {settings.host}:{settings.port}; is another server running there?"
        )

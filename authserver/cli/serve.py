"""`authserver serve`: everything that is missing or unsafe at once, or the server until SIGTERM.

Log lines go to stderr; stdout has the welcome of `--dev`, and nothing else.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version

import click
import structlog

from authserver.app.listening import probe, reserved
from authserver.app.migration import begin_migration
from authserver.app.supervisor import Supervisor
from authserver.app.worker import Worker
from authserver.cli.options import example
from authserver.cli.welcome import welcome
from authserver.core.errors import ConfigurationError
from authserver.development import from_data_dir, prepare
from authserver.settings import (
    FILE_SUFFIX,
    Settings,
    common_problems,
    production_problems,
    read_reloaded,
    read_settings,
    setting_name,
)
from authserver.storage import migrate
from authserver.telemetry.logs import configure_logs
from authserver.wire.event_loop import fastest_event_loop


@click.command(epilog=example("authserver serve --dev", "AUTHSERVER_ISSUER=https://auth.example.com authserver serve"))
@click.option("--dev", is_flag=True, help="Need no setting: make what is missing in the data directory; plain http.")
@click.option("--host", help="The address to listen on. [default: AUTHSERVER_HOST, or 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port. [default: AUTHSERVER_PORT, or 8000]")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Worker processes; more than one needs AUTHSERVER_REDIS_URL. [default: AUTHSERVER_WORKERS, or 1]",
)
@click.option("--worker", "place", hidden=True, help="The place of this process among the workers of a supervisor.")
def serve(*, dev: bool, host: str | None, port: int | None, workers: int | None, place: str | None) -> None:
    """Run the server."""
    worker = None if place is None else Worker.parse(place)
    settings, problems = _checked(dev=dev, is_worker=worker is not None, host=host, port=port, workers=workers)
    if problems or settings is None:
        raise ConfigurationError(*problems, *_first_steps(settings, dev=dev))
    if dev:
        settings = prepare(settings)
    logs = configure_logs(
        style=settings.log_format or ("text" if dev else "json"),
        level=settings.log_level,
        shared=settings.workers > 1,
    )
    try:
        if worker is None and settings.workers > 1:
            sys.exit(_supervise(settings, dev=dev))
        _run(settings, dev=dev, worker=worker)
    finally:
        logs.close()


def _checked(*, dev: bool, is_worker: bool, **options: str | int | None) -> tuple[Settings | None, list[str]]:
    """Return the settings and all that keeps them from being served; settings None when they cannot be read.

    Settings that cannot be read are left out in a second reading, so that one message also names what is missing.
    """
    try:
        settings = read_settings(None, **options)
    except ConfigurationError as error:
        named = {problem.partition(" ")[0].rstrip(":") for problem in error.problems}
        named |= {name.removesuffix(FILE_SUFFIX) for name in named}  # one that cannot be read is not missing as well
        others = _without(named, **options)
        problems = [] if others is None else _problems(others, dev=dev, is_worker=is_worker)
        return None, [*error.problems, *(problem for problem in problems if not problem.startswith(tuple(named)))]
    if settings.port == 0 and (dev or settings.workers > 1):
        settings = settings.model_copy(update={"port": _free_port(settings.host)})
    return settings, _problems(settings, dev=dev, is_worker=is_worker)


def _first_steps(settings: Settings | None, *, dev: bool) -> list[str]:
    """Return what to tell somebody who has set nothing yet."""
    if dev or settings is None or settings.issuer or settings.secret_keys:
        return []
    return ["To try it, without any setting: authserver serve --dev"]


def _without(names: set[str], **options: str | int | None) -> Settings | None:
    environment: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in names}
    good = {name: value for name, value in options.items() if setting_name(name) not in names}
    try:
        return read_settings(environment, **good)
    except ConfigurationError:
        return None


def _problems(settings: Settings, *, dev: bool, is_worker: bool) -> list[str]:
    """Return everything that is missing or unsafe, the database's address and the port among it."""
    problems = common_problems(settings) if dev else production_problems(settings)
    try:
        migrate.status(settings.database)
    except ConfigurationError as error:
        problems += error.problems
    return problems if is_worker else problems + _port_problems(settings)  # a worker's port is its supervisor's


def _port_problems(settings: Settings) -> list[str]:
    try:
        probe(settings.host, settings.port)
    except OSError as error:
        return [_cannot_listen(settings, error)]
    return []


def _cannot_listen(settings: Settings, error: OSError) -> str:
    remedy = "; choose another: --port N, or AUTHSERVER_PORT" if error.errno == errno.EADDRINUSE else ""
    return f"AUTHSERVER_PORT: cannot listen on {settings.host}:{settings.port} ({error.strerror or error}){remedy}."


def _free_port(host: str) -> int:
    try:
        return probe(host, 0)
    except OSError:
        return 0  # the host is at fault, and named as such


def _supervise(settings: Settings, *, dev: bool) -> int:
    """Run the workers and return the exit code. Nothing of the server is imported into this process."""
    command = [sys.executable, "-P", "-m", "authserver", "serve", *(["--dev"] if dev else [])]
    command += ["--host", settings.host, "--port", str(settings.port), "--workers", str(settings.workers)]
    try:
        with reserved(settings.host, settings.port):
            return asyncio.run(_supervised(settings, command, dev=dev))
    except OSError as error:
        raise ConfigurationError(_cannot_listen(settings, error)) from None


async def _supervised(settings: Settings, command: list[str], *, dev: bool) -> int:
    supervisor = Supervisor(
        workers=settings.workers,
        command=command,
        patience_seconds=settings.shutdown_delay_seconds + settings.shutdown_grace_seconds,
        announce=lambda: _announce(settings, dev=dev),
        ends_with_terminal=dev,
    )
    return await supervisor.run()


def _run(settings: Settings, *, dev: bool, worker: Worker | None) -> None:
    """Serve on the fastest event loop that is installed. A signal during the start ends with 0, as later."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_DFL if dev else signal.SIG_IGN)  # what it asks for is being done
    migration = begin_migration(settings.database)

    from authserver.app.serving import serve as run_server  # noqa: PLC0415 - a supervisor needs none of it

    announce = partial(_announce, settings, dev=dev) if worker is None else partial(_log_worker, worker)
    read_secrets = partial(_read_secrets, settings, dev=dev)
    with asyncio.Runner(loop_factory=fastest_event_loop()) as runner:
        runner.run(
            run_server(
                settings,
                announce=announce,
                read_secrets=read_secrets,
                migration=migration,
                ends_with_terminal=dev and worker is None,
                worker=worker,
            )
        )


def _read_secrets(settings: Settings, *, dev: bool) -> Settings:
    found = read_reloaded()
    return from_data_dir(found.model_copy(update={"data_dir": settings.data_dir})) if dev else found


def _announce(settings: Settings, *, dev: bool) -> None:
    """Say that the server serves: in the log, and to a person."""
    structlog.get_logger().info(
        "server.started",
        version=version("authserver"),
        issuer=settings.issuer,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
    )
    if dev:
        click.echo(welcome(settings, environment=os.environ, program=sys.argv[0]))


def _log_worker(worker: Worker) -> None:
    structlog.get_logger().info("worker.started", worker=worker.number, pid=os.getpid())

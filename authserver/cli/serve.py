"""`authserver serve`: everything that is missing or unsafe at once, or the server until SIGTERM.

Log lines go to stderr; stdout has the welcome of `--dev`, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping

import click
import structlog

from authserver.app.runtime import VERSION, Runtime
from authserver.app.serving import serve as run_server
from authserver.cli.options import example
from authserver.cli.welcome import welcome
from authserver.core.errors import ConfigurationError
from authserver.development import prepare
from authserver.settings import Settings, common_problems, production_problems, read_settings
from authserver.storage import migrate
from authserver.telemetry.logs import configure_logs

MANY_WORKERS = "AUTHSERVER_WORKERS: more than one worker needs a shared revocation index, which this version has not."


@click.command(epilog=example("authserver serve --dev", "AUTHSERVER_ISSUER=https://auth.example.com authserver serve"))
@click.option("--dev", is_flag=True, help="Need no setting: make what is missing in the data directory; plain http.")
@click.option("--host", help="The address to listen on. [default: AUTHSERVER_HOST, or 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port. [default: AUTHSERVER_PORT, or 8000]")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes; this version has one.")
def serve(*, dev: bool, host: str | None, port: int | None, workers: int | None) -> None:
    """Run the server."""
    settings, problems = _checked(dev=dev, host=host, port=port)
    if workers is not None and workers > 1:
        problems.append(MANY_WORKERS)
    if problems or settings is None:
        raise ConfigurationError(*problems)
    if dev:
        settings = prepare(settings)
    logs = configure_logs(style=settings.log_format or ("text" if dev else "json"), level=settings.log_level)
    try:
        _run(settings, _say_welcome if dev else _log_start)
    finally:
        logs.close()


def _checked(*, dev: bool, host: str | None, port: int | None) -> tuple[Settings | None, list[str]]:
    """Return the settings and all that keeps them from being served; settings None when they cannot be read.

    Settings that cannot be read are left out in a second reading, so that one message also names what is missing.
    """
    try:
        settings = read_settings(host=host, port=port)
    except ConfigurationError as error:
        named = {problem.partition(" ")[0].rstrip(":") for problem in error.problems}
        others = _without(named, host=host, port=port)
        problems = [] if others is None else _problems(others, dev=dev)
        return None, [*error.problems, *(problem for problem in problems if not problem.startswith(tuple(named)))]
    if dev and settings.port == 0:
        settings = settings.model_copy(update={"port": _free_port(settings.host)})
    return settings, _problems(settings, dev=dev)


def _without(names: set[str], **overrides: object) -> Settings | None:
    environment: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in names}
    try:
        return read_settings(environment, **overrides)
    except ConfigurationError:
        return None


def _problems(settings: Settings, *, dev: bool) -> list[str]:
    """Return everything that is missing or unsafe, the database's address and the port among it."""
    problems = common_problems(settings) if dev else production_problems(settings)
    try:
        migrate.status(settings.database)
    except ConfigurationError as error:
        problems += error.problems
    return problems + _port_problems(settings)


def _port_problems(settings: Settings) -> list[str]:
    try:
        _bind(settings.host, settings.port)
    except OSError as error:
        return [f"AUTHSERVER_PORT: cannot listen on {settings.host}:{settings.port} ({error.strerror or error})."]
    return []


def _free_port(host: str) -> int:
    try:
        return _bind(host, 0)
    except OSError:
        return 0  # the host is at fault, and named as such


def _bind(host: str, port: int) -> int:
    """Take and release the port, and return its number; raise OSError when it cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        return int(listener.getsockname()[1])


def _run(settings: Settings, announce: Callable[[Runtime], None]) -> None:
    """Serve on the fastest event loop that is installed. A signal during the start ends with 0, as later."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run_server(settings, announce=announce))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def _say_welcome(runtime: Runtime) -> None:
    _log_start(runtime)
    click.echo(welcome(runtime.capabilities.settings, environment=os.environ, program=sys.argv[0]))


def _log_start(runtime: Runtime) -> None:
    settings = runtime.capabilities.settings
    structlog.get_logger().info(
        "server.started",
        version=VERSION,
        issuer=runtime.capabilities.issuer,
        host=settings.host,
        port=settings.port,
    )

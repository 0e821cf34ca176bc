"""`authserver sidecar`: everything that is wrong at once, or the sidecar until SIGTERM. Log lines go to stderr."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from authserver.cli.options import example
from authserver.core.errors import ConfigurationError

T = TypeVar("T")

PREFIX = "AUTHSERVER_SIDECAR"
SECRET_VARIABLE = f"{PREFIX}_CLIENT_SECRET"


@click.command(
    context_settings={"auto_envvar_prefix": PREFIX, "show_default": True},
    epilog=example("authserver sidecar --config verifier.json --client-id orders --client-secret-file secret"),
)
@click.option("--config", required=True, metavar="FILE|URL", help="The verifier configuration of the service.")
@click.option("--client-id", metavar="ID", help="The client that is a resource server of the service's resource.")
@click.option(
    "--client-secret-file",
    type=click.Path(path_type=Path),
    help=f"The file with its secret. Or {SECRET_VARIABLE}, the secret itself.",
)
@click.option("--listen", default="127.0.0.1:9400", metavar="HOST:PORT|unix:PATH", help="Where to listen.")
@click.option(
    "--expose", is_flag=True, help="Listen on an address that other machines reach. No caller is authenticated."
)
@click.option("--rules", type=click.Path(path_type=Path), help="The rules of forward-auth, a JSON file.")
@click.option(
    "--max-staleness",
    type=click.FloatRange(3, 86_400),
    default=60,
    metavar="SECONDS",
    help="How long to answer while the authorization server is away.",
)
@click.option("--fail-open", is_flag=True, help="Answer after that too, by what was known last, instead of 503.")
@click.option("--leeway", type=click.IntRange(0, 60), default=30, metavar="SECONDS", help="How far clocks may differ.")
@click.option("--allow-http", is_flag=True, help="Trust a network that nobody else is on: http to other machines.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    help="Each request is a line at info.",
)
def sidecar(
    *,
    config: str,
    client_id: str | None,
    client_secret_file: Path | None,
    listen: str,
    expose: bool,
    rules: Path | None,
    max_staleness: float,
    fail_open: bool,
    leeway: int,
    allow_http: bool,
    log_level: str,
) -> None:
    """Answer beside one service, for it alone, by a local copy of keys and revocations.

    Forward-auth, introspection and JWKS on the loopback or a UNIX socket, while the authorization server is away as
    well. Each option may be a variable instead: AUTHSERVER_SIDECAR_CONFIG, AUTHSERVER_SIDECAR_CLIENT_ID and so on.
    """
    reload_asked = asyncio.Event()
    # What is read now may be out of date before it serves: whoever says so meanwhile is heard then.
    signal.signal(signal.SIGHUP, lambda *_: reload_asked.set())
    _keep_out_rich()
    # Only now: `--help` needs none of it, and Rich would have come with structlog.
    from authserver.sidecar.listening import parse_address  # noqa: PLC0415
    from authserver.sidecar.options import Options, read_sources  # noqa: PLC0415
    from authserver.sidecar.serving import serve  # noqa: PLC0415

    options = Options(
        config=config,
        client_id=client_id,
        client_secret_file=client_secret_file,
        client_secret=os.environ.get(SECRET_VARIABLE) or None,
        rules=rules,
        max_staleness_seconds=max_staleness,
        fail_open=fail_open,
        leeway_seconds=leeway,
        allow_http=allow_http,
    )
    problems = _unknown_variables()
    address = _gathered(problems, lambda: parse_address(listen, exposed=expose))
    sources = _gathered(problems, lambda: read_sources(options))
    if problems or address is None or sources is None:
        raise ConfigurationError(*problems)
    _run(lambda: serve(options, sources, address, reload_asked=reload_asked), log_level=log_level)


def _run(serving: Callable[[], Coroutine[Any, Any, None]], *, log_level: str) -> None:
    """Run the process, with its log. A signal during the start ends with 0, as later."""
    from authserver.telemetry.logs import configure_logs  # noqa: PLC0415 - as above
    from authserver.wire.event_loop import fastest_event_loop  # noqa: PLC0415

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logs = configure_logs(style="json", level=log_level)
    try:
        with asyncio.Runner(loop_factory=fastest_event_loop()) as runner:
            runner.run(serving())
    finally:
        logs.close()


def _keep_out_rich() -> None:
    """Keep structlog from importing Rich where it is installed: 5 MB for tracebacks in colour, which are not ours."""
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type] # None: not to be found


def _unknown_variables() -> list[str]:
    command = click.get_current_context().command
    known = {f"{PREFIX}_{parameter.name}".upper() for parameter in command.params} | {SECRET_VARIABLE}
    unknown = sorted(name for name in os.environ if name.startswith(f"{PREFIX}_") and name not in known)
    return [f"{name} is no setting of the sidecar; `authserver sidecar --help` lists them." for name in unknown]


def _gathered(problems: list[str], read: Callable[[], T]) -> T | None:
    """Return what is read; None, and its problems among the others, when it cannot be."""
    try:
        return read()
    except ConfigurationError as error:
        problems += error.problems
        return None

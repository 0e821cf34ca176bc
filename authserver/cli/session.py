"""The runtime that a command works on: the server's own database and keys, whether it runs or not."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from authserver.administration.actor import Actor
from authserver.administration.verbs import Verbs
from authserver.app.runtime import Runtime, open_runtime
from authserver.core.errors import ConfigurationError
from authserver.development import from_data_dir
from authserver.settings import Settings, common_problems, read_settings
from authserver.storage.address import database_file
from authserver.telemetry.logs import configure_logs

T = TypeVar("T")

NO_SECRET_KEY = "AUTHSERVER_SECRET_KEY is missing: set the one that the server uses, or name its AUTHSERVER_DATA_DIR."


def administer(work: Callable[[Verbs, Actor], Awaitable[T]]) -> T:
    """Do one act of administration and return its result; raises as the verb does, and ConfigurationError."""
    return work_on(command_settings(), lambda runtime: work(runtime.administration, command_line_actor()))


def work_on(settings: Settings, work: Callable[[Runtime], Awaitable[T]]) -> T:
    """Open the runtime, do the work on it and close it, with logs on stderr when `--verbose` asks for them."""
    verbose = click.get_current_context().find_root().params.get("verbose")
    logs = configure_logs(style=settings.log_format or "text", level="debug" if verbose else "error")
    try:
        return asyncio.run(_opened(settings, work))
    finally:
        logs.close()


def command_settings() -> Settings:
    """Return the settings of a command on an existing database; raise ConfigurationError with all that is wrong."""
    settings = from_data_dir(read_settings())
    _require_database(settings)
    problems = common_problems(settings)
    if not settings.secret_keys:
        problems.insert(0, NO_SECRET_KEY)
    if problems:
        raise ConfigurationError(*problems)
    return settings


def _require_database(settings: Settings) -> None:
    """Raise ConfigurationError when there is no database: a command never makes one in passing."""
    path = database_file(settings.database)
    if path is not None and not path.exists():
        raise ConfigurationError(
            f"no database at {path}: start the server once, or run `authserver migrate up`, "
            "or run this where the server runs, or set AUTHSERVER_DATA_DIR."
        )


def command_line_actor() -> Actor:
    """Return who acts: the account of the operating system, allowed everything as it can read the keys."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container's account often has no name
        account = str(os.getuid())
    return Actor(name=f"cli:{account}")


async def _opened(settings: Settings, work: Callable[[Runtime], Awaitable[T]]) -> T:
    async with open_runtime(settings) as runtime:
        return await work(runtime)

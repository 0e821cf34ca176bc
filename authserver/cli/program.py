"""The root command: finds the others when they are asked for, and turns every failure into one line.

`authserver --help` and `authserver version` import none of the server, so that they answer at once.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Any, NamedTuple

import click

from authserver.core.errors import AdminError, AuthServerError, ConfigurationError


class Entry(NamedTuple):
    """Where a command lies, and its line in the help text (a test compares it with the command's own)."""

    module: str
    summary: str


COMMANDS = {
    "serve": Entry("serve", "Run the server."),
    "sidecar": Entry("sidecar", "Answer beside one service, for it alone, by a local copy of keys and revocations."),
    "clients": Entry("clients", "Create, list, change and delete clients, and rotate their secrets."),
    "resources": Entry("resources", "Register the services that tokens are for, and export what they need."),
    "claims": Entry("claims", "Set, show, preview and restore claims templates."),
    "keys": Entry("keys", "List, rotate, revoke and export signing keys."),
    "tokens": Entry("tokens", "Revoke tokens."),
    "migrate": Entry("migrate", "Bring the database to this version, or say where it stands."),
    "doctor": Entry("doctor", "Check settings, database, keys, clock and reachability."),
    "openapi": Entry("openapi", "Print the OpenAPI document of the server."),
    "version": Entry("version", "Print the version."),
}


class Refusal(click.ClickException):
    """A command that was understood and not carried out: its reason on stderr, exit code 1."""


class Program(click.Group):
    """A group that imports the module of a command when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of the table: serving first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command; None for an unknown name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(f"authserver.cli.{entry.module}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker; the table says so
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a name that is nearly one is answered with that."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises becomes a refusal in one line."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError, ModuleNotFoundError):
            raise  # click's own, or for `main`
        except Exception as error:  # no failure may show a traceback, which could hold what was typed
            raise Refusal(reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """Return what to tell the operator: one line, or one for each setting at fault."""
    if isinstance(error, ConfigurationError):
        return "\n".join(error.problems)
    if isinstance(error, AdminError):
        return _one_line(error.detail)
    if isinstance(error, AuthServerError):
        return _one_line(error.reason)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} at {place.filename}:{place.lineno}; please report this line"


def _one_line(text: str) -> str:
    return " ".join(text.split())


@click.command(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="authserver", message="%(prog)s %(version)s", help="Print the version.")
@click.option("-v", "--verbose", is_flag=True, help="Show log lines, such as the audit of what was done, on stderr.")
def program(*, verbose: bool) -> None:  # noqa: ARG001 - read by `session`
    """Run and administer an OAuth 2.0 authorization server for machines.

    Settings come from AUTHSERVER_* variables; `authserver doctor --settings` lists them. A command works on the
    database of the server, which need not run; a running server obeys within a second.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name must not lose the rest

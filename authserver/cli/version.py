"""`authserver version`."""

from __future__ import annotations

from importlib.metadata import version as version_of

import click

from authserver.cli.options import example, json_option


@click.command(epilog=example("authserver version --json"))
@json_option
def version(*, as_json: bool) -> None:
    """Print the version."""
    number = version_of("authserver")
    click.echo(f'{{"version": "{number}"}}' if as_json else f"authserver {number}")

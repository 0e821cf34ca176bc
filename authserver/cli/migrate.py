"""`authserver migrate`: the schema of the database. `serve` does the same by itself when it starts."""

from __future__ import annotations

import asyncio

import click

from authserver.cli.options import example, json_option
from authserver.cli.output import print_json
from authserver.development import from_data_dir
from authserver.settings import read_settings
from authserver.storage import migrate as migrations
from authserver.storage.migrate import MigrationStatus


@click.group()
def migrate() -> None:
    """Bring the database to this version, or say where it stands."""


@migrate.command(epilog=example("authserver migrate up"))
@json_option
def up(*, as_json: bool) -> None:
    """Bring the database to this version. It is made when there is none."""
    _print(asyncio.run(migrations.upgrade(_database_url())), as_json=as_json)


@migrate.command(epilog=example("authserver migrate status --json"))
@json_option
def status(*, as_json: bool) -> None:
    """Say where the database stands. Nothing is changed."""
    _print(migrations.status(_database_url()), as_json=as_json)


def _database_url() -> str:
    return from_data_dir(read_settings()).database


def _print(found: MigrationStatus, *, as_json: bool) -> None:
    if as_json:
        shown = {"current": found.current, "head": found.head, "pending": found.is_pending, "ahead": found.is_ahead}
        print_json(shown)
    elif found.is_ahead:
        click.echo(
            f"The database is at revision {found.current}, ahead of this version ({found.head}), "
            "but compatible with it: nothing to do."
        )
    elif found.is_pending:
        have = f"is at revision {found.current}" if found.current else "is empty"
        click.echo(f"The database {have}, this version needs {found.head}: run `authserver migrate up`.")
    else:
        click.echo(f"The database is at revision {found.current}, the newest.")

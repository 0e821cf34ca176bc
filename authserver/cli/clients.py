"""`authserver clients`: create or import, list, show, change, rotate secrets, disable, delete."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from authserver.admin.client_secrets import NewSecretView
from authserver.admin.clients import ClientView, CreatedClientView
from authserver.administration.actor import Actor
from authserver.administration.verbs import Verbs
from authserver.cli import cautions
from authserver.cli.all_clients import all_clients
from authserver.cli.client_options import metadata_document, metadata_options
from authserver.cli.options import confirm, example, given, json_option, read_secret, yes_option
from authserver.cli.output import document_of, print_json, print_rows, print_table, warn
from authserver.cli.refusals import in_options, unless_taken
from authserver.cli.secret_files import check_destinations, new_files, secret_options, without_secret
from authserver.cli.session import administer
from authserver.core.client import Client, ClientSecret, ClientStatus
from authserver.core.json_value import Json
from authserver.core.resource import Resource

_NEVER_EXPIRES = 0
_HIDDEN_FROM_PEOPLE = frozenset({"secrets", "workspace_id", "version", "client_secret_expires_at", "secret_hint"})


@click.group()
def clients() -> None:
    """Create, list, change and delete clients, and rotate their secrets."""


@clients.command(
    epilog=example(
        'authserver clients create --name billing --scope "read write" --audience https://api.example.com \\',
        '    --metadata \'{"plan": "free"}\' --json',
    )
)
@click.option("--name", "client_name", required=True, help="A name for people.")
@click.option("--client-id", metavar="ID", help="Its id; also to import one. [default: a random one]")
@click.option("--client-secret-stdin", is_flag=True, help="Import: read its secret from stdin.")
@metadata_options(new=True)
@secret_options
@json_option
def create(
    *,
    client_name: str,
    client_id: str | None,
    client_secret_stdin: bool,
    credentials: bool,
    credentials_file: Path | None,
    secret_file: Path | None,
    as_json: bool,
    **metadata: Any,
) -> None:
    """Create a client, or import one with id and secret. The secret is shown this once."""
    check_destinations(client_id, credentials=credentials, credentials_file=credentials_file, secret_file=secret_file)
    secret = read_secret("Client secret") if client_secret_stdin else None
    document = metadata_document(**metadata) | given(client_name=client_name, client_id=client_id, client_secret=secret)
    update_it = f"authserver clients update {shlex.quote(str(client_id))}"
    with (
        new_files(credentials_file, secret_file) as write,
        in_options(document),
        unless_taken(f"client {client_id!r}", update_it),
    ):
        client, secret, resources = administer(lambda admin, actor: _created(admin, actor, document))
        write(client.client_id, secret)
    if credentials:
        click.echo(f"{client.client_id}:{secret}")
    else:
        _print_created(client, secret, credentials_file, secret_file, as_json=as_json)
    warn(cautions.of_client(client, resources))


async def _created(admin: Verbs, actor: Actor, document: Mapping[str, Json]) -> tuple[Client, str, Sequence[Resource]]:
    """Create the client last: what fails after it would take its secret along."""
    resources = await admin.resources.list(actor)
    return *await admin.clients.create(actor, document), resources


def _print_created(client: Client, secret: str, *files: Path | None, as_json: bool) -> None:
    entry = client.secrets[0]
    view = CreatedClientView.of(
        client,
        client_secret=secret,
        client_secret_expires_at=_NEVER_EXPIRES,
        credential_id=entry.credential_id,
        secret_hint=entry.secret_hint,
    )
    _print(without_secret(document_of(view), *files, as_json=as_json), as_json=as_json)


@clients.command("list", epilog=example("authserver clients list --json"))
@json_option
def list_(*, as_json: bool) -> None:
    """List all clients in the order of their ids."""
    views = [document_of(ClientView.of(client)) for client in administer(all_clients)]
    if as_json:
        print_json(views)
    else:
        print_table(
            ("client_id", "client_name", "status", "scope", "audiences"),
            views,
            nothing="There is no client yet: authserver clients create --name NAME",
        )


@clients.command(epilog=example("authserver clients show cl_5hPz"))
@click.argument("client_id")
@json_option
def show(client_id: str, *, as_json: bool) -> None:
    """Show one client. Of its live secrets it shows the last four characters and the last use."""
    _print_client(administer(lambda admin, actor: admin.clients.get(actor, client_id)), as_json=as_json)


@clients.command(epilog=example('authserver clients update cl_5hPz --scope "read" --metadata \'{"plan": null}\''))
@click.argument("client_id")
@click.option("--name", "client_name", help="A name for people.")
@metadata_options(new=False)
@click.option("--no-default-scope", is_flag=True, help="By default it gets all of its scope.")
@click.option("--no-audience", is_flag=True, help="It may name no resource.")
@click.option("--no-default-audience", is_flag=True, help="The first audience is the default one.")
@json_option
def update(
    client_id: str,
    *,
    no_default_scope: bool,
    no_audience: bool,
    no_default_audience: bool,
    as_json: bool,
    **metadata: Any,
) -> None:
    """Change what is given and leave the rest. Metadata is merged, and null removes a key (RFC 7396)."""
    patch = metadata_document(**metadata)
    patch |= {"default_scope": None} if no_default_scope else {}
    patch |= {"audiences": []} if no_audience else {}
    patch |= {"default_audience": None} if no_default_audience or no_audience else {}
    if not patch:
        raise click.UsageError("Nothing to change is given.")
    with in_options(patch):
        client, resources = administer(lambda admin, actor: _changed(admin, actor, client_id, patch))
    _print_client(client, as_json=as_json)
    if {"scope", "audiences"} & patch.keys():
        warn(cautions.of_client(client, resources))


async def _changed(
    admin: Verbs, actor: Actor, client_id: str, patch: Mapping[str, Json]
) -> tuple[Client, Sequence[Resource]]:
    resources = await admin.resources.list(actor)
    return await admin.clients.update(actor, client_id, patch), resources


@clients.command(
    "rotate-secret",
    epilog=example(
        "authserver clients rotate-secret cl_5hPz --secret-file secret.new",
        "authserver clients rotate-secret cl_5hPz --complete",
    ),
)
@click.argument("client_id")
@click.option("--complete", is_flag=True, help="Only the new secret works from now on.")
@click.option("--cancel", is_flag=True, help="Forget the new secret.")
@secret_options
@json_option
def rotate_secret(
    client_id: str,
    *,
    complete: bool,
    cancel: bool,
    credentials: bool,
    credentials_file: Path | None,
    secret_file: Path | None,
    as_json: bool,
) -> None:
    """Add a second secret, or complete or cancel that.

    The new secret is shown this once; both work until the rotation is completed or cancelled.
    """
    if complete and cancel:
        raise click.UsageError("--complete and --cancel exclude each other.")
    if (complete or cancel) and (credentials or credentials_file or secret_file):
        raise click.UsageError("--complete and --cancel make no secret that could be printed or written.")
    check_destinations(client_id, credentials=credentials, credentials_file=credentials_file, secret_file=secret_file)
    if complete:
        client = administer(lambda admin, actor: admin.secrets.complete_rotation(actor, client_id))
        _print_client(client, as_json=as_json)
    elif cancel:
        client = administer(lambda admin, actor: admin.secrets.cancel_rotation(actor, client_id))
        _print_client(client, as_json=as_json)
    else:
        with new_files(credentials_file, secret_file) as write:
            entry, secret = administer(lambda admin, actor: admin.secrets.start_rotation(actor, client_id))
            write(client_id, secret)
        if credentials:
            click.echo(f"{client_id}:{secret}")
        else:
            _print_rotated(entry, secret, credentials_file, secret_file, as_json=as_json)


def _print_rotated(entry: ClientSecret, secret: str, *files: Path | None, as_json: bool) -> None:
    view = NewSecretView(
        client_id=entry.client_id,
        client_secret=secret,
        credential_id=entry.credential_id,
        secret_hint=entry.secret_hint,
    )
    _print(without_secret(document_of(view), *files, as_json=as_json), as_json=as_json)


@clients.command("remove-secret", epilog=example("authserver clients remove-secret cl_5hPz cred_7Jw2"))
@click.argument("client_id")
@click.argument("credential_id")
@yes_option
def remove_secret(client_id: str, credential_id: str, *, yes: bool) -> None:
    """Remove one secret at once, and end its tokens."""
    confirm(f"Remove the secret {credential_id} and end its tokens?", yes=yes)
    administer(lambda admin, actor: admin.secrets.remove(actor, client_id, credential_id))
    click.echo(f"Removed {credential_id}.")


@clients.command(epilog=example("authserver clients disable cl_5hPz"))
@click.argument("client_id")
@json_option
def disable(client_id: str, *, as_json: bool) -> None:
    """Refuse a client new tokens, and end those it has."""
    _print_client(_updated(client_id, {"status": ClientStatus.DISABLED.value}), as_json=as_json)


@clients.command(epilog=example("authserver clients enable cl_5hPz"))
@click.argument("client_id")
@json_option
def enable(client_id: str, *, as_json: bool) -> None:
    """Let a disabled client get tokens again. Those that it had stay revoked."""
    _print_client(_updated(client_id, {"status": ClientStatus.ACTIVE.value}), as_json=as_json)


@clients.command(epilog=example("authserver clients delete cl_5hPz --yes"))
@click.argument("client_id")
@yes_option
def delete(client_id: str, *, yes: bool) -> None:
    """Delete a client, and end all its tokens."""
    confirm(f"Delete the client {client_id} and end its tokens?", yes=yes)
    administer(lambda admin, actor: admin.clients.delete(actor, client_id))
    click.echo(f"Deleted {client_id}.")


def _updated(client_id: str, patch: Mapping[str, Json]) -> Client:
    return administer(lambda admin, actor: admin.clients.update(actor, client_id, patch))


def _print_client(client: Client, *, as_json: bool) -> None:
    view = document_of(ClientView.of(client))
    _print(view, as_json=as_json)
    if not as_json and view["secrets"]:
        click.echo()
        columns = ("credential_id", "state", "secret_hint", "created_at", "last_used_at")
        print_table(columns, view["secrets"], nothing="")


def _print(document: dict[str, Json], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_rows({name: value for name, value in document.items() if name not in _HIDDEN_FROM_PEOPLE})

"""`authserver clients`: create or import, list, show, change, rotate secrets, disable, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from authserver.admin.client_secrets import NewSecretView
from authserver.admin.clients import ClientView, CreatedClientView
from authserver.administration.actor import Actor
from authserver.administration.verbs import Verbs
from authserver.cli.json_value import JsonObject
from authserver.cli.options import (
    SecondsOrDefault,
    confirm,
    example,
    given,
    json_option,
    read_secret,
    yes_option,
)
from authserver.cli.output import document_of, print_json, print_rows, print_table
from authserver.cli.session import administer
from authserver.core.client import AuthMethod, Client, ClientStatus, Json

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_PAGE = 500
_NEVER_EXPIRES = 0
_HIDDEN_FROM_PEOPLE = frozenset({"secrets", "workspace_id", "version", "client_secret_expires_at", "secret_hint"})


@click.group()
def clients() -> None:
    """Create, list, change and delete clients, and rotate their secrets."""


def _metadata_options(command: CommandT) -> CommandT:
    """Add the options that create and update have in common."""
    for option in reversed(
        (
            click.option("--scope", metavar='"A B"', help="All scopes that it may ask for, with one space between."),
            click.option("--default-scope", metavar='"A"', help="What it gets unasked. [default: all of it]"),
            click.option(
                "--audience", "audiences", metavar="URI", multiple=True, help="A resource that it may name; repeatable."
            ),
            click.option(
                "--default-audience", metavar="URI", help="The audience when it names none. [default: the first]"
            ),
            click.option(
                "--metadata",
                "trusted_metadata",
                type=JsonObject(),
                help="A JSON object for claims templates to read.",
            ),
            click.option(
                "--auth-method",
                type=click.Choice([method.value for method in AuthMethod]),
                help="The one way in which it sends its secret. [default: client_secret_basic]",
            ),
            click.option(
                "--ttl", type=SecondsOrDefault(), help="Lifetime of its tokens. [default: the resource's or server's]"
            ),
            click.option("--description", help="What the client is for."),
        )
    ):
        command = option(command)
    return command


def _metadata(
    *,
    audiences: tuple[str, ...],
    auth_method: str | None,
    ttl: int | str | None,
    description: str | None,
    **same_names: Json,
) -> dict[str, Json]:
    """Return what the options say as a document; `--ttl default` is the null that removes (RFC 7396)."""
    document = given(
        audiences=list(audiences) or None,
        token_endpoint_auth_method=auth_method,
        access_token_ttl_seconds=ttl,
        client_description=description,
        **same_names,
    )
    return document | ({"access_token_ttl_seconds": None} if ttl == "default" else {})


@clients.command(
    epilog=example(
        'authserver clients create --name billing --scope "read write" --audience https://api.example.com \\',
        '    --metadata \'{"plan": "free"}\' --json',
    )
)
@click.option("--name", "client_name", required=True, help="A name for people.")
@click.option("--client-id", metavar="ID", help="Import: its id, kept byte for byte. [default: a random one]")
@click.option("--client-secret-stdin", is_flag=True, help="Import: read its secret from stdin.")
@_metadata_options
@click.option("--credentials", is_flag=True, help="Print `id:secret` alone, as `curl -u` takes it.")
@json_option
def create(
    *,
    client_name: str,
    client_id: str | None,
    client_secret_stdin: bool,
    credentials: bool,
    as_json: bool,
    **metadata: Any,
) -> None:
    """Create a client, or import one with its id and secret; print the secret, which is never shown again."""
    secret = read_secret("Client secret") if client_secret_stdin else None
    document = _metadata(**metadata) | given(client_name=client_name, client_id=client_id, client_secret=secret)
    client, secret = administer(lambda admin, actor: admin.clients.create(actor, document))
    if credentials:
        click.echo(f"{client.client_id}:{secret}")
        return
    entry = client.secrets[0]
    view = CreatedClientView.of(
        client,
        client_secret=secret,
        client_secret_expires_at=_NEVER_EXPIRES,
        credential_id=entry.credential_id,
        secret_hint=entry.secret_hint,
    )
    _print(document_of(view), as_json=as_json)


@clients.command("list", epilog=example("authserver clients list --json"))
@json_option
def list_(*, as_json: bool) -> None:
    """List all clients in the order of their ids, never with a secret."""
    views = [document_of(ClientView.of(client)) for client in administer(_all_clients)]
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
    """Show one client with its live secrets' last four characters and last use."""
    _print_client(administer(lambda admin, actor: admin.clients.get(actor, client_id)), as_json=as_json)


@clients.command(epilog=example('authserver clients update cl_5hPz --scope "read" --metadata \'{"plan": null}\''))
@click.argument("client_id")
@click.option("--name", "client_name", help="A name for people.")
@_metadata_options
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
    """Change what is given and leave the rest; metadata is merged, and null removes a key (RFC 7396)."""
    patch = _metadata(**metadata)
    patch |= {"default_scope": None} if no_default_scope else {}
    patch |= {"audiences": []} if no_audience else {}
    patch |= {"default_audience": None} if no_default_audience or no_audience else {}
    if not patch:
        raise click.UsageError("Nothing to change is given.")
    _print_client(_updated(client_id, patch), as_json=as_json)


@clients.command(
    "rotate-secret",
    epilog=example("authserver clients rotate-secret cl_5hPz", "authserver clients rotate-secret cl_5hPz --complete"),
)
@click.argument("client_id")
@click.option("--complete", is_flag=True, help="Only the new secret works from now on.")
@click.option("--cancel", is_flag=True, help="Forget the new secret.")
@json_option
def rotate_secret(client_id: str, *, complete: bool, cancel: bool, as_json: bool) -> None:
    """Add a second secret and print it, once: both work until the rotation is completed or cancelled."""
    if complete and cancel:
        raise click.UsageError("--complete and --cancel exclude each other.")
    if complete:
        client = administer(lambda admin, actor: admin.secrets.complete_rotation(actor, client_id))
        _print_client(client, as_json=as_json)
    elif cancel:
        client = administer(lambda admin, actor: admin.secrets.cancel_rotation(actor, client_id))
        _print_client(client, as_json=as_json)
    else:
        entry, secret = administer(lambda admin, actor: admin.secrets.start_rotation(actor, client_id))
        view = NewSecretView(
            client_id=entry.client_id,
            client_secret=secret,
            credential_id=entry.credential_id,
            secret_hint=entry.secret_hint,
        )
        _print(document_of(view), as_json=as_json)


@clients.command("remove-secret", epilog=example("authserver clients remove-secret cl_5hPz cred_7Jw2"))
@click.argument("client_id")
@click.argument("credential_id")
@yes_option
def remove_secret(client_id: str, credential_id: str, *, yes: bool) -> None:
    """Remove one secret at once, with all tokens that it obtained."""
    confirm(f"Remove the secret {credential_id} and end its tokens?", yes=yes)
    administer(lambda admin, actor: admin.secrets.remove(actor, client_id, credential_id))
    click.echo(f"Removed {credential_id}.")


@clients.command(epilog=example("authserver clients disable cl_5hPz"))
@click.argument("client_id")
@json_option
def disable(client_id: str, *, as_json: bool) -> None:
    """Let a client get no more tokens, and end all those that it has."""
    _print_client(_updated(client_id, {"status": ClientStatus.DISABLED.value}), as_json=as_json)


@clients.command(epilog=example("authserver clients enable cl_5hPz"))
@click.argument("client_id")
@json_option
def enable(client_id: str, *, as_json: bool) -> None:
    """Let a disabled client get tokens again; those that it had stay revoked."""
    _print_client(_updated(client_id, {"status": ClientStatus.ACTIVE.value}), as_json=as_json)


@clients.command(epilog=example("authserver clients delete cl_5hPz --yes"))
@click.argument("client_id")
@yes_option
def delete(client_id: str, *, yes: bool) -> None:
    """Delete a client and its secrets, and end all its tokens."""
    confirm(f"Delete the client {client_id} and end its tokens?", yes=yes)
    administer(lambda admin, actor: admin.clients.delete(actor, client_id))
    click.echo(f"Deleted {client_id}.")


async def _all_clients(admin: Verbs, actor: Actor) -> list[Client]:
    page = await admin.clients.page(actor, after=None, limit=_PAGE)
    found = list(page.items)
    while page.next_after is not None:
        page = await admin.clients.page(actor, after=page.next_after, limit=_PAGE)
        found += page.items
    return found


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

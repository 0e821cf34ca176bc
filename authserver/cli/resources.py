"""`authserver resources`: the services that tokens are for, their token policies, and what their verifiers need."""

from __future__ import annotations

import shlex
from typing import Any

import click

from authserver.admin.resources import ResourceView, WrittenResourceView
from authserver.administration.actor import Actor
from authserver.administration.verbs import Verbs
from authserver.cli import cautions
from authserver.cli.options import (
    Decorator,
    SecondsOrDefault,
    confirm,
    example,
    given,
    json_option,
    read_secret,
    together,
    yes_option,
)
from authserver.cli.output import document_of, print_json, print_rows, print_table, warn
from authserver.cli.refusals import in_options, unless_taken
from authserver.cli.session import administer
from authserver.core.json_value import Json
from authserver.core.resource import Resource, SigningAlg, TokenType
from authserver.resources.verifier_config import VerifierConfiguration

INCLUDES = "includes"
DESCRIBES = "--"
_HIDDEN_FROM_PEOPLE = frozenset({"workspace_id", "built_in", "version", "scopes"})


@click.group()
def resources() -> None:
    """Register the services that tokens are for, and export what they need."""


class ScopeOption(click.ParamType[list[dict[str, Json]]]):
    """`NAME [includes NAME…] [-- DESCRIPTION]`, or several names; a space is all that no scope name can hold."""

    name = "scope"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[dict[str, Json]]:
        """Return the scopes as the management API writes them."""
        text, _, description = f" {value} ".partition(f" {DESCRIBES} ")
        names = text.split()
        if not names:
            self.fail("names no scope", param, ctx)
        if names[1:2] != [INCLUDES]:
            return [{"name": name, "description": description.strip()} for name in names]
        if not names[2:]:
            self.fail(f"says no scope after `{INCLUDES}`", param, ctx)
        return [{"name": names[0], "description": description.strip(), "includes": names[2:]}]


def _policy_options(*, new: bool) -> Decorator[Any]:
    """Add the options that create and update have in common; only a `new` resource gets defaults."""

    def otherwise(default: str) -> str:
        return f" [default: {default}]" if new else ""

    return together(
        click.option("--name", help="A name for people."),
        click.option(
            "--scope",
            "scopes",
            type=ScopeOption(),
            metavar="SCOPE",
            multiple=True,
            help='A scope, or "write includes read -- May change things"; repeatable.'
            + (" None: its clients decide." if new else ""),
        ),
        click.option(
            "--alg",
            type=click.Choice([alg.value for alg in SigningAlg], case_sensitive=False),
            help="How its tokens are signed." + otherwise("ES256"),
        ),
        click.option(
            "--typ",
            type=click.Choice([typ.value for typ in TokenType]),
            help="The `typ` header of its tokens." + otherwise("at+jwt"),
        ),
        click.option("--ttl", type=SecondsOrDefault(), help="Lifetime of its tokens." + otherwise("the server's")),
        click.option(
            "--server",
            "servers",
            metavar="CLIENT_ID",
            multiple=True,
            help="A client that may introspect its tokens and follow its revocations; repeatable.",
        ),
        click.option("--secret-stdin", is_flag=True, help="HS256: read the shared secret from stdin."),
    )


def _policy(
    *,
    name: str | None,
    scopes: tuple[list[dict[str, Json]], ...],
    alg: str | None,
    typ: str | None,
    ttl: int | str | None,
    servers: tuple[str, ...],
    secret_stdin: bool,
) -> dict[str, Json]:
    """Return what the options say as a document; `--ttl default` is the null that removes (RFC 7396)."""
    listed = [scope for several in scopes for scope in several]
    _check_included(listed)
    document = given(
        name=name,
        scopes=listed or None,
        signing_alg=alg,
        token_typ=typ,
        access_token_ttl_seconds=ttl,
        resource_servers=list(servers) or None,
        hs256_secret=read_secret("Shared secret") if secret_stdin else None,
    )
    return document | ({"access_token_ttl_seconds": None} if ttl == "default" else {})


def _check_included(scopes: list[dict[str, Json]]) -> None:
    """Refuse a scope that includes one which is not in the list; the options always give the whole list."""
    names = {scope["name"] for scope in scopes}
    for scope in scopes:
        for included in scope.get("includes", ()):
            if included not in names:
                raise click.ClickException(
                    f"--scope: '{scope['name']}' includes '{included}', which is no scope of this resource"
                )


@resources.command(
    epilog=example(
        "authserver resources create --identifier https://api.example.com --scope read \\",
        '    --scope "write includes read -- May change things" --server cl_5hPz --json',
    )
)
@click.option("--identifier", metavar="URI", required=True, help="Its absolute URI, the `aud` of its tokens.")
@_policy_options(new=True)
@json_option
def create(*, identifier: str, as_json: bool, **policy: Any) -> None:
    """Register a resource. That of HS256 prints its shared secret."""
    document = _policy(**policy) | {"identifier": identifier}
    with in_options(document), unless_taken(identifier, f"authserver resources update {shlex.quote(identifier)}"):
        resource, secret = administer(lambda admin, actor: admin.resources.create(actor, document))
    _print_resource(WrittenResourceView.of(resource, hs256_secret=secret), as_json=as_json)
    warn(cautions.of_resource(resource))


@resources.command("list", epilog=example("authserver resources list"))
@json_option
def list_(*, as_json: bool) -> None:
    """List all resources in the order of their identifiers."""
    found = administer(lambda admin, actor: admin.resources.list(actor))
    views = [document_of(ResourceView.of(resource)) for resource in found]
    if as_json:
        print_json(views)
        return
    for view in views:
        view["scopes"] = [scope["name"] for scope in view["scopes"]]
    print_table(
        ("identifier", "name", "signing_alg", "token_typ", "scopes"), views, nothing="There is no resource yet."
    )


@resources.command(epilog=example("authserver resources show https://api.example.com"))
@click.argument("uri")
@json_option
def show(uri: str, *, as_json: bool) -> None:
    """Show one resource."""
    resource = administer(lambda admin, actor: admin.resources.find(actor, uri))
    _print_resource(ResourceView.of(resource), as_json=as_json)


@resources.command(epilog=example("authserver resources update https://api.example.com --ttl 600 --server cl_5hPz"))
@click.argument("uri")
@_policy_options(new=False)
@click.option("--no-scope", is_flag=True, help="Leave scopes to the clients.")
@click.option("--no-server", is_flag=True, help="No client acts as its resource server.")
@json_option
def update(uri: str, *, no_scope: bool, no_server: bool, as_json: bool, **policy: Any) -> None:
    """Change what is given and leave the rest. `--scope` and `--server` replace the whole list."""
    patch = _policy(**policy)
    patch |= {"scopes": []} if no_scope else {}
    patch |= {"resource_servers": []} if no_server else {}
    if not patch:
        raise click.UsageError("Nothing to change is given.")

    async def change(admin: Verbs, actor: Actor) -> tuple[Resource, Resource, str | None]:
        present = await admin.resources.find(actor, uri)
        return present, *await admin.resources.update(actor, present.resource_id, patch)

    with in_options(patch):
        before, resource, secret = administer(change)
    _print_resource(WrittenResourceView.of(resource, hs256_secret=secret), as_json=as_json)
    if patch.get("scopes"):
        warn(cautions.of_resource(resource))
    if patch.get("resource_servers"):
        warn(cautions.of_dropped_servers(before, resource))


@resources.command(epilog=example("authserver resources delete https://api.example.com --yes"))
@click.argument("uri")
@yes_option
def delete(uri: str, *, yes: bool) -> None:
    """Delete a resource with its templates and HS256 keys."""
    confirm(f"Delete the resource {uri}?", yes=yes)

    async def remove(admin: Verbs, actor: Actor) -> None:
        present = await admin.resources.find(actor, uri)
        await admin.resources.delete(actor, present.resource_id)

    administer(remove)
    click.echo(f"Deleted {uri}.")


@resources.command(epilog=example("authserver resources export https://api.example.com > verifier.json"))
@click.argument("uri")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, which this command always does.")
def export(uri: str, *, as_json: bool) -> None:  # noqa: ARG001 - accepted, as everywhere
    """Print what a service needs to check tokens itself. For HS256 that includes the secret."""

    async def configuration(admin: Verbs, actor: Actor) -> VerifierConfiguration:
        present = await admin.resources.find(actor, uri)
        return await admin.verifier_configs.export(actor, present.resource_id)

    print_json(administer(configuration).document())


def _print_resource(view: ResourceView, *, as_json: bool) -> None:
    document = document_of(view)
    if as_json:
        print_json(document)
        return
    print_rows({name: value for name, value in document.items() if name not in _HIDDEN_FROM_PEOPLE})
    click.echo()
    print_table(("name", "includes", "description"), document["scopes"], nothing="Scopes are left to the clients.")

"""`authserver keys`: signing keys, their rotation and their withdrawal in an emergency."""

from __future__ import annotations

from collections.abc import Sequence

import click

from authserver.admin.signing_keys import KeyView, RevokeForm
from authserver.administration.actor import Actor
from authserver.administration.validation import validated
from authserver.administration.verbs import Verbs
from authserver.cli.options import confirm, example, json_option, yes_option
from authserver.cli.output import document_of, print_json, print_table
from authserver.cli.refusals import in_options
from authserver.cli.session import administer
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import SigningKey


@click.group()
def keys() -> None:
    """List, rotate, revoke and export signing keys."""


@keys.command("list", epilog=example("authserver keys list"))
@json_option
def list_(*, as_json: bool) -> None:
    """List the keys in use, and those that were revoked."""
    _print_keys(administer(lambda admin, actor: admin.signing_keys.list(actor)), as_json=as_json)


@keys.command(epilog=example("authserver keys rotate --alg ES256"))
@click.option(
    "--alg",
    type=click.Choice([alg.value for alg in SigningAlg], case_sensitive=False),
    help="The keys of one algorithm. [default: all but HS256]",
)
@click.option("--resource", metavar="URI", help="The HS256 key of this resource.")
@click.option("--force", is_flag=True, help="Do not wait until every verifier can know the next key.")
@json_option
def rotate(*, alg: str | None, resource: str | None, force: bool, as_json: bool) -> None:
    """Let the next key sign, once verifiers can know it. The old one stays published until its tokens end."""
    if alg == SigningAlg.HS256 and resource is None:
        raise click.UsageError("--alg HS256 needs --resource: each resource has a secret of its own.")

    async def change(admin: Verbs, actor: Actor) -> Sequence[SigningKey]:
        if resource is None:
            chosen = None if alg is None else SigningAlg(alg)
            return await admin.signing_keys.rotate(actor, alg=chosen, force=force)
        owner = await admin.resources.find(actor, resource)
        return await admin.signing_keys.rotate(
            actor, alg=owner.signing_alg, resource_id=_owner_id(owner.resource_id, owner.signing_alg), force=force
        )

    _print_keys(administer(change), as_json=as_json)


@keys.command(epilog=example("authserver keys revoke 4fQz0v… --reason 'laptop stolen'"))
@click.argument("kid")
@click.option("--reason", default="", help="Why, for the log.")
@yes_option
@json_option
def revoke(kid: str, *, reason: str, yes: bool, as_json: bool) -> None:
    """Withdraw a key at once, with all that it has signed."""
    with in_options({"reason": reason}):
        form = validated(RevokeForm, {"reason": reason})
    confirm(f"Withdraw {kid} and refuse all its tokens?", yes=yes)
    found = administer(lambda admin, actor: admin.signing_keys.revoke(actor, kid, reason=form.reason))
    _print_keys(found, as_json=as_json)


@keys.command(epilog=example("authserver keys export 4fQz0v… > public.pem"))
@click.argument("kid")
@json_option
def export(kid: str, *, as_json: bool) -> None:
    """Print a public key in PEM. It is for verifiers that take no JWKS."""
    pem = administer(lambda admin, actor: admin.signing_keys.export_pem(actor, kid))
    if as_json:
        print_json({"kid": kid, "pem": pem})
    else:
        click.echo(pem.rstrip("\n"))


def _owner_id(resource_id: str, alg: SigningAlg) -> str | None:
    """Return the owner of the key that signs for a resource: itself for HS256, else the workspace."""
    return resource_id if alg is SigningAlg.HS256 else None


def _print_keys(found: Sequence[SigningKey], *, as_json: bool) -> None:
    views = [document_of(KeyView.of(key)) for key in found]
    if as_json:
        print_json(views)
    else:
        columns = ("kid", "alg", "state", "resource_id", "published_at", "activated_at", "activate_at", "retire_until")
        print_table(columns, views, nothing="There is no signing key yet.")

"""`authserver tokens`: revoke one token, or everything of a client, credential, subject, key or all."""

from __future__ import annotations

import click

from authserver.admin.revocations import RevocationForm, RevocationView
from authserver.administration.actor import Actor
from authserver.administration.validation import validated
from authserver.administration.verbs import Verbs
from authserver.cli.all_clients import all_clients
from authserver.cli.options import confirm, example, json_option, yes_option
from authserver.cli.output import document_of, print_json
from authserver.cli.refusals import in_options
from authserver.cli.session import administer
from authserver.core.clock import MS_PER_SECOND, rfc3339
from authserver.core.errors import NotFound
from authserver.core.revocation import Revocation, RevocationKind

_NAMES = {RevocationKind.CLIENT: "client", RevocationKind.CREDENTIAL: "credential", RevocationKind.KID: "signing key"}


@click.group()
def tokens() -> None:
    """Revoke tokens."""


@tokens.command(
    epilog=example("authserver tokens revoke --client cl_5hPz --reason 'key leaked'", "authserver tokens revoke --all")
)
@click.option("--client", metavar="ID", help="All tokens of a client.")
@click.option("--credential", metavar="ID", help="All tokens obtained with one secret.")
@click.option("--subject", metavar="SUB", help="All tokens of a subject.")
@click.option("--kid", metavar="KID", help="All tokens that a key has signed.")
@click.option("--workspace", metavar="ID", help="All tokens of a workspace.")
@click.option("--jti", metavar="JTI", help="The one token with this id.")
@click.option("--all", "all_", is_flag=True, help="Every token of this server.")
@click.option("--reason", default="", help="Why, for the log.")
@click.option("--force", is_flag=True, help="Even of a client, credential or key that is not known (any more).")
@yes_option
@json_option
def revoke(*, all_: bool, reason: str, force: bool, yes: bool, as_json: bool, **values: str | None) -> None:
    """Revoke what was issued until now. Exactly one of the options says what."""
    named = [(RevocationKind(kind), value) for kind, value in values.items() if value is not None]
    if len(named) + all_ != 1:
        raise click.UsageError("Say what to revoke: exactly one of --client, --credential, --subject, … or --all.")
    if all_:
        confirm("Refuse every token that was issued until now?", yes=yes)
    kind, value = (RevocationKind.ALL, None) if all_ else named[0]
    document = {"kind": kind, "value": value, "reason": reason}

    async def add(admin: Verbs, actor: Actor) -> Revocation:
        if not force and value is not None and not await _is_known(admin, actor, kind, value):
            raise NotFound(f"no {_NAMES[kind]} {value!r} is known here; --force revokes all the same")
        return await admin.revocations.add(actor, kind, value, reason=reason)

    with in_options(document, value=f"--{kind.value}"):
        validated(RevocationForm, document)
        revocation = administer(add)
    if as_json:
        print_json(document_of(RevocationView.of(revocation)))
    elif kind is RevocationKind.JTI:
        click.echo(f"Revoked the token {revocation.value}.")
    else:
        moment = rfc3339(revocation.revoked_at_ms // MS_PER_SECOND)
        whose = "" if all_ else f" of {kind.value} {revocation.value}"
        click.echo(f"Revoked every token{whose} issued until {moment}.")


async def _is_known(admin: Verbs, actor: Actor, kind: RevocationKind, value: str) -> bool:
    """Tell whether there is such a client, credential or key; of the other kinds nobody can know."""
    if kind is RevocationKind.KID:
        return value in {key.kid for key in await admin.signing_keys.list(actor)}
    if kind is RevocationKind.CREDENTIAL:
        found = await all_clients(admin, actor)
        return value in {secret.credential_id for client in found for secret in client.secrets}
    if kind is RevocationKind.CLIENT:
        try:
            await admin.clients.get(actor, value)
        except NotFound:
            return False
    return True

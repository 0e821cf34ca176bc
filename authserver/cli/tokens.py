"""`authserver tokens`: revoke one token, or everything of a client, credential, subject, key or all."""

from __future__ import annotations

import click

from authserver.admin.revocations import RevocationForm, RevocationView
from authserver.administration.validation import validated
from authserver.cli.options import confirm, example, json_option, yes_option
from authserver.cli.output import document_of, print_json
from authserver.cli.session import administer
from authserver.core.clock import MS_PER_SECOND, rfc3339
from authserver.core.revocation import RevocationKind


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
@yes_option
@json_option
def revoke(*, all_: bool, reason: str, yes: bool, as_json: bool, **values: str | None) -> None:
    """Revoke what was issued until now; exactly one of the options says what."""
    named = [(RevocationKind(kind), value) for kind, value in values.items() if value is not None]
    if len(named) + all_ != 1:
        raise click.UsageError("Say what to revoke: exactly one of --client, --credential, --subject, … or --all.")
    if all_:
        confirm("Refuse every token that was issued until now?", yes=yes)
    kind, value = (RevocationKind.ALL, None) if all_ else named[0]
    form = validated(RevocationForm, {"kind": kind, "value": value, "reason": reason})
    revocation = administer(lambda admin, actor: admin.revocations.add(actor, kind, value, reason=form.reason))
    if as_json:
        print_json(document_of(RevocationView.of(revocation)))
    elif kind is RevocationKind.JTI:
        click.echo(f"Revoked the token {revocation.value}.")
    else:
        moment = rfc3339(revocation.revoked_at_ms // MS_PER_SECOND)
        whose = "" if all_ else f" of {kind.value} {revocation.value}"
        click.echo(f"Revoked every token{whose} issued until {moment}.")

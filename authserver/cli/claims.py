"""`authserver claims`: the claims template of the workspace, or of one resource."""

from __future__ import annotations

from typing import BinaryIO

import click

from authserver.admin.templates import TemplateView
from authserver.cli.json_value import JsonObject
from authserver.cli.options import example, json_option, read_text, resource_option
from authserver.cli.output import document_of, print_json, print_table
from authserver.cli.session import administer
from authserver.core.claims_template import StoredTemplate
from authserver.core.json_value import Json


@click.group()
def claims() -> None:
    """Set, show, preview and restore claims templates."""


@claims.command(
    "set",
    epilog=example(
        """echo '{ "user_id": {{ client.trusted_metadata.user_id }} }' | authserver claims set -""",
        "authserver claims set template.json --resource https://api.example.com",
    ),
)
@click.argument("file", type=click.File("rb"))
@resource_option
@json_option
def set_(file: BinaryIO, *, resource: str | None, as_json: bool) -> None:
    """Save a template if it compiles. FILE `-` is stdin. The earlier version stays in the history."""
    source = read_text(file)
    stored = administer(lambda admin, actor: admin.templates.save(actor, source, resource))
    _print_saved(stored, resource, as_json=as_json)


@claims.command(epilog=example("authserver claims show > template.json"))
@resource_option
@json_option
def show(*, resource: str | None, as_json: bool) -> None:
    """Print the template as it was saved."""
    stored = administer(lambda admin, actor: admin.templates.get(actor, resource))
    if as_json:
        print_json(document_of(TemplateView.of(stored, resource)))
    else:
        click.echo((stored.source or "").rstrip("\n"))


@claims.command(epilog=example("authserver claims preview --client cl_5hPz --file template.json"))
@click.option("--client", "client_id", metavar="ID", required=True, help="The client to render it for.")
@click.option("--file", type=click.File("rb"), help="A template to try. [default: the one in force]")
@click.option("--request", "sent", type=JsonObject(), help="Values of `request.*`, as a caller would send them.")
@resource_option
@json_option
def preview(
    *, client_id: str, file: BinaryIO | None, sent: dict[str, Json] | None, resource: str | None, as_json: bool
) -> None:
    """Print the claims that a token would get. Nothing is issued or saved."""
    source = None if file is None else read_text(file)
    found = administer(
        lambda admin, actor: admin.templates.preview(
            actor, client_id, source=source, resource=resource, sent={} if sent is None else sent
        )
    )
    print_json({"claims": found} if as_json else found)


@claims.command(epilog=example("authserver claims history"))
@resource_option
@json_option
def history(*, resource: str | None, as_json: bool) -> None:
    """List all versions, newest first."""
    versions = administer(lambda admin, actor: admin.templates.history(actor, resource))
    views = [document_of(TemplateView.of(stored, resource)) for stored in versions]
    if as_json:
        print_json(views)
        return
    for view in views:
        view["template"] = "(removed)" if view["template"] is None else " ".join(view["template"].split())
    print_table(("version", "created_at", "template"), views, nothing="No claims template was ever saved here.")


@claims.command(epilog=example("authserver claims restore 3"))
@click.argument("version", type=click.IntRange(min=1))
@resource_option
@json_option
def restore(version: int, *, resource: str | None, as_json: bool) -> None:
    """Save an earlier version anew, as the next one."""
    stored = administer(lambda admin, actor: admin.templates.restore(actor, version, resource))
    _print_saved(stored, resource, as_json=as_json)


@claims.command(epilog=example("authserver claims remove --resource https://api.example.com"))
@resource_option
def remove(*, resource: str | None) -> None:
    """Remove the template. Its versions stay and can be restored."""
    administer(lambda admin, actor: admin.templates.remove(actor, resource))
    click.echo("Removed. `authserver claims history` lists what can be restored.")


def _print_saved(stored: StoredTemplate, resource: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json(document_of(TemplateView.of(stored, resource)))
    else:
        click.echo(f"Saved as version {stored.version} for {resource or 'the workspace'}.")

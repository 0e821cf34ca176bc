"""The options that `clients create` and `clients update` have in common, and the document that they make."""

from __future__ import annotations

from typing import Any

import click

from authserver.cli.json_value import JsonObject
from authserver.cli.options import Decorator, SecondsOrDefault, given, together
from authserver.core.client import AuthMethod
from authserver.core.json_value import Json


def metadata_options(*, new: bool) -> Decorator[Any]:
    """Add the options that create and update have in common; only a `new` client gets defaults."""

    def otherwise(default: str) -> str:
        return f" [default: {default}]" if new else ""

    return together(
        click.option(
            "--scope",
            metavar='"A B"',
            multiple=True,
            callback=_joined,
            help="All scopes that it may ask for, with one space between; repeatable.",
        ),
        click.option(
            "--default-scope",
            metavar='"A"',
            multiple=True,
            callback=_joined,
            help="What it gets unasked; repeatable." + otherwise("all of it"),
        ),
        click.option(
            "--audience", "audiences", metavar="URI", multiple=True, help="A resource that it may name; repeatable."
        ),
        click.option(
            "--default-audience", metavar="URI", help="The audience when it names none." + otherwise("the first")
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
            help="The one way in which it sends its secret." + otherwise("client_secret_basic"),
        ),
        click.option(
            "--ttl", type=SecondsOrDefault(), help="Lifetime of its tokens." + otherwise("the resource's or server's")
        ),
        click.option("--description", help="What the client is for."),
    )


def metadata_document(
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


def _joined(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Return all that was said of a scope as one; None when nothing was."""
    return " ".join(filter(None, values)) if values else None

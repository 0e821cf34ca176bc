"""`authserver openapi`: the document of `GET /openapi.json`, without a server."""

from __future__ import annotations

import click

from authserver.app.description import describe
from authserver.app.runtime import VERSION
from authserver.cli.options import example
from authserver.cli.output import print_json
from authserver.settings import read_settings


@click.command(epilog=example("authserver openapi > openapi.json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, which this command always does.")
def openapi(*, as_json: bool) -> None:  # noqa: ARG001 - accepted, as everywhere
    """Print the OpenAPI document of the server."""
    settings = read_settings()
    print_json(describe(issuer=settings.issuer or f"http://{settings.host}:{settings.port}", version=VERSION))

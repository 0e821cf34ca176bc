"""The OpenAPI document of everything that the server serves."""

from __future__ import annotations

from authserver.admin.openapi import openapi_document
from authserver.admin.routes import OPERATIONS
from authserver.core.json_value import Json
from authserver.endpoints.description import endpoint_paths


def describe(*, issuer: str, version: str) -> dict[str, Json]:
    """Return the document: the management API from its models, the OAuth endpoints from theirs."""
    return openapi_document(
        [operation.description for operation in OPERATIONS],
        issuer=issuer,
        version=version,
        more_paths=endpoint_paths(),
    )

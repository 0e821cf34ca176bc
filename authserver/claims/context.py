"""A client as templates see it: its public fields as plain JSON values, and nothing else of it."""

from __future__ import annotations

from authserver.core.client import Client
from authserver.core.json_value import Json
from authserver.core.scope import format_scope


def client_values(client: Client) -> dict[str, Json]:
    """Return the values of `client.*`: `scope` as on the wire (RFC 6749 §3.3), `created_at` in seconds."""
    return {
        "client_id": client.client_id,
        "client_name": client.client_name,
        "client_description": client.client_description,
        "status": client.status.value,
        "scope": format_scope(client.scope),
        "audiences": list(client.audiences),
        "created_at": client.created_at,
        "trusted_metadata": dict(client.trusted_metadata),
    }

"""The values that the tests render templates with."""

from __future__ import annotations

from typing import Any

from authserver.claims.compiler import Context
from authserver.claims.template import compile_template

SEED = '{ "user_id": {{ client.trusted_metadata.stytch_user_id }}}'


def context(metadata: Any = None, **request: Any) -> Context:
    """Return the values for a token of the client `c1`, with its metadata and what the caller sends."""
    return {
        "client": {
            "client_id": "c1",
            "client_name": "Nightly job",
            "client_description": "",
            "status": "active",
            "scope": "read write",
            "audiences": ["https://a.example", "https://b.example"],
            "created_at": 1_700_000_000,
            "trusted_metadata": metadata or {},
        },
        "workspace": {"workspace_id": "default", "name": "Default"},
        "token": {"client_id": "c1", "sub": "c1", "aud": "https://a.example", "iat": 1_700_000_000},
        "request": request,
    }


def render(source: str, metadata: Any = None, **request: Any) -> dict[str, Any]:
    """Compile `source` and render it once."""
    return compile_template(source).render(context(metadata, **request))

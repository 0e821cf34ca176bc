"""What a service imports to check the access tokens of its callers by itself (RFC 9068 §4, RFC 6750).

`verifier.py` is the door. `check.py` decides without I/O, on what `config.py`, `key_set.py`, `claims.py` and
`revocations.py` read; `engine.py` keeps that up to date with `follower.py` and `source.py`. `asgi.py`, `starlette.py`,
`fastapi.py`, `wsgi.py`, `flask.py`, `django.py` and `mcp.py` each fit it to one kind of service. Imports core, jose,
joserfc and httpx2; each integration also the framework that it is for.
"""

from authserver.core.errors import ConfigurationError
from authserver.resource_server.base import Status
from authserver.resource_server.bearer import bearer_token
from authserver.resource_server.check import Proof
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.errors import (
    CannotVerify,
    InsufficientScope,
    InvalidToken,
    MalformedRequest,
    MissingToken,
    Refusal,
)
from authserver.resource_server.token import VerifiedToken
from authserver.resource_server.verifier import ThreadVerifier, Verifier

__all__ = [
    "CannotVerify",
    "ConfigurationError",
    "InsufficientScope",
    "InvalidToken",
    "MalformedRequest",
    "MissingToken",
    "Proof",
    "Refusal",
    "Status",
    "ThreadVerifier",
    "VerifiedToken",
    "Verifier",
    "VerifierConfig",
    "bearer_token",
]

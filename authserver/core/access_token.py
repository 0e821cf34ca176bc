"""An access token that this server has signed (RFC 9068 §2.2), read into one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from authserver.core.json_value import Json
from authserver.core.resource import TokenType


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token that we have signed. Times in seconds; whether it is expired or revoked is not said here.

    `scope` is space-separated, as in the token. `resource_id` names the only resource whose tokens its key
    may sign, None for an asymmetric key. `claims` is the whole payload, not to be changed.
    """

    issuer: str
    subject: str
    audience: tuple[str, ...]
    client_id: str
    scope: str
    issued_at: int
    not_before: int
    expires_at: int
    jti: str
    workspace_id: str
    credential_id: str
    kid: str
    typ: TokenType
    claims: Mapping[str, Json]
    resource_id: str | None = None

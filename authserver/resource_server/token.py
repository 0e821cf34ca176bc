"""An access token that was found good (RFC 9068 §2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from authserver.core.json_value import Json

#: The claims that the authorization server itself sets; all others came from its claims template.
REGISTERED_CLAIMS = frozenset(
    ("iss", "sub", "aud", "client_id", "scope", "iat", "nbf", "exp", "jti", "workspace_id", "credential_id", "cnf")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """Who calls, and what the caller may do. Times in seconds since the epoch.

    `scopes` holds what was granted and all that it includes; `scope` is the text in the token. `claims` is the whole
    payload, read-only. What was revoked is known until `as_of`, by the clock of the authorization server.

    Where the authorization server was asked (`introspection`), what it did not say is 0 or empty, which may be any
    time and id but `client_id` and `subject`; and `as_of` is when it answered, by the clock of this service.
    """

    subject: str
    client_id: str
    workspace_id: str
    scope: str
    scopes: frozenset[str]
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    jti: str
    credential_id: str
    kid: str
    claims: Mapping[str, Json] = field(repr=False, hash=False)
    as_of: float

    @property
    def custom_claims(self) -> Mapping[str, Json]:
        """Return the claims that the template of the authorization server added."""
        return {name: value for name, value in self.claims.items() if name not in REGISTERED_CLAIMS}

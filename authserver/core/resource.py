"""Resources: the services that tokens are for, named by an identifier URI (RFC 8707 §2, RFC 9068 §3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from authserver.core.scope import Inclusion, close_inclusion


class SigningAlg(StrEnum):
    """JWS algorithms a resource may choose (RFC 7518 §3.1, RFC 9864 for Ed25519)."""

    ES256 = "ES256"
    RS256 = "RS256"
    PS256 = "PS256"
    ED25519 = "Ed25519"
    HS256 = "HS256"


class TokenType(StrEnum):
    """The `typ` header of its access tokens (RFC 9068 §2.1); `JWT` for verifiers that know no other."""

    AT_JWT = "at+jwt"
    JWT = "JWT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceScope:
    """A scope of a resource, what it allows in words, and the scopes that it includes."""

    name: str
    description: str = ""
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource and its token policy. A resource without scopes leaves them to its clients.

    `resource_servers` are the clients that may introspect its tokens and follow its revocations.
    """

    resource_id: str
    workspace_id: str
    identifier: str
    name: str = ""
    scopes: tuple[ResourceScope, ...] = ()
    signing_alg: SigningAlg = SigningAlg.ES256
    token_typ: TokenType = TokenType.AT_JWT
    access_token_ttl_seconds: int | None = None
    resource_servers: tuple[str, ...] = ()
    built_in: bool = False
    created_at: int
    updated_at: int
    version: int = 1

    def inclusion(self) -> Inclusion:
        """Return each scope with all that it includes."""
        return close_inclusion({scope.name: scope.includes for scope in self.scopes})

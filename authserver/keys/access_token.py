"""The claims of our own access tokens (RFC 9068 §2.2), read strictly into one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

import msgspec

from authserver.core.access_token import AccessToken
from authserver.core.json_value import Json
from authserver.core.resource import SigningAlg, TokenType
from authserver.jose.errors import UntrustedToken

# The holder of an HS256 secret can sign what we never would: whatever is used later is bounded here.
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
_UuidV7 = Annotated[
    str, msgspec.Meta(pattern=r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
]

_decode = msgspec.json.Decoder(dict[str, Json]).decode


class _Registered(msgspec.Struct, kw_only=True):
    """The members that every token of ours has, with the types that they have there."""

    iss: str
    sub: _Text
    aud: _Text | Annotated[list[_Text], msgspec.Meta(min_length=1)]
    client_id: _Text
    iat: _Seconds
    exp: _Seconds
    jti: _UuidV7
    workspace_id: _Text
    credential_id: _Text
    nbf: _Seconds | None = None
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """What a key says about each token that it signs. `resource_id` names the one resource of an HS256 key."""

    kid: str
    alg: SigningAlg
    typ: TokenType
    workspace_id: str
    resource_id: str | None


def read_access_token(payload: bytes, *, issuer: str, key: KeyFacts) -> AccessToken:
    """Return the token that `payload` describes; raise UntrustedToken.

    The nesting depth is bounded by msgspec, which raises RecursionError at the interpreter's limit.
    """
    try:
        claims = _decode(payload)
        registered = msgspec.convert(claims, _Registered)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise UntrustedToken("the payload is not a JSON object with the members of an access token") from error
    except RecursionError:
        raise UntrustedToken("the payload is nested too deep") from None
    if registered.iss != issuer:
        raise UntrustedToken("another issuer")
    if registered.workspace_id != key.workspace_id:
        raise UntrustedToken("the key belongs to another workspace")
    return _access_token(registered, claims, key)


def _access_token(registered: _Registered, claims: dict[str, Json], key: KeyFacts) -> AccessToken:
    audience = registered.aud
    return AccessToken(
        issuer=registered.iss,
        subject=registered.sub,
        audience=(audience,) if isinstance(audience, str) else tuple(audience),
        client_id=registered.client_id,
        scope=registered.scope,
        issued_at=registered.iat,
        not_before=registered.iat if registered.nbf is None else registered.nbf,
        expires_at=registered.exp,
        jti=registered.jti,
        workspace_id=registered.workspace_id,
        credential_id=registered.credential_id,
        kid=key.kid,
        typ=key.typ,
        claims=MappingProxyType(claims),
        resource_id=key.resource_id,
    )

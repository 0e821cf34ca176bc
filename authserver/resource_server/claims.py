"""The claims of an access token (RFC 9068 §2.2, §4), read strictly and without a clock."""

from __future__ import annotations

import re
from collections.abc import Mapping

from authserver.core.clock import MS_PER_SECOND
from authserver.core.errors import InvalidScope
from authserver.core.identifiers import token_id_ms
from authserver.core.json_value import Json
from authserver.core.scope import expand, parse_scope
from authserver.jose.errors import UntrustedToken
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.read_only import read_only
from authserver.resource_server.token import VerifiedToken

_UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LATEST_SECONDS = 7_258_118_400  # the year 2200: no withdrawn key is refused for longer, so no later time is taken


def read_claims(claims: Mapping[str, Json], config: VerifierConfig, *, kid: str, as_of: float) -> VerifiedToken:
    """Return the token that `claims` describe; raise UntrustedToken.

    `jti` must carry its time (RFC 9562 §5.7): without it nobody could tell whether the token was revoked.
    """
    if claims.get("iss") != config.issuer:
        raise UntrustedToken("another issuer")
    audience = _audience(claims.get("aud"))
    if config.audience not in audience:
        raise UntrustedToken("another audience")
    if claims.get("workspace_id") != config.workspace_id:
        raise UntrustedToken("another workspace")
    jti = _text(claims, "jti")
    if not _UUID_V7.fullmatch(jti):
        raise UntrustedToken("the jti is no UUIDv7")
    expires_at = _seconds(claims, "exp")
    if token_id_ms(jti) > expires_at * MS_PER_SECOND:
        raise UntrustedToken("the jti is of a time after exp")
    scope = read_scope(claims)
    return VerifiedToken(
        subject=_text(claims, "sub"),
        client_id=_text(claims, "client_id"),
        workspace_id=config.workspace_id,
        scope=scope,
        scopes=_expanded(scope, config),
        audience=audience,
        issued_at=_seconds(claims, "iat"),
        expires_at=expires_at,
        jti=jti,
        credential_id=_text(claims, "credential_id"),
        kid=kid,
        claims=read_only(dict(claims)),
        as_of=as_of,
    )


def read_answer(answer: Mapping[str, Json], config: VerifierConfig, *, as_of: float) -> VerifiedToken:
    """Return the active token that an introspection answer describes (RFC 7662 §2.2); raise UntrustedToken.

    It may be of another maker: only what access depends on has to be there, the audience and the client.
    """
    audience = _audience(answer.get("aud"))
    if config.audience not in audience:
        raise UntrustedToken("another audience")
    client_id = _text(answer, "client_id")
    scope = read_scope(answer)
    read_confirmation(answer)
    return VerifiedToken(
        subject=str(answer.get("sub") or client_id),
        client_id=client_id,
        workspace_id=str(answer.get("workspace_id") or ""),
        scope=scope,
        scopes=_expanded(scope, config),
        audience=audience,
        issued_at=_seconds(answer, "iat") if "iat" in answer else 0,
        expires_at=_seconds(answer, "exp") if "exp" in answer else 0,
        jti=str(answer.get("jti") or ""),
        credential_id=str(answer.get("credential_id") or ""),
        kid="",
        claims=read_only(dict(answer)),
        as_of=as_of,
    )


def not_before(token: VerifiedToken) -> int:
    """Return the time from which the token holds (RFC 7519 §4.1.5), in seconds; raise UntrustedToken."""
    return _seconds(token.claims, "nbf") if "nbf" in token.claims else token.issued_at


def read_confirmation(claims: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """Return the `cnf` (RFC 7800 §3.1), None when there is none; raise UntrustedToken for what is no object."""
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    if not isinstance(confirmation, dict):
        raise UntrustedToken("the cnf is not a JSON object")
    return confirmation


def read_scope(claims: Mapping[str, Json]) -> str:
    """Return the scope as the token has it, empty when it has none; raise UntrustedToken for what is no text."""
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise UntrustedToken("the scope is not a string")
    return scope


def _expanded(scope: str, config: VerifierConfig) -> frozenset[str]:
    try:
        return expand(parse_scope(scope), config.inclusion)
    except InvalidScope as error:
        raise UntrustedToken(error.reason) from None


def _audience(value: Json) -> tuple[str, ...]:
    audience = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    if not audience or not all(isinstance(name, str) for name in audience):
        raise UntrustedToken("the audience is missing or not a string")
    return audience


def _text(claims: Mapping[str, Json], name: str) -> str:
    value = claims.get(name)
    if isinstance(value, str) and value:
        return value
    raise UntrustedToken(f"{name} is missing or not a string")


def _seconds(claims: Mapping[str, Json], name: str) -> int:
    value = claims.get(name)
    if type(value) is int and 0 <= value <= _LATEST_SECONDS:
        return value
    raise UntrustedToken(f"{name} is missing or no time")
